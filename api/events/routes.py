"""Events: GET /v1/events/stream and /v1/events/ws push them, GET /v1/events returns pages of them. The same feed, the same
filters, the same rights."""

from collections.abc import Mapping
from time import monotonic
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.events.feed import Feed, feed_of
from api.events.following import FollowedFeed, readable
from api.events.forms import FORMS, cloud, compact
from api.events.queries import EventsQuery, StreamQuery
from api.events.shapes import Event, EventPage
from api.events.socket import CURSOR, EventSocket
from api.events.sse import EventStream
from api.http import openapi
from api.http.exports import exported
from api.http.fields import ID_MAX, read_query
from api.http.presence import while_connected
from api.http.responses import JSON
from api.http.routes import Plain
from api.http.sockets import is_socket
from api.services import front_of
from schema import paths
from schema.errors import CursorExpired, InvalidRequest, Unavailable, UpgradeRequired
from schema.ids import MountId
from schema.principals import Principal, authorise
from schema.store.events import Bounds, EventFilter, Placed

router = APIRouter(route_class=Plain, tags=["events"])
_REFUSALS = ("BACKEND_NOT_FOUND", "INVALID_PATH", "CURSOR_EXPIRED")


def _following(data: Mapping[str, Any]) -> Mapping[str, str] | None:
    """As far as the feed is long when its end is reached."""
    return None if data["next"] >= data["last"] else {"after": str(data["next"])}


PARTS = 20
"""Parts of the feed one poll looks through at most, wanted or not."""
POLL_BYTES = 4 * 2**20

_LAST_EVENT_ID = openapi.header(
    "Last-Event-ID", "Goes on right after this position; wins over `lastEventId`. Browsers send it by themselves.",
    type="integer", minimum=0,
)  # fmt: skip
_STREAM = {"description": "The stream", "content": {EventStream.media_type: {"schema": {"type": "string"}}}}


@router.get(
    "/v1/events/stream",
    operation_id="streamEvents",
    summary="Events as they happen",
    responses=openapi.answers({}, "BACKEND_NOT_FOUND", "INVALID_PATH") | {200: _STREAM},
    openapi_extra={"parameters": [*openapi.query_of(StreamQuery), _LAST_EVENT_ID]},
)
async def stream(request: Request) -> Response:
    """Server-sent events: `event` is the type, `id` the position, `data` is `{type, data}` on one line. From now on, or
    right after `Last-Event-ID`: nothing is missed, nothing comes twice. `filestore.stream.reset` says that events are
    gone that the client has not seen."""
    principal = await admit(request, "read")
    query = read_query(StreamQuery, request.query_params)
    followed = await _followed(request, principal, query)
    return EventStream(followed, cloud if query.format == "cloudevents" else compact)


_SOCKET = {"description": "The socket is open: each text frame is an event", "headers": {
    CURSOR: {"description": "Where it begins: go on here if no event came", "schema": {"type": "string"}},
}}  # fmt: skip


@router.get(
    "/v1/events/ws",
    operation_id="openEventSocket",
    summary="Events as they happen, through a WebSocket",
    responses=openapi.answers({}, "BACKEND_NOT_FOUND", "INVALID_PATH", "UPGRADE_REQUIRED") | {101: _SOCKET},
    openapi_extra={"parameters": [*openapi.query_of(StreamQuery), _LAST_EVENT_ID]},
)
async def socket(request: Request) -> Response:
    """The same events, filters and rights as the stream, and the same ways to go on. A text frame is
    `{position, cursor, type, data}`; with `format=cloudevents` its `id` is the cursor. `filestore.stream.position` says how far
    it has looked. A browser offers the subprotocols `filestore` and `bearer.<token>`. What a client sends is not read."""
    principal = await admit(request, "read")
    query = read_query(StreamQuery, request.query_params)
    followed = await _followed(request, principal, query)
    if not is_socket(request.scope):
        raise UpgradeRequired
    return EventSocket(followed, FORMS[query.format])


