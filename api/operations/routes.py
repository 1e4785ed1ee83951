"""Operations: make one, list them, look at one and its items, follow it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from api.access.admission import admit
from api.access.second_person import waits_for_others
from api.http import openapi
from api.http.body import read_text
from api.http.exports import exported
from api.http.fields import read_query
from api.http.keys import read_correlation, read_key
from api.http.routes import Plain
from api.operations import answers, documents, make, undo
from api.operations.bodies import ItemsQuery, KindBody, NewOperation, NewUndo, OperationBody, OperationsQuery
from api.operations.shapes import ItemPage, Operation, OperationItem, OperationPage, example
from api.services import front_of
from schema import paths
from schema.access.approvals import ApprovalAct
from schema.errors import FilestoreError
from schema.ids import MountId
from schema.operations.operation import OperationKind, OperationState
from schema.store import operations as store
from schema.store.operations import OperationFilter
from workflows.operations.start import drive

router = APIRouter(route_class=Plain, tags=["operations"])

_STREAM_SECONDS = 0.25
_STREAM_BEAT = 20.0


@router.post(
    "/v1/operations",
    status_code=202,
    operation_id="createOperation",
    summary="Change a tree",
    responses=openapi.answers(answers.ACCEPTED, "BACKEND_NOT_FOUND", "INVALID_PATH", "FORBIDDEN", *answers.REFUSALS),
    openapi_extra={"parameters": answers.NAMES, "requestBody": openapi.body_of(OperationBody, example())},
)
async def create(request: Request) -> Response:
    """Copy, move, delete, restore, describe, tag or verify a whole subtree, or what a selection takes of it. First its plan is
    made: every item, with its conflicts. With `planOnly` it waits then, to be looked at and applied; otherwise it runs. The same
    request under the same key joins the operation that is there. `undo` puts back what a selection takes of all changes, the
    newest first: each node goes back to before the latest changes that are all the selection's, and what anything else changed
    since is left as it is, and listed. `tag` changes what the Metastore says of nodes.

    An `import` makes known what lies on the storage below `path` already. It has no plan: it scans, and `planOnly` waits with
    that."""
    principal = await admit(request, "operate")
    front = front_of(request)
    text = await read_text(request)
    if KindBody.model_validate_json(text).kind == OperationKind.UNDO:
        return await undo.undo(request, principal, NewUndo.model_validate_json(text))
    body = NewOperation.model_validate_json(text)
    if body.kind == "purge":
        await admit(request, "mounts")
        if waits_for_others(request, principal, ApprovalAct.PURGE):
            body = body.model_copy(update={"plan_only": True})  # what is agreed to is its plan: `apply` asks
    operation = await make.operation_of(front, principal, body, read_correlation(request.headers))
    key = read_key(request.headers, body.idempotency_key)
    asked = body.model_dump(mode="json", exclude={"idempotency_key"})
    async with front.services.pool.connection() as connection:
        id, new = await make.create(connection, operation, key, asked)
        shown = await answers.document(request, connection, id, principal)
    if new and operation.state is not OperationState.PLANNED:
        front.services.start(
            drive, mount=operation.mount_id, id=id, turn=1, plans=operation.state is OperationState.PLANNING
        )
    return answers.answered(shown, 202)


@router.get(
    "/v1/operations",
    operation_id="listOperations",
    summary="The operations",
    responses=openapi.listed("A page of operations", OperationPage),
    openapi_extra={"parameters": openapi.list_of(OperationsQuery)},
)
@exported("operations", Operation, 100)
async def listed(request: Request) -> Response:
    """Of the caller's tenant, the newest first. A page can be short where the token may not read all places: go on until
    `nextCursor` is null."""
    principal = await admit(request, "read")
    query = read_query(OperationsQuery, request.query_params)
    asked = OperationFilter(
        states=query.state,
        kinds=query.kind,
        mount=None if query.backend_mount_id is None else MountId(query.backend_mount_id),
        principal=query.principal,
        path=None if query.path is None else paths.parse(query.path, allow_root=True),
        before=query.cursor,
    )
    async with front_of(request).services.pool.connection() as connection:
        ids = await store.listed(connection, principal.tenant, asked, query.limit)
        shown = [one for id in ids if (one := await answers.seen(request, connection, id, principal)) is not None]
    following = ids[-1] if len(ids) == query.limit else None
    return answers.as_json({"operations": shown, "pagination": {"limit": query.limit, "nextCursor": following}})


@router.get(
    "/v1/operations/{id}",
    operation_id="getOperation",
    summary="An operation",
    responses=openapi.answers({200: ("The operation", Operation)}, "NOT_FOUND"),
    openapi_extra={"parameters": answers.PARAMETERS},
)
async def show(request: Request) -> Response:
    """With its plan, its progress, and what went wrong."""
    principal = await admit(request, "read")
    async with front_of(request).services.pool.connection() as connection:
        return answers.answered(await answers.document(request, connection, answers.read_id(request), principal), 200)


@router.get(
    "/v1/operations/{id}/items",
    operation_id="listOperationItems",
    summary="The items of an operation",
    responses=openapi.listed("A page of items", ItemPage, "NOT_FOUND"),
    openapi_extra={"parameters": [*answers.PARAMETERS, *openapi.list_of(ItemsQuery)]},
)
@exported("items", OperationItem, 1000)
async def items(request: Request) -> Response:
    """In the order of the plan: what is to be done, what was done, what failed and why."""
    principal = await admit(request, "read")
    query, id = read_query(ItemsQuery, request.query_params), answers.read_id(request)
    async with front_of(request).services.pool.connection() as connection:
        mount = MountId((await answers.document(request, connection, id, principal))["backendMountId"])
        found = await store.items(
            connection, id, states=query.state, codes=query.code, limit=query.limit,
            after=-1 if query.cursor is None else query.cursor,
        )  # fmt: skip
    following = str(found[-1].item) if len(found) == query.limit else None
    page = {"limit": query.limit, "nextCursor": following}
    shown = [documents.item(one) for one in found if answers.item_seen(principal, mount, one)]
    return answers.as_json({"items": shown, "pagination": page})


@router.get(
    "/v1/operations/{id}/stream",
    operation_id="followOperation",
    summary="Follow an operation",
    responses=openapi.answers({200: "Server-sent events: the operation, whenever it has changed"}, "NOT_FOUND"),
    openapi_extra={"parameters": answers.PARAMETERS},
)
async def stream(request: Request) -> Response:
    """At most four times a second, until it has ended."""
    principal = await admit(request, "read")
    front, id = front_of(request), answers.read_id(request)
    async with front.services.pool.connection() as connection:
        await answers.document(request, connection, id, principal)
    return StreamingResponse(
        _followed(request, id), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def _followed(request: Request, id: str) -> AsyncIterator[bytes]:
    """Until the operation has ended, or the token does not hold any more."""
    front, seen, quiet = front_of(request), b"", 0.0
    while True:
        try:
            principal = await admit(request, "read")
        except FilestoreError:
            return
        async with front.services.pool.connection() as connection:
            shown = await answers.document(request, connection, id, principal)
        now = _without_rates(shown)
        if now != seen:
            yield b"event: operation\ndata: %b\n\n" % orjson.dumps(shown)
            seen, quiet = now, 0.0
        elif quiet >= _STREAM_BEAT:
            yield b": heartbeat\n\n"
            quiet = 0.0
        if OperationState(shown["state"]).ended:
            return
        await asyncio.sleep(_STREAM_SECONDS)
        quiet += _STREAM_SECONDS


def _without_rates(shown: dict[str, Any]) -> bytes:
    """What changes only when something happens."""
    rates = ("itemsPerSecond", "bytesPerSecond", "etaSeconds")
    return orjson.dumps({**shown, "progress": {**shown["progress"], **dict.fromkeys(rates)}})
