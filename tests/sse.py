"""A reader of server-sent events over a plain socket: what it reads, and when, is up to the test."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.fix_service import PATIENCE


@dataclass
class SentBlock:
    """One block of a stream, as its lines say."""

    event: str | None = None
    id: int | None = None
    data: Any = None
    comment: str | None = None
    retry: int | None = None
    lines: list[str] = field(default_factory=list)


@dataclass
class StreamReader:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int
    headers: dict[str, str]
    last_id: int | None = None
    _whole: deque[bytes] = field(default_factory=deque)
    _part: bytes = b""

    async def blocks(self) -> AsyncIterator[SentBlock]:
        """Until the server ends the stream. An answer that is cut off is an error. Can be left, and taken up again."""
        while True:
            while self._whole:
                block = parse(self._whole.popleft().decode())
                self.last_id = self.last_id if block.id is None else block.id
                yield block
            if not (size := int(await self.reader.readuntil(b"\r\n"), 16)):
                break
            *whole, self._part = (self._part + (await self.reader.readexactly(size + 2))[:-2]).split(b"\n\n")
            self._whole.extend(whole)
        assert self._part == b""

    async def events(self, count: int, seconds: float = PATIENCE) -> list[SentBlock]:
        """The next events; comments and the opening are left out."""
        found: list[SentBlock] = []
        async with asyncio.timeout(seconds):
            async for block in self.blocks():
                if block.event is not None:
                    found.append(block)
                if len(found) == count:
                    break
        return found

    async def some(self, count: int, seconds: float) -> list[SentBlock]:
        """What comes within that time, and no more events than that. A reader that gives up in the middle of a block
        has not got it."""
        found: list[SentBlock] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for block in self.blocks():
                    found += [block] if block.event is not None else []
                    if len(found) == count:
                        break
        return found

    async def opening(self) -> SentBlock:
        async with asyncio.timeout(PATIENCE):
            return await anext(self.blocks())

    async def refusal(self) -> Any:
        return json.loads(await self.reader.readexactly(int(self.headers["content-length"])))

    def keep_in_the_kernel(self, size: int) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def abort(self) -> None:
        self.writer.transport.abort()

    async def close(self) -> None:
        """At once, whatever is on its way."""
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


def parse(text: str) -> SentBlock:
    block = SentBlock()
    for line in text.split("\n"):
        block.lines.append(line)
        name, _, value = line.partition(": ")
        if name == "":
            block.comment = value
        elif name == "data":
            assert block.data is None, "one line"
            block.data = json.loads(value)
        elif name in ("id", "retry"):
            setattr(block, name, int(value))
        else:
            assert name == "event", line
            block.event = value
    return block


async def connect(
    address: tuple[str, int], token: str, *, headers: dict[str, str] | None = None, limit: int = 2**20, **query: Any
) -> StreamReader:
    """Open a stream. `limit`: how much is read ahead of the test, beside what the kernel holds."""
    reader, writer = await asyncio.open_connection(*address, limit=limit)
    sent_headers = {"host": "x", "authorization": f"Bearer {token}", **(headers or {})}
    lines = [
        f"GET /v1/events/stream?{urlencode(query, doseq=True)} HTTP/1.1",
        *(f"{n}: {v}" for n, v in sent_headers.items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    found = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    opened.append(StreamReader(reader, writer, int(head[0].split()[1]), found))
    return opened[-1]


opened: list[StreamReader] = []


async def close_all() -> None:
    """For the end of a test, however it ended."""
    while opened:
        await opened.pop().close()
