"""Count every request under the template of its route. Plain ASGI, around everything else of ours."""

from collections.abc import Awaitable
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.observe.metrics.counts import Counts


class CountedRequests:
    """A request is counted when its answer begins: how long a download or a stream goes on is its client's affair."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self.app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        counts, arrived, answered = self._counts, perf_counter(), False

        def count(status: int) -> None:
            # Found by now, if there is one. Its template is ours; the path is the client's.
            route = getattr(scope.get("route"), "path", None)
            counts.request(scope["method"], route, status, perf_counter() - arrived)

        def sending(message: Message) -> Awaitable[None]:
            nonlocal answered
            if not answered and message["type"] == "http.response.start":
                answered = True
                count(message["status"])
            return send(message)

        counts.requests_in_progress += 1
        try:
            await self.app(scope, receive, sending)
        finally:
            counts.requests_in_progress -= 1
            if not answered:
                count(0)
