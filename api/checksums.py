"""What a client says its content hashes to, and whether it does."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from schema.errors import ChecksumMismatch, InvalidChecksum

HEADERS = ("x-filestore-checksum", "x-filestore-content-hash")

_TOLD = re.compile(r"(?:(sha256|sha1|md5):)?([0-9a-f]+)", re.IGNORECASE)
_BY_LENGTH = {64: "sha256", 40: "sha1", 32: "md5"}


class Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Checksum:
    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    def compare(self, found: str) -> None:
        """Raises ChecksumMismatch."""
        if found != self.hex:
            raise ChecksumMismatch(expected=str(self), found=f"{self.algorithm}:{found}")


def told(headers: Mapping[str, str]) -> list[Checksum]:
    """The checksums in the headers, the client's own one first. Raises InvalidChecksum."""
    return [_read(headers[name]) for name in HEADERS if name in headers]


def _read(text: str) -> Checksum:
    """The algorithm may be left out: the length tells it."""
    found = _TOLD.fullmatch(text.strip())
    by_length = _BY_LENGTH.get(len(found[2])) if found else None
    if found is None or by_length is None or (found[1] and found[1].lower() != by_length):
        raise InvalidChecksum()
    return Checksum(by_length, found[2].lower())


def hashers(checksums: list[Checksum]) -> dict[str, Hasher]:
    """One for each algorithm that is asked for beside SHA-256, which is computed anyway. No security rests on them."""
    return {
        one.algorithm: hashlib.new(one.algorithm, usedforsecurity=False)
        for one in checksums
        if one.algorithm != "sha256"
    }
