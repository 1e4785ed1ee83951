"""How our routes are called."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response


class Plain(APIRoute):
    """The request goes to the route, its answer to the client; FastAPI only describes it. Parsing arguments and
    rendering models would cost more than everything else here together."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return cast("Callable[[Request], Coroutine[Any, Any, Response]]", self.endpoint)
