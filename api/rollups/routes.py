"""Rollups: have the totals of a directory, and of all below it, recomputed."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.http import openapi, responses
from api.http.body import read_json
from api.http.ids import read_recompute_id
from api.http.routes import Plain
from api.rollups.bodies import NewRecompute
from api.rollups.shapes import RollupRecompute
from api.services import front_of
from schema import paths
from schema.errors import NodeNotFound, NotADirectory, NotFound
from schema.ids import MountId
from schema.paths import ROOT, NodePath
from schema.principals import authorise, readable
from schema.store import nodes
from schema.store import recomputes as store
from workflows.upkeep.start import run_recompute

router = APIRouter(route_class=Plain, tags=["rollups"])

_BODY = openapi.body_of(NewRecompute, {"backendMountId": 1, "path": "projects"})
_REFUSALS = ("BACKEND_NOT_FOUND", "NODE_NOT_FOUND", "NOT_A_DIRECTORY", "INVALID_PATH", "FORBIDDEN")


@router.post(
    "/v1/rollups/recomputes",
    status_code=202,
    operation_id="recomputeRollups",
    summary="Recompute the totals of a tree",
    responses=openapi.answers({202: ("As it stands now", RollupRecompute)}, *_REFUSALS),
    openapi_extra={"requestBody": _BODY},
)
async def recompute(request: Request) -> Response:
    """Of a directory and of all below it, beside whatever changes there; without a path, of the whole mount. While it waits or
    runs the directory's rollup is `pending`; its end is the event `filestore.rollup.recomputed`. The same request joins the
    one that is under way."""
    principal = await admit(request, "reconcile")
    front, body = front_of(request), await read_json(request, NewRecompute)
    path = (
        ROOT if body.path is None and body.path_b64 is None else paths.decode(body.path, body.path_b64, allow_root=True)
    )
    mount = await front.mounts.get(MountId(body.backend_mount_id), principal.tenant)
    authorise(principal, "reconcile", mount.id, path)
    async with front.services.pool.connection() as connection:
        found = await nodes.by_path(connection, mount.id, path, principal.tenant)
        if found is None:
            raise NodeNotFound(backendMountId=mount.id, path=path.text)
        async with connection.transaction():
            id = await store.ask(connection, found.id, principal.name)
        shown = None if id is None else await store.document(connection, id, principal.tenant)
    if id is None or shown is None:
        raise _no_directory(found, mount.id, path)
    front.services.start(run_recompute, mount=mount.id, recompute=id)
    answer = responses.data(shown.text, 202)
    answer.headers["location"] = f"/v1/rollups/recomputes/{id}"
    return answer


def _no_directory(found: nodes.FoundNode, mount: MountId, path: NodePath) -> NodeNotFound | NotADirectory:
    """A file, or what was deleted."""
    node = orjson.loads(found.document)
    if node["state"] == "deleted":
        return NodeNotFound(backendMountId=mount, path=path.text)
    return NotADirectory(f"This is a {node['kind']}; only directories have totals.")


@router.get(
    "/v1/rollups/recomputes/{id}",
    operation_id="getRollupRecompute",
    summary="A recompute of totals",
    responses=openapi.answers({200: ("The recompute", RollupRecompute)}, "NOT_FOUND"),
    openapi_extra={"parameters": [openapi.path_id("The recompute")]},
)
async def show(request: Request) -> Response:
    """How far it is, and how it ended."""
    principal = await admit(request, "read")
    async with front_of(request).services.pool.connection() as connection:
        shown = await store.document(connection, read_recompute_id(request), principal.tenant)
    if shown is None or not readable(principal, shown.mount, shown.path):
        raise NotFound("There is no such recompute.")
    return responses.data(shown.text)
