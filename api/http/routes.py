"""How our routes are called, and what stands around them."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Plain(APIRoute):
    """The request goes to the route, its answer to the client; FastAPI only describes it. Parsing arguments and
    rendering models would cost more than everything else here together."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return cast("Callable[[Request], Coroutine[Any, Any, Response]]", self.endpoint)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.methods and scope["method"] not in self.methods:
            return await super().handle(scope, receive, send)  # says which methods there are
        answer = await self.endpoint(Request(scope, receive, send))
        await answer(scope, receive, send)


def surround(app: FastAPI, *around: Callable[[ASGIApp], ASGIApp]) -> None:
    """Exactly these around the routes, the first one outermost, and innermost the answers to exceptions. What FastAPI has of
    its own for dependencies, body limits and telemetry is not used here, and took half of the time of a small request."""
    stack: ASGIApp = ExceptionMiddleware(app.router, handlers=app.exception_handlers)
    for wrap in reversed(around):
        stack = wrap(stack)
    app.middleware_stack = stack
