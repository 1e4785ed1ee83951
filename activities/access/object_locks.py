"""`keep_object_locks`: what holds ask of buckets with Object Lock, a page of objects at a time; and the proof that they keep it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from activities.executors.contract.locking import LocksObjects, ObjectLocks
from activities.progress import current
from schema.access.object_locks import DueHold, HeldObject, LockedObject, LockProof
from schema.errors import FilestoreError
from schema.faults import areach
from schema.ids import MountId
from schema.store import object_locks as store
from schema.store.object_locks import Place

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool

PAGE = 200
PAGES = 50
"""Of one turn"""


@dataclass(frozen=True, slots=True)
class LockTurn:
    """`over`: nothing of the mount is due. `objects`: that were locked or unlocked."""

    over: bool
    objects: int = 0


class ObjectLockKeeper:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads, seconds: float) -> None:
        """`seconds`: after so long a proof is made anew, and a hold looks for objects that have come since."""
        self._pool, self._executors, self._threads, self._seconds = pool, executors, threads, seconds

    @activity.defn(name="keep_object_locks")
    async def keep(self, mount: MountId) -> LockTurn:
        """A turn of it. Where the storage is away, it is over: the rows say what is due, and the next turn begins there."""
        done = 0
        try:
            executor = self._executors.of(mount)
            if not isinstance(executor, LocksObjects):
                return LockTurn(over=True)
            locks = executor.object_locks()
            await self._threads.run(mount, executor.check)
            await self.prove(mount, locks)
            for _ in range(PAGES):
                async with self._pool.connection() as connection:
                    hold = await store.due(connection, mount)
                if hold is None:
                    return LockTurn(True, done)
                done += await (self._unlock(locks, hold) if hold.ended else self._lock(locks, hold))
                current().done(PAGE, 0)
        except (FilestoreError, OSError) as error:
            activity.logger.warning("object locks of mount %s wait: %s", mount, error)
            return LockTurn(True, done)
        return LockTurn(False, done)

    async def prove(self, mount: MountId, locks: ObjectLocks) -> None:
        async with self._pool.connection() as connection:
            before, old = await store.proof(connection, mount, self._seconds)
        if not old:
            return
        now = await self._threads.run(mount, locks.prove)
        if before is not None and _has_lost(before, now):
            activity.logger.error(
                "the bucket of mount %s does not keep what is locked any more: %s", mount, now.problem
            )
        async with self._pool.connection() as connection:
            await store.keep_proof(connection, mount, now)

    async def _lock(self, locks: ObjectLocks, hold: DueHold) -> int:
        """Of a deleted directory a page can have any number of files: they go in parts, and where one ends is kept at the last."""
        async with self._pool.connection() as connection:
            page = await store.page(connection, hold, PAGE)
        parts = [page.files[start : start + 2 * PAGE] for start in range(0, len(page.files), 2 * PAGE)] or [[]]
        done = 0
        for part in parts:
            done += await self._lock_part(locks, hold, part, page.after if part is parts[-1] else hold.after)
            current().done(len(part), 0)
        return done

    async def _lock_part(
        self, locks: ObjectLocks, hold: DueHold, files: Sequence[HeldObject], after: Place | None
    ) -> int:
        found = await self._found(locks, hold, files)
        async with self._pool.connection() as connection:
            noted = await store.note(connection, hold, found)
        await areach("locks.noted")
        until = None if hold.legal else hold.until
        failed = await self._each(hold, found, lambda one: locks.lock(one, until))
        gone = len(files) - len(found)
        problem = _problem(failed, f"{gone} files are not in the bucket as the record has them." if gone else None)
        async with self._pool.connection() as connection:
            await store.locked(connection, hold, noted, list(failed), after, problem, self._seconds)
        return len(found) - len(failed)

    async def _found(self, locks: ObjectLocks, hold: DueHold, files: Sequence[HeldObject]) -> list[LockedObject]:
        found = await asyncio.gather(*(self._threads.run(hold.mount, locks.find, one) for one in files))
        return [one for one in found if one is not None]

    async def _unlock(self, locks: ObjectLocks, hold: DueHold) -> int:
        async with self._pool.connection() as connection:
            there = await store.to_unlock(connection, hold, PAGE)
        failed = await self._each(hold, [one for one, goes in there if goes], locks.unlock)
        gone = [one for one, _ in there if one not in failed]
        last = there[-1][0] if len(there) == PAGE else None
        async with self._pool.connection() as connection:
            await store.unlocked(connection, hold, gone, last, _problem(failed), self._seconds)
        return len(gone)

    async def _each(
        self, hold: DueHold, objects: Sequence[LockedObject], work: Callable[[LockedObject], None]
    ) -> dict[LockedObject, str]:
        """Those that the store refuses, and why."""

        async def one_of(one: LockedObject) -> str | None:
            try:
                await self._threads.run(hold.mount, work, one)
            except OSError as error:  # refused, or an answer that no store should give: the other objects go on
                return str(error)
            return None

        refused = await asyncio.gather(*(one_of(one) for one in objects))
        return {one: why for one, why in zip(objects, refused, strict=True) if why is not None}


def _has_lost(before: LockProof, now: LockProof) -> bool:
    return (before.legal_hold and not now.legal_hold) or (before.retention and not now.retention)


def _problem(failed: dict[LockedObject, str], otherwise: str | None = None) -> str | None:
    if not failed:
        return otherwise
    one, why = next(iter(failed.items()))
    return f"The store refused {len(failed)} objects, {one.key!r} first: {why}. It is tried again."
