"""What a look reads of a bucket: pages of keys, put together to directories, and compared with the record as they come.

A flat prefix can hold millions of keys, so nothing waits for its end. Of all directories that are not over yet the names that were
told are compared after every so many keys, and the cursor of the listing becomes a row: another execution of the same look goes on
there.

A store has an order of its own among the names of a directory. What the record has among the names that were told, and was not told
with them, may come later; and a page is no snapshot. So at the end each name that was not told is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import orjson

from activities.drift.compare import LAST_NAME, ComparedListing, Listing, compare, told_digest
from activities.executors.contract.abilities import Keyed
from activities.executors.contract.executor import Executor
from activities.executors.contract.listing import ScanPage, Seen, Unseen
from schema.drift.sightings import Sighting, SightState
from schema.errors import MountOffline, NodeNotFound
from schema.nodes import NodeKind
from schema.paths import NodePath
from schema.store import looks as store
from schema.store.looks import LookPage

if TYPE_CHECKING:
    from activities.drift.reading import LookReader
    from schema.drift.looks import LookPlace

HELD = 5000
"""After so many keys what was told is compared"""
SLICE = 5000
"""Names of the record that are compared at once"""
_ASKED = 256
"""Names that were not told and are asked for at once; each thread of the mount takes a few of them"""
_TOGETHER = 16
_TWO = "An object and a directory have this one name. Give one of them another key, then scan again."


@dataclass(frozen=True, slots=True)
class KeyCursor:
    """How far a look has read. `after`: of each directory that is not over, the last name with which it was compared."""

    place: int = 0
    at: bytes = b""
    after: Mapping[bytes, bytes] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        after = {path.hex(): name.hex() for path, name in self.after.items()}
        return orjson.dumps({"place": self.place, "at": self.at.hex(), "after": after})

    @staticmethod
    def of_bytes(told: bytes) -> KeyCursor:
        read = orjson.loads(told)
        after = {bytes.fromhex(path): bytes.fromhex(name) for path, name in read["after"].items()}
        return KeyCursor(read["place"], bytes.fromhex(read["at"]), after)


@dataclass(frozen=True, slots=True)
class ToldNames:
    """Names of a directory, in their order, and the range of the record's that they are compared with."""

    listing: Listing
    after: bytes
    upto: bytes

    @property
    def whole(self) -> bool:
        return not self.after and self.upto == LAST_NAME


class OpenFolders:
    """The directories of which more may be told: those that the last key lies in."""

    def __init__(self, top: bytes, after: Mapping[bytes, bytes]) -> None:
        self._top = top
        self._after = dict(after)
        self._entries: dict[bytes, list[Seen]] = {path: [] for path in after}
        self._unseen: dict[bytes, list[Unseen]] = {}
        if not top:
            self._entries.setdefault(b"", [])

    @property
    def after(self) -> Mapping[bytes, bytes]:
        return {path: self._after.get(path, b"") for path in self._entries}

    def take(self, page: ScanPage) -> tuple[list[ToldNames], list[Seen]]:
        """The directories that are over, and the entries on the way to the top."""
        over, way = list[ToldNames](), list[Seen]()
        for entry in page.entries:
            if entry.path in self._entries and entry.kind == NodeKind.DIRECTORY:
                continue  # a listing that goes on tells the way to its first key again
            if entry.path == self._top or not self._is_below(entry.path):
                way.append(entry)
            else:
                above = entry.path.rpartition(b"/")[0]
                over += self._leave(above)
                self._entries.setdefault(above, []).append(entry)
            if entry.kind == NodeKind.DIRECTORY and self._is_inside(entry.path):
                self._entries.setdefault(entry.path, [])
        for one in page.unseen:
            self._unseen.setdefault(one.path.rpartition(b"/")[0], []).append(one)
        return over, way

    def so_far(self) -> list[ToldNames]:
        """What was told of directories that are not over."""
        return [self._part(path) for path, entries in self._entries.items() if entries]

    def rest(self) -> list[ToldNames]:
        return [self._end(path) for path in list(self._entries)]

    def unseen(self) -> list[Unseen]:
        """What lies in no directory that could be told."""
        left, self._unseen = self._unseen, {}
        return [one for found in left.values() for one in found]

    def _is_below(self, path: bytes) -> bool:
        return not self._top or path.startswith(self._top + b"/")

    def _is_inside(self, path: bytes) -> bool:
        return path == self._top or self._is_below(path)

    def _leave(self, above: bytes) -> list[ToldNames]:
        ended = [path for path in self._entries if path and not (above + b"/").startswith(path + b"/")]
        return [self._end(path) for path in ended]

    def _part(self, path: bytes) -> ToldNames:
        after = self._after.get(path, b"")
        listing = self._listing(path, self._entries[path])
        upto = max(after, _name(listing.entries[-1].path))
        self._entries[path], self._after[path] = [], upto
        return ToldNames(listing, after, upto)

    def _end(self, path: bytes) -> ToldNames:
        listing, after = self._listing(path, self._entries.pop(path)), self._after.pop(path, b"")
        return ToldNames(listing if after else replace(listing, digest=told_digest(listing.entries)), after, LAST_NAME)

    def _listing(self, path: bytes, entries: Sequence[Seen]) -> Listing:
        told = sorted(entries, key=lambda entry: entry.path)
        return Listing(path, (0, 0, 0), True, told, self._unseen.pop(path, []))


