"""Start what delivers the events of a subscription, or wake it."""

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from workflows.events.deliver import DeliverEvents
from workflows.queues import CONTROL_QUEUE


async def deliver_to(client: Client, subscription: str, *, wake: bool = True) -> None:
    """Doing it once more is harmless. `wake`: look at once, though an attempt is due later."""
    await client.start_workflow(
        DeliverEvents.run,
        subscription,
        id=f"subscription/{subscription}",
        task_queue=CONTROL_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal="nudge" if wake else None,
        static_summary="events to a webhook, in their order",
    )
