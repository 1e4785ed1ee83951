"""Many small contents in one body: of each 32 bytes of SHA-256, 8 of its length (big-endian), and the content."""

import hashlib
from collections.abc import Mapping

from schema.errors import ChecksumMismatch, InvalidRequest

PACK_MAX = 32 << 20
_HEAD = 40


def pack(contents: Mapping[str, bytes]) -> bytes:
    return b"".join(bytes.fromhex(sha) + len(one).to_bytes(8, "big") + one for sha, one in contents.items())


def unpack(body: bytes) -> dict[str, bytes]:
    """Raises InvalidRequest for what is no pack, ChecksumMismatch for a content that is not what its name says."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at + 32 : at + _HEAD], "big")
        content = body[at + _HEAD : at + _HEAD + size]
        if len(body) < at + _HEAD or len(content) != size:
            raise InvalidRequest("The pack ends in the middle of a content.")
        sha = body[at : at + 32].hex()
        if hashlib.sha256(content).hexdigest() != sha:
            raise ChecksumMismatch(sha=sha)
        found[sha] = content
        at += _HEAD + size
    return found
