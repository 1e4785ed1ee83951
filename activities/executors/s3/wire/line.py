"""Connections to one server, kept: a request goes out in one piece, and its answer is read by the parser that serves ours.

Every call into the system lets other threads of this process run, and waits until it is its turn again. So few calls are
made: on a busy process they, and not the network, are what a request waits for.
"""

import os
import select
import socket
import ssl
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import httptools

from activities.executors.s3.errors import Broken

RESTED_SECONDS = 1.0
"""A connection that rested for so long is looked at first: the server may have closed it."""
_PIECE = 64 << 10

Content = bytes | bytearray | memoryview


@dataclass(slots=True)
class WireAnswer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    """By their lower-case names"""
    body: bytes = b""


class WireLine:
    """Connections to one server, for any number of threads."""

    def __init__(
        self,
        host: str,
        port: int,
        certificates: Callable[[], ssl.SSLContext] | None,
        *,
        most: int,
        connect_seconds: float,
        read_seconds: float,
    ) -> None:
        """`certificates`: of a line that is encrypted. `most`: connections that are kept."""
        self._host, self._port, self._certificates = host, port, certificates
        self._most, self._connect_seconds, self._read_seconds = most, connect_seconds, read_seconds
        self._resting: deque[tuple[socket.socket, float]] = deque()
        self._context: ssl.SSLContext | None = None
        self._guard = threading.Lock()
        # A mount that is opened anew, elsewhere, leaves its line behind.
        weakref.finalize(self, _close_all, self._resting)

    def ask(self, head: bytes, body: Content, *, answer_has_body: bool) -> WireAnswer:
        """One request, sent once. Raises Broken, TimeoutError, ssl.SSLCertVerificationError."""
        try:
            return self._ask(self._rested() or self._connected(), head, body, answer_has_body)
        except (TimeoutError, ssl.SSLCertVerificationError):
            raise
        except BlockingIOError as error:  # so a system says that the time it was given is over
            raise TimeoutError from error
        except OSError as error:
            raise Broken("the connection failed") from error

    def _ask(self, connection: socket.socket, head: bytes, body: Content, answer_has_body: bool) -> WireAnswer:
        try:
            try:
                if len(body) <= _PIECE:
                    connection.sendall(head + body)
                else:
                    connection.sendall(head)
                    connection.sendall(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it refused in the middle of it: perhaps it said why
            reading = _Reading(answer_has_body)
            reading.read(connection)
        except BaseException:
            connection.close()
            raise
        if reading.goes_on and len(self._resting) < self._most:
            self._resting.append((connection, time.monotonic()))
        else:
            connection.close()
        return reading.answer

    def _rested(self) -> socket.socket | None:
        """The one that was used last: the others may rest until the server closes them."""
        while True:
            try:
                connection, since = self._resting.pop()
            except IndexError:
                return None
            if time.monotonic() - since < RESTED_SECONDS or not _has_something(connection):
                return connection
            connection.close()

    def _connected(self) -> socket.socket:
        connection = socket.create_connection((self._host, self._port), self._connect_seconds)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._certificates is not None:
                connection = self._secret(self._certificates).wrap_socket(connection, server_hostname=self._host)
                connection.settimeout(self._read_seconds)
            else:
                # The system keeps the time: Python would ask it before each call whether there is anything.
                patience = struct.pack("ll", int(self._read_seconds), int(self._read_seconds % 1 * 1_000_000))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
                connection.settimeout(None)
        except BaseException:
            connection.close()
            raise
        return connection

    def _secret(self, certificates: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """Reading all certificates takes long: once, and not before a request needs them."""
        with self._guard:
            if self._context is None:
                self._context = certificates()
            return self._context


def _close_all(resting: deque[tuple[socket.socket, float]]) -> None:
    while resting:
        resting.pop()[0].close()


def _has_something(connection: socket.socket) -> bool:
    """Is there something to read? Between two requests that is an end, or bytes that belong to no answer."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def trusting(file_or_folder: str) -> ssl.SSLContext:
    if os.path.isdir(file_or_folder):
        return ssl.create_default_context(capath=file_or_folder)
    return ssl.create_default_context(cafile=file_or_folder)


class _Reading:
    """One answer on its way in. Its methods without a word are the parser's."""

    def __init__(self, has_body: bool) -> None:
        self.answer = WireAnswer()
        self._has_body, self._pieces = has_body, list[bytes]()
        self._parser: httptools.HttpResponseParser | None = None
        self._in_body = self._done = False
        self.goes_on = False
        """The connection can be used again."""

    def read(self, connection: socket.socket) -> None:
        self._parser = httptools.HttpResponseParser(self)
        try:
            self._read(connection, self._parser)
        finally:
            self._parser = None  # they know each other: megabytes would wait for the garbage collector

    def _read(self, connection: socket.socket, parser: httptools.HttpResponseParser) -> None:
        while not self._done:
            piece = connection.recv(_PIECE)
            if not piece:
                return self._ended()
            try:
                parser.feed_data(piece)
            except httptools.HttpParserError as error:
                raise Broken("what came is no answer") from error
            if self._in_body and not self._done and (length := self.answer.headers.get("content-length")):
                return self._rest(connection, int(length))
        self.answer.body = b"".join(self._pieces)

    def _rest(self, connection: socket.socket, length: int) -> None:
        """A body of known length goes straight to where it belongs, in as few calls as the system allows."""
        body, got = bytearray(length), sum(map(len, self._pieces))
        body[:got] = b"".join(self._pieces)
        rest = memoryview(body)[got:]
        while rest:
            count = connection.recv_into(rest)
            if not count:
                raise Broken("the answer ended before its end")
            rest = rest[count:]
        self.answer.body = bytes(body)

    def _ended(self) -> None:
        known = {"content-length", "transfer-encoding"} & self.answer.headers.keys()
        if not self._in_body or known:
            raise Broken("the answer ended before its end")
        self.answer.body = b"".join(self._pieces)
        self.goes_on = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self.answer.status = self._parser.get_status_code()
        if self.answer.status < 200:
            return
        self._in_body, self.goes_on = True, self._parser.should_keep_alive()
        self._done = not self._has_body

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self.answer.status < 200:  # an answer before the answer
            self.answer.headers.clear()
        else:
            self._done = True
