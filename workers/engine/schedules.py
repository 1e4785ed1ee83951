"""Temporal schedules that are there, and run as often as they should with what they should hand over."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError


class Schedules:
    """What this process wants to run on schedules. One list a turn says which are missing; a schedule that is there is compared
    with the settings once in the life of the process: asking for each of them every turn would keep a server busy."""

    def __init__(self) -> None:
        self._there: set[str] = set()
        self._compared: dict[str, tuple[str, timedelta]] = {}

    async def look(self, client: Client) -> None:
        """At the start of a turn. A server that lost its state has none, and gets them again."""
        self._there = {found.id async for found in await client.list_schedules(page_size=1000)}

    async def ensure(self, client: Client, name: str, action: ScheduleActionStartWorkflow, every: timedelta) -> None:
        wanted = (repr(action.args), every)
        if name in self._there and self._compared.get(name) == wanted:
            return
        await ensure(client, name, action, every)
        self._there.add(name)
        self._compared[name] = wanted

    async def drop(self, client: Client, unwanted: Callable[[str], bool]) -> None:
        """The schedules of these names, and the runs that they have begun: the worker that would go on with them is gone."""
        for name in [name for name in self._there if unwanted(name)]:
            handle = client.get_schedule_handle(name)
            with suppress(RPCError):
                running = (await handle.describe()).info.running_actions
                await handle.delete()
                for run in running:
                    await _terminate(client, run)
            self._there.discard(name)
            self._compared.pop(name, None)


async def _terminate(client: Client, run: object) -> None:
    assert isinstance(run, ScheduleActionExecutionStartWorkflow)
    with suppress(RPCError):  # it has ended
        await client.get_workflow_handle(run.workflow_id).terminate("The schedule was removed.")


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
