"""Records of nodes: read them, say something of them, look for them."""

import base64
import binascii
import struct
from typing import TypeVar, cast

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.http import openapi, responses
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.ids import read_id
from api.http.responses import JSON
from api.http.routes import Plain
from api.metastore import writing
from api.metastore.bodies import NewRecord, RecordChanges, RecordQuery
from api.metastore.conditions import wanted_version
from api.metastore.queries import HistoryQuery, SearchPage
from api.metastore.shapes import MetastoreRecord, MetastoreState, RecordHistory, RecordList, RecordVersion
from api.metastore.switch import refuse_if_off
from api.services import front_of
from schema import paths
from schema.errors import InvalidRequest, NodeNotFound, NotFound
from schema.ids import MountId, NodeId
from schema.metastore.records import DEFAULT_NAMESPACE, Description, RecordEdit
from schema.principals import Principal, authorise, readable
from schema.store import metastore
from schema.store import records as store
from schema.store.records import RecordDocument, RecordSearch

_Body = TypeVar("_Body", NewRecord, RecordChanges)

router = APIRouter(route_class=Plain, tags=["metastore"])

_NODE = openapi.path_id("The node")
_IF_MATCH = openapi.header("If-Match", "The version of the record that is meant; another one: 412.")
_OFF = "NOT_SUPPORTED"
_REFUSALS = ("NODE_NOT_FOUND", "VERSION_CONFLICT", "PAYLOAD_TOO_LARGE", "FROZEN", _OFF)
_NOT_FOUND = ("BACKEND_NOT_FOUND", "INVALID_PATH", "PAYLOAD_TOO_LARGE", _OFF)
_RECORD = openapi.body_of(NewRecord, {"tags": ["raw"], "owner": "ann", "metadata": {"project": "apollo"}})
_CHANGES = openapi.body_of(RecordChanges, {"addTags": ["reviewed"], "set": {"status": "final"}})
_SEARCH = openapi.body_of(RecordQuery, {"query": "report", "tags": ["final"], "limit": 20})
_CURSOR = struct.Struct(">Q")
_ASKED = "filestore.search"
"""In the scope of a request: the body of a search, which is read once"""


@router.get(
    "/v1/metastore",
    operation_id="getMetastore",
    summary="How far the Metastore is",
    responses=openapi.answers({200: ("Its state", MetastoreState)}),
)
async def state(request: Request) -> Response:
    """Behind by how many events, and since when. `stalled`: there are events, and none is taken in; `problem` says why."""
    await admit(request, "read")
    front = front_of(request)
    async with front.services.pool.connection() as connection:
        found = await metastore.state(connection)
    shown = {
        "state": found.state(on=front.services.settings.metastore), "position": found.position, "last": found.last,
        "behind": found.last - found.position, "lagSeconds": found.lag_seconds, "records": found.records,
        "lookedAt": found.looked_at, "problem": found.problem,
    }  # fmt: skip
    return responses.data(orjson.dumps(shown).decode())


@router.get(
    "/v1/metastore/records/{id}",
    operation_id="getRecord",
    summary="What is said of a node",
    responses=openapi.answers({200: ("The record", MetastoreRecord)}, "NODE_NOT_FOUND", "NOT_FOUND", _OFF),
    openapi_extra={"parameters": [_NODE]},
)
async def show(request: Request) -> Response:
    """Closed records too. `NOT_FOUND`: the Metastore has not taken in the node's first event yet."""
    principal = await admit(request, "read")
    refuse_if_off(request)
    node = read_id(request)
    async with front_of(request).services.pool.connection() as connection:
        place = await store.node_place(connection, node, principal.tenant)
        if place is None or not readable(principal, place.mount, place.path):
            raise NodeNotFound()
        found = await store.document(connection, node, principal.tenant)
    if found is None:
        raise NotFound("The Metastore has no record of this node yet. Try again shortly, or PUT one.")
    return _record(found)


@router.put(
    "/v1/metastore/records/{id}",
    operation_id="putRecord",
    summary="Say all of a node",
    responses=openapi.answers({200: ("The record", MetastoreRecord)}, *_REFUSALS),
    openapi_extra={"parameters": [_NODE, _IF_MATCH], "requestBody": _RECORD},
)
async def put(request: Request) -> Response:
    """What is left out is taken away. Where a rule names the namespace of the path, another one is refused or corrected, as the
    rule says; metadata has to fit the schema of the namespace. A record that a client removed is open again."""
    principal, node, body = await _asked(request, NewRecord)
    version = wanted_version(request.headers, body.if_match, body.version)

    def change(was: Description) -> Description:
        return Description(body.namespace or was.namespace or DEFAULT_NAMESPACE, body.tags, body.owner, body.metadata)

    return _record(
        await writing.write(request, principal, node, version, change, asks_namespace=body.namespace is not None)
    )


@router.patch(
    "/v1/metastore/records/{id}",
    operation_id="patchRecord",
    summary="Change what is said of a node",
    responses=openapi.answers({200: ("The record", MetastoreRecord)}, *_REFUSALS),
    openapi_extra={"parameters": [_NODE, _IF_MATCH], "requestBody": _CHANGES},
)
async def patch(request: Request) -> Response:
    """What is left out stays. `tags` replaces all tags, `addTags` and `removeTags` change some of them; `set` and `unset` change
    metadata by name."""
    principal, node, body = await _asked(request, RecordChanges)
    changes = RecordEdit(
        body.tags, body.add_tags, body.remove_tags, body.owner, "owner" in body.model_fields_set, body.namespace, body.set,
        body.unset,
    )  # fmt: skip
    version = wanted_version(request.headers, body.if_match, body.version)
    return _record(
        await writing.write(request, principal, node, version, changes.of, asks_namespace=body.namespace is not None)
    )


