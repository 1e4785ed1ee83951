"""Server-sent events: the feed from a position on, as text."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.events.following import FollowedFeed, LostEvents, QuietFeed, reset
from api.events.forms import compact
from api.http.presence import while_connected
from schema.events import STREAM_RESET
from schema.store.events import Placed

RETRY_MS = 2000
"""How long a client waits before it comes back."""
PIECE_BYTES = 64 * 1024


class EventStream(Response):
    media_type = "text/event-stream"

    def __init__(self, followed: FollowedFeed, form: Callable[[Placed], str] = compact) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._followed, self._form = followed, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._followed.feed.following():
            # A client that is gone is noticed at once, though there may be nothing to send to it for hours.
            await while_connected(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in self._text():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _text(self) -> AsyncIterator[bytes]:
        # The id alone makes no event, but a client that loses the connection now knows where to go on.
        yield b"retry: %d\nid: %d\n\n" % (RETRY_MS, self._followed.start)
        async for part in self._followed.parts():
            match part:
                case LostEvents(asked, resumed):
                    yield _event(STREAM_RESET, resumed, _reset(asked, resumed))
                case QuietFeed(position, moved):
                    yield b": heartbeat\nid: %d\n\n" % position if moved else b": heartbeat\n\n"
                case _:
                    for piece in _pieces(part.events, self._form):
                        yield piece


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


def _event(type_: str, position: int, text: str) -> bytes:
    return f"event: {type_}\nid: {position}\ndata: {text}\n\n".encode()
