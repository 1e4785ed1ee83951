"""Start workflows, with the names and attributes a person looks for in the Temporal UI."""

from collections import Counter
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from schema.commands.payloads import Batch, CommandIds
from schema.ids import CommandId, MountId
from workflows.commands.run import RunCommands
from workflows.queues import bulk_queue, mutation_queue

FS_PATH = SearchAttributeKey.for_keyword_list("FsPath")
FS_COMMAND = SearchAttributeKey.for_keyword_list("FsCommand")
FS_PRINCIPAL = SearchAttributeKey.for_keyword_list("FsPrincipal")
FS_MOUNT = SearchAttributeKey.for_keyword("FsMount")

_VALUES_MAX = 1800
"""Bytes of one attribute: the server refuses a start beyond 2 KiB. The journal answers in full."""


async def start_commands(client: Client, commands: Batch) -> WorkflowHandle[Any, Any]:
    """Start RunCommands, eagerly where this process polls the mount's queue. Raises RPCError."""
    requests = commands.requests
    kinds = Counter(str(request.kind) for request in requests)
    shown = "\n".join(f"- {request.kind} `{request.path}` by {request.principal}" for request in requests[:20])
    return await client.start_workflow(
        RunCommands.run,
        commands,
        id=workflow_id(commands.mount_id, requests[0].id, commands.turn),
        task_queue=mutation_queue(commands.mount_id),
        request_eager_start=True,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        task_timeout=timedelta(seconds=5),
        rpc_timeout=timedelta(seconds=4),
        static_summary=", ".join(f"{count} {kind}" for kind, count in kinds.items())
        + (": all or none" if commands.atomic_id else ""),
        static_details=shown,
        search_attributes=TypedSearchAttributes([
            SearchAttributePair(FS_PATH, _cut(path[:255] for request in requests for path in request.shown_paths)),
            SearchAttributePair(FS_COMMAND, _cut(request.id for request in requests)),
            SearchAttributePair(FS_PRINCIPAL, _cut(sorted({request.principal for request in requests}))),
            SearchAttributePair(FS_MOUNT, str(commands.mount_id)),
        ]),
    )  # fmt: skip


def started_here(handle: WorkflowHandle[Any, Any]) -> bool:
    """Was the start eager, so that the worker of this very process has the first task? The SDK has no public word for it."""
    return bool(getattr(handle, "__temporal_eagerly_started", False))


async def resume_commands(
    client: Client, mount: MountId, ids: list[CommandId], *, atomic: bool = False
) -> WorkflowHandle[Any, Any]:
    """Carry these running commands to their end, all of them or none. One such workflow at a time per first command."""
    return await client.start_workflow(
        "ResumeCommands",
        CommandIds(mount, ids, atomic),
        id=f"resume/{mount}/{ids[0]}",
        task_queue=bulk_queue(mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"resume {len(ids)} commands whose owner was not heard of",
        search_attributes=TypedSearchAttributes([
            SearchAttributePair(FS_COMMAND, _cut(ids)),
            SearchAttributePair(FS_MOUNT, str(mount)),
        ]),
    )  # fmt: skip


def workflow_id(mount: MountId, first: CommandId, turn: int = 0) -> str:
    """Of a list: a command that was first in one before, and found its path busy, is first in another list now."""
    return f"cmd/{mount}/{first}" + (f"/{turn}" if turn else "")


def _cut(values: Any) -> list[str]:
    """As many values as fit."""
    kept, size = [], 0
    for value in values:
        size += len(value.encode("utf-8", "replace")) + 4
        if size > _VALUES_MAX:
            break
        kept.append(value)
    return kept
