"""Start workflows, with the names and attributes a person looks for in the Temporal UI."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from schema.commands.payloads import Batch, CommandIds
from schema.ids import MountId
from workflows.commands import attributes
from workflows.commands.run import RunCommands
from workflows.queues import bulk_queue, mutation_queue


async def start_commands(client: Client, commands: Batch) -> WorkflowHandle[Any, Any]:
    """Start RunCommands, eagerly where this process polls the mount's queue. Raises RPCError."""
    requests = commands.requests
    atomic = commands.atomic_id is not None
    return await client.start_workflow(
        RunCommands.run,
        replace(commands, shows=True),
        id=workflow_id(commands),
        task_queue=mutation_queue(commands.mount_id),
        request_eager_start=True,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        task_timeout=timedelta(seconds=5),
        rpc_timeout=timedelta(seconds=4),
        static_summary=attributes.summary(requests, atomic=atomic),
        static_details=attributes.lines(requests),
        search_attributes=attributes.of_commands(requests, commands.mount_id, atomic=atomic),
    )


def started_here(handle: WorkflowHandle[Any, Any]) -> bool:
    """Was the start eager, so that the worker of this very process has the first task? The SDK has no public word for it."""
    return bool(getattr(handle, "__temporal_eagerly_started", False))


async def resume_commands(
    client: Client, mount: MountId, commands: Sequence[attributes.Shows], *, atomic: bool = False
) -> WorkflowHandle[Any, Any]:
    """Carry these running commands to their end, all of them or none. One such workflow at a time per first command."""
    ids = [command.id for command in commands]
    return await client.start_workflow(
        "ResumeCommands",
        CommandIds(mount, ids, atomic, shows=True),
        id=f"resume/{mount}/{ids[0]}",
        task_queue=bulk_queue(mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"{attributes.summary(commands, atomic=atomic)}: resumed, because its owner was not heard of",
        static_details=attributes.lines(commands),
        search_attributes=attributes.of_commands(commands, mount, atomic=atomic),
    )


def workflow_id(batch: Batch) -> str:
    """Says what the run does, for a person who reads a list of runs. A command that was first in a list before, and found its path
    busy, is first in another list now."""
    requests = batch.requests
    kinds = {str(request.kind) for request in requests}
    what = kinds.pop() if len(kinds) == 1 else "commands"
    what = what if len(requests) == 1 else f"{len(requests)}-{what}"
    return f"cmd/{batch.mount_id}/{what}/{requests[0].id}" + (f"/{batch.turn}" if batch.turn else "")
