"""Server-sent events: the feed from a position on, as text, for as long as the client stays and its token holds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from time import monotonic

from psycopg import InterfaceError, OperationalError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.events.feed import Feed
from api.events.forms import compact
from api.http.presence import while_connected
from schema.errors import FilestoreError, Unavailable
from schema.events import STREAM_RESET
from schema.principals import Principal
from schema.store.events import Bounds, EventFilter, Placed, visible

RETRY_MS = 2000
"""How long a client waits before it comes back."""
PIECE_BYTES = 64 * 1024
AGAIN_SECONDS = 1.0
"""Postgres could not be asked: this is when the next try is."""


class EventStream(Response):
    """`admitted` returns the principal as of now, and raises when the token does not hold any more."""

    media_type = "text/event-stream"

    def __init__(
        self,
        feed: Feed,
        wanted: EventFilter,
        after: int | None,
        bounds: Bounds,
        admitted: Callable[[], Awaitable[Principal]],
        heartbeat_seconds: float,
        form: Callable[[Placed], str] = compact,
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._feed, self._wanted, self._after, self._bounds = feed, wanted, after, bounds
        self._admitted, self._heartbeat_seconds, self._form = admitted, heartbeat_seconds, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._feed.following():
            # A client that is gone is noticed at once, though there may be nothing to send to it for hours.
            await while_connected(receive, self._tell(send))

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in self._text():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _text(self) -> AsyncIterator[bytes]:
        position, sent_at = self._bounds.last if self._after is None else self._after, monotonic()
        # The id alone makes no event, but a client that loses the connection now knows where to go on.
        yield b"retry: %d\nid: %d\n\n" % (RETRY_MS, position)
        if position < self._bounds.first - 1:
            yield _event(STREAM_RESET, self._bounds.first - 1, _reset(position, self._bounds.first - 1))
            position = self._bounds.first - 1
        shown = position
        while not self._feed.closed:
            try:
                part = await self._feed.part(position, self._wanted)
                principal = await self._admitted()
            except (OperationalError, InterfaceError, Unavailable):
                await self._feed.beyond(position, AGAIN_SECONDS)
                await asyncio.sleep(AGAIN_SECONDS / 10)
            except FilestoreError:
                return  # the token is revoked or has expired: nothing more is shown, and coming back is refused
            else:
                if part.resumed is not None:
                    yield _event(STREAM_RESET, part.resumed, _reset(position, part.resumed))
                for piece in _pieces((event for event in part.events if readable(principal, event)), self._form):
                    yield piece
                    shown, sent_at = part.events[-1].position, monotonic()
                if part.last == position:
                    await self._feed.beyond(position, self._heartbeat_seconds - (monotonic() - sent_at))
                position = part.last
                await asyncio.sleep(0)  # others follow too
            if monotonic() - sent_at >= self._heartbeat_seconds:
                # With the position, if there were events for others only: going on is cheap then, however long it was quiet.
                yield b": heartbeat\n\n" if shown == position else b": heartbeat\nid: %d\n\n" % position
                shown, sent_at = position, monotonic()


def readable(principal: Principal, event: Placed) -> bool:
    return visible(principal.access, event)


def reset(asked: int, resumed: int) -> dict[str, int]:
    """What the answer says to a reader that asked for events that are gone."""
    return {"requestedAfter": asked, "resumedAfter": resumed}


def _reset(asked: int, resumed: int) -> str:
    return json.dumps({"type": STREAM_RESET, "data": reset(asked, resumed)}, separators=(",", ":"))


def _pieces(events: Iterable[Placed], form: Callable[[Placed], str]) -> Iterator[bytes]:
    """Pieces small enough for a slow client: the next piece is made only when it has taken one."""
    waiting: list[bytes] = []
    size = 0
    for event in events:
        waiting.append(_event(event.type, event.position, form(event)))
        size += len(waiting[-1])
        if size >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _event(type_: str, position: int, told: str) -> bytes:
    return f"event: {type_}\nid: {position}\ndata: {told}\n\n".encode()
