"""An answer that is a file's bytes: read in pieces in the mount's own threads, sent at the client's speed."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from activities.executors.contract.executor import Content
from activities.threads import MountThreads
from api.http.presence import disconnected
from api.http.ranges import Range
from api.services import Held
from schema.errors import FilestoreError, VersionConflict
from schema.ids import MountId

log = structlog.get_logger(__name__)

PIECE = 1024 * 1024
"""Bytes per read: each costs a change of threads. Two of them are in memory: one that is sent, one that is read."""


class Changed(Exception):
    """Another program writes into the file while it is sent."""


class Reader:
    """An open file. A thread is held only while a piece is read, never while a slow client takes its time."""

    def __init__(self, content: Content, mount: MountId, threads: MountThreads) -> None:
        self._content, self._mount, self._threads = content, mount, threads
        self.size = content.identity.size
        self._coming: asyncio.Task[bytes] | None = None
        self.lease: Held | None = None
        """Its part of the memory for content, given back when it is closed"""

    async def read(self, start: int, end: int) -> bytes:
        """All of a short range. Raises Changed."""
        return await self._threads.run(self._mount, self._checked, start, end - start)

    async def pieces(self, start: int, end: int) -> AsyncIterator[bytes]:
        """While one piece is sent the next one is read. Raises Changed, before the last piece is out of our hands."""
        while start < end:
            piece = await (self._coming or self._read(start, end))
            start += len(piece)
            self._coming = self._read(start, end) if start < end else None
            yield piece

    def _read(self, start: int, end: int) -> asyncio.Task[bytes]:
        last = end - start <= PIECE
        read = self._checked if last else self._whole
        return asyncio.ensure_future(self._threads.run(self._mount, read, start, end - start if last else PIECE))

    def _checked(self, start: int, length: int) -> bytes:
        """The last piece. If the file was changed meanwhile, what was read before may be of another version: then no
        client may get a whole answer."""
        piece = self._whole(start, length)
        if not self._content.unchanged():
            raise Changed("it was written into")
        return piece

    def _whole(self, start: int, length: int) -> bytes:
        piece = self._content.read(start, length)
        if len(piece) != length:
            raise Changed("it became shorter")
        return piece

    async def close(self) -> None:
        try:
            if self._coming is not None:
                await asyncio.gather(self._coming, return_exceptions=True)
            await self._threads.run(self._mount, self._content.close)
        finally:
            if self.lease is not None:
                self.lease.close()


class Streamed(Response):
    """The file is closed when it is through, or the client is gone.

    ASGI's extensions for sending files without copying (`pathsend`, `zerocopysend`) are not offered by uvicorn, and would
    send bytes that were not checked: see `Reader`.
    """

    def __init__(
        self,
        reader: Reader,
        wanted: Sequence[Range],
        headers: dict[str, str],
        *,
        bodyless: bool = False,
        ready: bytes | None = None,
        completed: Callable[[], None] | None = None,
    ) -> None:
        """`wanted`: the ranges to send; none: all of it. `ready`: the one range that was read already. `completed` is
        called after the last byte, if the client was there to take it."""
        self.reader, self.size, self.wanted, self.bodyless = reader, reader.size, wanted, bodyless
        self.ready, self.completed = ready, completed
        self.mime, self.boundary = headers["content-type"], os.urandom(16).hex() if len(wanted) > 1 else ""
        self.status_code = 206 if wanted else 200
        self.background = None
        self.body = b""
        self.init_headers(headers)
        if len(wanted) > 1:
            self.headers["content-type"] = f"multipart/byteranges; boundary={self.boundary}"
        if len(wanted) == 1:
            self.headers["content-range"] = self._content_range(*wanted[0])
        self.headers["content-length"] = str(self._length())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(disconnected(receive))
        started = arrived = False
        try:
            body = self._body()
            first = b"" if self.bodyless else await anext(body, b"")  # what fails here still gets an answer of its own
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            started = True
            if first:
                await send({"type": "http.response.body", "body": first, "more_body": True})
                async for piece in body:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            arrived = self.completed is not None and await _taken(send, gone)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (Changed, FilestoreError, OSError) as error:
            if not started:
                raise _refusal(error) from error
            # Not ending the answer makes the server cut the connection: half a file must not look whole.
            log.warning("a file can not be sent to its end, so the answer breaks off", why=repr(error), size=self.size)
        finally:
            gone.cancel()
            await self.reader.close()
        if arrived and self.completed is not None:
            self.completed()

    async def _body(self) -> AsyncIterator[bytes]:
        if self.ready is not None:
            yield self.ready
            return
        for start, end in self.wanted or [(0, self.size)]:
            if len(self.wanted) > 1:
                yield self._part_head(start, end)
            async for piece in self.reader.pieces(start, end):
                yield piece
        if len(self.wanted) > 1:
            yield self._tail()

    def _length(self) -> int:
        if len(self.wanted) < 2:
            return sum(end - start for start, end in self.wanted or [(0, self.size)])
        return sum(len(self._part_head(*one)) + one[1] - one[0] for one in self.wanted) + len(self._tail())

    def _content_range(self, start: int, end: int) -> str:
        return f"bytes {start}-{end - 1}/{self.size}"

    def _part_head(self, start: int, end: int) -> bytes:
        return (
            f"\r\n--{self.boundary}\r\nContent-Type: {self.mime}\r\n"
            f"Content-Range: {self._content_range(start, end)}\r\n\r\n"
        ).encode("latin-1")

    def _tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()


def _refusal(error: Exception) -> Exception:
    if isinstance(error, Changed):
        return VersionConflict(
            f"The file was changed on disk while it was read ({error}). Reconcile it, then read it again."
        )
    return error


async def _taken(send: Send, gone: "asyncio.Future[None]") -> bool:
    """Has the client taken what was sent, but for the little that the kernel holds? The server lets an empty piece pass
    when the ones before it are out; a client that left meanwhile is seen one turn of the loop later."""
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    await asyncio.sleep(0)
    return not gone.done()
