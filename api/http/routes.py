"""How our routes are called, which address takes which methods, and what stands around them."""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Plain(APIRoute):
    """The request goes to the route, its answer to the client; FastAPI only describes it. Parsing arguments and
    rendering models would cost more than everything else here together."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return cast("Callable[[Request], Coroutine[Any, Any, Response]]", self.endpoint)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self.endpoint(Request(scope, receive, send))
        if scope["method"] == "HEAD" and "HEAD" not in (self.methods or ()):
            return await _head_of(answer, send)
        await answer(scope, receive, send)


async def _head_of(answer: Response, send: Send) -> None:
    """What GET would have answered, without the body: a stream is not even begun."""
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True, slots=True)
class Address:
    """One path, or one pattern that paths fit, and the routes to it by their methods."""

    pattern: re.Pattern[str]
    routes: dict[str, Route] = field(default_factory=dict)

    def route(self, method: str) -> Route | None:
        return self.routes.get(method) or (self.routes.get("GET") if method == "HEAD" else None)

    @property
    def allow(self) -> str:
        """The methods of the document, and those that HTTP itself adds. A route that only explains a mistake is left
        out."""
        promised = {method for method, route in self.routes.items() if route.include_in_schema} or {*self.routes}
        return ", ".join(sorted(promised | {"OPTIONS"} | ({"HEAD"} if "GET" in promised else set())))


class Addresses:
    """Finds the address first, and then the route for the method. A path that a route names as it is wins over a pattern
    that fits it too: `/v1/nodes/move` is a command, so GET of it is a wrong method, and not a wrong id."""

    def __init__(self, app: FastAPI) -> None:
        self._others: ASGIApp = app.router
        self._named: dict[str, Address] = {}
        self._patterns: dict[str, Address] = {}
        for route in app.router.routes:
            if isinstance(route, Route):
                self._add(route)

    def _add(self, route: Route) -> None:
        table = self._patterns if route.param_convertors else self._named
        address = table.setdefault(re.sub(r"\{.*?\}", "{}", route.path), Address(route.path_regex))
        for method in route.methods or ():
            address.routes.setdefault(method, route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._others(scope, receive, send)
        address = self._find(scope["path"])
        if address is None:
            raise HTTPException(404)
        route = address.route(scope["method"])
        # The requests are counted under it, those with a wrong method too.
        shown = route or next(iter(address.routes.values()))
        scope.update(shown.matches(scope)[1], route=shown)
        if route is not None:
            await route.handle(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await Response(status_code=204, headers={"allow": address.allow})(scope, receive, send)
        else:
            raise HTTPException(405, headers={"allow": address.allow})

    def _find(self, path: str) -> Address | None:
        if (named := self._named.get(path)) is not None:
            return named
        return next((one for one in self._patterns.values() if one.pattern.match(path)), None)


def surround(app: FastAPI, *around: Callable[[ASGIApp], ASGIApp]) -> None:
    """Exactly these around the routes, the first one outermost, and innermost the answers to exceptions. What FastAPI has of
    its own for dependencies, body limits and telemetry is not used here, and took half of the time of a small request."""
    stack: ASGIApp = ExceptionMiddleware(Addresses(app), handlers=app.exception_handlers)
    for wrap in reversed(around):
        stack = wrap(stack)
    app.middleware_stack = stack