class KeyTree:
    """All keys at a path and below it, read for one look."""

    def __init__(self, reader: LookReader, path: bytes, cursor: KeyCursor) -> None:
        self._reader, self._path, self._cursor = reader, path, cursor
        self._open = OpenFolders(path, cursor.after)
        self._begun = False

    async def read(self) -> None:
        """Raises MountOffline; NodeNotFound where nothing lies at the path."""
        reader, told = self._reader, 0
        pages = reader.executor.scan(NodePath(self._path), self._cursor.at)
        while (page := await self._page(pages)) is not None:
            reader.seen += len(page.entries)
            over, way = self._open.take(page)
            await reader.keep_way(way)
            await self._compare(over)
            told += len(page.entries) + len(page.unseen)
            if told >= HELD and page.cursor:
                await self._compare(self._open.so_far())
                await self._done(page.cursor)
                told = 0
            await reader.page_compared()
        await self._compare(self._open.rest())
        await reader.keep_unseen(self._open.unseen())

    async def _page(self, pages: Iterator[ScanPage]) -> ScanPage | None:
        """A cursor that the store does not take any more is forgotten: the look begins anew."""
        try:
            page: ScanPage | None = await self._reader.run(partial(next, pages, None))
        except OSError:
            if self._cursor.at and not self._begun:
                async with self._reader.pool.connection() as connection:
                    await store.forget_reading(connection, self._reader.look.id)
            raise
        self._begun = True
        return page

    async def _done(self, at: bytes) -> None:
        await self._reader.keep_unseen(self._open.unseen())
        await _page_done(self._reader, KeyCursor(self._cursor.place, at, self._open.after))

    async def _compare(self, told: Sequence[ToldNames]) -> None:
        await self._reader.compare([one.listing for one in told if one.whole])
        for one in told:
            if not one.whole:
                await self._compare_part(one)

    async def _compare_part(self, told: ToldNames) -> None:
        reader, listing = self._reader, told.listing
        async with reader.pool.connection() as connection:
            [known] = await store.directories(connection, reader.look.mount, [(listing.path, listing.facts)])
        inside = [entry for entry in listing.entries if _name(entry.path) > told.after]
        await self._compare_again(listing, known.id, listing.entries[: len(listing.entries) - len(inside)])
        after, more = told.after, True
        while more:
            upto = told.upto
            held = list[store.BelievedChild]()
            if known.id is not None:
                async with reader.pool.connection() as connection:
                    held = await store.children_page(connection, known.id, after, upto, SLICE)
            more = len(held) == SLICE
            upto = held[-1].name if more else upto
            part = [entry for entry in inside if after < _name(entry.path) <= upto]
            unseen = [one for one in listing.unseen if not more]
            await self._keep(replace(listing, entries=part, unseen=unseen), known.id, held)
            after = upto

    async def _compare_again(self, listing: Listing, id: int | None, entries: Sequence[Seen]) -> None:
        """Names that come before those with which their directory was compared already."""
        if not entries:
            return
        held = list[store.BelievedChild]()
        if id is not None:
            async with self._reader.pool.connection() as connection:
                names = [_name(entry.path) for entry in entries]
                held = await store.children_named(connection, id, names)
        await self._keep(replace(listing, entries=entries, unseen=()), id, held)

    async def _keep(self, listing: Listing, id: int | None, held: Sequence[store.BelievedChild]) -> None:
        compared = await self._reader.run(partial(compare, listing, id, held))
        await self._reader.keep_compared(listing.path, compared)


