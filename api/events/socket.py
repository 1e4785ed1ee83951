"""The feed through a WebSocket: one text frame for each event, from a position on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.events.following import FollowedFeed, LostEvents, QuietFeed, reset
from api.events.forms import plain
from api.http.presence import while_connected
from schema.events import STREAM_POSITION, STREAM_RESET
from schema.store.events import Placed

TOKEN_ENDED, SERVER_ENDS = (1008, "the token does not hold any more"), (1012, "come back after your last cursor")
"""Codes of RFC 6455, and what is said with them, when the server closes"""
CURSOR = "x-filestore-cursor"


class EventSocket(Response):
    """An answer of 101: each piece of its body is a frame, see api/http/sockets.py. The header has the cursor where it
    begins, for a client that is cut off before its first event."""

    def __init__(self, followed: FollowedFeed, form: Callable[[Placed], str] = plain) -> None:
        super().__init__(status_code=101, headers={CURSOR: str(followed.start)})
        del self.headers["content-length"]
        self._followed, self._form = followed, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._followed.feed.following():
            await while_connected(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for frame in self._frames():
            await send({"type": "http.response.body", "body": frame.encode(), "more_body": True})
        code, reason = TOKEN_ENDED if self._followed.refused else SERVER_ENDS
        await send({"type": "http.response.body", "body": b"", "code": code, "reason": reason})

    async def _frames(self) -> AsyncIterator[str]:
        async for part in self._followed.parts():
            match part:
                case LostEvents(asked, resumed):
                    yield _said(STREAM_RESET, resumed, reset(asked, resumed))
                case QuietFeed(position, _):
                    yield _said(STREAM_POSITION, position, {})
                case _:
                    for event in part.events:
                        yield self._form(event)


def _said(type_: str, position: int, data: dict[str, int]) -> str:
    """What the stream itself says, in the form of an event."""
    said = {"position": position, "cursor": str(position), "type": type_, "data": data}
    return json.dumps(said, separators=(",", ":"))
