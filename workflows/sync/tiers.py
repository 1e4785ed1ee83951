"""ProjectWork: long work on the contents of a project, a page at a time, each page an activity that begins from the rows."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.sync.collect import Collects
    from activities.sync.commit import CommitEnd, SyncCommits
    from activities.sync.conflicts import DecidesConflicts, OverdueConflicts
    from activities.sync.pages import ProjectStep, TierOrder, TierPage
    from activities.sync.rehydrate import Rehydrates
    from activities.sync.repacks import Repacks
    from activities.sync.steps import ProjectSteps
    from activities.sync.sweeps import Sweeps
    from activities.sync.tiers import Tiers
    from schema.sync.happenings import INBOX
    from workflows.policies import LONG
    from workflows.queues import mutation_queue
    from workflows.sync.commit import SyncCommit, commit_id

_ROUNDS = 3
_FIRST_PAUSE, _LAST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)
_UNDONE = {"deactivate": ("active", ("flushing", "deactivating")), "reactivate": ("active", ("reactivating",))}
"""By job that is cancelled, which state the project has afterwards, and from which ones"""


class _JobStops(Exception):
    """It was cancelled."""


@dataclass(frozen=True, slots=True)
class ProjectJob:
    """`grace`: how long condemned contents wait before they are deleted."""

    kind: str
    order: TierOrder
    grace: float = 7200.0


@workflow.defn(name="ProjectWork", failure_exception_types=[Exception])
class ProjectWork:
    def __init__(self) -> None:
        self._stops = False
        self._job: ProjectJob | None = None

    @workflow.signal
    def stop(self) -> None:
        """Its row says that it was cancelled."""
        self._stops = True

    @workflow.run
    async def run(self, job: ProjectJob) -> str:
        self._job = job
        try:
            problem = await self._carry_out(job)
        except _JobStops:
            state, froms = _UNDONE.get(job.kind, ("", ()))
            await self._step(job.order, state, froms, ends=True, cancelled=True)
            return "cancelled"
        if job.kind not in ("delete", "decide"):
            await self._step(job.order, ends=True, problem=problem)
        return problem or "done"

    async def _carry_out(self, job: ProjectJob) -> str:
        """What there is to say of it where it did not go as it should."""
        match job.kind:
            case "archive":
                await self._pages(Tiers.archive, job.order, "contents get a cold copy")
            case "evict":
                await self._pages(Tiers.evict, job.order, "contents leave the hot store")
            case "promote":
                await self._pages(Rehydrates.rehydrate, job.order, "contents become hot")
                await self._thaw(job.order)
            case "repair":
                await self._walk(Tiers.look, job.order, "both stores are looked at")
                await self._pages(Tiers.archive, job.order, "contents get a cold copy")
            case "publish":
                await workflow.execute_activity_method(
                    SyncCommits.publish, job.order.project, summary="where it is", **LONG
                )
            case "gc":
                await self._collect(job)
            case "delete":
                await self._pages(Sweeps.purge, job.order, "nothing is left but the history")
            case "decide":
                await self._decide(job.order)
            case "deactivate":
                return await self._deactivate(job.order)
            case "reactivate":
                await self._pages(Rehydrates.rehydrate, job.order, "contents become hot")
                await self._step(job.order, "active", ("reactivating",))
                await self._thaw(job.order)
        return ""

    async def _pages(self, one: object, order: TierOrder, summary: str) -> int:
        """Until a page moves nothing any more. How many of the last could not be moved."""
        while True:
            page: TierPage = await workflow.execute_activity_method(one, order, summary=summary, **LONG)  # type: ignore[call-overload]
            self._look(page)
            if not page.left:
                return page.failed
            self._turn(order)

    def _turn(self, order: TierOrder) -> None:
        """After very many pages the job is begun anew, before its history is too long: pages begin from the rows as ever. Not a
        collection: it has few, and its grace time would begin anew, too."""
        assert self._job is not None
        if workflow.info().is_continue_as_new_suggested() and self._job.kind != "gc":
            workflow.continue_as_new(replace(self._job, order=replace(self._job.order, after=order.after)))

    def _look(self, page: TierPage) -> None:
        """Raises _JobStops."""
        if page.stops or self._stops:
            raise _JobStops

    async def _walk(self, one: object, order: TierOrder, summary: str) -> None:
        """From the first object to the last."""
        while True:
            page: TierPage = await workflow.execute_activity_method(one, order, summary=summary, **LONG)  # type: ignore[call-overload]
            self._look(page)
            if not page.left:
                return
            order = replace(order, after=page.last)
            self._turn(order)

    async def _collect(self, job: ProjectJob) -> None:
        await self._walk(Collects.condemn, job.order, "what nothing refers to")
        # Without any time there would be no timer, which the histories of former releases have.
        grace = timedelta(seconds=max(job.grace, 0.001))
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._stops, timeout=grace, timeout_summary="a commit may still need it"
            )
            raise _JobStops
        order = replace(job.order, idle=job.grace)
        await self._pages(Collects.collect, order, "what is still not needed is deleted")
        if workflow.patched("sweeps"):
            await self._pages(Sweeps.copies, order, "copies that no row knows")
            await self._pages(Sweeps.pages, order, "pages of former manifests")
        if workflow.patched("repack"):
            await self._walk(Repacks.repack, replace(job.order, after=""), "packs of which little is needed")
            await workflow.execute_activity_method(Sweeps.collected, order, summary="until the next time", **LONG)

    async def _thaw(self, order: TierOrder) -> None:
        """What lies in an archive class takes hours: it is looked at less and less often, until all of it is there."""
        if not workflow.patched("thaw"):
            return
        pause = _FIRST_PAUSE
        while True:
            page: TierPage = await workflow.execute_activity_method(
                Rehydrates.thaw, order, summary="what comes back from an archive class", **LONG
            )
            self._look(page)
            if not page.failed:
                return
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._stops, timeout=pause, timeout_summary="it takes hours")
            pause = min(2 * pause, _LAST_PAUSE)

    async def _decide(self, order: TierOrder) -> None:
        """What a decision puts back is a commit like every other."""
        while True:
            found: OverdueConflicts = await workflow.execute_activity_method(
                DecidesConflicts.overdue, order, summary="nobody decided in time", **LONG
            )
            if not found.ids:
                return
            if found.batch:
                await self._commit(found)
            await workflow.execute_activity_method(DecidesConflicts.decided, found, summary=found.decision, **LONG)

    async def _commit(self, found: OverdueConflicts) -> None:
        """Raises ApplicationError where it was refused: the background does it again."""
        end: CommitEnd = await workflow.execute_child_workflow(
            SyncCommit.run, found.ref, id=commit_id(found.ref, INBOX), task_queue=mutation_queue(found.mount),
            static_summary="what the inbox puts back",
        )  # fmt: skip
        if end.code:
            raise ApplicationError(f"the commit was refused: {end.code}", type=end.code, non_retryable=True)

    async def _deactivate(self, order: TierOrder) -> str:
        """All is archived and verified before anything hot goes; where that can not be, the project is active as before."""
        order = replace(order, pinned=True)
        if workflow.info().continued_run_id is None and workflow.patched("flush"):
            await workflow.execute_activity_method(
                ProjectSteps.flush, order, summary="nodes commit what they have", **LONG
            )
            await self._step(order, "deactivating", ("flushing",))
        for _ in range(_ROUNDS):
            await self._pages(Tiers.archive, order, "contents get a cold copy")
            await self._pages(Tiers.evict, order, "each cold copy is looked at, then the hot one goes")
            gone: bool = await workflow.execute_activity_method(
                ProjectSteps.drop_hot, order, summary="nothing needs the hot store any more", **LONG
            )
            if gone:
                await self._step(order, "inactive", ("deactivating",))
                return ""
        await self._step(order, "active", ("deactivating",))
        return "Some contents could not be made cold; the project is active as before."

    async def _step(
        self, order: TierOrder, state: str = "", froms: tuple[str, ...] = (), *, ends: bool = False, problem: str = "",
        cancelled: bool = False,
    ) -> None:  # fmt: skip
        step = ProjectStep(order.mount, order.project, order.job if ends else "", state, froms, problem, cancelled)
        await workflow.execute_activity_method(ProjectSteps.step, step, summary=state or "say how it ended", **LONG)