@router.delete(
    "/v1/metastore/records/{id}",
    operation_id="deleteRecord",
    summary="Forget what is said of a node",
    responses=openapi.answers(
        {200: ("The record", MetastoreRecord)}, "NODE_NOT_FOUND", "VERSION_CONFLICT", "FROZEN", _OFF
    ),
    openapi_extra={"parameters": [_NODE, _IF_MATCH]},
)
async def delete(request: Request) -> Response:
    """The record is closed, and its history keeps what was said. It follows its node on; PUT or PATCH opens it again. Doing it
    again is harmless."""
    principal = await admit(request, "describe")
    refuse_if_off(request)
    version = wanted_version(request.headers, None, None)
    return _record(await writing.remove(request, principal, read_id(request), version))


@router.get(
    "/v1/metastore/records/{id}/history",
    operation_id="getRecordHistory",
    summary="What was said of a node",
    responses=openapi.listed("Versions", RecordHistory, "NODE_NOT_FOUND", _OFF),
    openapi_extra={"parameters": [_NODE, *openapi.list_of(HistoryQuery)]},
)
@exported("versions", RecordVersion, 200)
async def history(request: Request) -> Response:
    """The latest version first. Where a node lay is in the journal."""
    principal = await admit(request, "read")
    refuse_if_off(request)
    node, query = read_id(request), read_query(HistoryQuery, request.query_params)
    before = store.FIRST if query.cursor is None else _read_cursor(query.cursor)
    async with front_of(request).services.pool.connection() as connection:
        place = await store.node_place(connection, node, principal.tenant)
        if place is None or not readable(principal, place.mount, place.path):
            raise NodeNotFound()
        found = await store.history(connection, node, before, query.limit + 1)
    page = found[: query.limit]
    further = page[-1].version if len(found) > query.limit else None
    return _page("versions", [one.text for one in page], query.limit, further)


@router.post(
    "/v1/metastore/search",
    operation_id="searchRecords",
    summary="Find records",
    responses=openapi.listed("A page of records", RecordList, *_NOT_FOUND),
    openapi_extra={"requestBody": _SEARCH, "parameters": openapi.list_of(SearchPage)},
)
async def search(request: Request) -> Response:
    """By words, tags (all of them), owner, namespace, what the metadata contains, and place. In the order of node ids."""
    await admit(request, "read")
    refuse_if_off(request)
    request.scope[_ASKED] = await read_json(request, RecordQuery)
    return await _found(request)


@exported("records", MetastoreRecord, 200)
async def _found(request: Request) -> Response:
    """A page of the search that the request asks for. An export asks for the next ones in the address, with the same body."""
    principal = await admit(request, "read")
    front, body = front_of(request), cast(RecordQuery, request.scope[_ASKED])
    asked = read_query(SearchPage, request.query_params)
    limit, cursor = asked.limit or body.limit, asked.cursor or body.cursor
    wanted = _wanted(body)
    if wanted.mount is not None:
        await front.mounts.get(wanted.mount, principal.tenant)
    authorise(principal, "read", wanted.mount)
    after = 0 if cursor is None else _read_cursor(cursor)
    found = await front.reads.run(
        lambda connection: store.search(connection, principal.tenant, wanted, after, limit + 1)
    )
    page = found[:limit]
    further = page[-1].node if len(found) > limit else None
    return _page("records", [one.text for one in page if readable(principal, one.mount, one.path)], limit, further)


def _wanted(body: RecordQuery) -> RecordSearch:
    by_path = body.path_prefix is not None or body.path_prefix_b64 is not None
    return RecordSearch(
        query=None if body.query is None else words(body.query),
        tags=body.tags,
        owner=body.owner,
        namespace=body.namespace,
        metadata=body.metadata,
        mount=None if body.backend_mount_id is None else MountId(body.backend_mount_id),
        prefix=paths.decode(body.path_prefix, body.path_prefix_b64, allow_root=True) if by_path else None,
        deleted=body.deleted,
    )


def words(query: str) -> str:
    """As the records have their words: what joins parts of a name separates words. A '-' before a word excludes it."""
    joined = [letter if letter not in "/._" else " " for letter in query]
    for at, letter in enumerate(joined):
        if letter == "-" and at and joined[at - 1].isalnum():
            joined[at] = " "
    return "".join(joined)


async def _asked(request: Request, model: type[_Body]) -> tuple[Principal, NodeId, _Body]:
    principal = await admit(request, "describe")
    refuse_if_off(request)
    return principal, read_id(request), await read_json(request, model)


def _record(found: RecordDocument) -> Response:
    answer = responses.data(found.text)
    answer.headers["etag"] = f'"{found.version}"'
    return answer


def _page(name: str, items: list[str], limit: int, further: int | None) -> Response:
    cursor = "null" if further is None else f'"{_write_cursor(further)}"'
    body = f'{{"data":{{"{name}":[{",".join(items)}],"pagination":{{"limit":{limit},"nextCursor":{cursor}}}}}}}'
    return Response(body.encode(), media_type=JSON)


def _write_cursor(at: int) -> str:
    return base64.urlsafe_b64encode(_CURSOR.pack(at)).decode().rstrip("=")


def _read_cursor(text: str) -> int:
    """Raises InvalidRequest."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        [at] = _CURSOR.unpack(raw)
    except (UnicodeEncodeError, binascii.Error, ValueError, struct.error) as error:
        raise InvalidRequest(
            "This cursor is not one of ours; begin without one.",
            fields=[{"field": "cursor", "message": "not a cursor"}],
        ) from error
    return min(int(at), store.FIRST)
