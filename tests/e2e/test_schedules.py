"""Schedules follow the settings; whether one is paused is a person's to say; one that is dropped leaves no run."""

import asyncio
import uuid
from datetime import timedelta

from temporalio.client import (
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleDescription,
    WorkflowExecutionStatus,
)

from schema.settings import Settings
from tests.fix_service import Service
from workers.engine.schedules import Schedules, ensure
from workflows.client import connect
from workflows.events.publish import PublishEvents


async def test_a_schedule_follows_the_settings_and_stays_paused(service: Service) -> None:
    settings = Settings()  # type: ignore[call-arg]
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    name = f"schedule-{uuid.uuid4()}"
    action = ScheduleActionStartWorkflow(PublishEvents.run, id=name, task_queue="of-nobody")
    handle = client.get_schedule_handle(name)

    async def schedule_of(hours: int) -> ScheduleDescription:
        await ensure(client, name, action, timedelta(hours=hours))
        return await handle.describe()

    def every(there: ScheduleDescription) -> list[timedelta]:
        return [interval.every for interval in there.schedule.spec.intervals]

    try:
        assert every(await schedule_of(2)) == [timedelta(hours=2)]
        await handle.pause(note="a person looks at it")
        there = await schedule_of(3)
        assert every(there) == [timedelta(hours=3)]
        assert there.schedule.state.paused and there.schedule.state.note == "a person looks at it"
        changed = there.info.last_updated_at
        assert (await schedule_of(3)).info.last_updated_at == changed, "nothing is written where nothing differs"
    finally:
        await handle.delete()


async def test_a_dropped_schedule_leaves_no_run_behind(service: Service) -> None:
    settings = Settings()  # type: ignore[call-arg]
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    name, schedules = f"schedule-{uuid.uuid4()}", Schedules()
    action = ScheduleActionStartWorkflow(PublishEvents.run, id=name, task_queue="of-nobody")
    await schedules.ensure(client, name, action, timedelta(hours=2))
    handle = client.get_schedule_handle(name)
    await handle.trigger()
    while not (running := (await handle.describe()).info.running_actions):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert isinstance(running[0], ScheduleActionExecutionStartWorkflow)

    await schedules.drop(client, lambda there: there == name)
    ended = await client.get_workflow_handle(running[0].workflow_id).describe()
    assert ended.status is WorkflowExecutionStatus.TERMINATED
    await schedules.look(client)
    await schedules.drop(client, lambda there: there == name)  # nothing is there any more


async def test_a_schedule_that_a_server_lost_is_made_again(service: Service) -> None:
    settings = Settings()  # type: ignore[call-arg]
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    name, schedules = f"schedule-{uuid.uuid4()}", Schedules()
    action = ScheduleActionStartWorkflow(PublishEvents.run, id=name, task_queue="of-nobody")
    await schedules.ensure(client, name, action, timedelta(hours=2))
    handle = client.get_schedule_handle(name)
    await handle.delete()
    while any([there.id == name async for there in await client.list_schedules()]):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    await schedules.look(client)
    await schedules.ensure(client, name, action, timedelta(hours=2))
    assert (await handle.describe()).schedule.spec.intervals[0].every == timedelta(hours=2)
    await handle.delete()
