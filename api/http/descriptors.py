"""Before the descriptors of this process run out, requests are refused: those under way need what is left, and a connection
for which there is no descriptor is cut without an answer."""

import errno
import os
import resource

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.body import RequestBody, if_unread
from api.http.errors import refusal
from schema.errors import Unavailable

log = structlog.get_logger(__name__)

RESERVE = 64
"""Left to those under way, and to new connections until they have their refusal"""
ALWAYS = ("/health", "/healthz")
"""The process lives."""


def few_left() -> bool:
    """The kernel gives the lowest free number: all below it are in use. The limit may be changed while we run."""
    try:
        lowest = os.dup(2)
    except OSError as error:
        return error.errno == errno.EMFILE
    os.close(lowest)
    return lowest >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVE


class EnoughDescriptors:
    """A refused connection is closed, so that idle ones do not keep what others need."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._few = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS or not self._look():
            return await self.app(scope, receive, send)
        request = Request(scope, receive)
        answer = refusal(request, Unavailable("This process has few file descriptors left. Nothing was changed."))
        answer.headers["connection"] = "close"
        await if_unread(answer, RequestBody(request))(scope, receive, send)

    def _look(self) -> bool:
        """Said once when it begins, and once when it is over."""
        few = few_left()
        if few is not self._few:
            self._few = few
            log.warning("few file descriptors are left" if few else "there are enough file descriptors again")
        return few
