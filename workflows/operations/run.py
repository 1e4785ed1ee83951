"""RunOperation: the items of an operation as lists of commands, until it pauses or ends. It remembers nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError

with workflow.unsafe.imports_passed_through():
    from activities.operations.chunk import NextChunk, NextStep
    from activities.operations.forget import ForgetNodes
    from activities.operations.imports import ImportTree
    from activities.operations.purge import PurgeItems
    from activities.operations.tag import TagRecords
    from activities.operations.verify import VerifyFiles
    from activities.operations.work import Portion
    from schema.commands.payloads import Batch
    from workflows.commands import attributes
    from workflows.commands.run import RunCommands
    from workflows.policies import BACKGROUND, LONG, TURN
    from workflows.queues import bulk_queue

_CHUNKS_MAX = 200
"""The most chunks of one history, should Temporal not ask for a new one before; there is nothing to carry but the id."""

WORKS: dict[str, Callable[[Any, Portion], Awaitable[int]]] = {
    "verify": VerifyFiles.verify,
    "purge": PurgeItems.purge,
    "forget": ForgetNodes.forget,
    "tag": TagRecords.tag,
}


@workflow.defn(name="RunOperation", failure_exception_types=[Exception])
class RunOperation:
    def __init__(self) -> None:
        self._nudged = False
        self._shown = NextStep(mount_id=0, state="")  # type: ignore[arg-type]

    @workflow.run
    async def run(self, id: str) -> str:
        for _ in range(_CHUNKS_MAX):
            if workflow.info().is_continue_as_new_suggested():
                break
            self._nudged = False
            chunk: NextStep = await workflow.execute_activity_method(
                NextChunk.next, id, summary="what is wanted, and what goes next", **BACKGROUND
            )
            self._show(chunk)
            if chunk.over:
                return self._end(chunk)
            if chunk.commands:
                await self._carry_out(id, chunk)
            elif chunk.portion is not None:
                await self._work(chunk.kind, chunk.portion)
            elif chunk.imports:
                await self._wait(
                    await workflow.execute_activity_method(
                        ImportTree.import_tree, id, summary="what lies on the storage, page by page", **TURN
                    )
                )
            else:
                await self._wait(chunk.wait_seconds)
        workflow.continue_as_new(id)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(asyncio.TimeoutError):
                await workflow.wait_condition(lambda: self._nudged, timeout=timedelta(seconds=seconds))

    async def _carry_out(self, id: str, chunk: NextStep) -> None:
        """As any list of commands; long ones go on by themselves, and `next` counts them as in flight."""
        try:
            await workflow.execute_child_workflow(
                RunCommands.run,
                Batch(chunk.mount_id, chunk.commands, shows=True),
                id=f"operation/{id}/list/{chunk.commands[0].id}",
                task_queue=bulk_queue(chunk.mount_id),
                static_summary=attributes.summary(chunk.commands),
                search_attributes=attributes.of_commands(chunk.commands, chunk.mount_id),
            )
        except ChildWorkflowError:
            # Nothing of it began, or the sweep resumes it: its items are pending, or in flight.
            await workflow.sleep(timedelta(seconds=3))

    async def _work(self, kind: str, portion: Portion) -> None:
        """Items that are no commands. What it does not end is in flight still, and comes again."""
        await workflow.execute_activity_method(
            WORKS[kind], portion, summary=f"{kind} {len(portion.items)} items", **LONG
        )

    def _show(self, chunk: NextStep) -> None:
        """Shows the run's title, path and progress to a person, and makes it searchable by them."""
        if chunk.title and not self._shown.title:
            workflow.upsert_search_attributes([
                attributes.FS_SUMMARY.value_set(chunk.title[:200]),
                attributes.FS_PATH.value_set(attributes.cut([chunk.path[:255]])),
                attributes.FS_PRINCIPAL.value_set(attributes.cut([chunk.principal])),
            ])  # fmt: skip
        workflow.set_current_details(chunk.progress)
        self._shown = replace(chunk, commands=[])

    def _end(self, chunk: NextStep) -> str:
        """Raises ApplicationError for an operation that failed, so that its run looks like it."""
        workflow.upsert_search_attributes([attributes.FS_OUTCOME.value_set(chunk.state)])
        workflow.upsert_memo({"outcome": chunk.progress})
        if chunk.state == "failed":
            raise ApplicationError("No item of the operation was done; its items say why.", non_retryable=True)
        return chunk.state

    @workflow.signal
    def nudge(self) -> None:
        """The row says something new."""
        self._nudged = True

    @workflow.query
    def shown(self) -> NextStep:
        return self._shown
