"""What one WebSocket may cost: uvicorn's protocol, and a bound for a client that does not take what is sent to it."""

import asyncio
from asyncio.transports import BaseTransport
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.http.slow_readers import ReaderWatch

MESSAGE_MAX = 4096
"""Bytes of one message of a client. A larger one closes the socket: nothing is expected."""


class LimitedSocket(WebSocketsSansIOProtocol):
    """Frames wait here until the buffer of the connection is taken, so a slow client costs that buffer and no more."""

    def __init__(
        self, *args: Any, write_seconds: float, rate_min: int, refused: Callable[[str], None], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._write_seconds, self._rate_min, self._refused = write_seconds, rate_min, refused
        self._reader: ReaderWatch | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        connection = cast(asyncio.Transport, transport)
        self._reader = ReaderWatch(connection, self._write_seconds, self._rate_min, self._refused)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reader is not None:
            self._reader.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reader is not None:
            self._reader.begin()

    def resume_writing(self) -> None:
        if self._reader is not None:
            self._reader.end()
        super().resume_writing()
