"""`archive`: write what the journal has that the archive has not, segment by segment.

The archive itself says how far it is: the name of its last segment has its last entry. A segment whose process died before the
file with its SHA-256 was written does not count, and is written again.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from temporalio import activity

from schema.archive.segments import (
    ArchiveLine,
    SegmentHead,
    SegmentName,
    check_bytes,
    check_head,
    line,
    parsed,
    raw_line,
    segment_names,
)
from schema.faults import areach
from schema.store import archive as store

if TYPE_CHECKING:
    from schema.store.archive import ArchiveState
    from schema.store.connection import Connection
    from schema.store.pool import Pool

_PAGE = 200
"""Entries whose versions are read in one go: an entry of an import has a thousand"""
SEGMENT_BYTES = 16 * 2**20
"""Compressed: a segment that is larger ends"""
_COMPARED = 20_000
_LONGEST_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Archived:
    segments: int = 0
    entries: int = 0
    last: int = 0
    """The last entry of the archive"""
    different: int = 0
    """Nodes that a rebuild would make otherwise than they are, among those that this run has looked at"""
    more: bool = False


class ArchivePlace(Protocol):
    """Blocking."""

    def names(self) -> Sequence[str]: ...

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, content: bytes) -> None:
        """Whole and durable, or not at all."""
        ...


class Archive:
    def __init__(
        self,
        pool: Pool,
        place: ArchivePlace | None,
        longest_seconds: float = _LONGEST_SECONDS,
        segment: int = SEGMENT_BYTES,
    ) -> None:
        """`place` None: there is no archive."""
        self._pool, self._place = pool, place
        self._longest, self._segment = longest_seconds, segment

    @activity.defn(name="archive")
    async def archive(self) -> Archived:
        """All that is settled. Nothing, while another process is at it."""
        if self._place is None:
            return Archived()
        async with self._pool.connection() as connection:
            if not await store.lock(connection):
                return Archived()
            try:
                return await self._archive(connection, self._place)
            finally:
                await store.unlock(connection)

    async def _archive(self, connection: Connection, place: ArchivePlace) -> Archived:
        until, segments, entries = monotonic() + self._longest, 0, 0
        state = await store.state(connection)
        last, previous = await asyncio.to_thread(end_of, place)
        while last < state.settled and monotonic() < until:
            name, content, number = await self._made(connection, state, last, previous)
            previous = await asyncio.to_thread(_put, place, name, content)
            await areach("archive.written")
            last, segments, entries = name.last, segments + 1, entries + number
        different = await self._differences(connection, state.last_node)
        return Archived(segments, entries, last, different, more=last < state.settled)

    async def _made(
        self, connection: Connection, state: ArchiveState, after: int, previous: str | None
    ) -> tuple[SegmentName, bytes, int]:
        """The next segment. Its head is made last, because it says where it ends."""
        body, last, counted = io.BytesIO(), after, {"entry": 0, "version": 0}
        with gzip.GzipFile(fileobj=body, mode="wb", mtime=0) as packed:
            while last < state.settled and (last == after or body.tell() < self._segment):
                page = await store.entries(connection, last, state.settled, _PAGE)
                end = page.last if page.last is not None and len(page.texts) == _PAGE else state.settled
                versions = await store.versions(connection, last, end)
                await asyncio.to_thread(_pack, packed, page.texts, versions)
                counted["entry"] += len(page.texts)
                counted["version"] += len(versions)
                last = end
            packed.write(line("end", counted))
        head = SegmentHead(after + 1, last, previous, state.position, state.migration).line()
        places = [raw_line("tenant", text) for text in await store.tenants(connection)]
        places += [raw_line("mount", text) for text in await store.mounts(connection)]
        places += [raw_line(kind, text) for kind, text in await store.rules(connection)]
        # Members of a gzip file follow each other: the head is one of its own.
        content = gzip.compress(head + b"".join(places), mtime=0) + body.getvalue()
        return SegmentName(after + 1, last), content, counted["entry"]

    async def _differences(self, connection: Connection, last_node: int) -> int:
        """Whether a rebuild would make the nodes that there are: of some, from anywhere on."""
        start = random.randrange(0, last_node + 1)  # noqa: S311  not a secret
        found = await store.differences(connection, start, _COMPARED)
        again = await store.differences(connection, 0, _COMPARED - found.looked)
        return found.different + again.different


def end_of(place: ArchivePlace) -> tuple[int, str | None]:
    """The last entry of the archive, and the SHA-256 of the segment that has it. Blocking."""
    files = set(place.names())
    names = segment_names([file for file in files if f"{file}.sha256" in files])
    if not names:
        return 0, None
    return names[-1].last, _written(place, names[-1])


def read_archive(place: ArchivePlace) -> Iterator[ArchiveLine]:
    """Every line of every segment, checked before it is given: the heads of segments too, as `segment`. Blocking."""
    files = set(place.names())
    previous = None
    for name in segment_names([file for file in files if f"{file}.sha256" in files]):
        content = place.read(str(name))
        sha256 = hashlib.sha256(content).hexdigest()
        check_bytes(name, sha256, _written(place, name))
        lines = list(parsed(name, iter(gzip.GzipFile(fileobj=io.BytesIO(content)))))
        head = SegmentHead(**lines[0].value)
        check_head(name, head, previous)
        yield from lines
        previous = sha256


def _written(place: ArchivePlace, name: SegmentName) -> str:
    return place.read(name.checksum).split()[0].decode()


def _pack(packed: gzip.GzipFile, entries: Sequence[str], versions: Sequence[str]) -> None:
    """Compress these. Blocking: not on the loop that commands run on."""
    packed.writelines(raw_line("entry", text) for text in entries)
    packed.writelines(raw_line("version", text) for text in versions)
    packed.flush()


def _put(place: ArchivePlace, name: SegmentName, content: bytes) -> str:
    """The segment, read back, and then the file that makes it count. Its SHA-256."""
    sha256 = hashlib.sha256(content).hexdigest()
    place.write(str(name), content)
    if hashlib.sha256(place.read(str(name))).hexdigest() != sha256:
        raise OSError(f"{name} was read back otherwise than it was written.")
    place.write(name.checksum, f"{sha256}  {name}\n".encode())
    return sha256
