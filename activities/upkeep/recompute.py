"""`recompute` and `prove`: the rollups of a mount, a page of directories at a time. What is found to be wrong is a defect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from temporalio import activity

from schema.faults import areach
from schema.ids import MountId
from schema.recomputes import Excess, Recompute, RecomputeState
from schema.store import recomputes as store

if TYPE_CHECKING:
    from schema.store.pool import Pool

_PAGE = 500
"""Directories of one transaction"""
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RecomputeStep:
    """`waits`: what is wrong is busy. `following`: another recompute that this one has found to be necessary."""

    state: str
    waits: bool = False
    following: int | None = None


@dataclass(frozen=True, slots=True)
class ProofPart:
    """`most`: so many directories at the most; None: up to the end of the mount."""

    mount: MountId
    most: int | None


@dataclass(frozen=True, slots=True)
class ProofStep:
    looked: int
    wrong: int
    more: bool = False
    """There was no time for all of it: again, at once"""
    recompute: int | None = None


class Recomputes:
    def __init__(
        self, pool: Pool, announce: Callable[[], None], *, page: int = _PAGE, longest_seconds: float = _LONGEST_SECONDS
    ) -> None:
        """`announce`: there is a new event."""
        self._pool, self._announce, self._page, self._longest = pool, announce, page, longest_seconds

    @activity.defn(name="recompute")
    async def recompute(self, id: int) -> RecomputeStep:
        """As many pages as there is time for. Where it stopped stands in its row."""
        until = monotonic() + self._longest
        while True:
            step = await self._step(id)
            if step.waits or step.state != RecomputeState.RUNNING or monotonic() > until:
                return step

    async def _step(self, id: int) -> RecomputeStep:
        async with self._pool.connection() as connection:
            run = await store.find(connection, id)
            if run is None or run.state.ended:
                return RecomputeStep(run.state if run else RecomputeState.CANCELLED)
            if not run.living:
                return await self._give_up(run, RecomputeState.CANCELLED, "NODE_NOT_FOUND")
            if store.hopeless(run):
                return await self._give_up(run, RecomputeState.FAILED, "PATH_BUSY")
            page = await store.advance(connection, run, self._page)
        await areach("recompute.page")
        _report("recompute", "corrected", page.corrected)
        if page.busy:
            return RecomputeStep(RecomputeState.RUNNING, waits=not page.proven)
        return await self._finish(run) if page.at_end else RecomputeStep(RecomputeState.RUNNING)

    async def _finish(self, run: Recompute) -> RecomputeStep:
        async with self._pool.connection() as connection, connection.transaction():
            end = await store.finish(connection, run)
        if not end.ended:
            return RecomputeStep(RecomputeState.RUNNING)
        self._announce()
        _report("recompute", "found above it", [end.above] if end.above else [])
        return RecomputeStep(RecomputeState.SUCCEEDED, following=end.recompute)

    async def _give_up(self, run: Recompute, state: RecomputeState, code: str) -> RecomputeStep:
        async with self._pool.connection() as connection, connection.transaction():
            await store.give_up(connection, run, state, code)
        self._announce()
        return RecomputeStep(state)

    @activity.defn(name="prove")
    async def prove(self, part: ProofPart) -> ProofStep:
        """Where the last proof of this mount stopped, and on to its end, or so far as it may go."""
        until, looked, wrong, recompute = monotonic() + self._longest, 0, 0, None
        while True:
            limit = self._page if part.most is None else min(self._page, part.most - looked)
            async with self._pool.connection() as connection:
                page = await store.prove(connection, part.mount, limit)
            _report("proof", "found", page.wrong)
            looked, wrong, recompute = looked + page.looked, wrong + len(page.wrong), page.recompute or recompute
            if page.at_end or looked == part.most:
                return ProofStep(looked, wrong, recompute=recompute)
            if monotonic() > until:
                return ProofStep(looked, wrong, more=True, recompute=recompute)


def _report(by: str, what: str, wrong: Sequence[Excess]) -> None:
    """No command makes a total wrong: each of these is a mistake of Filestore, or of a hand in its database."""
    for excess in wrong:
        activity.logger.error(
            "rollup defect, %s by a %s: directory %d (%r) has %+d bytes, %+d files, %+d directories, %+d children too many",
            what, by, excess.directory, excess.shown, excess.size_bytes, excess.file_count, excess.directory_count,
            excess.child_count,
        )  # fmt: skip
