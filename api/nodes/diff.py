"""GET /v1/diff: what has changed below a path between two times."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from datetime import datetime
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
from api.nodes import cursors, shapes
from api.nodes.past import micros, moment
from api.nodes.queries import DiffQuery
from api.services import front_of
from schema import paths
from schema.errors import InvalidRequest, NodeNotFound
from schema.ids import MountId
from schema.paths import NodePath
from schema.principals import Principal, authorise, readable
from schema.store import past
from schema.store.nodes import PageEnd
from schema.store.past import Compared, Difference, Scanned, Side

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["nodes"])

LOOKS = 16
"""So often a page looks for more, before it is sent with what there is."""
_KEY = struct.Struct(">qqq")
_REFUSALS = ("NODE_NOT_FOUND", "BACKEND_NOT_FOUND", "INVALID_PATH")


@dataclass(frozen=True, slots=True)
class _Page:
    compared: Compared
    found: list[Difference]
    end: Scanned | None


@router.get(
    "/v1/diff",
    operation_id="getDiff",
    summary="What has changed between two times",
    responses=openapi.listed("A page of it", shapes.DifferencePage, *_REFUSALS),
    openapi_extra={"parameters": openapi.list_of(DiffQuery)},
)
@exported("differences", shapes.Difference, 200)
async def diff(request: Request) -> Response:
    """Below a path, and at it: each node whose place, content or metadata at `to` (by default now) is another than at `from`. A
    node is the same one wherever it was moved; what came or went with its directory is not told, the directory is. In the order in
    which it happened. A page can be short, or empty, and have a `nextCursor`: go on until that is null."""
    principal = await admit(request, "read")
    front = front_of(request)
    query = read_query(DiffQuery, request.query_params)
    path = paths.decode(query.path, query.path_b64, allow_root=True)
    mount = await front.mounts.get(MountId(query.backend_mount_id), principal.tenant)
    authorise(principal, "read", mount.id, path)
    until, after = _place(query, conditions := _conditions(query, mount.id, path))

    async def read(connection: Connection) -> _Page:
        return await _page(connection, query, principal, mount.id, path, until or await past.now(connection), after)

    page = await front.reads.run(read)
    further = None if page.end is None else _further(page.end, page.compared.until, conditions)
    shown = {
        "from": page.compared.since,
        "to": page.compared.until,
        "differences": [_document(one, path) for one in page.found],
        "pagination": {"limit": query.limit, "nextCursor": further},
    }
    return Response(orjson.dumps({"data": shown}), media_type=JSON)


async def _page(
    connection: Connection, query: DiffQuery, principal: Principal, mount: MountId, path: NodePath, until: datetime,
    after: Scanned | None,
) -> _Page:  # fmt: skip
    """The first page tells of the path itself, where it names another node now."""
    if query.since > until:
        raise InvalidRequest("`from` is later than `to`. Send the earlier time as `from`.")
    before = await past.at_path(connection, mount, path, query.since)
    now = await past.at_path(connection, mount, path, until)
    if before is None and now is None:
        raise NodeNotFound("There was nothing at this path at either time.", backendMountId=mount, path=path.text)
    compared = Compared(mount, before, now, query.since, until)
    found = await past.bases(connection, compared) if after is None else []
    end: Scanned | None = after or past.UNSCANNED
    for _ in range(LOOKS):
        if end is None or len(found) >= query.limit:
            break
        look = await past.differences(connection, compared, after=end, limit=query.limit - len(found))
        shown = (_shown(one, principal, mount, path) for one in look.found)
        found, end = [*found, *(one for one in shown if one is not None)], look.end
    return _Page(compared, found, end)


def _shown(one: Difference, principal: Principal, mount: MountId, path: NodePath) -> Difference | None:
    """What of it the principal may read: what came from a place it may not read was added, and what went to one was removed."""

    def seen(side: Side | None) -> Side | None:
        return side if side is not None and readable(principal, mount, _at(side, path)) else None

    before, after = seen(one.before), seen(one.after)
    if before is None and after is None:
        return None
    if (before, after) == (one.before, one.after):
        return one
    return replace(one, before=before, after=after, change="added" if before is None else "removed")


def _conditions(query: DiffQuery, mount: MountId, path: NodePath) -> object:
    return ["diff", mount, path.raw.hex(), query.since.isoformat(), query.until and query.until.isoformat()]


def _further(end: Scanned, until: datetime, conditions: object) -> str:
    return cursors.write(PageEnd(0, _KEY.pack(micros(until), micros(end.time), end.version), end.id), conditions)


def _place(query: DiffQuery, conditions: object) -> tuple[datetime | None, Scanned | None]:
    """The end of the span, and how far it was looked at. The end that the first page had travels in the cursor."""
    if query.cursor is None:
        return query.until, None
    place = cursors.read(query.cursor, conditions, 1)
    if len(place.key) != _KEY.size:
        raise InvalidRequest("The cursor is not one of this service: send it as it came, or none.")
    until, time, version = _KEY.unpack(place.key)
    return moment(until), Scanned(moment(time), place.id, version)


def _document(one: Difference, path: NodePath) -> dict[str, Any]:
    before, after = (None if side is None else _side(side, path) for side in (one.before, one.after))
    return {"change": one.change, "nodeId": one.node, "kind": one.kind, "before": before, "after": after}


def _at(side: Side, path: NodePath) -> NodePath:
    return NodePath(b"/".join(part for part in (path.raw, side.path) if part))


def _side(side: Side, path: NodePath) -> dict[str, Any]:
    here = _at(side, path)
    exact = {} if here.b64 is None else {"pathB64": here.b64}
    return exact | {
        "path": here.text,
        "version": side.version,
        "sizeBytes": side.size,
        "contentHash": side.sha256.hex() if side.sha256 else None,
        "validFrom": side.since,
    }
