"""ProjectWork: long work on the contents of a project, a page at a time, each page an activity that begins from the rows."""

from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.sync.commit import SyncCommits
    from activities.sync.sweeps import Sweeps
    from activities.sync.tiers import ProjectStep, TierOrder, TierPage, Tiers
    from workflows.policies import LONG

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class ProjectJob:
    """`grace`: how long condemned contents wait before they are deleted."""

    kind: str
    order: TierOrder
    grace: float = 7200.0


@workflow.defn(name="ProjectWork", failure_exception_types=[Exception])
class ProjectWork:
    @workflow.run
    async def run(self, job: ProjectJob) -> str:
        problem = ""
        match job.kind:
            case "archive":
                await self._pages(Tiers.archive, job.order, "contents get a cold copy")
            case "evict":
                await self._pages(Tiers.evict, job.order, "contents leave the hot store")
            case "promote":
                await self._pages(Tiers.rehydrate, job.order, "contents become hot")
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
                return "done"
            case "deactivate":
                problem = await self._deactivate(job.order)
            case "reactivate":
                await self._pages(Tiers.rehydrate, job.order, "contents become hot")
                await self._step(job.order, "active", ("reactivating",))
        await self._step(job.order, ends=True, problem=problem)
        return problem or "done"

    async def _pages(self, one: object, order: TierOrder, summary: str) -> int:
        """Until a page moves nothing any more. How many of the last could not be moved."""
        while True:
            page: TierPage = await workflow.execute_activity_method(one, order, summary=summary, **LONG)  # type: ignore[call-overload]
            if not page.left:
                return page.failed

    async def _walk(self, one: object, order: TierOrder, summary: str) -> None:
        """From the first object to the last."""
        while True:
            page: TierPage = await workflow.execute_activity_method(one, order, summary=summary, **LONG)  # type: ignore[call-overload]
            if not page.left:
                return
            order = replace(order, after=page.last)

    async def _collect(self, job: ProjectJob) -> None:
        await self._walk(Tiers.condemn, job.order, "what nothing refers to")
        await workflow.sleep(timedelta(seconds=job.grace), summary="a commit may still need it")
        order = replace(job.order, idle=job.grace)
        await self._pages(Tiers.collect, order, "what is still not needed is deleted")
        if workflow.patched("sweeps"):
            await self._pages(Sweeps.copies, order, "copies that no row knows")
            await self._pages(Sweeps.pages, order, "pages of former manifests")

    async def _deactivate(self, order: TierOrder) -> str:
        """All is archived and verified before anything hot goes; where that can not be, the project is active as before."""
        order = replace(order, pinned=True)
        if workflow.patched("flush"):
            await workflow.execute_activity_method(Tiers.flush, order, summary="nodes commit what they have", **LONG)
            await self._step(order, "deactivating", ("flushing",))
        for _ in range(_ROUNDS):
            await self._pages(Tiers.archive, order, "contents get a cold copy")
            await self._pages(Tiers.evict, order, "each cold copy is looked at, then the hot one goes")
            gone: bool = await workflow.execute_activity_method(
                Tiers.drop_hot, order, summary="nothing needs the hot store any more", **LONG
            )
            if gone:
                await self._step(order, "inactive", ("deactivating",))
                return ""
        await self._step(order, "active", ("deactivating",))
        return "Some contents could not be made cold; the project is active as before."

    async def _step(
        self, order: TierOrder, state: str = "", froms: tuple[str, ...] = (), *, ends: bool = False, problem: str = ""
    ) -> None:
        step = ProjectStep(order.mount, order.project, order.job if ends else "", state, froms, problem)
        await workflow.execute_activity_method(Tiers.step, step, summary=state or "say how it ended", **LONG)
