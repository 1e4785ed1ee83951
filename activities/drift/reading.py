"""A look reads: the scan of an executor, directory by directory, beside what the record has. All of it before anything is judged.

What it came upon is kept in the record as it goes, so that another execution of the same look need not hash it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from activities.drift.compare import ComparedListing, Listing, compare, is_at
from activities.drift.hashing import chunks, hashed
from activities.drift.keys import read_keys, told_twice
from activities.drift.known import KnownTree
from activities.executors.contract.executor import Executor
from activities.executors.contract.folders import Folders, Sieves
from activities.executors.contract.listing import ScanPage, Seen, SeenFolder, Unseen
from schema.drift.looks import Look, LookPlace, outermost
from schema.drift.sightings import Sighting, SightState
from schema.errors import NodeNotFound
from schema.faults import areach
from schema.nodes import NodeKind
from schema.paths import RESERVED, NodePath
from schema.store import looks as store
from schema.store.looks import BelievedChild

if TYPE_CHECKING:
    from activities.threads import MountThreads
    from schema.store.connection import Connection
    from schema.store.pool import Pool

T = TypeVar("T")

_ROUNDS = 5
"""How often directories that changed meanwhile are listed again before the look ends"""
_SLICE = 5000
"""Names of a large directory that are compared at once"""
_BATCH = 64
"""Directories that are compared with the record at once, and entries that are hashed at once"""


class LookReader:
    """One execution of one look."""

    def __init__(self, pool: Pool, threads: MountThreads, executor: Executor, look: Look) -> None:
        self.pool, self.threads, self.executor, self.look = pool, threads, executor, look
        self.seen = self.told = 0
        """Names, and those of them that a page of a bucket has told of already"""
        self.page = 0
        """Of a bucket"""
        self._found: dict[bytes, list[Sighting]] = {}
        self._folders: dict[bytes, Sequence[int | str]] = {}
        self.hashes: dict[bytes, tuple[tuple[int | str, ...], bytes]] = {}
        self._known: KnownTree | None = None
        self._lists_again = isinstance(executor, Folders)

    async def read(self) -> None:
        """Raises MountOffline where the mount was not there for all of it: nothing is known then."""
        await self.run(self.executor.check)
        places = [LookPlace(b"", subtree=True)] if self.look.whole else outermost(self.look.places)
        places = [place for place in places if not (place.path + b"/").startswith(RESERVED + b"/")]
        if isinstance(self.executor, Folders):
            await self._read_folders(places)
        else:
            await read_keys(self, places)
        await self.run(self.executor.check)
        async with self.pool.connection() as connection:
            await store.read(connection, self.look.id, self.seen)

    async def _read_folders(self, places: Sequence[LookPlace]) -> None:
        async with self.pool.connection() as connection:
            self.hashes = await store.known_hashes(connection, self.look.id, 0)
        for place in places:
            if not place.subtree and place.path:
                await self.name(place.path)
            elif len(places) > 1 or not await self._known_tree(place.path):
                await self._tree(place.path)
        await self._close()

    # Names

    async def _known_tree(self, path: bytes) -> bool:
        """Everything at a path and below it, where the record knows the directory there: what agrees is not read name by name."""
        if not isinstance(self.executor, Sieves) or not await self._is_known(path):
            return False
        self._known = KnownTree(self.pool, self.threads, self.executor, self.look, path)
        if await self._known.resume():
            await self._take_up()
        async with aclosing(self._known.differing()) as pages:
            async for differing in pages:
                for start in range(0, len(differing), _BATCH):
                    await self._list(differing[start : start + _BATCH])
                await areach("drift.differing")
        self.seen += self._known.names
        return True

    async def _is_known(self, path: bytes) -> bool:
        """The directory that the record has at this path lies there."""
        if not path:
            return True
        found = await self.name(path)
        above, _, name = path.rpartition(b"/")
        async with self.pool.connection() as connection:
            known = await store.child(connection, self.look.mount, above, name)
        return found is not None and found.kind == NodeKind.DIRECTORY and bool(known) and is_at(known[0], found)

    async def _take_up(self) -> None:
        """What an execution before this one came upon. Directories that the record did not know are walked once more."""
        async with self.pool.connection() as connection:
            for one in await store.entries(connection, self.look.id):
                self._found.setdefault(one.above + b"/" if one.path else b"", []).append(one)
        tops = [
            one.path
            for found in self._found.values()
            for one in found
            if one.kind == NodeKind.DIRECTORY and one.state is SightState.SEEN
        ]
        for path in sorted(tops):
            if path not in self._folders:
                await self._tree(path)

    async def _tree(self, path: bytes) -> None:
        """Everything at a path and below it, name by name."""
        try:
            async for listings, way in self._listings(path):
                await self.compare(listings)
                await self.keep_way(way)
        except NodeNotFound:
            await self.absent(path)

    async def name(self, path: bytes) -> Seen | None:
        """What lies at this very name, and the directories on the way to it. None: nothing."""
        pages = self.executor.scan(NodePath(path), most=1)
        try:
            page = await self.run(partial(next, pages, None))
        except NodeNotFound:
            await self.absent(path)
            return None
        entries = [entry for entry in (page.entries if page else ()) if (path + b"/").startswith(entry.path + b"/")]
        await self.keep_way(entries)
        return next((entry for entry in entries if entry.path == path), None)

    async def absent(self, path: bytes) -> None:
        above, _, name = path.rpartition(b"/")
        async with self.pool.connection() as connection:
            known = await store.child(connection, self.look.mount, above, name)
        if known:
            await self.keep(path, [Sighting(path, SightState.ABSENT, within=known[0].parent)])

    async def keep_way(self, way: Sequence[Seen]) -> None:
        """Entries that no listing of this look told: each is compared by itself."""
        for entry in way:
            above, _, name = entry.path.rpartition(b"/")
            async with self.pool.connection() as connection:
                known = await store.child(connection, self.look.mount, above, name)
                if known:
                    within: int | None = known[0].parent
                else:
                    listed = await store.directories(connection, self.look.mount, [(above, (0, 0, 0))])
                    within = listed[0].id
            if self.look.by_hand:
                # A look by hand is asked to have the content read, whatever the times say.
                known = [replace(child, at_rest=False) for child in known]
            alone = Listing(above, (), True, [entry])
            await self.keep(entry.path, await self.hashed(compare(alone, within, known).sightings))

    async def keep_unseen(self, unseen: Sequence[Unseen]) -> None:
        """Directories that could not be listed: what they hold is not gone. And keys that are no paths."""
        for one in unseen:
            async with self.pool.connection() as connection:
                within = await _nearest(connection, self.look, one.path)
            found = Sighting(
                one.path, SightState.UNREADABLE, NodeKind.DIRECTORY, within=within, code=one.code, message=one.message
            )
            await self.keep(one.path, [found])

    # Directories

    async def _listings(self, path: bytes) -> AsyncIterator[tuple[list[Listing], list[Seen]]]:
        """Directories of which all names were told, as they come; and entries on the way to the path."""
        pages, gathered = self.executor.scan(NodePath(path)), _Gathered(path)
        while (page := await self.run(partial(next, pages, None))) is not None:
            self.seen += len(page.entries)
            yield gathered.take(page), gathered.way
            gathered.way = []
            await self.page_compared()
        await self.keep_unseen(gathered.unseen)

    async def page_compared(self) -> None:
        await areach("drift.page")

    async def compare(self, listings: Sequence[Listing]) -> list[bytes]:
        """Returns the directories in them that the record does not have just there."""
        strange: list[bytes] = []
        for start in range(0, len(listings), _BATCH):
            strange += await self._compare_some(listings[start : start + _BATCH])
        return strange

    async def _compare_some(self, listings: Sequence[Listing]) -> list[bytes]:
        async with self.pool.connection() as connection:
            known = await store.directories(connection, self.look.mount, [(one.path, one.facts) for one in listings])
            digests = [one.digest for one in listings]
            doubtful = [
                n for n, one in enumerate(known) if one.doubted or not digests[n] or one.fingerprint != digests[n]
            ]
            small = [n for n in doubtful if len(listings[n].entries) <= _SLICE]
            ids = [id for n in small if (id := known[n].id) is not None]
            children = _by_parent(await store.children(connection, ids) if ids else [])
        matched: dict[int, bytes] = {}
        strange: list[bytes] = []
        for n, listing in enumerate(listings):
            if self._lists_again:
                self._folders[listing.path] = listing.facts
            if n in doubtful:
                compared = await self._compared(listing, known[n].id, None if n not in small else children)
                if compared.same and listing.stable and digests[n] and (id := known[n].id) is not None:
                    matched[id] = digests[n]
                strange += compared.strangers if known[n].here else _directories(listing)
            else:
                self._found.pop(listing.path + b"/", None)
                strange += [] if known[n].here else _directories(listing)
        if matched:
            async with self.pool.connection() as connection:
                await store.matched(connection, matched)
        return strange

    async def _compared(
        self, listing: Listing, id: int | None, children: Mapping[int, Sequence[BelievedChild]] | None
    ) -> ComparedListing:
        """`children` None: there are too many to have them all at once."""
        if children is None and id is not None:
            compared = await self._in_slices(listing, id)
        else:
            held = (children or {}).get(id or 0, [])
            compared = await self.run(partial(compare, listing, id, held))
        await self.keep_compared(listing.path, compared)
        return compared

    async def keep_compared(self, directory: bytes, compared: ComparedListing) -> None:
        sightings = compared.sightings if self._lists_again else await told_twice(self, compared)
        await self.keep(directory, await self.hashed(sightings), listing=True)

    async def _in_slices(self, listing: Listing, id: int) -> ComparedListing:
        sightings: list[Sighting] = []
        strangers: list[bytes] = []
        turned: list[bytes] = []
        for part, after, upto in listing.slices(_SLICE):
            async with self.pool.connection() as connection:
                held = await store.children_between(connection, id, after, upto)
            compared = await self.run(partial(compare, part, id, held))
            sightings += compared.sightings
            strangers += compared.strangers
            turned += compared.turned
        return ComparedListing(sightings, not sightings, strangers, turned)

    async def _list(self, paths: Sequence[bytes]) -> None:
        """These directories, and those that have come into them."""
        for path in paths:
            self._folders.pop(path, None)
        listings, unseen = await self.run(partial(_listed, self.executor, paths))
        strange = await self.compare(listings)
        await self.keep_unseen(unseen)
        for path in {*paths} - {one.path for one in listings}:
            self._found.pop(path + b"/", None)
        if self._known is None:
            strange = [path for one in listings for path in _directories(one)]
        for path in strange:
            if path not in self._folders:
                await self._tree(path)

    # What it came upon

    async def keep(self, place: bytes, sightings: Sequence[Sighting], *, listing: bool = False) -> None:
        """A directory that is listed again says all of it anew."""
        key = place + b"/" if listing else place
        if not sightings and key not in self._found:
            return
        if self._lists_again:
            self._found[key] = list(sightings)
        async with self.pool.connection() as connection:
            await store.put_entries(connection, self.look.id, sightings, self.page)

    async def hashed(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Files with the hash of their content, unless an execution before this one has read the same content."""
        out = [self._read_before(one) for one in sightings]
        unread = [
            n
            for n, one in enumerate(out)
            if one.kind == NodeKind.FILE and one.state is SightState.SEEN and not one.sha256
        ]
        for some in chunks([(n, int(out[n].facts[3])) for n in unread]):
            read = await self.run(partial(_hash_some, self.executor, [out[n] for n in some]))
            for n, one in zip(some, read, strict=True):
                out[n] = one
        return out

    def _read_before(self, one: Sighting) -> Sighting:
        before = self.hashes.get(one.path)
        if before is None or one.kind != NodeKind.FILE or one.state is not SightState.SEEN:
            return one
        return replace(one, facts=before[0], sha256=before[1]) if _same_content(before[0], one.facts) else one

    # The end

    async def _close(self) -> None:
        """Directories that changed since they were listed are listed again, until they rest. Where one never does, nothing can be
        said to be gone: it may have gone there. Where nothing differs, nothing is concluded that this could forbid."""
        if not any(self._found.values()):
            return
        changed: list[bytes] = []
        again = False
        for _ in range(_ROUNDS):
            changed = await self._changed()
            if not changed:
                break
            again = True
            for start in range(0, len(changed), _BATCH):
                await self._list(changed[start : start + _BATCH])
        restless = bool(changed) and bool(await self._changed())
        if again or restless:
            await self._rewrite(restless)

    async def _changed(self) -> list[bytes]:
        assert isinstance(self.executor, Folders), "only directories are listed again"
        paths = list(self._folders)
        now = await self.run(partial(self.executor.folders_now, paths))
        changed = [
            path for path, facts in zip(paths, now, strict=True) if facts is None or facts != tuple(self._folders[path])
        ]
        if self._known is not None:
            changed += await self._known.changed(self.executor, self._folders)
        return changed

    async def _rewrite(self, restless: bool) -> None:
        kept = [replace(one, stable=one.stable and not restless) for found in self._found.values() for one in found]
        async with self.pool.connection() as connection, connection.transaction():
            await store.forget_entries(connection, self.look.id)
            await store.put_entries(connection, self.look.id, kept)

    async def run(self, work: Callable[[], T]) -> T:
        return await self.threads.run(self.look.mount, work)


