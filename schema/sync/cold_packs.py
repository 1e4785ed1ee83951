"""Small contents that lie together in one object of the cold store: a store counts, and charges, requests.

A pack is the contents one behind the other, then an index, then how long that is: it can be read without the record. Rows say where
in a pack their content lies. A pack is never added to, and goes once no row names it. One of which little is
needed is written anew with others; its old object stays for a while, for those that read it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

MEMBER_MAX = 64 * 1024
"""Up to so many bytes a content may lie in a pack"""
MEMBERS_MIN = 2
ENTRY_BYTES = 80
"""What a content takes in the index of its pack, a few bytes more or less: of tiny ones that is most of it"""
REWRITE_BYTES = 8 << 20
"""So much of old packs is written anew as one"""
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


@dataclass(frozen=True, slots=True)
class KnownPack:
    """`live`: the bytes in it of contents that some row names, and of their entries in the index."""

    key: str
    size: int
    live: int

    def wasted(self, share: float) -> bool:
        """Whether less than this share of it is needed."""
        return self.live < self.size * share


def rewrites(packs: Iterable[KnownPack], share: float) -> Iterator[list[KnownPack]]:
    """Those of which too little is needed, in groups of which each makes one pack that is worth a request."""
    group, size = list[KnownPack](), 0
    for pack in packs:
        if not pack.wasted(share):
            continue
        if group and size + pack.live > REWRITE_BYTES:
            yield group
            group, size = [], 0
        group.append(pack)
        size += pack.live
    if group:
        yield group


def is_pack(key: str) -> bool:
    """By the name of an object in the cold store."""
    return "/packs/" in key


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
