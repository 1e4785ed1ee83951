"""Count every request under the template of its route, and write a line for it. Plain ASGI, around everything else of ours."""

from collections.abc import Awaitable
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.logged import loggable
from api.observe.metrics.counts import Counts

log = structlog.get_logger("http")


class CountedRequests:
    """A request is counted when its answer begins: how long a download or a stream goes on is its client's affair. Its line is
    written when it has ended."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self.app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        counts, arrived, answered, answered_with = self._counts, perf_counter(), False, 0

        def count(status: int) -> None:
            # Found by now, if there is one. Its template is ours; the path is the client's.
            route = getattr(scope.get("route"), "path", None)
            counts.request(scope["method"], route, status, perf_counter() - arrived)

        def sending(message: Message) -> Awaitable[None]:
            nonlocal answered, answered_with
            if not answered and message["type"] == "http.response.start":
                answered, answered_with = True, message["status"]
                count(answered_with)
            return send(message)

        counts.requests_in_progress += 1
        try:
            await self.app(scope, receive, sending)
        finally:
            counts.requests_in_progress -= 1
            if not answered:
                count(0)
            _write_line(scope, answered_with, perf_counter() - arrived)


def _write_line(scope: Scope, status: int, seconds: float) -> None:
    """Without what comes after the `?`, and without headers: no secret of a client is in a log. Status 0: no answer."""
    log.info(
        "request", request_id=scope.get("request_id"), method=scope["method"], path=loggable(scope["path"]), status=status,
        ms=round(seconds * 1000, 1),
    )  # fmt: skip
