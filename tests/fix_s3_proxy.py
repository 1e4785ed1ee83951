"""`s3_proxy`: a proxy on loopback between a client and the S3 server, which breaks the requests it is told to break.

It forwards whole requests and answers byte for byte (signatures stay valid: the Host header is not touched), and counts
what really reached the server.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.fix_s3 import S3Server


@dataclass(frozen=True)
class ProxiedRequest:
    method: str
    target: str
    head: bytes
    body: bytes

    @property
    def is_copy(self) -> bool:
        return b"x-amz-copy-source:" in self.head.lower()


@dataclass
class Fault:
    """Which requests, how often, and what happens to them."""

    method: str
    needle: str = ""
    times: int = 1
    status: int = 0
    """Answer this instead of asking the server ..."""
    code: str = ""
    """... with this error"""
    inside: bool = False
    """The error comes in an answer 200."""
    cut_request: int | None = None
    """Reset after so many bytes of the request's body reached the server."""
    cut_answer: int | None = None
    """Reset after so many bytes of the answer's body (-1: before its head); the server has done its work."""
    end_answer: int | None = None
    """Close in good order after so many bytes of the answer's body"""
    headers: dict[str, str] = field(default_factory=dict)
    """Changed in the answer"""
    hang_seconds: float = 0.0
    flip: bool = False
    """Change a byte of the request's body on its way."""
    only_copies: bool | None = None
    struck: int = 0

    def fits(self, asked: ProxiedRequest) -> bool:
        kind = self.only_copies is None or self.only_copies == asked.is_copy
        return self.struck < self.times and asked.method == self.method and self.needle in asked.target and kind


class S3Proxy:
    def __init__(self, server: S3Server) -> None:
        place = urlsplit(server.endpoint)
        self._upstream = (place.hostname or "", place.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._guard = threading.Lock()
        self._faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []
        self.reached: list[tuple[str, str]] = []
        self._ended = self._stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def on(self, fault: Fault) -> Fault:
        with self._guard:
            self._faults.append(fault)
        return fault

    def calm(self) -> None:
        with self._guard:
            self._faults.clear()

    @contextmanager
    def down(self) -> Iterator[None]:
        """As if the server had stopped: every request is reset."""
        self._stopped = True
        yield
        self._stopped = False

    def count(self, method: str, needle: str = "") -> int:
        """How many such requests reached the server as a whole."""
        return sum(one == method and needle in target for one, target in self.reached)

    def close(self) -> None:
        self._ended = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, EOFError), client.makefile("rb") as words:
            while asked := _read_request(words, client.sendall):
                if self._stopped:
                    return _reset(client)
                self.asked.append((asked.method, asked.target))
                fault = self._due(asked)
                if not self._answer(client, asked, fault or Fault("")):
                    return

    def _due(self, asked: ProxiedRequest) -> Fault | None:
        with self._guard:
            fault = next((fault for fault in self._faults if fault.fits(asked)), None)
            if fault:
                fault.struck += 1
            return fault

    def _answer(self, client: socket.socket, asked: ProxiedRequest, fault: Fault) -> bool:
        """False: the connection is of no more use."""
        if fault.hang_seconds:
            time.sleep(fault.hang_seconds)
        if fault.status or fault.inside:
            client.sendall(_error(fault, asked))
            return True
        with socket.create_connection(self._upstream, timeout=30) as server:
            if fault.cut_request is not None:
                server.sendall(asked.head + asked.body[: fault.cut_request])
                time.sleep(0.05)
                _reset(server)
                _reset(client)
                return False
            body = bytes([asked.body[0] ^ 1]) + asked.body[1:] if fault.flip and asked.body else asked.body
            server.sendall(asked.head + body)
            with server.makefile("rb") as words:
                head, answer = _read_answer(words, asked.method)
        self.reached.append((asked.method, asked.target))
        for name, value in fault.headers.items():
            head = _changed(head, name, value)
        if fault.cut_answer is not None:
            if fault.cut_answer >= 0:
                client.sendall(head + answer[: fault.cut_answer])
                time.sleep(0.05)
            _reset(client)
            return False
        if fault.end_answer is not None:
            client.sendall(head + answer[: fault.end_answer])
            return False
        client.sendall(head + answer)
        return True


def _read_head(words: object) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line: bytes = words.readline()  # type: ignore[attr-defined]
        if not line:
            if head:
                raise EOFError
            return b""
        head += line
    return head


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None


def _read_request(words: object, send: Callable[[bytes], object]) -> ProxiedRequest | None:
    head = _read_head(words)
    if not head:
        return None
    if _header(head, b"expect") is not None:
        send(b"HTTP/1.1 100 Continue\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:")]
        head = b"\r\n".join(lines)
    length = int(_header(head, b"content-length") or 0)
    body: bytes = words.read(length) if length else b""  # type: ignore[attr-defined]
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
    return ProxiedRequest(method, target, head, body)


def _read_answer(words: object, method: str) -> tuple[bytes, bytes]:
    head = _read_head(words)
    status = int(head.split(b" ", 2)[1])
    if method == "HEAD" or status in (204, 304):
        return head, b""
    length = _header(head, b"content-length")
    if length is not None:
        return head, words.read(int(length))  # type: ignore[attr-defined]
    body = b""
    while size := int(words.readline().strip() or b"0", 16):  # type: ignore[attr-defined]
        body += words.read(size)  # type: ignore[attr-defined]
        words.readline()  # type: ignore[attr-defined]
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"transfer-encoding:")]
    head = b"\r\n".join([*lines[:-2], b"Content-Length: %d" % len(body), b"", b""])
    return head, body


def _changed(head: bytes, name: str, value: str) -> bytes:
    wanted = name.lower().encode()
    lines = [line for line in head.split(b"\r\n") if line.partition(b":")[0].strip().lower() != wanted]
    return b"\r\n".join([*lines[:-2], f"{name}: {value}".encode(), b"", b""])


def _error(fault: Fault, asked: ProxiedRequest) -> bytes:
    status = 200 if fault.inside else fault.status
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{fault.code}</Code><Message>asked for</Message></Error>'
    )
    head = f"HTTP/1.1 {status} Answer\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head if asked.method == "HEAD" else head + body).encode()


def _reset(connection: socket.socket) -> None:
    """RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


@pytest.fixture
def s3_proxy(s3_server: S3Server) -> Iterator[S3Proxy]:
    proxy = S3Proxy(s3_server)
    yield proxy
    proxy.close()