@router.get(
    "/v1/events",
    operation_id="listEvents",
    summary="Events after a position",
    responses=openapi.listed("A page of events", EventPage, *_REFUSALS),
    openapi_extra={"parameters": openapi.list_of(EventsQuery)},
)
@exported("events", Event, 1000, _following, "cloudevents")
async def pull(request: Request) -> Response:
    """In the order of commits. Send `next` as the next `after`; without `after` from the oldest that is kept. `wait` holds
    the answer back until there is one event, or so many seconds. `last` is the end of the feed. `CURSOR_EXPIRED` says
    that events are gone that the client has not seen; `earliest` is the position where the kept ones begin."""
    principal = await admit(request, "read")
    feed = feed_of(request)
    query = read_query(EventsQuery, request.query_params)
    wanted = await _wanted(request, principal, query)
    bounds = await _bounds(feed, query.after)
    if not query.wait:
        return await _poll(request, feed, wanted, query, bounds)
    with feed.following():
        answer = await while_connected(request.receive, _poll(request, feed, wanted, query, bounds))
    return answer or Response(b"")  # the client is gone


async def _poll(request: Request, feed: Feed, wanted: EventFilter, query: EventsQuery, bounds: Bounds) -> Response:
    until = monotonic() + query.wait
    position = bounds.first - 1 if query.after is None else query.after
    if position < bounds.first - 1:
        raise CursorExpired(after=position, earliest=bounds.first - 1)
    found: list[Placed] = []
    looked = size = 0
    while looked < PARTS and size < POLL_BYTES:
        part = await feed.part(position, wanted)
        principal = await admit(request, "read", wanted.mount)
        if part.resumed is not None:  # pruned since the first look
            if not found:
                raise CursorExpired(after=position, earliest=part.resumed)
            break
        if part.last == position:
            if found or feed.closed or monotonic() >= until:
                break
            await feed.beyond(position, until - monotonic())
            continue
        looked, position = looked + 1, part.last
        for event in part.events:
            if not readable(principal, event):
                continue
            if len(found) == query.limit or size > POLL_BYTES:
                position = found[-1].position
                looked = PARTS
                break
            found.append(event)
            size += len(event.data)
    events = ",".join(map(FORMS[query.format], found))
    further = f'"next":{position},"nextCursor":"{position}"'
    body = f'{{"data":{{"events":[{events}],{further},"last":{max(bounds.last, position)}}}}}'
    return Response(body.encode(), media_type=JSON)


async def _followed(request: Request, principal: Principal, query: StreamQuery) -> FollowedFeed:
    wanted = await _wanted(request, principal, query)
    after = _last_event_id(request, query)
    bounds = await _bounds(feed_of(request), after)

    async def admitted() -> Principal:
        return await admit(request, "read", wanted.mount)

    heartbeat = front_of(request).services.settings.events_heartbeat_seconds
    return FollowedFeed(feed_of(request), wanted, after, bounds, admitted, heartbeat)


async def _wanted(request: Request, principal: Principal, query: StreamQuery | EventsQuery) -> EventFilter:
    prefix = paths.decode(query.path_prefix, query.path_prefix_b64, allow_root=True)
    mount = None if query.backend_mount_id is None else MountId(query.backend_mount_id)
    if mount is not None:
        await front_of(request).mounts.get(mount, principal.tenant)
    authorise(principal, "read", mount)
    return EventFilter(principal.tenant, mount, prefix.raw, query.events or query.types)


def _last_event_id(request: Request, query: StreamQuery) -> int | None:
    """The header names the last event that the client has got. The query names the last one it had when it made the
    address."""
    text = request.headers.get("last-event-id", "").strip()
    if not text:
        return query.position
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > ID_MAX:
        raise InvalidRequest("Last-Event-ID is not a position: send the id of the last event you got, or nothing.")
    return int(text)


async def _bounds(feed: Feed, after: int | None) -> Bounds:
    if feed.closed:
        raise Unavailable("This server is being stopped. Send the same request again.")
    bounds = await feed.bounds()
    if after is not None and after > bounds.last:
        raise InvalidRequest(
            f"Position {after} is not given yet; the last one is {bounds.last}. Was it another server's?",
            last=bounds.last,
        )
    return bounds