async def read_keys(reader: LookReader, places: Sequence[LookPlace]) -> None:
    """All places of a look. Raises MountOffline."""
    cursor = await _resumed(reader)
    for number, place in enumerate(places):
        if number < cursor.place:
            continue
        if place.path and not place.subtree:
            await reader.name(place.path)
            continue
        try:
            await KeyTree(reader, place.path, cursor if number == cursor.place else KeyCursor(number)).read()
        except NodeNotFound:
            await reader.absent(place.path)
        await _page_done(reader, KeyCursor(number + 1))
    await _ask_for_absent(reader)


async def _resumed(reader: LookReader) -> KeyCursor:
    """Where an execution before this one was. What it came upon after that is forgotten, but for what it has hashed."""
    async with reader.pool.connection() as connection, connection.transaction():
        reader.page, reader.seen = await store.pages(connection, reader.look.id)
        reader.told = reader.seen
        reader.hashes = await store.known_hashes(connection, reader.look.id, reader.page)
        await store.forget_since(connection, reader.look.id, reader.page)
        if not reader.page:
            return KeyCursor()
        last = await store.page(connection, reader.look.id, reader.page - 1)
    assert last.cursor is not None, "a page of a bucket has one"
    return KeyCursor.of_bytes(last.cursor)


async def _page_done(reader: LookReader, cursor: KeyCursor) -> None:
    """Another execution of the look goes on there."""
    page = LookPage(b"", b"", reader.seen - reader.told, cursor.to_bytes())
    async with reader.pool.connection() as connection:
        await store.put_page(connection, reader.look.id, reader.page, page)
    reader.page, reader.told = reader.page + 1, reader.seen


async def _ask_for_absent(reader: LookReader) -> None:
    """What was not told, and is there when it is asked for, is forgotten: the listing was no snapshot."""
    after, more = b"", True
    while more:
        async with reader.pool.connection() as connection:
            some = await store.absent(connection, reader.look.id, after, _ASKED)
        parts = [some[start : start + _TOGETHER] for start in range(0, len(some), _TOGETHER)]
        asked = await asyncio.gather(*(reader.run(partial(_there, reader.executor, part)) for part in parts))
        async with reader.pool.connection() as connection:
            await store.forget_keys(connection, reader.look.id, [key for found in asked for key in found])
        more = len(some) == _ASKED
        after = some[-1][0] if some else after


async def told_twice(reader: LookReader, compared: ComparedListing) -> list[Sighting]:
    """Where an object and a directory have one name the record can hold neither: it stays as it is, and a person is told."""
    both = {path for path in {*compared.turned} if await reader.run(partial(_has_both, reader.executor, path))}
    within = {one.path: one.within for one in compared.sightings}
    left = [one for one in compared.sightings if one.path not in both]
    return left + [
        Sighting(path, SightState.UNREADABLE, within=within.get(path), code="INVALID_PATH", message=_TWO)
        for path in both
    ]


def _has_both(executor: Executor, path: bytes) -> bool:
    return isinstance(executor, Keyed) and len(executor.kinds_at(NodePath(path))) > 1


def _there(executor: Executor, absent: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """The keys of those that are there."""
    return [key for key, path in absent if _lies(executor, path)]


def _lies(executor: Executor, path: bytes) -> bool:
    """Also where nothing can be known of it now. Raises MountOffline."""
    if not isinstance(executor, Keyed):
        return True
    try:
        return bool(executor.kinds_at(NodePath(path)))
    except MountOffline:
        executor.check()
        return True  # it is this key, and not the mount
    except Exception:
        return True


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]
