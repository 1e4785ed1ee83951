"""A Temporal schedule that is there, and runs as often as it should with what it should hand over."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)


async def ensure(client: Client, name: str, action: ScheduleActionStartWorkflow, every: timedelta) -> None:
    schedule = Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)], jitter=every / 10),
        # After an outage one sweep is enough: no catching up on missed ones.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )
    try:
        await client.create_schedule(name, schedule)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(name)
        if not _as_wanted(client, schedule, (await handle.describe()).schedule):
            await handle.update(partial(_follow, schedule))


def _as_wanted(client: Client, wanted: Schedule, there: Schedule) -> bool:
    """Schedules are compared by how often they run, and by what they hand over."""
    assert isinstance(wanted.action, ScheduleActionStartWorkflow)
    assert isinstance(there.action, ScheduleActionStartWorkflow)
    payloads = client.data_converter.payload_converter.to_payloads(wanted.action.args)
    handed = [getattr(payload, "data", None) for payload in there.action.args]
    return there.spec.intervals == wanted.spec.intervals and handed == [payload.data for payload in payloads]


def _follow(wanted: Schedule, there: ScheduleUpdateInput) -> ScheduleUpdate:
    """Changes a schedule to what the settings say; one that a person has paused stays paused."""
    return ScheduleUpdate(replace(wanted, state=there.description.schedule.state))
