"""What a mount does about drift, and how consistent it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.drift.bodies import PolicyBody
from api.drift.queries import ConsistencyQuery
from api.drift.shapes import DriftPolicy, MountConsistency
from api.http import openapi
from api.http.body import read_json
from api.http.fields import read_query
from api.http.ids import read_mount_id
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import front_of
from schema import paths
from schema.drift.scrub import coverage, oldest
from schema.ids import MountId
from schema.paths import ROOT
from schema.principals import authorise
from schema.store import looks as store
from schema.store import scrub as scrubs
from schema.store import watchers

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["drift"])

_BODY = openapi.body_of(
    PolicyBody, {"phase": "enforce", "onMissing": "ask", "audits": [{"path": "", "everySeconds": 900}]}
)


@router.get(
    "/v1/backend-mounts/{id}/policy",
    operation_id="getMountPolicy",
    summary="What a mount does about drift",
    responses=openapi.answers({200: ("The policy", DriftPolicy)}, "BACKEND_NOT_FOUND"),
    openapi_extra={"parameters": [openapi.path_id("The mount")]},
)
async def show(request: Request) -> Response:
    """Where nothing was ever said: it only observes, and what is done by hand imports what is new or changed and marks what is
    gone."""
    principal = await admit(request, "read")
    mount = await front_of(request).mounts.get(read_mount_id(request), principal.tenant)
    authorise(principal, "read", mount.id)
    return await _shown(request, mount.id)


@router.put(
    "/v1/backend-mounts/{id}/policy",
    operation_id="putMountPolicy",
    summary="Say what a mount does about drift",
    responses=openapi.answers({200: ("As it is now", DriftPolicy)}, "BACKEND_NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": [openapi.path_id("The mount")], "requestBody": _BODY},
)
async def put(request: Request) -> Response:
    """The whole policy: what is left out is as where nothing was ever said. Audits are scheduled within a minute."""
    principal = await admit(request, "mounts")
    front, body = front_of(request), await read_json(request, PolicyBody)
    mount = await front.mounts.get(read_mount_id(request), principal.tenant)
    authorise(principal, "mounts", mount.id, ROOT)
    for audit in body.audits:
        paths.parse(audit.path, allow_root=True)
    async with front.services.pool.connection() as connection:
        await store.put_policy(connection, mount.id, body.meant(), principal.name)
    return await _shown(request, mount.id)


async def _shown(request: Request, mount: MountId) -> Response:
    async with front_of(request).services.pool.connection() as connection:
        found = await store.policy(connection, mount)
    return _data(found.policy.to_json() | {"version": found.version, "by": found.by})


@router.get(
    "/v1/backend-mounts/{id}/consistency",
    operation_id="getMountConsistency",
    summary="How consistent a mount is",
    responses=openapi.answers({200: ("As far as it is known", MountConsistency)}, "BACKEND_NOT_FOUND", "INVALID_PATH"),
    openapi_extra={"parameters": [openapi.path_id("The mount"), *openapi.query_of(ConsistencyQuery)]},
)
async def consistency(request: Request) -> Response:
    """Of the mount, or of what lies at a path and below: nothing in the record is older than `freshSince` there. `waiting`: what
    waits for a person or a heal."""
    principal = await admit(request, "read")
    front, query = front_of(request), read_query(ConsistencyQuery, request.query_params)
    path = paths.parse(query.path, allow_root=True)
    mount = await front.mounts.get(read_mount_id(request), principal.tenant)
    authorise(principal, "read", mount.id, path)
    async with front.services.pool.connection() as connection:
        found = await store.consistency(connection, mount.id, path.raw)
        watch = await watchers.of_mount(connection, mount.id)
        scrub = await _scrub(connection, mount.id)
    return _data({
        "freshSince": found.fresh_since,
        "lastAudit": found.last_audit,
        "watcher": {"state": watch.state, "lagSeconds": watch.lag, "lost": watch.lost}
        if watch is not None else {"state": "none", "lagSeconds": None, "lost": 0},
        "scrub": scrub,
        "findings": found.findings,
        "found": found.found,
        "healed": found.healed,
        "waiting": found.open + found.held,
        "heldLooks": found.held,
        "hints": found.hints,
    })  # fmt: skip


async def _scrub(connection: Connection, mount: MountId) -> dict[str, Any]:
    policy = (await store.policy(connection, mount)).policy
    progress, total = await scrubs.progress(connection, mount)
    covered = None
    if policy.scrub_seconds is not None:
        covered = coverage(progress, total, policy.scrub_seconds, datetime.now(UTC))
    return {"coverage": covered, "oldestVerified": oldest(progress), "damaged": progress.damaged}


def _data(shown: dict[str, Any]) -> Response:
    return Response(orjson.dumps({"data": shown}), media_type=JSON)
