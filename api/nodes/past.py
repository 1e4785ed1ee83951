"""Nodes as they were: one by its path, what a directory held, a whole tree. The same answers that the nodes of now have."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
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
from api.nodes.queries import ChildrenQuery, TreeQuery
from api.nodes.shapes import Node, PastTree
from api.services import Front, front_of
from schema import paths
from schema.errors import InvalidRequest, NodeNotFound, NotADirectory
from schema.ids import MountId, NodeId
from schema.nodes import NodeKind
from schema.paths import NodePath
from schema.principals import Principal, authorise, readable
from schema.store import past, past_trees
from schema.store.nodes import PageEnd
from schema.store.past import After, PastNode

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["nodes"])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = struct.Struct(">q")
_KINDS = list(NodeKind)
_LOOK = 1000
"""Children that are looked at in one go"""
_THEN = "There was no such file or directory at that time."


def micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """Raises InvalidRequest for what is no time: it came in a cursor that nobody was given."""
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError as error:
        raise InvalidRequest("The cursor is not one of this service: send it as it came, or none.") from error


async def at_path(front: Front, principal: Principal, mount: MountId, path: NodePath, at: datetime) -> dict[str, Any]:
    """The node that lay there. Raises NodeNotFound."""

    async def read(connection: Connection) -> tuple[PastNode, NodePath] | None:
        id = await past.at_path(connection, mount, path, at)
        return None if id is None else await past.node(connection, id, principal.tenant, at)

    found = await front.reads.run(read)
    if found is None:
        raise NodeNotFound(_THEN, backendMountId=mount, path=path.text, asOf=at.isoformat())
    return document(*found)


async def children(
    front: Front, principal: Principal, directory: NodeId, query: ChildrenQuery, at: datetime
) -> dict[str, Any]:
    """A page of what the directory held."""
    if query.model_fields_set - {"limit", "cursor", "as_of"}:
        raise InvalidRequest(
            "Beside `asOf` a list takes `limit` and `cursor` alone: what was can not be searched. Leave the others out.",
            fields=[{"field": "asOf", "message": "beside other conditions"}],
        )
    conditions = ["children", directory, at.isoformat()]
    end = None if query.cursor is None else cursors.read(query.cursor, conditions, len(_KINDS))
    after = past.FIRST if end is None else After(_KINDS[end.rank], end.key, end.id)

    async def read(connection: Connection) -> tuple[tuple[PastNode, NodePath] | None, list[PastNode], int]:
        parent = await past.node(connection, directory, principal.tenant, at)
        if parent is None:
            return None, [], 0
        if principal.access.narrowed:
            return parent, *await _readable_children(connection, principal, *parent, at, after=after)
        page = await past.children(connection, directory, at, after=after, limit=query.limit + 1)
        return parent, page, await past.count_children(connection, directory, at)

    found, page, total = await front.reads.run(read)
    if found is None or not readable(principal, found[0].mount, found[1]):
        raise NodeNotFound(_THEN, nodeId=directory, asOf=at.isoformat())
    parent, path = found
    if parent.kind is not NodeKind.DIRECTORY:
        raise NotADirectory(f"This is a {parent.kind}; only directories have children.")
    held, last = page[: query.limit], page[query.limit - 1] if len(page) > query.limit else None
    further = None if last is None else PageEnd(_KINDS.index(last.kind), last.name, last.id)
    return {
        "parent": document(parent, path),
        "children": [document(one, _joined(path, one.name)) for one in held],
        "pagination": {
            "total": total, "limit": query.limit, "offset": 0, "nextOffset": None,
            "nextCursor": None if further is None else cursors.write(further, conditions),
        },
        "filters": {"asOf": at, "states": [], "kinds": []},
    }  # fmt: skip


async def _readable_children(
    connection: Connection, principal: Principal, parent: PastNode, path: NodePath, at: datetime, *, after: After
) -> tuple[list[PastNode], int]:
    """Those after a place, and how many there are in all: to count them all of them are looked at."""
    held: list[PastNode] = []
    end = past.FIRST
    while page := await past.children(connection, parent.id, at, after=end, limit=_LOOK):
        held += [one for one in page if readable(principal, parent.mount, _joined(path, one.name))]
        end = After(page[-1].kind, page[-1].name, page[-1].id)
        if len(page) < _LOOK:
            break
    order = (_KINDS.index(after.kind), after.name, after.id) if after is not past.FIRST else None
    further = [one for one in held if order is None or (_KINDS.index(one.kind), one.name, one.id) > order]
    return further, len(held)


@router.get(
    "/v1/tree",
    operation_id="getTree",
    summary="A tree, now or as it was",
    responses=openapi.listed("A page of it", PastTree, "NODE_NOT_FOUND", "BACKEND_NOT_FOUND", "INVALID_PATH"),
    openapi_extra={"parameters": openapi.list_of(TreeQuery)},
)
@exported("nodes", Node, 200)
async def tree(request: Request) -> Response:
    """The node at a path and all below it, a directory before what it holds, and beside each other by kind and name. `asOf` is a
    time, by default now. All pages show the tree of one moment, which the answer names."""
    principal = await admit(request, "read")
    front = front_of(request)
    query = read_query(TreeQuery, request.query_params)
    path = paths.decode(query.path, query.path_b64, allow_root=True)
    mount = await front.mounts.get(MountId(query.backend_mount_id), principal.tenant)
    authorise(principal, "read", mount.id, path)
    conditions = ["past", mount.id, path.raw.hex(), query.depth, query.as_of and query.as_of.isoformat()]
    at, after = _place(query, conditions)

    async def read(connection: Connection) -> tuple[datetime, PastNode, past_trees.TreePage]:
        then = at or await past.now(connection)
        id = await past.at_path(connection, mount.id, path, then)
        found = None if id is None else await past.node(connection, id, principal.tenant, then)
        if found is None:
            raise NodeNotFound(_THEN, backendMountId=mount.id, path=path.text, asOf=then.isoformat())
        page = await past_trees.page(
            connection, found[0], then, after=after, depth=query.depth, limit=query.limit,
            shown=lambda below: readable(principal, mount.id, _joined(path, below)),
        )  # fmt: skip
        return then, found[0], page

    then, top, page = await front.reads.run(read)
    shown: dict[str, Any] = {
        "asOf": then,
        "node": document(top, path),
        "nodes": [document(one, _joined(path, below)) for below, one in page.nodes],
        "pagination": {
            "limit": query.limit,
            "nextCursor": _further(page, then, conditions) if page.more else None,
        },
    }
    return Response(orjson.dumps({"data": shown}), media_type=JSON)


def _further(page: past_trees.TreePage, at: datetime, conditions: object) -> str:
    below, last = page.nodes[-1]
    key = _MOMENT.pack(micros(at)) + below
    return cursors.write(PageEnd(_KINDS.index(last.kind), key, last.id), conditions)


def _place(query: TreeQuery, conditions: object) -> tuple[datetime | None, past_trees.TreePlace | None]:
    """When, and after which node. The moment of the first page travels in the cursor."""
    if query.cursor is None:
        return query.as_of, None
    end = cursors.read(query.cursor, conditions, len(_KINDS))
    if len(end.key) <= _MOMENT.size:
        raise InvalidRequest("The cursor is not one of this service: send it as it came, or none.")
    [time] = _MOMENT.unpack_from(end.key)
    return moment(time), past_trees.TreePlace(end.key[_MOMENT.size :], _KINDS[end.rank], NodeId(end.id))


def _joined(path: NodePath, below: bytes) -> NodePath:
    return NodePath(path.raw + b"/" + below if path.raw else below)


def document(node: PastNode, path: NodePath) -> dict[str, Any]:
    """As clients read a node. What a version does not say is null, or what it was when the version began."""
    name = node.name.decode("utf-8", "replace")
    hash = node.sha256.hex() if node.sha256 else None
    exact = {} if path.b64 is None else {"pathB64": path.b64}
    return exact | {
        "id": node.id, "backendMountId": node.mount, "parentId": node.parent, "path": path.text, "name": name,
        "depth": path.raw.count(b"/") + 1 if path.raw else 0, "kind": node.kind.value, "sizeBytes": node.size,
        "checksum": node.checksum or hash, "contentHash": hash, "metadata": orjson.Fragment(node.metadata),
        "state": node.state, "version": node.version, "isSymlink": node.kind is NodeKind.SYMLINK,
        "lastSeenAt": node.valid_from, "lastModifiedAt": node.valid_from, "consistencyState": "active",
        "consistencyCheckedAt": node.valid_from, "lastReconciledAt": None, "lastDriftDetectedAt": None,
        "createdAt": node.created, "updatedAt": node.valid_from, "deletedAt": None, "rollup": None,
        "download": _download(node, name, hash), "validFrom": node.valid_from, "validTo": node.valid_to,
    }  # fmt: skip


def _download(node: PastNode, name: str, hash: str | None) -> dict[str, Any] | None:
    if node.kind is not NodeKind.FILE or not node.available:
        return None
    return {
        "mode": "stream", "streamUrl": f"/v1/files/{node.id}/content?version={node.version}", "presignUrl": None,
        "supportsRange": True, "sizeBytes": node.size, "checksum": node.checksum or hash, "contentHash": hash,
        "filename": name,
    }  # fmt: skip
