"""Start what looks at a mount, with the names that a person looks for in the Temporal UI."""

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.drift.jobs import JobRef
from activities.drift.observe import LookOrder
from schema.ids import MountId
from workflows.commands.attributes import FS_MOUNT
from workflows.drift.audit import Answer, AuditMount
from workflows.drift.heal import HealFindings
from workflows.drift.look_at import LookAt, audit_of
from workflows.drift.reconcile import ReconcilePlace
from workflows.queues import bulk_queue


async def look_at(client: Client, mount: MountId) -> None:
    """There are hints. Doing it once more is harmless: the one that runs takes them too."""
    await client.start_workflow(
        LookAt.run,
        args=[mount, 0],
        id=f"look/{mount}",
        task_queue=bulk_queue(mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal="nudge",
        static_summary="look where something happened",
        search_attributes=_of(mount),
    )


async def audit(client: Client, order: LookOrder) -> None:
    """The one that runs is followed by another."""
    await client.start_workflow(
        AuditMount.run,
        order,
        id=audit_of(order.mount),
        task_queue=bulk_queue(order.mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary="look at everything",
        search_attributes=_of(order.mount),
    )


async def answer_audit(client: Client, order: LookOrder, look: int, yes: bool) -> None:
    """Tell the audit that waits. Where none does any more, a yes begins one, which may change as much as the plan said."""
    try:
        handle = client.get_workflow_handle_for(AuditMount.run, audit_of(order.mount))
        await handle.signal(AuditMount.answer, Answer(look, yes))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        if yes:
            await audit(client, order)


async def heal(client: Client, mount: MountId) -> None:
    """There is something to heal. Doing it once more is harmless: the one that runs takes it too."""
    await client.start_workflow(
        HealFindings.run,
        args=[mount, 0],
        id=f"heal/{mount}",
        task_queue=bulk_queue(mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal="nudge",
        static_summary="put right what was decided",
        search_attributes=_of(mount),
    )


async def reconcile(client: Client, mount: MountId, job: JobRef) -> None:
    await client.start_workflow(
        ReconcilePlace.run,
        job,
        id=f"reconcile/{job.id}",
        task_queue=bulk_queue(mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary="a reconciliation by hand",
        search_attributes=_of(mount),
    )


def _of(mount: MountId) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(FS_MOUNT, str(mount))])
