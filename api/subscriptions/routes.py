"""Webhooks: subscribe an address to events, look at its deliveries, send dead ones again, go back in the feed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx2
import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.events.deliver import send
from api.access.admission import admit
from api.access.keyed import keep, keyed, made_before
from api.http import openapi, responses
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.ids import read_uuid
from api.http.routes import Plain
from api.services import Front, front_of
from api.subscriptions import documents
from api.subscriptions.bodies import (
    DeliveriesQuery,
    NewSubscription,
    RedriveBody,
    ReplayBody,
    SecretRotation,
    SubscriptionChanges,
    SubscriptionFilter,
    SubscriptionsQuery,
)
from api.subscriptions.shapes import (
    Delivery,
    DeliveryPage,
    NewlySubscribed,
    Redriven,
    Subscription,
    SubscriptionPage,
    TestDelivery,
)
from schema.errors import CursorExpired, InvalidRequest, NotFound, RateLimited, Unavailable
from schema.ids import MountId
from schema.principals import Principal, authorise
from schema.secrets.keyring import of_subscription
from schema.secrets.references import SecretUnreadable
from schema.store import events as event_store
from schema.store import subscriptions as store
from schema.subscriptions import webhook
from schema.subscriptions.targets import check_url
from workflows.events.start import deliver_to

_CREATE_REFUSALS = ("BACKEND_NOT_FOUND", "INVALID_PATH", "RATE_LIMITED")
router = APIRouter(route_class=Plain, tags=["events"])

MOST = 50
"""Subscriptions of a tenant: each is looked at several times a second."""
TEST = "filestore.subscription.test"
_ID = [openapi.path_id("The subscription", openapi.COMMAND_ID)]
_EXAMPLE: dict[str, Any] = {
    "url": "https://example.org/hooks/files",
    "filter": {
        "types": ["filestore.node.created", "filestore.node.deleted"],
        "backendMountId": 1,
        "pathPrefix": "inbox",
    },
}


@router.post(
    "/v1/subscriptions",
    status_code=201,
    operation_id="createSubscription",
    summary="Have events sent to an address",
    responses=openapi.answers({201: ("The subscription, with its secret", NewlySubscribed)}, *_CREATE_REFUSALS),
    openapi_extra=openapi.keyed(openapi.body_of(NewSubscription, _EXAMPLE)),
)
async def create(request: Request) -> Response:
    """From now on, each event that the filter takes and the token may see is sent as a message of Standard Webhooks, in the
    order of the feed, at least once, under an id that stays. `secret` signs them; it is shown this once, and again to the same
    request under the same key."""
    principal = await admit(request, "operate")
    front, body = front_of(request), await read_json(request, NewSubscription)
    check_url(body.url, front.services.settings.allowed_webhooks)
    filter = body.filter or SubscriptionFilter.model_validate({})
    await _check_filter(front, principal, filter)
    id, secret = str(uuid.uuid4()), webhook.new_secret()
    asked = keyed(request, principal, body)
    async with front.services.pool.connection() as connection, connection.transaction():
        if (known := await made_before(connection, asked)) is not None:
            return await _with_secret(front, connection, known, principal, 201)
        if await store.count(connection, principal.tenant, MOST) >= MOST:
            raise RateLimited(
                f"There are {MOST} subscriptions already, which is the most. Remove one that is not needed."
            )
        sealed = front.services.keys.seal(of_subscription(id), secret)
        await store.create(connection, id, principal, body.url, sealed, filter.stored(), body.description)
        await keep(connection, asked, id)
        shown = await _shown(connection, id, principal)
    _wake(front, id)
    return _answer(shown | {"secret": secret}, 201)


async def _check_filter(front: Front, principal: Principal, filter: SubscriptionFilter) -> None:
    """Raises BackendNotFound and what else an asker hears of places that it may not read."""
    if filter.backend_mount_id is not None:
        mount = MountId(filter.backend_mount_id)
        await front.mounts.get(mount, principal.tenant)
        authorise(principal, "read", mount)
    filter.stored()


@router.get(
    "/v1/subscriptions",
    operation_id="listSubscriptions",
    summary="The subscriptions",
    responses=openapi.listed("A page of them", SubscriptionPage),
    openapi_extra={"parameters": openapi.list_of(SubscriptionsQuery)},
)
@exported("subscriptions", Subscription, 100)
async def listed(request: Request) -> Response:
    """The newest first."""
    principal = await admit(request, "operate")
    query = read_query(SubscriptionsQuery, request.query_params)
    async with front_of(request).services.pool.connection() as connection:
        rows = await store.listed(connection, principal.tenant, query.limit + 1, documents.place(query.cursor))
    found = [documents.subscription(row) for row in rows[: query.limit]]
    pagination = {"limit": query.limit, "nextCursor": documents.further(rows, query.limit)}
    return _answer({"subscriptions": found, "pagination": pagination})


@router.get(
    "/v1/subscriptions/{id}",
    operation_id="getSubscription",
    summary="A subscription",
    responses=openapi.answers({200: ("The subscription", Subscription)}, "NOT_FOUND"),
    openapi_extra={"parameters": _ID},
)
async def show(request: Request) -> Response:
    """How it stands: where it is in the feed, how many events it is behind, why it waits or is broken."""
    principal = await admit(request, "operate")
    async with front_of(request).services.pool.connection() as connection:
        return _answer(await _shown(connection, _id(request), principal))


@router.patch(
    "/v1/subscriptions/{id}",
    operation_id="updateSubscription",
    summary="Change a subscription",
    responses=openapi.answers({200: ("As it is now", Subscription)}, "NOT_FOUND", "BACKEND_NOT_FOUND", "INVALID_PATH"),
    openapi_extra={"parameters": _ID, "requestBody": openapi.body_of(SubscriptionChanges, {"state": "paused"})},
)
async def change(request: Request) -> Response:
    """Its address, filter, description; `paused` lets it rest, `active` lets it go on where it was, also after it broke."""
    principal = await admit(request, "operate")
    front, body, id = front_of(request), await read_json(request, SubscriptionChanges), _id(request)
    if body.url is not None:
        check_url(body.url, front.services.settings.allowed_webhooks)
    changes: dict[str, Any] = body.model_dump(exclude={"filter"}, exclude_none=True)
    if body.filter is not None:
        await _check_filter(front, principal, body.filter)
        changes["filter"] = body.filter.stored()
    async with front.services.pool.connection() as connection, connection.transaction():
        if not await store.change(connection, id, principal.tenant, changes):
            raise _missing()
        shown = await _shown(connection, id, principal)
    _wake(front, id)
    return _answer(shown)


@router.delete(
    "/v1/subscriptions/{id}",
    status_code=204,
    operation_id="deleteSubscription",
    summary="End a subscription",
    responses=openapi.answers({204: "It is gone, with its deliveries"}, "NOT_FOUND"),
    openapi_extra={"parameters": _ID},
)
async def remove(request: Request) -> Response:
    """A message that is on its way may still arrive."""
    principal = await admit(request, "operate")
    async with front_of(request).services.pool.connection() as connection:
        if not await store.remove(connection, _id(request), principal.tenant):
            raise _missing()
    return Response(status_code=204)


@router.get(
    "/v1/subscriptions/{id}/deliveries",
    operation_id="listDeliveries",
    summary="What became of its messages",
    responses=openapi.listed("A page of deliveries", DeliveryPage, "NOT_FOUND"),
    openapi_extra={"parameters": [*_ID, *openapi.list_of(DeliveriesQuery)]},
)
@exported("deliveries", Delivery, 200)
async def deliveries(request: Request) -> Response:
    """The newest first. What was taken is kept for a day, dead letters for thirty."""
    principal = await admit(request, "operate")
    id, query = _id(request), read_query(DeliveriesQuery, request.query_params)
    before = None if query.cursor is None else int(query.cursor)
    async with front_of(request).services.pool.connection() as connection:
        await _shown(connection, id, principal)
        rows = await store.deliveries(connection, id, principal.tenant, query.limit + 1, before, query.state)
    found = [documents.delivery(row) for row in rows[: query.limit]]
    further = str(rows[query.limit - 1]["position"]) if len(rows) > query.limit else None
    return _answer({"deliveries": found, "pagination": {"limit": query.limit, "nextCursor": further}})


@router.post(
    "/v1/subscriptions/{id}/redrive",
    operation_id="redriveDeliveries",
    summary="Send dead letters once more",
    responses=openapi.answers({200: ("How many", Redriven)}, "NOT_FOUND"),
    openapi_extra={"parameters": _ID, "requestBody": openapi.body_of(RedriveBody, {"cursors": ["4711"]})},
)
async def redrive(request: Request) -> Response:
    """Those that are named by their cursors, or all. Each is sent once, under the id it had; one that fails is dead again."""
    principal = await admit(request, "operate")
    front, body, id = front_of(request), await read_json(request, RedriveBody), _id(request)
    positions = None if body.cursors is None else [int(one) for one in body.cursors]
    async with front.services.pool.connection() as connection:
        await _shown(connection, id, principal)
        number = await store.redrive(connection, id, principal.tenant, positions)
    _wake(front, id)
    return _answer({"redriven": number})


@router.post(
    "/v1/subscriptions/{id}/replay",
    operation_id="replaySubscription",
    summary="Go on behind another cursor",
    responses=openapi.answers({200: ("As it is now", Subscription)}, "NOT_FOUND", "CURSOR_EXPIRED"),
    openapi_extra={"parameters": _ID, "requestBody": openapi.body_of(ReplayBody, {"after": "0"})},
)
async def replay(request: Request) -> Response:
    """Everything behind it is sent again, under the ids it had; a broken subscription becomes active."""
    principal = await admit(request, "operate")
    front, body, id = front_of(request), await read_json(request, ReplayBody), _id(request)
    after = int(body.after)
    async with front.services.pool.connection() as connection:
        bounds = await event_store.bounds(connection)
        if after > bounds.last:
            raise InvalidRequest(f"Position {after} is not given yet; the last one is {bounds.last}.", last=bounds.last)
        if after < bounds.first - 1:
            raise CursorExpired(after=after, earliest=bounds.first - 1)
        if not await store.replay(connection, id, principal.tenant, after):
            raise _missing()
        shown = await _shown(connection, id, principal)
    _wake(front, id)
    return _answer(shown)


@router.post(
    "/v1/subscriptions/{id}/rotate",
    operation_id="rotateSubscriptionSecret",
    summary="Another secret",
    responses=openapi.answers(
        {200: ("The subscription, with its secret", NewlySubscribed)}, "NOT_FOUND", "IDEMPOTENCY_CONFLICT"
    ),
    openapi_extra=openapi.keyed(openapi.body_of(SecretRotation, {"overlapSeconds": 86_400}), *_ID),
)
async def rotate(request: Request) -> Response:
    """For so long messages carry the signatures of both. The same request under the same key is this rotation."""
    principal = await admit(request, "operate")
    front, body, id = front_of(request), await read_json(request, SecretRotation), _id(request)
    secret = webhook.new_secret()
    sealed = front.services.keys.seal(of_subscription(id), secret)
    asked = keyed(request, principal, body)
    async with front.services.pool.connection() as connection, connection.transaction():
        if await made_before(connection, asked) is not None:
            return await _with_secret(front, connection, id, principal, 200)
        if not await store.rotate(connection, id, principal.tenant, sealed, timedelta(seconds=body.overlap_seconds)):
            raise _missing()
        await keep(connection, asked, id)
        shown = await _shown(connection, id, principal)
    return _answer(shown | {"secret": secret})


@router.post(
    "/v1/subscriptions/{id}/test",
    operation_id="testSubscription",
    summary="Send a message to try it",
    responses=openapi.answers({200: ("What came of it", TestDelivery)}, "NOT_FOUND"),
    openapi_extra={"parameters": _ID},
)
async def test(request: Request) -> Response:
    """A message of the type `filestore.subscription.test`, at once and signed like any other."""
    principal = await admit(request, "operate")
    front, id = front_of(request), _id(request)
    async with front.services.pool.connection() as connection:
        row = await store.find(connection, id, principal.tenant)
    if row is None:
        raise _missing()
    message = webhook.message_id(id, 0) + uuid.uuid4().hex[:8]
    body = webhook.body_of(TEST, row["position"], "{}", row["updated_at"].isoformat())
    allowed = front.services.settings.allowed_webhooks
    secret = _secret_of(front, row)
    async with httpx2.AsyncClient(follow_redirects=False, trust_env=False) as http:
        attempt = await send(http, row["url"], [secret], message, body, allowed)
    return _answer({"status": attempt.status, "error": attempt.error, "milliseconds": round(attempt.milliseconds, 1)})


def _secret_of(front: Front, row: Mapping[str, Any]) -> str:
    """Raises Unavailable."""
    try:
        return front.services.keys.open(of_subscription(str(row["id"])), row["secret"])
    except SecretUnreadable as error:
        raise Unavailable(f"The secret of the subscription can not be used on this host. {error}") from error


async def _with_secret(front: Front, connection: Any, id: str, principal: Principal, status: int) -> Response:
    """Asked for under the same key: the first answer was lost. Raises NotFound, Unavailable."""
    row = await store.find(connection, id, principal.tenant)
    if row is None:
        raise _missing()
    return _answer(documents.subscription(row) | {"secret": _secret_of(front, row)}, status)


async def _shown(connection: Any, id: str, principal: Principal) -> dict[str, Any]:
    """Raises NotFound."""
    row = await store.find(connection, id, principal.tenant)
    if row is None:
        raise _missing()
    return documents.subscription(row)


def _id(request: Request) -> str:
    return read_uuid(request, "subscription")


def _missing() -> NotFound:
    return NotFound("There is no such subscription.")


def _wake(front: Front, id: str) -> None:
    front.services.start(deliver_to, subscription=id)


def _answer(document: dict[str, Any], status: int = 200) -> Response:
    return responses.data(orjson.dumps(document).decode(), status)