class _Gathered:
    """Entries of pages, put together to directories: an executor tells when the names of one have all been told."""

    def __init__(self, top: bytes) -> None:
        self._top = top
        self._open: dict[bytes, list[Seen]] = {}
        self._unseen: defaultdict[bytes, list[Unseen]] = defaultdict(list)
        self.way: list[Seen] = []

    @property
    def unseen(self) -> list[Unseen]:
        """What no listing has taken along."""
        return [one for found in self._unseen.values() for one in found]

    def take(self, page: ScanPage) -> list[Listing]:
        for entry in page.entries:
            if entry.path == self._top or not (entry.path + b"/").startswith(self._top + b"/" if self._top else b""):
                self.way.append(entry)
            else:
                self._open.setdefault(entry.path.rpartition(b"/")[0], []).append(entry)
        for one in page.unseen:
            self._unseen[one.path.rpartition(b"/")[0]].append(one)
        return [self._listing(folder) for folder in page.folders]

    def _listing(self, folder: SeenFolder) -> Listing:
        entries = self._open.pop(folder.path, [])
        return Listing(
            folder.path, folder.facts, folder.stable, entries, self._unseen.pop(folder.path, []), folder.digest or b""
        )


async def _nearest(connection: Connection, look: Look, path: bytes) -> int | None:
    """The directory of the record that a path lies in: the last one on the way to it."""
    while path:
        path = path.rpartition(b"/")[0]
        [found] = await store.directories(connection, look.mount, [(path, (0, 0, 0))])
        if found.id is not None:
            return found.id
    return None


