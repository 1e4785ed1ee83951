"""A reader of events through a WebSocket, by a published client. It is used as `tests/sse.py` is, so that tests take either."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from schema.events import STREAM_POSITION
from tests.fix_service import PATIENCE
from tests.sse import SentBlock


@dataclass
class SocketReader:
    socket: ClientConnection | None
    status: int
    headers: dict[str, str]
    body: bytes = b""
    last_id: int | None = None

    async def blocks(self) -> AsyncIterator[SentBlock]:
        """Until the server closes. A socket that is cut without a close is an error, as an answer that is cut off is."""
        assert self.socket is not None
        while True:
            try:
                text = await self.socket.recv(decode=True)
            except ConnectionClosed as closed:
                assert closed.rcvd is not None, "cut off"
                return
            sent = json.loads(text)
            self.last_id = int(sent["cursor"])
            assert sent["position"] == self.last_id
            event = None if sent["type"] == STREAM_POSITION else sent["type"]  # as a comment in a stream: no event
            yield SentBlock(event, self.last_id, {"type": sent["type"], "data": sent["data"]}, lines=[text])

    async def events(self, count: int, seconds: float = PATIENCE) -> list[SentBlock]:
        found: list[SentBlock] = []
        async with asyncio.timeout(seconds):
            async for block in self.blocks():
                found += [block] if block.event is not None else []
                if len(found) == count:
                    break
        return found

    async def some(self, count: int, seconds: float) -> list[SentBlock]:
        found: list[SentBlock] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for block in self.blocks():
                    found += [block] if block.event is not None else []
                    if len(found) == count:
                        break
        return found

    async def opening(self) -> SentBlock:
        return SentBlock(id=int(self.headers["x-filestore-cursor"]))

    async def refusal(self) -> Any:
        return json.loads(self.body)

    def keep_in_the_kernel(self, size: int) -> None:
        assert self.socket is not None
        held = self.socket.transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def abort(self) -> None:
        if self.socket is not None:
            self.socket.transport.abort()

    async def close(self) -> None:
        self.abort()
        if self.socket is not None:
            await self.socket.wait_closed()


async def connect(
    address: tuple[str, int], token: str, *, headers: dict[str, str] | None = None, limit: int = 2**20, **query: Any
) -> SocketReader:
    """Open a socket. `limit`: a small one reads a single message ahead of the test."""
    url = f"ws://{address[0]}:{address[1]}/v1/events/ws?{urlencode(query, doseq=True)}"
    sent_headers = {"authorization": f"Bearer {token}", **(headers or {})}
    try:
        found = await open_socket(
            url, additional_headers=sent_headers, max_queue=1 if limit < 2**20 else 64, open_timeout=PATIENCE,
            ping_interval=None, proxy=None,
        )  # fmt: skip
    except InvalidStatus as refused:
        answer = refused.response
        return SocketReader(None, answer.status_code, _lower(answer.headers), bytes(answer.body or b""))
    assert found.response is not None
    opened.append(SocketReader(found, 200, _lower(found.response.headers)))
    return opened[-1]


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.raw_items()}


opened: list[SocketReader] = []


async def close_all() -> None:
    while opened:
        await opened.pop().close()
