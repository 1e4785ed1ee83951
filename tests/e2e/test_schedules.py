"""Schedules follow the settings; whether one is paused is a person's to say; one that is dropped leaves no run."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleDescription,
    WorkflowExecutionStatus,
)

from schema.settings import Settings
from tests.e2e.test_commands import refused, result
from tests.e2e.test_drift import policy
from tests.fix_service import MountOfTest, Service, until
from workers.engine.schedules import Schedules, ensure
from workflows.client import connect
from workflows.events.publish import PublishEvents


async def one_of_nobody() -> tuple[Client, str, ScheduleActionStartWorkflow]:
    """What a schedule of its own would start, in a queue that no worker serves."""
    settings = Settings()  # type: ignore[call-arg]
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    name = f"schedule-{uuid.uuid4()}"
    return client, name, ScheduleActionStartWorkflow(PublishEvents.run, id=name, task_queue="of-nobody")


async def test_a_schedule_follows_the_settings_and_stays_paused(service: Service) -> None:
    client, name, action = await one_of_nobody()
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
    (client, name, action), schedules = await one_of_nobody(), Schedules()
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
    (client, name, action), schedules = await one_of_nobody(), Schedules()
    await schedules.ensure(client, name, action, timedelta(hours=2))
    handle = client.get_schedule_handle(name)
    await handle.delete()
    while any([there.id == name async for there in await client.list_schedules()]):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    await schedules.look(client)
    await schedules.ensure(client, name, action, timedelta(hours=2))
    assert (await handle.describe()).schedule.spec.intervals[0].every == timedelta(hours=2)
    await handle.delete()


def test_a_mount_shows_its_schedules_and_takes_pauses(service: Service, mount: MountOfTest) -> None:
    where = f"/v1/backend-mounts/{mount.id}/schedules"

    def shown() -> dict[tuple[str, str | None], dict[str, Any]]:
        found = result(service.call("GET", where), 200)["schedules"]
        return {(one["kind"], one["path"]): one for one in found}

    def steer(schedule: dict[str, Any], action: str) -> dict[str, Any]:
        body = {"id": schedule["id"], "action": action, "note": "a test"}
        return result(service.call("POST", where, json=body), 200)

    policy(service, mount, audits=[{"path": "", "everySeconds": 3600}], scrub={"everySeconds": 7200})
    assert until(lambda: {one["state"] for one in shown().values() if not one["shared"]} == {"scheduled"})
    first = shown()
    assert {kind for kind, _ in first} == {"sweep", "proof", "purge", "audit", "scrub", "publish", "prune", "archive"}
    audit, scrub = first["audit", ""], first["scrub", None]
    assert (audit["everySeconds"], scrub["everySeconds"]) == (3600, 3600)
    assert audit["nextRunAt"] and audit["lastRun"] is None
    paused = steer(audit, "pause")
    assert (paused["state"], paused["nextRunAt"]) == ("paused", None) and paused["note"].endswith(": a test")
    policy(service, mount, audits=[{"path": "", "everySeconds": 1800}], scrub={"everySeconds": 7200})
    assert until(lambda: shown()["audit", ""]["everySeconds"] == 1800)
    assert steer(audit, "run")["state"] == "paused", "another interval ends no pause"
    assert until(lambda: ((shown()["audit", ""]["lastRun"] or {}).get("outcome")) == "completed")
    last = shown()["audit", ""]["lastRun"]
    assert last["endedAt"] >= last["startedAt"] and last["problem"] is None
    assert steer(audit, "resume")["state"] == "scheduled"
    for id, action, status, code in (
        (first["sweep", None]["id"], "pause", 400, "INVALID_REQUEST"),
        (first["publish", None]["id"], "pause", 404, "NOT_FOUND"),
        ("sweep/0", "run", 404, "NOT_FOUND"),
    ):
        refused(service.call("POST", where, json={"id": id, "action": action}), status, code)
    policy(service, mount)
    assert until(lambda: ("audit", "") not in shown())
