"""What happens at a mount by the clock: audits, scrub, sweep, proof of rollups, purge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.drift.bodies import ScheduleBody
from api.drift.shapes import MountSchedules, MountScheduleShape
from api.http import openapi
from api.http.body import read_json
from api.http.exports import exported, in_one
from api.http.ids import read_mount_id
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import Front, front_of
from schema.errors import InvalidRequest, NotFound
from schema.paths import ROOT
from schema.principals import authorise
from schema.store import looks as store
from workflows.schedules import NamedSchedule, ScheduleAct, ScheduleKind, ScheduleStanding, of_mount, standings, steer

if TYPE_CHECKING:
    from schema.ids import MountId

router = APIRouter(route_class=Plain, tags=["drift"])

_BODY = openapi.body_of(ScheduleBody, {"id": "drift-scrub/7", "action": "pause", "note": "the disk is being copied"})


@router.get(
    "/v1/backend-mounts/{id}/schedules",
    operation_id="listMountSchedules",
    summary="What happens at a mount by the clock",
    responses=openapi.listed("Each with its last run", MountSchedules, "BACKEND_NOT_FOUND"),
    openapi_extra={"parameters": [openapi.path_id("The mount"), openapi.FORMAT]},
)
@exported("schedules", MountScheduleShape, 200, in_one)
async def listed(request: Request) -> Response:
    """As Temporal has them. `shared`: those of the whole service, which events, pruning and the archive run by. A mount that is not
    active has none of its own. Audits and scrub follow the policy of the mount."""
    principal = await admit(request, "read")
    front = front_of(request)
    mount = await front.mounts.get(read_mount_id(request), principal.tenant)
    authorise(principal, "read", mount.id)
    found = await front.services.carry(standings, schedules=await _named(front, mount.id))
    return _data({"schedules": [_shown(one) for one in found]})


@router.post(
    "/v1/backend-mounts/{id}/schedules",
    operation_id="steerMountSchedule",
    summary="Pause, resume or run a schedule",
    responses=openapi.answers(
        {200: ("As it is now", MountScheduleShape)}, "BACKEND_NOT_FOUND", "NOT_FOUND", "FORBIDDEN"
    ),
    openapi_extra={"parameters": [openapi.path_id("The mount")], "requestBody": _BODY},
)
async def steered(request: Request) -> Response:
    """`pause` holds until `resume`, whatever the settings and the policy say meanwhile. `run`: once, now, unless it runs. The sweep
    is not paused: what a crash left waits for it."""
    principal = await admit(request, "mounts")
    front, body = front_of(request), await read_json(request, ScheduleBody)
    mount = await front.mounts.get(read_mount_id(request), principal.tenant)
    authorise(principal, "mounts", mount.id, ROOT)
    named = next((one for one in await _named(front, mount.id) if one.id == body.id and not one.shared), None)
    if named is None:
        raise NotFound("The mount has no schedule of this id.")
    if named.kind is ScheduleKind.SWEEP and body.action is ScheduleAct.PAUSE:
        raise InvalidRequest(
            "What a crash left waits for the sweep. Set the mount inactive, and nothing happens at it."
        )
    note = f"{principal.name}: {body.note or body.action.value}"
    found = await front.services.carry(steer, schedule=named, act=body.action, note=note)
    if not found.exists:
        raise NotFound(
            "The mount does not have this schedule now: it is not active, or the schedule is made within a minute."
        )
    return _data(_shown(found))


async def _named(front: Front, mount: MountId) -> list[NamedSchedule]:
    async with front.services.pool.connection() as connection:
        return of_mount(mount, (await store.policy(connection, mount)).policy)


def _shown(found: ScheduleStanding) -> dict[str, Any]:
    schedule, last = found.schedule, found.last
    state = "absent" if not found.exists else "paused" if found.paused else "scheduled"
    return {
        "id": schedule.id, "kind": schedule.kind.value, "path": schedule.path, "shared": schedule.shared, "state": state,
        "everySeconds": found.every_seconds, "note": found.note, "nextRunAt": found.next_at,
        "lastRun": None if last is None else {
            "workflowId": last.workflow, "startedAt": last.started_at, "endedAt": last.ended_at, "outcome": last.outcome,
            "problem": last.problem,
        },
    }  # fmt: skip


def _data(shown: dict[str, Any]) -> Response:
    return Response(orjson.dumps({"data": shown}), media_type=JSON)
