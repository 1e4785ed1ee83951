"""The digests that a client names for its content, and whether they are right."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers

from schema.errors import ChecksumMismatch, InvalidChecksum

HEADERS = ("x-filestore-checksum", "x-filestore-content-hash")

_HEX = re.compile(r"[0-9a-f]+")
_LENGTHS = {"sha256": 64, "sha1": 40, "md5": 32}

_DIGESTS = {"sha-256": ("sha256", 32), "sha-512": ("sha512", 64)}
"""The names of RFC 9530, and how many bytes each has. Others are ignored, as the RFC says: the old ones prove nothing."""
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)(?:=([^,;]*))?(?:;[^,]*)?")


class Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Checksum:
    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def whole(self) -> bool:
        """It has the form of a digest."""
        return len(self.hex) == _LENGTHS.get(self.algorithm) and bool(_HEX.fullmatch(self.hex))

    def compare(self, found: str) -> None:
        """Raises ChecksumMismatch."""
        if found != self.hex:
            raise ChecksumMismatch(expected=str(self), found=f"{self.algorithm}:{found}")


def claimed(headers: Headers) -> list[Checksum]:
    """The checksums of the file in the headers, the client's own one first. Raises InvalidChecksum."""
    return [read(value) for name in HEADERS for value in headers.getlist(name)]


def represented(headers: Headers) -> list[Checksum]:
    """`Repr-Digest`: of the file, whatever it travels in. Raises InvalidChecksum."""
    return _digests(headers.getlist("repr-digest"), "Repr-Digest")


def carried(headers: Headers) -> list[Checksum]:
    """`Content-Digest`: of the body of this very message. Raises InvalidChecksum."""
    return _digests(headers.getlist("content-digest"), "Content-Digest")


def read(text: str) -> Checksum:
    """The algorithm may be left out: the length tells it, and what has no such length is compared as a SHA-256. A value that
    is no digest at all differs from every digest: that is for `compare` to say. Raises InvalidChecksum."""
    algorithm, _, value = text.strip().lower().rpartition(":")
    if algorithm and algorithm not in _LENGTHS:
        raise InvalidChecksum()
    return Checksum(algorithm or _algorithm_of(value), value)


def _algorithm_of(value: str) -> str:
    lengths = {length: name for name, length in _LENGTHS.items()}
    return lengths.get(len(value), "sha256") if _HEX.fullmatch(value) else "sha256"


def _digests(lines: Sequence[str], header: str) -> list[Checksum]:
    """A dictionary of byte sequences (RFC 9651): `sha-256=:base64:, ..`. Of a repeated name the last one counts."""
    found: dict[str, Checksum] = {}
    for member in ",".join(lines).split(",") if lines else []:
        parts = _MEMBER.fullmatch(member.strip(" \t"))
        if parts is None:
            raise InvalidChecksum(f"{header} is not of the form `sha-256=:<base64>:`.")
        if parts[1] in _DIGESTS:
            algorithm, size = _DIGESTS[parts[1]]
            found[algorithm] = Checksum(algorithm, _sequence(parts[2], size, header).hex())
    return list(found.values())


def _sequence(text: str | None, size: int, header: str) -> bytes:
    if text is not None and len(text) > 2 and text[0] == text[-1] == ":":
        try:
            raw = base64.b64decode(text[1:-1], validate=True)
        except ValueError:
            raw = b""
        if len(raw) == size:
            return raw
    raise InvalidChecksum(f"{header} does not hold a digest of that algorithm between colons, in base64.")


def hashers(checksums: Sequence[Checksum]) -> dict[str, Hasher]:
    """A hash for each algorithm that is asked for besides SHA-256, which is computed anyway. No security rests on
    them."""
    return {one.algorithm: hasher(one.algorithm) for one in checksums if one.algorithm != "sha256"}


def hasher(algorithm: str) -> Hasher:
    return hashlib.new(algorithm, usedforsecurity=False)


class Comparing:
    """Hashes what passes by, and compares it with what was claimed."""

    def __init__(self, claimed: Sequence[Checksum]) -> None:
        self._claimed = [(one, hasher(one.algorithm)) for one in claimed]

    def update(self, data: bytes) -> None:
        for _, one in self._claimed:
            one.update(data)

    def compare(self) -> None:
        """Raises ChecksumMismatch."""
        for one, found in self._claimed:
            one.compare(found.hexdigest())


SHA256 = "sha-256"


_WISH = re.compile(r"[ \t]*([a-z*][a-z0-9_.*-]*)[ \t]*=[ \t]*([0-9]{1,2})[ \t]*", re.ASCII)


def field(digest: bytes) -> str:
    """The value of Repr-Digest and Content-Digest."""
    return f"{SHA256}=:{base64.b64encode(digest).decode()}:"


def wishes(text: str) -> dict[str, int]:
    """Want-Repr-Digest or Want-Content-Digest: how much each algorithm is liked, 0 to 10; 0: it is not wanted.
    What is malformed says nothing at all."""
    found: dict[str, int] = {}
    for part in text.split(",") if text.strip(" \t") else ():
        wish = _WISH.fullmatch(part)
        if wish is None or int(wish[2]) > 10:
            return {}
        found[wish[1]] = int(wish[2])
    return found


def unwanted(text: str) -> bool:
    """Want-Repr-Digest rules out the one algorithm we have. A client that wishes for others alone gets it none the less."""
    return wishes(text).get(SHA256) == 0


def wanted(text: str) -> bool:
    """Want-Content-Digest asks for the one algorithm we have."""
    return wishes(text).get(SHA256, 0) > 0
