"""What one connection may cost: limits around uvicorn's protocol. It has none for heads, bodies, slow clients and pipelines.

A connection that breaks a limit is refused in the form of every refusal, where no answer is under way on it, and closed.
Memory for it is bounded by these limits and one read of the socket, whatever its client sends, in whichever pieces.
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.http.errors import envelope, status_of
from api.http.slow_readers import ReaderWatch
from schema.errors import FilestoreError, HeadersTooLarge, InvalidRequest, Overloaded, RequestTooSlow, UriTooLong

REASONS = (
    "line", "headers", "malformed", "slow_head", "slow_body", "slow_reader", "connections", "pipeline", "memory",
)  # fmt: skip
"""Why a connection was refused or cut off."""

PIPELINE_MAX = 64
"""Requests that wait on one connection behind the one that is answered."""
SPARE = 64
"""Connections beyond the limit that get a refusal, or health. Those beyond them are cut off without a word."""
SPARE_SECONDS = 5.0
LINGER_SECONDS, LINGER_BYTES = 2.0, 16 * 1024 * 1024
"""How long a refused client is still listened to: one that is cut off while it sends may lose the refusal."""


@dataclass(frozen=True, slots=True)
class Limits:
    line_max: int
    """Bytes of the address in the request line"""
    head_max: int
    """Bytes of all headers, and of trailers"""
    headers_max: int
    """Lines of them"""
    head_seconds: float
    body_seconds: float
    write_seconds: float
    rate_min: int
    """Bytes per second that a body has to bring, and a reader to take, seen over `body_seconds` and `write_seconds`"""
    connections_max: int
    always: frozenset[bytes] = frozenset()
    """Paths that are answered beyond `connections_max` as well"""
    sockets: frozenset[bytes] = frozenset()
    """Paths that may become a WebSocket. On others the wish is passed over, as HTTP allows it"""


class _Refused(Exception):
    """Raised through the parser. The answer for the client is kept beside it."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection. uvicorn makes it, so what it needs beyond uvicorn's own is bound by `functools.partial`."""

    def __init__(self, *args: Any, limits: Limits, refused: Callable[[str], None], **more: Any) -> None:
        super().__init__(*args, **more)
        self._limits, self._refused = limits, refused
        self._why: tuple[str, FilestoreError] | None = None
        self._crowded = False
        self._ended = False
        """The connection was refused: bytes that still come are thrown away"""
        self._discarded = 0
        self._in_head, self._begun = True, False
        self._size = self._lines = 0
        """Of the headers of this request"""
        self._unparsed = 0
        """Bytes since the parser told of anything: it holds them"""
        self._came, self._was_paused = 0, False
        self._head_timer: TimerHandle | None = None
        self._body_timer: TimerHandle | None = None
        self._reader: ReaderWatch | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        limits = self._limits
        self._reader = ReaderWatch(transport, limits.write_seconds, limits.rate_min, self._refused)
        self._crowded = len(self.connections) > self._limits.connections_max
        if len(self.connections) > self._limits.connections_max + SPARE:
            self._refused("connections")
            self._ended = True
            transport.abort()
            return
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._body_timer):
            if timer is not None:
                timer.cancel()
        if self._reader is not None:
            self._reader.end()
        self._ended = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            self._discard(len(data))
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._ended:
            return
        if self._unparsed > self._limits.head_max:
            self._refuse("headers", self._headers_too_large())
        elif self._in_head:
            self._watch_head()
        elif self._body_timer is None:
            self._body_timer = self.loop.call_later(self._limits.body_seconds, self._look_at_body)

    def send_400_response(self, msg: str) -> None:
        reason, error = self._why or ("malformed", InvalidRequest("This is no HTTP/1.1 request. Send it anew."))
        self._refuse(reason, error)

    # What the parser tells

    def on_message_begin(self) -> None:
        self._begun, self._size, self._lines, self._unparsed = True, 0, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._unparsed = 0
        super().on_url(url)
        if len(self.url) > self._limits.line_max:
            most = self._limits.line_max
            self._throw("line", UriTooLong(f"The address may have {most} bytes. Send what is longer in the body."))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unparsed = 0
        self._lines += 1
        self._size += len(name) + len(value) + 4
        if self._lines > self._limits.headers_max or self._size > self._limits.head_max:
            self._throw("headers", self._headers_too_large())
        if self._in_head:  # a trailer never becomes a header: the request is being carried out already
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unparsed, self._in_head = 0, False
        self._stop_watching_head()
        if len(self.pipeline) >= PIPELINE_MAX:
            self._throw("pipeline", InvalidRequest(f"{PIPELINE_MAX} requests wait on this connection. Read first."))
        self._crowded = self._crowded and len(self.connections) > self._limits.connections_max
        if self._crowded and self.url.partition(b"?")[0] not in self._limits.always:
            self._throw("connections", Overloaded("Too many connections are open. Close some, or try again shortly."))
        super().on_headers_complete()
        if self._crowded and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        self._came += len(body)
        super().on_body(body)
        self._was_paused |= self.flow.read_paused

    def on_message_complete(self) -> None:
        self._unparsed, self._in_head, self._begun = 0, True, False
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        self._came, self._was_paused = 0, False
        super().on_message_complete()

    # Slow heads

    def _watch_head(self) -> None:
        if self._head_timer is None:
            seconds = min(self._limits.head_seconds, SPARE_SECONDS) if self._crowded else self._limits.head_seconds
            self._head_timer = self.loop.call_later(seconds, self._head_is_late)

    def _stop_watching_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._ended or self.transport.is_closing():
            return
        if self.flow.read_paused:  # we are the slow ones
            self._watch_head()
        elif self._begun:
            self._refuse("slow_head", RequestTooSlow("The headers did not come in time. Send the request anew."))
        elif self.cycle is None or self.cycle.response_complete:
            self._refused("slow_head")
            self.transport.close()  # nothing was asked, so nothing is answered

    # Slow bodies

    def _look_at_body(self) -> None:
        self._body_timer = None
        if self._ended or self.transport.is_closing():
            return
        waits = self.flow.read_paused or self._was_paused or self.cycle.waiting_for_100_continue
        if not waits and self._came < self._limits.rate_min * self._limits.body_seconds:
            self._refuse("slow_body", RequestTooSlow())
            return
        self._came, self._was_paused = 0, False
        self._body_timer = self.loop.call_later(self._limits.body_seconds, self._look_at_body)

    # Slow readers

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reader is not None:
            self._reader.begin()

    def resume_writing(self) -> None:
        if self._reader is not None:
            self._reader.end()
        super().resume_writing()

    # WebSockets

    def _should_upgrade(self) -> bool:
        return self.url.partition(b"?")[0] in self._limits.sockets and super()._should_upgrade()

    def handle_websocket_upgrade(self) -> None:
        """From here on another protocol has the connection, and this one's limits are over."""
        self._ended = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # its frames would stand in the middle of another answer
            return
        self._stop_watching_head()
        super().handle_websocket_upgrade()

    # Refusals

    def _headers_too_large(self) -> HeadersTooLarge:
        most = self._limits
        return HeadersTooLarge(
            f"All headers together may have {most.head_max} bytes and {most.headers_max} lines. "
            "Send what is longer in the body."
        )

    def _throw(self, reason: str, error: FilestoreError) -> None:
        self._why = reason, error
        raise _Refused

    def _refuse(self, reason: str, error: FilestoreError) -> None:
        self._refused(reason)
        self._ended = True
        self._stop_watching_head()
        self._unset_keepalive_if_required()
        cycle = self.cycle
        if cycle is None or (cycle.response_complete and self._past(cycle)):
            self._answer(error)
        elif self._past(cycle):
            cycle.keep_alive = False  # what was asked before is answered first, then the connection closes
        elif cycle.response_started or any(queued is cycle for queued, _ in self.pipeline):
            self.transport.close()
        else:
            self._answer(error)
            cycle.disconnected = True  # its route stops to wait for the rest
            cycle.message_event.set()

    def _past(self, cycle: RequestResponseCycle) -> bool:
        """The parser has all of this request, and is at the next one."""
        return self._in_head or cycle.scope is not self.scope

    def _answer(self, error: FilestoreError) -> None:
        body, status = envelope(error), status_of(error.code)
        head = [
            STATUS_LINE[status], b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body),
            b"connection: close\r\n",
        ]  # fmt: skip
        if error.retry_after_seconds is not None:
            head.append(b"retry-after: %d\r\n" % error.retry_after_seconds)
        self.transport.write(b"".join([*head, b"\r\n", body]))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_BYTES and not self.transport.is_closing():
            self.transport.abort()
