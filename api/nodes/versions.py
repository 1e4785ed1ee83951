"""GET /v1/nodes/{id}/snapshots: every version of a node, newest first, and where to read what it held."""

import base64

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.http import openapi
from api.http.exports import exported
from api.http.fields import read_query
from api.http.ids import read_id
from api.http.responses import JSON
from api.http.routes import Plain
from api.nodes.queries import SnapshotsQuery
from api.nodes.shapes import Version, VersionPage
from api.services import front_of
from schema.errors import NodeNotFound
from schema.ids import NodeId
from schema.principals import readable
from schema.store import nodes, snapshots
from schema.store.snapshots import SnapshotRow

router = APIRouter(route_class=Plain, tags=["nodes"])


@router.get(
    "/v1/nodes/{id}/snapshots",
    operation_id="listSnapshots",
    summary="The versions of a node",
    responses=openapi.listed("A page of versions", VersionPage, "NODE_NOT_FOUND"),
    openapi_extra={"parameters": [openapi.path_id("The node"), *openapi.list_of(SnapshotsQuery)]},
)
@exported("snapshots", Version, 200)
async def versions(request: Request) -> Response:
    """Newest first; of deleted nodes too. `contentAvailable` says whether `contentUrl` has the bytes of that version, and
    `contentUntil` until when (null: no end is set). `cursor` goes on behind a page: send `pagination.nextCursor`."""
    principal = await admit(request, "read")
    query = read_query(SnapshotsQuery, request.query_params)
    node = read_id(request)
    async with front_of(request).services.pool.connection() as connection:
        known = await nodes.file(connection, node, principal.tenant)
        if known is None or not readable(principal, known.mount, known.path):
            raise NodeNotFound()
        # One more than asked for tells whether there is a page after this one.
        page = await snapshots.page(connection, node, limit=query.limit + 1, before=query.cursor)
    shown = page[: query.limit]
    following = shown[-1].version if len(page) > query.limit else None
    listing = {
        "snapshots": [_document(node, one) for one in shown],
        "pagination": {"limit": query.limit, "nextCursor": following},
    }
    return Response(orjson.dumps({"data": listing}), media_type=JSON)


def _document(node: NodeId, one: SnapshotRow) -> dict[str, object]:
    name = one.name.decode("utf-8", "replace")
    exact = {} if name.encode() == one.name else {"nameB64": base64.b64encode(one.name).decode()}
    return exact | {
        "version": one.version,
        "commandId": one.command,
        "journalEntryId": one.entry,
        "parentId": one.parent,
        "name": name,
        "kind": one.kind,
        "state": one.state,
        "sizeBytes": one.size,
        "contentHash": one.sha256.hex() if one.sha256 else None,
        "metadata": orjson.Fragment(one.metadata),
        "validFrom": one.valid_from,
        "validTo": one.valid_to,
        "contentAvailable": one.available,
        "contentUntil": one.until,
        "contentUrl": f"/v1/files/{node}/content?version={one.version}" if one.available else None,
    }
