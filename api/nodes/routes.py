"""Nodes: GET one, by id or by path; GET lists."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from api.access.admission import admit
from api.http import openapi, responses
from api.http.exports import exported
from api.http.fields import read_query
from api.http.ids import read_id
from api.http.responses import JSON
from api.http.routes import Plain
from api.nodes import cursors, past
from api.nodes.known import KnownPlaces
from api.nodes.queries import (
    ChildrenQuery,
    Filters,
    NodeByPathQuery,
    NodeQuery,
    NodesQuery,
    RollupFilter,
    SeenFilter,
    SizeFilter,
)
from api.nodes.shapes import ChildrenPage, Node, NodePage
from api.services import Front, front_of
from schema import paths
from schema.errors import InvalidRequest, NodeNotFound, NotADirectory
from schema.ids import MountId, NodeId
from schema.nodes import NodeKind
from schema.paths import ROOT, NodePath
from schema.principals import Principal, authorise, readable
from schema.store import nodes
from schema.store.nodes import EVERYTHING, LIVING, Matching, PageEnd, Rolled

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["nodes"])

DEPTHS = cursors.KEY_MAX + 1


@router.get(
    "/v1/nodes",
    operation_id="listNodes",
    summary="The nodes at and below a path",
    responses=openapi.listed("A page of nodes", NodePage, "BACKEND_NOT_FOUND", "INVALID_PATH"),
    openapi_extra={"parameters": openapi.list_of(NodesQuery)},
)
@exported("nodes", Node, 200)
async def tree(request: Request) -> Response:
    """Ordered by depth, then by the bytes of the path. Deleted nodes are left out unless `states` asks for them; the root of
    a mount is never in a list, nor is what the token may not read."""
    principal = await admit(request, "read")
    front = front_of(request)
    query = read_query(NodesQuery, request.query_params)
    path = paths.decode(query.path, query.path_b64, allow_root=True)
    mount = await front.mounts.get(MountId(query.backend_mount_id), principal.tenant)
    authorise(principal, "read", mount.id)
    conditions = _list("tree", mount.id, path.raw, query)
    after = _after(query, conditions, DEPTHS)
    matching = _matching(query, principal, mount.id, path)
    page = await front.reads.run(
        lambda connection: nodes.tree(
            connection, mount.id, path, depth=query.depth, limit=query.limit, offset=query.offset, after=after,
            matching=matching, collisions=query.collisions,
        )
    )  # fmt: skip
    return Response(
        f'{{"data":{{"nodes":[{page.items}],"pagination":{_pagination(query, page, conditions)},'
        f'"filters":{_echo(query)}}}}}'.encode(),
        media_type=JSON,
    )


@router.get(
    "/v1/nodes/by-path",
    operation_id="getNodeByPath",
    summary="The node at a path",
    responses=openapi.answers({200: ("The node", Node)}, "NODE_NOT_FOUND", "BACKEND_NOT_FOUND", "INVALID_PATH"),
    openapi_extra={"parameters": openapi.query_of(NodeByPathQuery)},
)
async def by_path(request: Request) -> Response:
    """The living one; where there is none, the one deleted last. The empty path is the mount's root. With `asOf` the one that
    lived there then."""
    principal = await admit(request, "read")
    front = front_of(request)
    query = read_query(NodeByPathQuery, request.query_params)
    path = paths.decode(query.path, query.path_b64, allow_root=True)
    mount = await front.mounts.get(MountId(query.backend_mount_id), principal.tenant)
    authorise(principal, "read", mount.id, path)
    if query.as_of is not None:
        node = await past.at_path(front, principal, mount.id, path, query.as_of)
        return Response(orjson.dumps({"data": node}), media_type=JSON)
    found = await front.reads.run(lambda connection: nodes.by_path(connection, mount.id, path, principal.tenant))
    if found is None:
        raise NodeNotFound(backendMountId=mount.id, path=path.text)
    return responses.data(await _document(front, found, query.collisions))


@router.get(
    "/v1/nodes/{id}",
    operation_id="getNode",
    summary="A node",
    responses=openapi.answers({200: ("The node", Node)}, "NODE_NOT_FOUND"),
    openapi_extra={"parameters": [openapi.path_id("The node"), *openapi.query_of(NodeQuery)]},
)
async def by_id(request: Request) -> Response:
    """Deleted ones too."""
    principal = await admit(request, "read")
    query = read_query(NodeQuery, request.query_params)
    front = front_of(request)
    async with front.services.pool.connection() as connection:
        found = await nodes.by_id(connection, read_id(request), principal.tenant)
    if found is None or not readable(principal, found.mount, found.path):
        raise NodeNotFound()
    return responses.data(await _document(front, found, query.collisions))


async def _document(front: Front, found: nodes.FoundNode, collisions: bool) -> str:
    """The node as clients read it, with the names it collides with where they are asked for."""
    document = found.document
    if found.protection is not None:
        document = f'{document[:-1]},"protection":{found.protection}}}'
    if not collisions:
        return document
    names = await front.reads.run(lambda connection: nodes.collides_with(connection, found.id))
    return f'{document[:-1]},"collidesWith":{names}}}'


@router.get(
    "/v1/nodes/{id}/children",
    operation_id="listChildren",
    summary="What a directory holds",
    responses=openapi.listed("A page of children", ChildrenPage, "NODE_NOT_FOUND", "NOT_A_DIRECTORY"),
    openapi_extra={"parameters": [openapi.path_id("The directory's node"), *openapi.list_of(ChildrenQuery)]},
)
@exported("children", Node, 200)
async def children(request: Request) -> Response:
    """Ordered by kind, then by the bytes of the name. Deleted nodes are left out unless `states` asks for them. With `asOf` what
    it held then, though it was moved or deleted meanwhile."""
    principal = await admit(request, "read")
    query = read_query(ChildrenQuery, request.query_params)
    directory = read_id(request)
    if query.as_of is not None:
        page = await past.children(front_of(request), principal, directory, query, query.as_of)
        return Response(orjson.dumps({"data": page}), media_type=JSON)
    conditions = _list("children", directory, b"", query)
    after = _after(query, conditions, len(NodeKind))
    found = await _children(request, principal, directory, query, after)
    if found is None or not readable(principal, found.parent.mount, found.parent.path):
        raise NodeNotFound()
    if found.kind != "directory":
        raise NotADirectory(f"This is a {found.kind}; only directories have children.")
    return Response(
        f'{{"data":{{"parent":{found.parent.document},"children":[{found.page.items}],'
        f'"pagination":{_pagination(query, found.page, conditions)},"filters":{_echo(query)}}}}}'.encode(),
        media_type=JSON,
    )


async def _children(
    request: Request, principal: Principal, directory: NodeId, query: ChildrenQuery, after: PageEnd | None
) -> nodes.Children | None:
    """Where the directory lies says what of it may be read. It is read for where it lay when it was last looked at, and once more
    where that has changed: so grants cost no question of their own."""
    front, known = front_of(request), cast(KnownPlaces, request.app.state.directory_places)
    place = known.of(directory) if principal.access.narrowed else None
    matching, path = (_asked(query), ROOT) if place is None else (_matching(query, principal, *place), place[1])

    async def read(connection: Connection) -> nodes.Children | None:
        return await nodes.children(
            connection, directory, principal.tenant, limit=query.limit, offset=query.offset, after=after,
            matching=matching, path=path,
        )  # fmt: skip

    while True:
        found = await front.reads.run(read)
        if found is None or not principal.access.narrowed:
            return found
        place = found.parent.mount, found.parent.path
        known.keep(directory, place)
        wanted = _matching(query, principal, *place)
        if wanted == matching and (matching.readable is None or path == place[1]):
            return found
        matching, path = wanted, place[1]


def _matching(
    query: NodesQuery | ChildrenQuery, principal: Principal | None = None, mount: MountId | None = None,
    path: NodePath = ROOT,
) -> Matching:  # fmt: skip
    """What is asked for, of that what the principal may read. Postgres looks through the grants for each row: it gets those alone
    that are about what lies at the path or below it."""
    asked = _asked(query)
    if principal is None or mount is None:
        return asked
    places = principal.access.places("read", mount).below(path)
    return asked if places.whole else replace(asked, readable=places)


def _asked(query: NodesQuery | ChildrenQuery) -> Matching:
    if not query.model_fields_set & {"search", "states", "kinds", "drift_only", "filters"}:
        return EVERYTHING
    filters = query.filters or Filters()
    size, seen = filters.size or SizeFilter(), filters.last_seen_at or SeenFilter()
    return Matching(
        states=tuple(query.states or LIVING),
        kinds=query.kinds,
        drift_only=query.drift_only,
        search=query.search or None,
        query=filters.query or None,
        metadata=tuple((one.key, one.value) for one in filters.metadata),
        min_size=size.min,
        max_size=size.max,
        seen_after=seen.after,
        seen_before=seen.before,
        rollup=_rolled(filters.rollup),
    )


def _rolled(wanted: RollupFilter | None) -> Rolled | None:
    if wanted is None:
        return None
    bounds = wanted.model_dump()
    bounds["calculated_after"] = bounds.pop("last_calculated_after")
    bounds["calculated_before"] = bounds.pop("last_calculated_before")
    return Rolled(**bounds)


def _echo(query: BaseModel) -> str:
    """The conditions of a list, as they were understood. A list of values is always an array, also where it was not
    sent."""
    filters = query.model_dump(by_alias=True, exclude={"limit", "offset", "cursor", "as_of"}, mode="json")
    return orjson.dumps(filters | {name: filters[name] or [] for name in ("states", "kinds")}).decode()


def _list(kind: str, of: int, path: bytes, query: NodesQuery | ChildrenQuery) -> list[object]:
    """What identifies a list: a cursor is valid for that list alone. The size of its pages is no part of it."""
    matter = query.model_dump(
        exclude={"backend_mount_id", "path", "path_b64", "limit", "offset", "cursor", "as_of"}, mode="json"
    )
    return [kind, of, path.hex(), matter]


def _after(query: NodesQuery | ChildrenQuery, conditions: object, ranks: int) -> PageEnd | None:
    if query.cursor is None:
        return None
    if query.offset:
        raise InvalidRequest(
            "A list goes on at a cursor or at an offset: send one of them.",
            fields=[{"field": "cursor", "message": "sent with an offset"}],
        )
    return cursors.read(query.cursor, conditions, ranks)


def _pagination(query: NodesQuery | ChildrenQuery, page: nodes.NodePage, conditions: object) -> str:
    """Behind a cursor it is not counted how many came before: there is no next offset."""
    further, by_offset = page.further, query.cursor is None
    return orjson.dumps({
        "total": page.total,
        "limit": query.limit,
        "offset": query.offset,
        "nextOffset": query.offset + query.limit if further is not None and by_offset else None,
        "nextCursor": None if further is None else cursors.write(further, conditions),
    }).decode()  # fmt: skip
