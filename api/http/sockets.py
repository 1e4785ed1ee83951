"""A WebSocket, as everything inside knows it: a GET whose answer is 101, and whose body goes out piece by piece as text frames.

So the token, the filters, the counters and the refusals of a socket are those of every request: a handshake that is refused
gets its status and the envelope. What a client sends through the socket is dropped: it only listens.
"""

from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPENED = "filestore.socket"
"""In the scope of a request that is the handshake of a socket"""
BEARER = "bearer."
"""A browser can send no header with a handshake, but it can offer subprotocols: one with the token is taken as that header."""
NORMAL = 1000


class Sockets:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return await self.app(scope, receive, send)
        await receive()  # websocket.connect
        await self.app(_as_request(scope), _Receiving(receive), _Sending(send, _chosen(scope)))


def is_socket(scope: Scope) -> bool:
    return bool(scope.get(OPENED))


def _as_request(scope: Scope) -> dict[str, Any]:
    headers = list(scope["headers"])
    token = next((one for one in scope["subprotocols"] if one.startswith(BEARER)), None)
    if token is not None and not any(name == b"authorization" for name, _ in headers):
        headers.append((b"authorization", f"Bearer {token.removeprefix(BEARER)}".encode()))
    scheme = "https" if scope["scheme"] == "wss" else "http"
    return {**scope, "type": "http", "method": "GET", "scheme": scheme, "headers": headers, OPENED: True}


def _chosen(scope: Scope) -> str | None:
    """A client that offers subprotocols expects one of them; never the one with the token."""
    return next((one for one in scope["subprotocols"] if not one.startswith(BEARER)), None)


class _Receiving:
    """The request has no body; after that only the end of the connection is of interest."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._begun = receive, False

    async def __call__(self) -> Message:
        if not self._begun:
            self._begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while (await self._receive())["type"] != "websocket.disconnect":
            pass
        return {"type": "http.disconnect"}


class _Sending:
    """A client that is gone is noticed where the end of the connection is waited for, and not here."""

    def __init__(self, send: Send, subprotocol: str | None) -> None:
        self._send, self._subprotocol, self._open = send, subprotocol, False

    async def __call__(self, message: Message) -> None:
        with suppress(OSError):
            await self._send(self._translated(message))

    def _translated(self, message: Message) -> Message:
        if message["type"] == "http.response.start":
            self._open = message["status"] == 101
            if self._open:
                return {"type": "websocket.accept", "subprotocol": self._subprotocol, "headers": message["headers"]}
            return {**message, "type": "websocket.http.response.start"}
        if not self._open:
            return {**message, "type": "websocket.http.response.body"}
        if message.get("more_body"):
            return {"type": "websocket.send", "text": message["body"].decode()}
        return {"type": "websocket.close", "code": message.get("code", NORMAL), "reason": message.get("reason", "")}
