"""The project of a request, and what its token may do with it: on all of its mount, because that is where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from fastapi import Request
from starlette.responses import Response

from api.access.admission import admit
from api.http.responses import JSON
from api.services import front_of
from schema.errors import NotFound, Unavailable
from schema.paths import ROOT
from schema.principals import Principal, authorise, readable
from schema.store import project_acts
from schema.store import projects as store
from schema.store.projects import Project

if TYPE_CHECKING:
    from activities.sync.contents import Contents
    from schema.access.actions import Action
    from schema.access.acts import ActKind
    from schema.ids import MountId
    from schema.store.connection import Connection

PATH_NAME: dict[str, Any] = {
    "name": "name", "in": "path", "required": True, "description": "The project", "schema": {"type": "string"}, "example": "site",
}  # fmt: skip


def path_part(name: str, description: str, example: str) -> dict[str, Any]:
    return {
        "name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}, "example": example,
    }  # fmt: skip


async def project_of(request: Request, action: Action) -> tuple[Principal, Project]:
    """Raises NotFound, and as `admit`."""
    principal = await admit(request, action)
    async with front_of(request).services.pool.connection() as connection:
        found = await store.find(connection, principal.tenant, str(request.path_params["name"]))
    if found is None or not readable(principal, found.mount):
        raise NotFound("There is no such project. GET /v1/projects lists them.")
    authorise_project(principal, action, found.mount)
    return principal, found


def authorise_project(principal: Principal, action: Action, mount: MountId) -> None:
    """Raises BackendNotFound, NodeNotFound, Forbidden."""
    authorise(principal, action, mount, ROOT, tree=True)


def contents_of(request: Request) -> Contents:
    """Raises Unavailable."""
    contents = front_of(request).services.contents
    if contents is None:
        raise Unavailable("This process has no stores for projects.")
    return contents


async def note(
    connection: Connection, request: Request, principal: Principal, project: Project, kind: ActKind, **payload: Any
) -> None:
    """In the journal, and from there in the audit stream: in the transaction of what was done."""
    id = request.scope.get("request_id")
    await project_acts.record(connection, project, kind, principal.name, id, **payload)


def answer(shown: object, status: int = 200) -> Response:
    return Response(orjson.dumps({"data": shown}), status, media_type=JSON)
