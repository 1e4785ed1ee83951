"""GET /v1/events/snapshot: the state of all nodes, from which the feed goes on without a gap.

The pages are not of one moment. Each node is as it is when its page is read, so never older than the position that the pages
name. A reader applies an event to a node only if its `version` is higher than the one it has: then it ends where the record is.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import TYPE_CHECKING, Annotated

import orjson
from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from api.access.admission import admit
from api.events.shapes import NodeSnapshot, SnapshotNode
from api.http import openapi
from api.http.exports import exported
from api.http.fields import Id, Query, Text, read_query
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import front_of
from schema import paths
from schema.errors import InvalidRequest
from schema.ids import MountId, NodeId
from schema.principals import authorise, readable
from schema.store import feed_nodes as store
from schema.store.events import below
from schema.store.feed_nodes import FeedNode, FeedStart

if TYPE_CHECKING:
    from schema.principals import Principal
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["events"])

LOOKS, LOOKED = 10, 1000
"""So often a page looks at so many nodes, before it is sent with what there is"""
_CURSOR = struct.Struct(">QQQ")


class SnapshotQuery(Query):
    limit: Annotated[int, Field(ge=1, le=1000)] = 500
    cursor: Annotated[Text | None, Field(description="`pagination.nextCursor` of the page before")] = None
    backend_mount_id: Id | None = None
    path_prefix: Annotated[Text | None, Field(description="A node and all below it, by whole names")] = None
    path_prefix_b64: Text | None = Field(None, alias="pathPrefixB64")


@router.get(
    "/v1/events/snapshot",
    operation_id="listSnapshotOfNodes",
    summary="The state of all nodes, to begin following the feed with",
    responses=openapi.listed("A page of nodes", NodeSnapshot, "BACKEND_NOT_FOUND", "INVALID_PATH"),
    openapi_extra={"parameters": openapi.list_of(SnapshotQuery)},
)
@exported("nodes", SnapshotNode, 1000)
async def snapshot(request: Request) -> Response:
    """All living nodes but the roots of mounts, each once, by id. Read all pages, then follow the feed from `after` on, which all
    pages have; apply an event to a node only if its `version` is higher. A page can be short, or empty, and have a `nextCursor`:
    go on until that is null."""
    principal = await admit(request, "read")
    front = front_of(request)
    query = read_query(SnapshotQuery, request.query_params)
    prefix = paths.decode(query.path_prefix, query.path_prefix_b64, allow_root=True)
    mount = None if query.backend_mount_id is None else MountId(query.backend_mount_id)
    if mount is not None:
        await front.mounts.get(mount, principal.tenant)
    authorise(principal, "read", mount)
    place = None if query.cursor is None else _read(query.cursor)

    async def read(connection: Connection) -> tuple[FeedStart, list[FeedNode], NodeId | None]:
        start, scanned = place or (await store.begin(connection), NodeId(0))
        found, end = await _page(connection, principal, mount, prefix.raw, start, scanned, query.limit)
        return start, found, end

    start, found, end = await front.reads.run(read)
    nodes = ",".join(node.document for node in found)
    pagination = {"limit": query.limit, "nextCursor": None if end is None else _write(start, end)}
    head = f'{{"data":{{"nodes":[{nodes}],"after":"{start.after}","pagination":'
    return Response(f"{head}{orjson.dumps(pagination).decode()}}}}}".encode(), media_type=JSON)


async def _page(
    connection: Connection, principal: Principal, mount: MountId | None, prefix: bytes, start: FeedStart, scanned: NodeId,
    limit: int,
) -> tuple[list[FeedNode], NodeId | None]:  # fmt: skip
    """What is found, and the node that the next page comes after; None: there is no next page."""
    found: list[FeedNode] = []
    for _ in range(LOOKS):
        page = await store.page(connection, principal.tenant, mount, after=scanned, last=start.last, limit=LOOKED)
        for node in page.nodes:
            if (not prefix or below(node.path.raw, prefix)) and readable(principal, node.mount, node.path):
                found.append(node)
                if len(found) == limit:
                    return found, node.id
        if page.looked is None or page.looked >= start.last:
            return found, None
        scanned = page.looked
    return found, scanned


def _write(start: FeedStart, scanned: NodeId) -> str:
    return base64.urlsafe_b64encode(_CURSOR.pack(start.after, start.last, scanned)).decode()


def _read(text: str) -> tuple[FeedStart, NodeId]:
    try:
        raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        after, last, scanned = _CURSOR.unpack(raw)
    except (UnicodeEncodeError, binascii.Error, ValueError, struct.error):
        raise _not_ours() from None
    if max(after, last, scanned) >= 2**63:
        raise _not_ours()
    return FeedStart(after, NodeId(last)), NodeId(scanned)


def _not_ours() -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not one of this service: send `pagination.nextCursor` as it came, or none to begin anew.",
        fields=[{"field": "cursor", "message": "not a cursor"}],
    )
