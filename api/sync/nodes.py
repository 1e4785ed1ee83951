"""The nodes of a project: servers with a folder that follows it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.http import openapi
from api.http.body import read_json
from api.http.exports import exported, in_one
from api.http.routes import Plain
from api.services import front_of
from api.sync.bodies import BeatBody, CredentialsBody, NodeBody
from api.sync.found import PATH_NAME, answer, contents_of, note, path_part, project_of
from api.sync.shapes import BeatAnswer, HotCredentials, SyncNodes, SyncNodeShape
from schema.access.acts import ActKind
from schema.errors import NotFound
from schema.store import objects, projects
from schema.sync.tiers import Tier

if TYPE_CHECKING:
    from schema.store.connection import DictRow

router = APIRouter(route_class=Plain, tags=["projects"])

_NODE = path_part("node", "The node", "web-1")
_WANTED = 500
_BODY = openapi.body_of(NodeBody, {"name": "web-1", "host": "web-1.example.org", "folder": "/srv/site"})
_BEAT = openapi.body_of(BeatBody, {"revision": 12, "waiting": 0})


@router.post(
    "/v1/projects/{name}/nodes",
    status_code=201,
    operation_id="attachNode",
    summary="Attach a folder of a server",
    responses=openapi.answers({201: ("The node", SyncNodeShape)}, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": [PATH_NAME], "requestBody": _BODY},
)
async def attach(request: Request) -> Response:
    """The node agent says so when it starts. Once more is the same."""
    principal, project = await project_of(request, "write")
    body = await read_json(request, NodeBody)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        await projects.attach(connection, project.id, body.name, body.host, body.folder)
        told = {"node": body.name, "host": body.host, "folder": body.folder}
        await note(connection, request, principal, project, ActKind.ATTACH_PROJECT_NODE, **told)
        (shown,) = [one for one in await projects.nodes(connection, project.id) if one["name"] == body.name]
    return answer(_document(shown), 201)


@router.get(
    "/v1/projects/{name}/nodes",
    operation_id="listSyncNodes",
    summary="The servers of a project",
    responses=openapi.listed("The nodes", SyncNodes, "NOT_FOUND"),
    openapi_extra={"parameters": [PATH_NAME, openapi.FORMAT]},
)
@exported("nodes", SyncNodeShape, 200, in_one)
async def listed(request: Request) -> Response:
    """How far each has followed, and what it still has to commit."""
    _, project = await project_of(request, "read")
    async with front_of(request).services.pool.connection() as connection:
        rows = await projects.nodes(connection, project.id)
    return answer({"nodes": [_document(row) for row in rows]})


@router.patch(
    "/v1/projects/{name}/nodes/{node}",
    operation_id="beatNode",
    summary="A node's sign of life",
    responses=openapi.answers({200: ("What it should know", BeatAnswer)}, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": [PATH_NAME, _NODE], "requestBody": _BEAT},
)
async def beat(request: Request) -> Response:
    """How far it is. It hears of contents that both stores have lost: one that has such a content puts it anew."""
    principal, project = await project_of(request, "write")
    body = await read_json(request, BeatBody)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        name = request.path_params["node"]
        moved = await projects.beat(connection, project.id, name, body.revision, body.waiting, body.problem)
        if moved is not None and moved[0] < moved[1]:
            told = {"node": name, "from": moved[0], "revision": moved[1]}
            await note(connection, request, principal, project, ActKind.FOLLOW_PROJECT, **told)
        if moved is None:
            raise NotFound("No node of this name is attached. Attach it first.", node=name)
        lost = await objects.in_tier(connection, project.id, Tier.MISSING, _WANTED)
    return answer({"state": project.state, "revision": project.revision, "wanted": [row.sha for row in lost]})


@router.delete(
    "/v1/projects/{name}/nodes/{node}",
    status_code=204,
    operation_id="detachNode",
    summary="Detach a server",
    responses=openapi.answers({204: "It follows no more"}, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": [PATH_NAME, _NODE]},
)
async def detach(request: Request) -> Response:
    """Its folder stays as it is."""
    principal, project = await project_of(request, "write")
    name = request.path_params["node"]
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        if not await projects.detach(connection, project.id, name):
            raise NotFound("No node of this name is attached.", node=name)
        await note(connection, request, principal, project, ActKind.DETACH_PROJECT_NODE, node=name)
    return Response(status_code=204)


@router.post(
    "/v1/projects/{name}/credentials",
    status_code=201,
    operation_id="createProjectCredentials",
    summary="Read a project in the hot store itself",
    responses=openapi.answers({201: ("Credentials", HotCredentials)}, "NOT_FOUND", "FORBIDDEN", "NOT_SUPPORTED"),
    openapi_extra={"parameters": [PATH_NAME], "requestBody": openapi.body_of(CredentialsBody, {"seconds": 3600})},
)
async def credentials(request: Request) -> Response:
    """For so long they read this project's contents and pointer, and hear its bell; they write nothing, and see no other project,
    least of all of another tenant. `credentials` is a file of NATS' own programs; answers have to come below `inbox`."""
    principal, project = await project_of(request, "read")
    body = await read_json(request, CredentialsBody)
    reader = contents_of(request).hots.reader(project.tenant, project.name, project.uuid, body.seconds)
    async with front_of(request).services.pool.connection() as connection:
        await note(connection, request, principal, project, ActKind.READ_PROJECT_HOT, seconds=body.seconds)
    until = datetime.now(UTC) + timedelta(seconds=body.seconds)
    return answer({**asdict(reader), "expiresAt": until}, 201)


def _document(row: DictRow) -> dict[str, Any]:
    return {
        "name": row["name"], "host": row["host"], "folder": row["folder"], "state": row["state"], "revision": row["revision"],
        "lag": row["lag"], "waiting": row["waiting"], "alive": row["alive"], "problem": row["problem"],
        "attachedAt": row["attached_at"], "seenAt": row["seen_at"],
    }  # fmt: skip
