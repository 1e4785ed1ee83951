"""/s/{link}: what a link gives to whoever has its address."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.audited import note_read
from api.commands import run as commands
from api.commands.catalogue import UPLOAD_REFUSALS, answers
from api.files import content
from api.files.recorded import REFUSALS
from api.http import digests as checksums
from api.http import openapi, responses
from api.http.errors import EXPECTED, refusal, refusal_of
from api.http.fields import read_query
from api.http.media import mime
from api.http.routes import Plain
from api.links import projects
from api.links.admission import LinkUse, admit_link, count_use
from api.links.bodies import ListingQuery
from api.links.shapes import Listing
from api.nodes import cursors
from api.services import Front, front_of
from api.uploads import receive as incoming
from schema import paths
from schema.access.acts import ActKind
from schema.errors import FilestoreError, NodeNotFound, NotADirectory, Unauthenticated
from schema.ids import NodeId
from schema.links.link import LinkKind
from schema.nodes import NodeKind
from schema.paths import NodePath
from schema.principals import authorise
from schema.store import nodes

if TYPE_CHECKING:
    from api.http.body import RequestBody
    from schema.principals import Principal

router = APIRouter(route_class=Plain, tags=["links"])

_LINK = {
    "name": "link",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "As its address has it",
}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Of the new file"}
_GIVEN = openapi.answers({200: ("Of a folder what is in it; of a file its bytes", Listing)}, *REFUSALS, "NOT_FOUND",
                         "RATE_LIMITED", "FORBIDDEN")  # fmt: skip
_GIVEN[200]["content"]["*/*"] = {"schema": {"type": "string", "format": "binary"}}
_READS = (LinkKind.READ, LinkKind.LIST)


@router.head("/s/{link}", include_in_schema=False)
@router.get(
    "/s/{link}",
    operation_id="openLink",
    summary="What a link gives",
    responses=_GIVEN,
    openapi_extra={"parameters": [_LINK, *openapi.query_of(ListingQuery)], "security": []},
)
async def follow(request: Request) -> Response:
    """Without a token. The bytes of a file (in ranges, too), or a page of what is in a folder. Each answer but those to HEAD
    counts as a use. A password is sent as that of Basic authentication."""
    return await _refusing(request, _follow)


async def _follow(request: Request) -> Response:
    use = await admit_link(request, _READS)
    if use.link.project is not None:
        return await projects.give(request, use)
    if use.link.kind is LinkKind.READ:
        return await _content(request, use)
    query = read_query(ListingQuery, request.query_params)
    await count_use(front_of(request), use.link)
    return await _listing(front_of(request), request, use, query)


@router.put(
    "/s/{link}/{name}",
    status_code=201,
    operation_id="uploadThroughLink",
    summary="Bring a file through a link",
    responses=answers(201, *UPLOAD_REFUSALS, "NOT_FOUND", "RATE_LIMITED"),
    openapi_extra={"parameters": [_LINK, _NAME], "requestBody": openapi.bytes_of(), "security": []},
)
async def bring(request: Request) -> Response:
    """The body is the content. Nothing is replaced: where the name is taken, that is said (409 `NODE_EXISTS`)."""
    use: list[LinkUse] = []

    async def admitted(request: Request) -> Principal:
        use.append(await admit_link(request, (LinkKind.UPLOAD,)))
        return use[0].principal

    async def upload(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
        return await _upload(request, front, use[0], body)

    return await incoming.answered(request, upload, refused=_refused, admitted=admitted)


async def _refusing(request: Request, inner: Callable[[Request], Awaitable[Response]]) -> Response:
    try:
        return await inner(request)
    except EXPECTED as error:
        known = refusal_of(error)
        if known is None:
            raise
        return _refused(request, known)


def _refused(request: Request, error: FilestoreError) -> Response:
    answer = refusal(request, error)
    if isinstance(error, Unauthenticated):
        answer.headers["www-authenticate"] = 'Basic realm="link", charset="UTF-8"'
    return answer


async def _content(request: Request, use: LinkUse) -> Response:
    front = front_of(request)
    async with front.services.pool.connection() as connection:
        found = await nodes.by_path(connection, use.link.mount, use.link.path, use.link.tenant)
    if found is None:
        raise NodeNotFound()
    if request.method != "HEAD":
        await count_use(front, use.link)
    return await content.serve(request, use.principal, NodeId(found.id))


async def _listing(front: Front, request: Request, use: LinkUse, query: ListingQuery) -> Response:
    below = paths.decode(query.path, None, allow_root=True)
    path = _joined(use.link.path, below)
    authorise(use.principal, "read", use.link.mount, path)
    conditions = ["link", use.link.id, path.raw.hex()]
    after = None if query.cursor is None else cursors.read(query.cursor, conditions, len(NodeKind))
    places = use.principal.access.places("read", use.link.mount)
    matching = nodes.EVERYTHING if places.whole else nodes.Matching(readable=places)
    async with front.services.pool.connection() as connection:
        directory = await nodes.by_path(connection, use.link.mount, path, use.link.tenant)
        if directory is None or json.loads(directory.document)["state"] == "deleted":
            raise NodeNotFound(path=below.text)
        found = await nodes.children(
            connection,
            NodeId(directory.id),
            use.link.tenant,
            limit=query.limit,
            after=after,
            matching=matching,
            path=path,
        )
    if found is None or found.kind != "directory":
        raise NotADirectory()
    await note_read(request, use.principal, ActKind.READ_CONTENT, use.link.mount, {"path": path.text, "listing": True})
    entries = [_entry(one) for one in json.loads(f"[{found.page.items}]")]
    following = None if found.page.further is None else cursors.write(found.page.further, conditions)
    document = {"path": below.text, "entries": entries, "pagination": {"limit": query.limit, "nextCursor": following}}
    return responses.data(orjson.dumps(document).decode())


def _joined(above: NodePath, below: NodePath) -> NodePath:
    """Raises InvalidPath where it is too long."""
    return paths.check(b"/".join(part for part in (above.raw, below.raw) if part), allow_root=True)


def _entry(node: dict[str, Any]) -> dict[str, Any]:
    """Nothing of what is said about it, and of who did what."""
    name = node["path"].rpartition("/")[2]
    return {
        "name": name,
        "kind": node["kind"],
        "sizeBytes": node["sizeBytes"],
        "lastModifiedAt": node["lastModifiedAt"],
    }


async def _upload(request: Request, front: Front, use: LinkUse, body: RequestBody) -> Response:
    body.check_size(front.services.settings.upload_max_bytes)
    path = _joined(use.link.path, _name(request))
    headers = incoming.read_headers(request)
    mount = await incoming.open_mount(front, use.principal, use.link.mount, path)
    command = incoming.command(
        use.principal, mount, path, headers, metadata=None, overwrite=False,
        mime_type=mime(request.headers.get("content-type", "")),
    )  # fmt: skip
    wanted = incoming.wanted(front, command, mount, None, headers.claimed, headers.asked, body.length)
    body.expect_digest(checksums.carried(request.headers))
    await count_use(front, use.link)
    submission = await incoming.stage(front, wanted, body.pieces())
    return await commands.answer(request, front, submission, 201)


def _name(request: Request) -> NodePath:
    """Raises InvalidPath."""
    return paths.decode(request.path_params["name"], None)
