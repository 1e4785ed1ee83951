"""A segment of the archive: a gzip file of JSON lines. Its first line says which entries it has and what came before it, its last
one how much it holds, and a file beside it what its SHA-256 is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

FORMAT = 1
_NAME = re.compile(r"journal-(\d{19})-(\d{19})\.jsonl\.gz")


class BrokenArchive(Exception):
    """The archive is not what was written: a segment is missing, changed or cut."""


@dataclass(frozen=True, slots=True)
class SegmentHead:
    first: int
    last: int
    previous: str | None
    """SHA-256 of the segment before; None: it is the first"""
    position: int
    """Where the feed of events was"""
    migration: int
    """The form of the record, by its last migration"""
    format: int = FORMAT

    def line(self) -> bytes:
        return line("segment", asdict(self))


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    first: int
    last: int

    def __str__(self) -> str:
        return f"journal-{self.first:019}-{self.last:019}.jsonl.gz"

    @property
    def checksum(self) -> str:
        """The file beside it, as `sha256sum -c` reads it."""
        return f"{self}.sha256"


def segment_names(files: Sequence[str]) -> list[SegmentName]:
    """The segments among these files, in their order. Raises BrokenArchive where one does not follow the one before."""
    found = sorted(
        SegmentName(int(match[1]), int(match[2])) for match in map(_NAME.fullmatch, files) if match is not None
    )
    for before, after in pairwise(found):
        if after.first != before.last + 1:
            raise BrokenArchive(f"Between {before} and {after} there is a segment missing, or one too many.")
    if found and found[0].first != 1:
        raise BrokenArchive(f"The archive begins with {found[0]}: what came before it is missing.")
    return found


def line(kind: str, value: Any) -> bytes:
    return json.dumps({kind: value}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def raw_line(kind: str, text: str) -> bytes:
    """The same of what is JSON already."""
    return b'{"%s":%s}\n' % (kind.encode(), text.encode())


def check_bytes(name: SegmentName, sha256: str, written: str) -> None:
    """`sha256` of its bytes; `written`: what the file beside it says."""
    if sha256 != written:
        raise BrokenArchive(f"{name} has the SHA-256 {sha256}; the file beside it says {written}.")


def check_head(name: SegmentName, head: SegmentHead, previous: str | None) -> None:
    """`previous`: the SHA-256 of the segment before."""
    if (head.first, head.last) != (name.first, name.last):
        raise BrokenArchive(f"{name} says of itself that it has entries {head.first} to {head.last}.")
    if head.previous != previous:
        raise BrokenArchive(
            f"{name} follows a segment with the SHA-256 {head.previous}; the one before it has {previous}."
        )
    if head.format != FORMAT:
        raise BrokenArchive(f"{name} has the form {head.format}; this release reads {FORMAT}.")


@dataclass(frozen=True, slots=True)
class ArchiveLine:
    kind: str
    value: Any
    text: str
    """The same as it was written: a number has more digits than Python keeps"""


def parsed(name: SegmentName, lines: Iterator[bytes]) -> Iterator[ArchiveLine]:
    """Raises BrokenArchive where the last line is missing, or counts others."""
    counted: dict[str, int] = {}
    ended = False
    for text in lines:
        ((kind, value),) = json.loads(text).items()
        if kind == "end":
            _check_end(name, counted, value)
            ended = True
        counted[kind] = counted.get(kind, 0) + 1
        yield ArchiveLine(kind, value, text[len(kind) + 4 : -2].decode())
    if not ended:
        raise BrokenArchive(f"{name} has no end: it was cut.")


def _check_end(name: SegmentName, counted: Mapping[str, int], told: Mapping[str, int]) -> None:
    for kind, number in told.items():
        if counted.get(kind, 0) != number:
            raise BrokenArchive(f"{name} has {counted.get(kind, 0)} lines of the kind {kind}; its end says {number}.")
