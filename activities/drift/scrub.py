"""`scrub`: a turn of reading contents again, at a set rate. What is not what the record says of it, though nothing has been written
there as far as its times tell, is damaged."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import activity

from activities.drift.hashing import sighted
from activities.drift.observe import OWN
from activities.executors.base import Executor
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

_FILES = 128
"""In a page: after each it is durable how far the round is"""
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


class Scrub:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads, announce: Callable[[], None]) -> None:
        """`announce`: called when there are new events."""
        self._pool, self._executors, self._threads, self._announce = pool, executors, threads, announce

    @activity.defn(name="scrub")
    async def scrub(self, mount: MountId) -> ScrubTurn:
        pace = ReadPace()
        try:
            for _ in range(_PAGES):
                turn = await self._page(mount, pace)
                if turn.over:
                    return turn
            return turn
        except MountOffline:
            return ScrubTurn(over=True)  # the next round goes on where this one was
        finally:
            pace.stop()

    async def _page(self, mount: MountId, pace: ReadPace) -> ScrubTurn:
        async with self._pool.connection() as connection:
            policy = (await looks.policy(connection, mount)).policy
            progress, total = await store.progress(connection, mount)
            if policy.scrub_seconds is None:
                return ScrubTurn(over=True)
            progress = progress.begun(datetime.now(UTC))
            assert progress.now is not None
            page = await store.page(connection, mount, progress.now.after, _FILES)
        pace.set(rate(total, policy.scrub_seconds, policy.scrub_rate))
        executor = self._executors.of(mount)
        await self._threads.run(mount, executor.check)
        done = await self._read(mount, executor, page.files, progress.now, pace)
        await areach("drift.scrubbed")
        after = page.after or progress.now.after
        progress = replace(progress, now=replace(done, directory=after[0].hex(), name=after[1].hex()))
        if page.after is None:
            progress = progress.ended(datetime.now(UTC))
        async with self._pool.connection() as connection:
            await store.keep(connection, mount, progress)
        return ScrubTurn(page.after is None, done.files, done.size, done.damaged)

    async def _read(
        self, mount: MountId, executor: Executor, files: Sequence[ScrubbedFile], so_far: ScrubRound, pace: ReadPace
    ) -> ScrubRound:
        room = asyncio.Semaphore(_AT_ONCE)
        due = [one for one in files if one.state == "active" and (one.checked is None or one.checked < so_far.began)]
        current().expect(len(due))
        verdicts = await asyncio.gather(*(self._one(mount, executor, one, pace, room) for one in due))
        size = sum(one.size for one in files if one.state == "active")
        return replace(
            so_far,
            files=so_far.files + len(files),
            size=so_far.size + size,
            damaged=so_far.damaged + sum(verdicts),
        )

    async def _one(
        self, mount: MountId, executor: Executor, file: ScrubbedFile, pace: ReadPace, room: asyncio.Semaphore
    ) -> bool:
        """True: it is damaged. What can not be read, or was written to, is for a look to judge."""
        async with room:
            current().at(file.path.text)
            try:
                digest, same, facts = await self._threads.run(
                    mount, read_again, executor, file.path, file.identity, pace
                )
            except MountOffline:
                raise
            except FilestoreError:
                digest, same, facts = None, False, []
            except OSError:
                return await self._unreadable(mount, executor, file)
            current().done(1, file.size)
            if digest is not None and (digest == file.sha256 or (file.sha256 is None and same)):
                async with self._pool.connection() as connection:
                    await work_items.verified(connection, [(file.node, file.version, digest)])
                return False
            if digest is not None and same:
                return await self._damaged(mount, file, digest, facts)
            if not pace.stopped:
                async with self._pool.connection() as connection:
                    await drift_hints.hint(connection, mount, [Hint(file.path.raw, reason=store.SCRUB)])
            return False

    async def _unreadable(self, mount: MountId, executor: Executor, file: ScrubbedFile) -> bool:
        seen = await self._threads.run(mount, sighted, executor, file.path.raw)
        if seen.state is SightState.UNREADABLE:
            return await self._found(mount, file, seen)
        async with self._pool.connection() as connection:
            await drift_hints.hint(connection, mount, [Hint(file.path.raw, reason=store.SCRUB)])
        return False

    async def _damaged(self, mount: MountId, file: ScrubbedFile, digest: bytes, facts: list[int | str]) -> bool:
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
