"""GET /v1/trash: what overwrites and deletions have kept."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.http import openapi
from api.http.exports import exported
from api.http.fields import read_query
from api.http.responses import JSON
from api.http.routes import Plain
from api.nodes import cursors
from api.nodes.past import micros, moment
from api.nodes.queries import TrashQuery
from api.nodes.shapes import TrashedVersion, TrashListing
from api.services import front_of
from schema import paths
from schema.errors import InvalidRequest
from schema.ids import MountId
from schema.paths import NodePath
from schema.principals import Principal, authorise, readable
from schema.store import past, trash
from schema.store.nodes import PageEnd
from schema.store.trash import KeptUntil, TrashEntry, TrashPage

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["nodes"])

LOOKS = 16
"""So often a page looks for more, before it is sent with what there is."""
_KEY = struct.Struct(">qq")
_RESTORE = "/v1/nodes/restore"


@router.get(
    "/v1/trash",
    operation_id="listTrash",
    summary="What overwrites and deletions have kept",
    responses=openapi.listed("A page of it", TrashListing, "BACKEND_NOT_FOUND", "INVALID_PATH"),
    openapi_extra={"parameters": openapi.list_of(TrashQuery)},
)
@exported("entries", TrashedVersion, 100)
async def listed(request: Request) -> Response:
    """Of a mount, below a path and at it, what is kept for longest first: as a rule what went last. A deleted directory is one
    entry, with the totals of what went with it. `restore` is the way back: these requests, one after the other. A page can
    be short, or empty, and have a `nextCursor`: go on until that is null."""
    principal = await admit(request, "read")
    front = front_of(request)
    query = read_query(TrashQuery, request.query_params)
    path = paths.decode(query.path, query.path_b64, allow_root=True)
    mount = await front.mounts.get(MountId(query.backend_mount_id), principal.tenant)
    authorise(principal, "read", mount.id)
    conditions = ["trash", mount.id, path.raw.hex()]
    after = _after(query, conditions)
    page = await front.reads.run(lambda connection: _page(connection, principal, mount.id, path, after, query.limit))
    further = None if page.end is None else _further(page.end, conditions)
    shown = {
        "entries": [_document(one, mount.id) for one in page.entries],
        "pagination": {"limit": query.limit, "nextCursor": further},
    }
    return Response(orjson.dumps({"data": shown}), media_type=JSON)


async def _page(
    connection: Connection, principal: Principal, mount: MountId, path: NodePath, after: KeptUntil, limit: int
) -> TrashPage:
    root = await past.root_of(connection, mount)
    if root is None:
        return TrashPage([], None)
    found: list[TrashEntry] = []
    end: KeptUntil | None = after
    for _ in range(LOOKS):
        if end is None or len(found) >= limit:
            break
        look = await trash.kept(connection, mount, root, path, after=end, limit=limit - len(found))
        found, end = [*found, *(one for one in look.entries if readable(principal, mount, one.path))], look.end
    return TrashPage(found, end)


def _further(end: KeptUntil, conditions: object) -> str:
    return cursors.write(PageEnd(0, _KEY.pack(micros(end.until), end.version), end.node), conditions)


def _after(query: TrashQuery, conditions: object) -> KeptUntil:
    if query.cursor is None:
        return trash.LAST
    place = cursors.read(query.cursor, conditions, 1)
    if len(place.key) != _KEY.size:
        raise InvalidRequest("The cursor is not one of this service: send it as it came, or none.")
    until, version = _KEY.unpack(place.key)
    return KeptUntil(moment(until), place.id, version)


def _document(one: TrashEntry, mount: MountId) -> dict[str, Any]:
    exact = {} if one.path.b64 is None else {"pathB64": one.path.b64}
    content = f"/v1/files/{one.node}/content?version={one.version}" if one.kind == "file" else None
    return exact | {
        "nodeId": one.node, "backendMountId": mount, "path": one.path.text, "kind": one.kind, "version": one.version,
        "sizeBytes": one.size, "fileCount": one.files, "directoryCount": one.directories,
        "contentHash": one.sha256.hex() if one.sha256 else None, "contentUrl": content, "keptSince": one.ended,
        "keptUntil": one.until, "commandId": one.command, "command": one.kind_of_command,
        "principal": one.principal, "journalEntryId": one.entry, "restore": _way_back(one, mount),
    }  # fmt: skip


def _way_back(one: TrashEntry, mount: MountId) -> list[dict[str, Any]]:
    """A deleted node comes back as itself. Older content comes back to a node that lives: where it does not, it does so first."""
    node: dict[str, Any] = {"backendMountId": mount, "nodeId": one.node}
    alone = {"method": "POST", "path": _RESTORE, "body": node}
    content = {"method": "POST", "path": _RESTORE, "body": node | {"version": one.version}}
    if one.went_with_it:
        return [alone]
    return [content] if one.lives else [alone, content]
