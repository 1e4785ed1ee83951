"""Small contents that lie together in one object of the cold store: a store counts, and charges, requests.

A pack is the contents one behind the other, then an index, then how long that is: it can be read without the record. Rows say where
in a pack their content lies. A pack is never added to, and goes once no row names it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

MEMBER_MAX = 64 * 1024
"""Up to so many bytes a content may lie in a pack"""
MEMBERS_MIN = 2
_MARK = b"FSPACK01"
_AT = "#"


@dataclass(frozen=True, slots=True)
class ColdPlace:
    """`start` None: the content is the whole object."""

    key: str
    start: int | None = None

    @property
    def packed(self) -> bool:
        return self.start is not None


def place_of(cold_key: str) -> ColdPlace:
    """As a row has it."""
    pack, at, start = cold_key.rpartition(_AT)
    return ColdPlace(pack, int(start)) if at and start.isdigit() else ColdPlace(cold_key)


def member_key(pack: str, start: int) -> str:
    return f"{pack}{_AT}{start}"


def laid_out(contents: Mapping[str, bytes]) -> tuple[bytes, dict[str, int]]:
    """A pack, and where in it each content begins."""
    starts, at = dict[str, int](), 0
    for sha, content in contents.items():
        starts[sha] = at
        at += len(content)
    index = json.dumps([[sha, starts[sha], len(content)] for sha, content in contents.items()]).encode()
    return b"".join([*contents.values(), index, len(index).to_bytes(8, "big"), _MARK]), starts


def index_of(pack: bytes) -> list[tuple[str, int, int]]:
    """What lies in a pack: contents, where they begin, their bytes. Raises ValueError for what is no pack."""
    if pack[-len(_MARK) :] != _MARK:
        raise ValueError("this is no pack")
    end = len(pack) - len(_MARK) - 8
    size = int.from_bytes(pack[end : end + 8], "big")
    return [(sha, start, length) for sha, start, length in json.loads(pack[end - size : end])]
