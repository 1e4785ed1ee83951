"""Schedules follow the settings; whether one is paused is a person's to say."""

import uuid
from datetime import timedelta

from temporalio.client import ScheduleActionStartWorkflow, ScheduleDescription

from schema.settings import Settings
from tests.fix_service import Service
from workers.engine.schedules import ensure
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
