"""Links of files of projects: whatever content is at the path when the link is followed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from api.access.admission import admit
from api.access.audited import note_read
from api.http import openapi
from api.http.body import read_json
from api.http.disposition import disposition
from api.http.routes import Plain
from api.links.admission import LinkUse, count_use
from api.links.bodies import ProjectLinkBody
from api.links.routes import made, new_link, shown
from api.links.shapes import Link
from api.services import front_of
from schema import paths
from schema.access.acts import ActKind
from schema.errors import NodeNotFound, NotFound, Unavailable
from schema.links.link import LinkKind
from schema.paths import ROOT
from schema.principals import authorise, readable
from schema.store import projects

if TYPE_CHECKING:
    from activities.sync.contents import Contents
    from schema.store.objects import ObjectRow
    from schema.store.projects import Project

_TYPE = "application/octet-stream"
router = APIRouter(route_class=Plain, tags=["links"])

_PROJECT = {"name": "name", "in": "path", "required": True, "description": "The project", "schema": {"type": "string"}}
_REFUSALS = ("NOT_FOUND", "NODE_NOT_FOUND", "FORBIDDEN", "INVALID_PATH", "IDEMPOTENCY_CONFLICT")
_EXAMPLE = {"path": "reports/2026.pdf", "expiresIn": 86_400}


@router.post(
    "/v1/projects/{name}/links",
    status_code=201,
    operation_id="createProjectLink",
    summary="Share a file of a project by an address",
    responses=openapi.answers({201: ("The link, with its address", Link)}, *_REFUSALS),
    openapi_extra=openapi.keyed(openapi.body_of(ProjectLinkBody, _EXAMPLE), _PROJECT),
)
async def create(request: Request) -> Response:
    """Whoever has the address gets the file that is at the path then, hot or cold, and needs no token. It gives at no time more
    than its maker may do then, and ends with the maker's token, or with the project."""
    principal = await admit(request, "share")
    front, body = front_of(request), await read_json(request, ProjectLinkBody)
    path = paths.decode(body.path, body.path_b64)
    async with front.services.pool.connection() as connection, connection.transaction():
        project = await projects.find(connection, principal.tenant, str(request.path_params["name"]))
        if project is None or not readable(principal, project.mount):
            raise NotFound("There is no such project. GET /v1/projects lists them.")
        for action in ("read", "share"):
            authorise(principal, action, project.mount, ROOT, tree=True)
        if await projects.content_at(connection, project.id, path.raw) is None:
            raise NodeNotFound("The project has no file at this path.", path=path.text)
        new = await new_link(body, project.mount, path, LinkKind.READ, project.id)
        row = await made(connection, request, principal, body, new)
    return shown(front, request, principal, row, 201)


async def give(request: Request, use: LinkUse) -> Response:
    """The content that is at the path now. Raises NodeNotFound, NotFound."""
    front, link = front_of(request), use.link
    assert link.project is not None
    async with front.services.pool.connection() as connection:
        project = await projects.of_id(connection, link.project)
        sha = await projects.content_at(connection, link.project, link.path.raw)
    if project is None or sha is None:
        raise NodeNotFound()
    contents = front.services.contents
    if contents is None:
        raise Unavailable("This process has no stores for projects.")
    row = await contents.row(project, sha)
    headers = {
        "content-length": str(row.size), "etag": f'"{sha}"', "cache-control": "no-store", "x-content-type-options": "nosniff",
        "content-disposition": disposition(link.path.name.decode("utf-8", "replace")),
    }  # fmt: skip
    if request.method == "HEAD":
        return Response(status_code=200, headers=headers, media_type=_TYPE)
    await count_use(front, link)
    read = {"project": project.name, "path": link.path.text, "hash": f"sha256:{sha}"}
    await note_read(request, use.principal, ActKind.READ_CONTENT, link.mount, read)
    return StreamingResponse(_pieces(contents, project, row), headers=headers, media_type=_TYPE)


async def _pieces(contents: Contents, project: Project, row: ObjectRow) -> AsyncIterator[bytes]:
    async with aclosing(contents.read(project, row)) as pieces:
        async for piece in pieces:
            yield piece