def _listed(executor: Executor, paths: Sequence[bytes]) -> tuple[list[Listing], list[Unseen]]:
    """Each of these directories alone, and what could not be looked at. One that is not there any more is in neither."""
    listings: list[Listing] = []
    unseen: list[Unseen] = []
    for path in paths:
        gathered = _Gathered(path)
        with suppress(NodeNotFound):
            for page in executor.scan(NodePath(path)):
                if found := [one for one in gathered.take(page) if one.path == path]:
                    listings += found
                    break
            else:
                unseen += [one for one in gathered.unseen if one.path == path]
    return listings, unseen


def _same_content(was: Sequence[int | str], facts: Sequence[int | str]) -> bool:
    """By the ETag of an object, or by times: without any nothing is known."""
    if len(facts) > 9:
        return (was[3], list(was[9:10])) == (facts[3], list(facts[9:10]))
    return bool(facts[5]) and list(was[:6]) == list(facts[:6])


def _hash_some(executor: Executor, sightings: Sequence[Sighting]) -> list[Sighting]:
    return [hashed(executor, one) for one in sightings]


def _directories(listing: Listing) -> list[bytes]:
    return [entry.path for entry in listing.entries if entry.kind == NodeKind.DIRECTORY]


def _by_parent(children: Sequence[BelievedChild]) -> dict[int, list[BelievedChild]]:
    found: dict[int, list[BelievedChild]] = {}
    for child in children:
        found.setdefault(child.parent, []).append(child)
    return found
