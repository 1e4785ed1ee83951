"""`scrub`: a turn of reading contents again, at a set rate. What is not what the record says of it, though nothing has been written
there as far as its times tell, is damaged."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import activity

from activities.drift.hashing import chunks, sighted
from activities.drift.observe import OWN
from activities.executors.contract.executor import Executor
from activities.operations.verify import read_again
from activities.progress import current
from schema.drift.looks import LookState
from schema.drift.scrub import ScrubRound, rate
from schema.drift.sightings import Sighting, SightState
from schema.errors import FilestoreError, MountOffline
from schema.faults import areach
from schema.ids import MountId
from schema.nodes import NodeKind
from schema.operations.pace import ReadPace
from schema.store import conclude, drift_hints, looks, work_items
from schema.store import scrub as store
from schema.store.drift_hints import Hint
from schema.store.scrub import ScrubbedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool

_FILES = 1024
"""In a page: after each it is durable how far the round is. Within one, files that were read are not read again"""
_AT_ONCE = 2
_PAGES = 20
"""Of one turn"""


@dataclass(frozen=True, slots=True)
class ScrubTurn:
    """How far it is. `over`: the round has ended, or none is wanted."""

    over: bool
    files: int = 0
    size: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class _ReadFile:
    """`digest` None: it could not be read to its end. `same`: it is the very file that the record knows. `broken`: the storage
    failed."""

    file: ScrubbedFile
    digest: bytes | None = None
    same: bool = False
    facts: Sequence[int | str] = ()
    broken: bool = False

    @property
    def right(self) -> bool:
        known = self.file.sha256
        return self.digest is not None and (self.digest == known or (known is None and self.same))


def _read_some(executor: Executor, files: Sequence[ScrubbedFile], pace: ReadPace) -> list[_ReadFile]:
    """In a thread. Raises MountOffline."""
    return [_read_one(executor, file, pace) for file in files]


def _read_one(executor: Executor, file: ScrubbedFile, pace: ReadPace) -> _ReadFile:
    try:
        return _ReadFile(file, *read_again(executor, file.path, file.identity, pace))
    except MountOffline:
        executor.check()
        return _ReadFile(file, broken=True)  # it is this file, and not the mount
    except FilestoreError:
        return _ReadFile(file)
    except OSError:
        return _ReadFile(file, broken=True)


class Scrub:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads, announce: Callable[[], None]) -> None:
        """`announce`: called when there are new events."""
        self._pool, self._executors, self._threads, self._announce = pool, executors, threads, announce

    @activity.defn(name="scrub")
    async def scrub(self, mount: MountId, run: str = "") -> ScrubTurn:
        """`run`: of the workflow, which takes one round to its end."""
        pace = ReadPace()
        try:
            for _ in range(_PAGES):
                turn = await self._page(mount, run, pace)
                if turn.over:
                    return turn
            return turn
        except MountOffline:
            return ScrubTurn(over=True)  # the next round goes on where this one was
        finally:
            pace.stop()

    async def _page(self, mount: MountId, run: str, pace: ReadPace) -> ScrubTurn:
        async with self._pool.connection() as connection:
            policy = (await looks.policy(connection, mount)).policy
            progress, total = await store.progress(connection, mount)
            if policy.scrub_seconds is None:
                return ScrubTurn(over=True)
            if (last := progress.ended_by(run)) is not None:
                return ScrubTurn(True, last.files, last.size, last.damaged)
            before, progress = progress, progress.begun(datetime.now(UTC))
            assert progress.now is not None
            page = await store.page(connection, mount, progress.now.after, _FILES)
        pace.set(rate(total, policy.scrub_seconds, policy.scrub_rate))
        executor = self._executors.of(mount)
        await self._threads.run(mount, executor.check)
        if before.now is None:
            async with self._pool.connection() as connection:
                await store.keep(connection, mount, progress)  # damage is counted there as it is found
        done = await self._read(mount, executor, page.files, progress.now, pace)
        await areach("drift.scrubbed")
        after = page.after or progress.now.after
        progress = replace(progress, now=replace(done, directory=after[0].hex(), name=after[1].hex()))
        if page.after is None:
            progress = progress.ended(datetime.now(UTC), run)
        async with self._pool.connection() as connection:
            await store.keep(connection, mount, progress)
        return ScrubTurn(page.after is None, done.files, done.size, done.damaged)

    async def _read(
        self, mount: MountId, executor: Executor, files: Sequence[ScrubbedFile], so_far: ScrubRound, pace: ReadPace
    ) -> ScrubRound:
        due = [one for one in files if one.state == "active" and (one.checked is None or one.checked < so_far.began)]
        current().expect(len(due))
        room = asyncio.Semaphore(_AT_ONCE)

        async def some(part: Sequence[ScrubbedFile]) -> list[_ReadFile]:
            async with room:
                current().at(part[0].path.text)
                read = await self._threads.run(mount, _read_some, executor, part, pace)
                current().done(len(part), sum(one.size for one in part))
                await self._verified(read)
                return read

        parts = [[due[n] for n in part] for part in chunks((n, one.size) for n, one in enumerate(due))]
        read = [one for part in await asyncio.gather(*map(some, parts)) for one in part]
        verdicts = [await self._one(mount, executor, one, pace) for one in read if not one.right]
        size = sum(one.size for one in files if one.state == "active")
        return replace(
            so_far,
            files=so_far.files + len(files),
            size=so_far.size + size,
            damaged=so_far.damaged + sum(verdicts),
        )

    async def _verified(self, read: Sequence[_ReadFile]) -> None:
        right = [(one.file.node, one.file.version, one.digest) for one in read if one.right and one.digest is not None]
        async with self._pool.connection() as connection:
            await work_items.verified(connection, right)

    async def _one(self, mount: MountId, executor: Executor, read: _ReadFile, pace: ReadPace) -> bool:
        """True: it is damaged. What can not be read, or was written to, is for a look to judge."""
        if read.broken:
            return await self._unreadable(mount, executor, read.file)
        if read.digest is not None and read.same:
            return await self._damaged(mount, read.file, read.digest, read.facts)
        if not pace.stopped:
            async with self._pool.connection() as connection:
                await drift_hints.hint(connection, mount, [Hint(read.file.path.raw, reason=store.SCRUB)])
        return False

    async def _unreadable(self, mount: MountId, executor: Executor, file: ScrubbedFile) -> bool:
        seen = await self._threads.run(mount, sighted, executor, file.path.raw)
        if seen.state is SightState.UNREADABLE:
            return await self._found(mount, file, seen)
        async with self._pool.connection() as connection:
            await drift_hints.hint(connection, mount, [Hint(file.path.raw, reason=store.SCRUB)])
        return False

    async def _damaged(self, mount: MountId, file: ScrubbedFile, digest: bytes, facts: Sequence[int | str]) -> bool:
        seen = Sighting(file.path.raw, SightState.SEEN, NodeKind.FILE, tuple(facts), digest)
        return await self._found(mount, file, seen)

    async def _found(self, mount: MountId, file: ScrubbedFile, seen: Sighting) -> bool:
        async with self._pool.connection() as connection:
            look = await store.begin_look(connection, mount, file.path.raw, OWN)
            async with conclude.one_snapshot(connection, mount):
                found = await store.damaged(connection, look, file, seen)
            if not found:
                await looks.give_up(connection, look, LookState.DISCARDED, "A command was at work there.")
        self._announce()
        return found
