"""How every process of ours serves HTTP: the limits of the settings, and no words of uvicorn's own in an answer."""

from collections.abc import Callable
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from api.http.protocol import LimitedProtocol, Limits
from api.http.socket_protocol import MESSAGE_MAX, LimitedSocket
from schema.settings import Settings


def http_limits(settings: Settings) -> Limits:
    return Limits(
        line_max=settings.http_line_max_bytes,
        head_max=settings.http_head_max_bytes,
        headers_max=settings.http_headers_max,
        head_seconds=settings.http_head_seconds,
        body_seconds=settings.http_body_seconds,
        write_seconds=settings.http_write_seconds,
        rate_min=settings.http_rate_min,
        connections_max=settings.http_connections_max,
        always=frozenset((b"/health", b"/ready")),
        sockets=frozenset((b"/v1/events/ws",)),
    )


def config(app: ASGIApp, settings: Settings, port: int, refused: Callable[[str], None]) -> uvicorn.Config:
    """`refused` is told of each connection that a limit cuts off, and which limit it was."""
    socket = partial(
        LimitedSocket, write_seconds=settings.http_write_seconds, rate_min=settings.http_rate_min, refused=refused
    )
    return uvicorn.Config(
        app, host=settings.host, port=port, loop="none", ws=socket, ws_max_size=MESSAGE_MAX,  # type: ignore[arg-type]
        ws_per_message_deflate=False, ws_ping_interval=settings.events_heartbeat_seconds,
        # A ping stands behind what the client has not taken yet: as long as a slow reader is waited for, so is its answer.
        ws_ping_timeout=settings.http_write_seconds,
        http=partial(LimitedProtocol, limits=http_limits(settings), refused=refused),  # type: ignore[arg-type]
        timeout_keep_alive=settings.http_keep_alive_seconds,
        lifespan="off", access_log=False, log_config=None, log_level="warning", server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
