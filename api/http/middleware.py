"""A request id for every request, and an answer where a route has none. Plain ASGI: nothing is buffered."""

import os
import re

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import defect, refusal
from api.http.logged import loggable

log = structlog.get_logger(__name__)

_GIVEN = re.compile(rb"[\x21-\x7e]{1,128}")


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN.fullmatch(value):
            return str(value, "ascii")
    return os.urandom(8).hex()


class RequestIds:
    """Takes the client's X-Request-Id or makes one, and sends it back. It is in the journal and in every log line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request_id = scope["request_id"] = _request_id(scope)
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, sending)
            except Exception:
                log.exception("a request failed", method=scope["method"], path=loggable(scope["path"]))
                if started:
                    raise  # the server cuts the connection, so that half an answer never looks whole
                await refusal(Request(scope), defect(request_id))(scope, receive, sending)
