"""Contents of projects, wherever they are: put where they are kept, read from where they are, and what the rows say of it.

A content goes into the hot store; where that does not answer, or the project is strict, into the cold one first. The row moves
after the copy is there. Reading asks the hot store, then the cold one, and believes neither without the hash.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from activities.executors.contract.cold import ColdCopies, ColdFile, KeepsCold
from activities.sync.cold_keys import cold_prefix, new_cold_key
from activities.sync.hot import SMALL_MAX, HotMissing, HotUnavailable
from activities.sync.traffic import Traffic
from schema.errors import NotFound, NotSupported
from schema.events import EventType
from schema.store import objects, project_sweeps, revisions
from schema.sync.cold_packs import place_of
from schema.sync.happenings import object_event
from schema.sync.tiers import HAS_COLD, HAS_HOT, LIVE, Tier, TierMove

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.sync.hot import HotStore, HotStores
    from activities.threads import MountThreads
    from schema.store.objects import ObjectRow
    from schema.store.pool import Pool
    from schema.store.projects import Project


_TAKES = (Tier.ABSENT, Tier.MISSING, Tier.HOT)
"""A small content is put where no store has it, and where the hot store alone does, which may have lost it. What is being deleted,
or may be at any moment, is not: the copy would go with the one that is there. A commit asks for it again."""


class Contents:
    def __init__(self, pool: Pool, hots: HotStores, executors: Executors, threads: MountThreads) -> None:
        self.pool, self.hots, self._executors, self._threads = pool, hots, executors, threads
        self.traffic = Traffic()

    def hot(self, project: Project) -> HotStore:
        return self.hots.of(project.tenant)

    # -- in ------------------------------------------------------------------------------------------------------------

    async def put(self, project: Project, sha: str, size: int, pieces: AsyncIterator[bytes]) -> bool:
        """Whether it is new. Raises ValueError for another content than the name says, HotUnavailable where that breaks off."""
        if size <= SMALL_MAX:
            return sha in await self.put_small(project, {sha: await _whole(pieces, sha, size)})
        if (await self._standing(project, [sha])).get(sha, Tier.ABSENT) not in (Tier.ABSENT, Tier.MISSING):
            return False
        self.traffic.put_bytes += size
        if project.strict or not await self.hot(project).ready():
            return await self._put_cold_first(project, sha, size, pieces)
        await self.hot(project).put_pieces(project.uuid, sha, size, pieces)
        return await self._record(project, {sha: size}) == {sha}

    async def put_small(self, project: Project, contents: Mapping[str, bytes]) -> set[str]:
        """Those that are new. Each is what its name says."""
        standing = await self._standing(project, contents)
        contents = {sha: one for sha, one in contents.items() if standing.get(sha, Tier.ABSENT) in _TAKES}
        if not contents:
            return set()
        sizes = {sha: len(content) for sha, content in contents.items()}
        self.traffic.put_bytes += sum(sizes.values())
        if project.strict:
            return await self._put_small_cold(project, contents)
        try:
            await self.hot(project).put_many(project.uuid, contents)
        except HotUnavailable:
            return await self._put_small_cold(project, contents)
        return await self._record(project, sizes)

    async def _put_cold_first(self, project: Project, sha: str, size: int, pieces: AsyncIterator[bytes]) -> bool:
        with tempfile.TemporaryFile() as file:
            async for piece in pieces:
                await self._threads.run(project.mount, file.write, piece)
            file.seek(0)
            key = new_cold_key(project, sha)
            await self.put_cold(project, key, file, sha, size)
            return await self.record_cold(project, sha, size, key)

    async def _put_small_cold(self, project: Project, contents: Mapping[str, bytes]) -> set[str]:
        new: set[str] = set()
        for sha, content in contents.items():
            key = new_cold_key(project, sha)
            await self.put_cold(project, key, io.BytesIO(content), sha, len(content))
            if await self.record_cold(project, sha, len(content), key):
                new.add(sha)
        return new

    async def record_cold(self, project: Project, sha: str, size: int, key: str) -> bool:
        """A copy is there. Whether the row says so now; otherwise it has one already, and this one goes."""
        async with self.pool.connection() as connection, connection.transaction():
            row = await objects.put(connection, project.id, sha, size, TierMove.PUT_COLD, key)
            if row is not None and row.cold_key == key:
                await revisions.tell(connection, project, [object_event(project, EventType.OBJECT_CREATED, sha, size)])
                return True
        await self._threads.run(project.mount, self.cold(project).delete, key)
        return False

    async def _record(self, project: Project, sizes: Mapping[str, int]) -> set[str]:
        async with self.pool.connection() as connection, connection.transaction():
            new = await objects.put_hot(connection, project.id, sizes)
            told = [object_event(project, EventType.OBJECT_CREATED, sha, sizes[sha]) for sha in sorted(new)]
            await revisions.tell(connection, project, told)
        return new

    async def leased(self, project: Project, shas: Iterable[str]) -> set[str]:
        """Those that are there, and stay for long enough to be committed. What is being deleted is not there."""
        known = await self._standing(project, shas)
        return {sha for sha, tier in known.items() if tier in LIVE or tier is Tier.CONDEMNED}

    async def _standing(self, project: Project, shas: Iterable[str]) -> dict[str, Tier]:
        """Where they are. What there is has a lease now."""
        async with self.pool.connection() as connection:
            known = await objects.known(connection, project.id, shas)
            if known:
                await objects.lease(connection, project.id, known)
        return {sha: row.tier for sha, row in known.items()}

    # -- out -----------------------------------------------------------------------------------------------------------

    async def row(self, project: Project, sha: str) -> ObjectRow:
        """Raises NotFound."""
        async with self.pool.connection() as connection:
            known = await objects.known(connection, project.id, [sha])
            await objects.touch(connection, project.id, known)
        if sha not in known or known[sha].tier in (Tier.MISSING, Tier.DELETING):
            raise NotFound("The project has no such object, or both stores have lost it.", sha=sha)
        return known[sha]

    async def read(self, project: Project, row: ObjectRow) -> AsyncGenerator[bytes]:
        """The content, verified: what breaks off is not to be used. Raises NotFound where no store has it."""
        if row.tier in HAS_HOT or row.tier in (Tier.EVICTING, Tier.REHYDRATING, Tier.CONDEMNED):
            sent = False
            try:
                pieces = self.hot(project).pieces(project.uuid, row.sha, row.size)
                async for piece in self._counted(project, "hot", row.size, pieces):
                    sent = True
                    yield piece
                return
            except (HotMissing, HotUnavailable):
                if sent:
                    raise
                row = await self._again(project, row)
        if row.cold_key is None:
            raise NotFound("No store has this object now.", sha=row.sha)
        async for piece in self._counted(project, "cold", row.size, self.read_cold(project, row)):
            yield piece

    async def _counted(
        self, project: Project, store: str, size: int, pieces: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes]:
        """Where a read begins: a client that has all of it may be gone before the end. An empty content has no piece."""
        counted = False
        async for piece in pieces:
            if not counted:
                self.traffic.was_read(project.id, store, size)
            counted = True
            yield piece
        if not counted:
            self.traffic.was_read(project.id, store, size)

    async def lies_at(self, project: Project, sha: str, key: str) -> bool:
        """Whether this is where it is cold."""
        async with self.pool.connection() as connection:
            row = (await objects.known(connection, project.id, [sha])).get(sha)
        return row is not None and row.cold_key == key and row.tier in HAS_COLD

    async def _again(self, project: Project, row: ObjectRow) -> ObjectRow:
        """As it is by now: what was hot alone a moment ago may have been archived and evicted since."""
        async with self.pool.connection() as connection:
            known = await objects.known(connection, project.id, [row.sha])
        return known.get(row.sha, row)

    async def small(self, project: Project, shas: Iterable[str]) -> dict[str, bytes]:
        """Of these small contents those that can be had now."""
        wanted = list(shas)
        async with self.pool.connection() as connection:
            rows = await objects.known(connection, project.id, wanted)
            await objects.touch(connection, project.id, rows)
        try:
            found = dict(await self.hot(project).get_many(project.uuid, rows))
        except HotUnavailable:
            found = {}
        self.traffic.was_read(project.id, "hot", sum(map(len, found.values())), len(found))
        if len(found) < len(rows):
            async with self.pool.connection() as connection:
                rows |= await objects.known(connection, project.id, rows.keys() - found.keys())
        left = {sha: row for sha, row in rows.items() if sha not in found and row.cold_key is not None}
        found |= await self.read_packed(project, left.values())
        for sha, row in left.items():
            if sha not in found and row.size <= SMALL_MAX:
                found[sha] = b"".join([piece async for piece in self.read_cold(project, row)])
        cold = [len(found[sha]) for sha in left if sha in found]
        self.traffic.was_read(project.id, "cold", sum(cold), len(cold))
        return found

    async def read_cold(self, project: Project, row: ObjectRow) -> AsyncGenerator[bytes]:
        """Raises NotFound, OSError."""
        try:
            async for piece in self._read_at(project, row):
                yield piece
        except FileNotFoundError:  # nothing was read: its pack was written anew since the row was
            now = await self._again(project, row)
            if now.cold_key in (None, row.cold_key):
                raise
            async for piece in self._read_at(project, now):
                yield piece

    async def _read_at(self, project: Project, row: ObjectRow) -> AsyncGenerator[bytes]:
        assert row.cold_key is not None
        digest, place = hashlib.sha256(), place_of(row.cold_key)
        pieces = self.cold(project).read(place.key, place.start or 0, row.size if place.packed else None)
        while (piece := await self._threads.run(project.mount, _next, pieces)) is not None:
            digest.update(piece)
            yield piece
        if digest.hexdigest() != row.sha:
            raise NotFound("The cold copy of this object is not what its name says.", sha=row.sha)

    async def unsay(self, project: Project, shas: Sequence[str]) -> None:
        """What the index says of contents that no project of the tenant has any more goes, as far as the hot store answers."""
        async with self.pool.connection() as connection:
            elsewhere = await project_sweeps.said_elsewhere(connection, project.tenant, project.id, shas)
        with suppress(HotUnavailable):
            await self.hot(project).unsay(project.tenant, [sha for sha in shas if sha not in elsewhere])

    # -- the cold store ------------------------------------------------------------------------------------------------

    async def put_cold(self, project: Project, key: str, content: BinaryIO, sha: str, size: int) -> None:
        await self._threads.run(project.mount, self.cold(project).put, key, content, sha, size)

    async def holds_cold(self, project: Project, key: str, sha: str, size: int) -> bool:
        """Looked at now."""
        place, cold = place_of(key), self.cold(project)
        if place.start is None:
            return await self._threads.run(project.mount, cold.holds, place.key, sha, size)
        content = await self._threads.run(project.mount, _part, cold, place.key, place.start, size)
        return content is not None and hashlib.sha256(content).hexdigest() == sha

    async def delete_cold(self, project: Project, key: str) -> None:
        """A part of a pack goes with the whole, once nothing in it is needed."""
        if not place_of(key).packed:
            await self._threads.run(project.mount, self.cold(project).delete, key)

    async def read_packed(self, project: Project, rows: Iterable[ObjectRow]) -> dict[str, bytes]:
        """Of these contents those that lie in packs, and are what they should be: each pack is asked once."""
        packs: dict[str, list[tuple[int, ObjectRow]]] = {}
        for row in rows:
            place = place_of(row.cold_key or "")
            if place.start is not None:
                packs.setdefault(place.key, []).append((place.start, row))
        found: dict[str, bytes] = {}
        for key, members in packs.items():
            first, end = min(start for start, _ in members), max(start + row.size for start, row in members)
            span = await self._threads.run(project.mount, _part, self.cold(project), key, first, end - first)
            for start, row in members:
                content = (span or b"")[start - first : start - first + row.size]
                if hashlib.sha256(content).hexdigest() == row.sha:
                    found[row.sha] = content
        return found

    async def thawed(self, project: Project, key: str) -> bool:
        """Whether the cold copy can be read now; one in an archive class is asked for. Raises OSError."""
        return await self._threads.run(project.mount, self.cold(project).thaw, place_of(key).key)

    async def cold_files(self, project: Project) -> AsyncGenerator[list[ColdFile]]:
        """All that the cold store has of a project, a page at a time."""
        files = self.cold(project).keys(cold_prefix(project))
        while page := await self._threads.run(project.mount, lambda: list(islice(files, COLD_PAGE))):
            yield page

    def cold(self, project: Project) -> ColdCopies:
        """Raises NotSupported."""
        executor = self._executors.of(project.mount)
        if not isinstance(executor, KeepsCold):
            raise NotSupported("This kind of mount keeps no objects of projects.")
        return executor.cold()


COLD_PAGE = 1000


def _part(cold: ColdCopies, key: str, start: int, size: int) -> bytes | None:
    """None: there is no such object."""
    try:
        return b"".join(cold.read(key, start, size))
    except FileNotFoundError:
        return None


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


async def _whole(pieces: AsyncIterator[bytes], sha: str, size: int) -> bytes:
    content = b"".join([piece async for piece in pieces])
    if len(content) != size or hashlib.sha256(content).hexdigest() != sha:
        raise ValueError("the content is not what its name says")
    return content
