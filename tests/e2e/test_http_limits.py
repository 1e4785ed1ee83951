"""What the HTTP server takes at most, over raw sockets, against the process that serves. Health answers whatever the others do."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fix_service import MountOfTest, Service, until

LINE, HEAD, HEADERS, CONNECTIONS = 2048, 8192, 32, 20
PATIENT = "120"
"""Seconds: thousands of single bytes take long on a busy machine. What is too slow: `test_http_slow.py`"""
ENDLESS = HEAD + 2**18
"""What comes with one read of the socket is not counted while the parser holds it."""
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def limited(running_service: Service) -> Iterator[Service]:
    running_service.kill()
    running_service.start(
        FILESTORE_HTTP_LINE_MAX_BYTES=str(LINE), FILESTORE_HTTP_HEAD_MAX_BYTES=str(HEAD),
        FILESTORE_HTTP_HEADERS_MAX=str(HEADERS), FILESTORE_HTTP_HEAD_SECONDS=PATIENT, FILESTORE_HTTP_BODY_SECONDS=PATIENT,
        FILESTORE_HTTP_CONNECTIONS_MAX=str(CONNECTIONS), FILESTORE_UPLOAD_MAX_BYTES=str(64 * 2**20),
    )  # fmt: skip
    yield running_service
    running_service.kill()
    running_service.start()


@dataclass
class RawAnswer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


class RawLine:
    """One connection, spoken by hand."""

    def __init__(self, service: Service, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", service.port))
        self._came = b""

    def __enter__(self) -> "RawLine":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes, piece: int | None = None) -> bool:
        """False: the server has closed the connection meanwhile."""
        try:
            for start in range(0, len(data), piece or len(data) or 1):
                self.socket.sendall(data[start : start + (piece or len(data))])
        except ConnectionError:
            return False
        return True

    def answer(self) -> RawAnswer:
        head, body = self._until(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", "0"))
        while len(body) < size:
            body += self._more()
        self._came = body[size:]
        return RawAnswer(int(status.split()[1]), headers, body[:size])

    def closed(self) -> bytes:
        """What still comes until the server closes."""
        rest = self._came
        with suppress(ConnectionError):
            while piece := self.socket.recv(65536):
                rest += piece
        return rest

    def _until(self, mark: bytes) -> tuple[bytes, bytes]:
        while mark not in self._came:
            self._came += self._more()
        head, _, rest = self._came.partition(mark)
        return head, rest

    def _more(self) -> bytes:
        piece = self.socket.recv(65536)
        assert piece, "the server closed without an answer"
        return piece


def healthy(service: Service) -> bool:
    return bool(service.call("GET", "/health").status_code == 200)


def refusals(service: Service, reason: str) -> float:
    page = service.call("GET", "/metrics").text
    [line] = [one for one in page.splitlines() if one.startswith(f'filestore_http_refusals_total{{reason="{reason}"}}')]
    return float(line.split()[-1])


def put(service: Service, mount: MountOfTest, *more: str) -> bytes:
    lines = [
        f"PUT /v1/files/by-path?backendMountId={mount.id}&path=a HTTP/1.1", "Host: x",
        f"Authorization: Bearer {service.token}", *more,
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


# A line is told by the parser when the next one begins.
TOO_MUCH: dict[str, tuple[bytes, int, str]] = {
    "line": (b"GET /" + b"x" * LINE + b" HTTP/1.1\r\n", 414, "URI_TOO_LONG"),
    "a line without end": (b"GET /health?" + b"x" * LINE, 414, "URI_TOO_LONG"),
    "number": (GET + b"A: b\r\n" * (HEADERS + 1), 431, "HEADERS_TOO_LARGE"),
    "size": (GET + b"".join(b"A%d: %s\r\n" % (n, b"x" * 1000) for n in range(10)), 431, "HEADERS_TOO_LARGE"),
    "a value without end": (GET + b"A: " + b"x" * ENDLESS, 431, "HEADERS_TOO_LARGE"),
    "a name without end": (GET + b"x" * ENDLESS, 431, "HEADERS_TOO_LARGE"),
    "no request": (b"\x16\x03\x01\x02\x00\x01\x00", 400, "INVALID_REQUEST"),
}


@pytest.mark.parametrize("piece", [None, 1], ids=["at once", "in single bytes"])
@pytest.mark.parametrize("what", TOO_MUCH)
def test_a_head_beyond_a_limit_is_refused_with_its_code(limited: Service, what: str, piece: int | None) -> None:
    sent, status, code = TOO_MUCH[what]
    with RawLine(limited) as line:
        line.send(sent if piece is None else sent[:11_000], piece)
        assert healthy(limited)
        answer = line.answer()
        assert (answer.status, answer.code, answer.headers["connection"]) == (status, code, "close")
        assert line.closed() == b""


def test_heads_up_to_the_limits_are_served_in_single_bytes(limited: Service) -> None:
    query = b"x" * (LINE - len(b"/health?"))
    most = b"GET /health?%s HTTP/1.1\r\nHost: x\r\n" % query + b"A: b\r\n" * (HEADERS - 1) + b"\r\n"
    with RawLine(limited) as line:
        line.send(most, 1)
        assert line.answer().status == 200


def test_trailers_are_limited_like_headers(limited: Service, mount: MountOfTest) -> None:
    for trailers in (b"A: b\r\n" * (HEADERS + 1), b"A: " + b"x" * ENDLESS):
        with RawLine(limited) as line:
            line.send(put(limited, mount, "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n" + trailers)
            assert line.answer().code == "HEADERS_TOO_LARGE"


def test_a_body_beyond_the_limit_is_413_announced_or_not(limited: Service, mount: MountOfTest) -> None:
    with RawLine(limited) as line:
        line.send(put(limited, mount, f"Content-Length: {2**40}"))
        assert line.answer().code == "PAYLOAD_TOO_LARGE"
    with RawLine(limited) as line:
        line.send(put(limited, mount, "Transfer-Encoding: chunked"))
        piece = b"100000\r\n" + bytes(2**20) + b"\r\n"
        for _ in range(66):
            line.send(piece)
        assert line.answer().code == "PAYLOAD_TOO_LARGE"


def test_a_json_body_beyond_the_limit_is_413(limited: Service) -> None:
    head = f"POST /v1/directories HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {limited.token}\r\n".encode()
    with RawLine(limited) as line:
        line.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 20)
        assert line.answer().code == "PAYLOAD_TOO_LARGE"


def test_connections_beyond_the_limit_hear_so_and_health_is_answered(limited: Service) -> None:
    stream = f"GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {limited.token}\r\n\r\n".encode()
    ask = b"GET /v1/backend-mounts HTTP/1.1\r\nHost: x\r\n\r\n"
    before = refusals(limited, "connections")
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            line = stack.enter_context(RawLine(limited))
            line.send(stream)
            assert line.answer().status == 200
        with RawLine(limited) as late:
            late.send(ask)
            answer = late.answer()
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "OVERLOADED", "2")
        assert healthy(limited)

    def served() -> bool:
        with RawLine(limited) as line:
            line.send(ask)
            return line.answer().status == 401

    assert until(served)
    assert refusals(limited, "connections") >= before + 1


def test_one_connection_has_few_requests_waiting(limited: Service) -> None:
    """Those that are answered are answered in full, then it closes."""
    with RawLine(limited) as line:
        line.send((GET + b"\r\n") * 5000)
        came = line.closed()
    answers = came.count(b"HTTP/1.1 200 OK")
    assert 1 <= answers < 200 and answers == came.count(b"HTTP/1.1 ")
    assert healthy(limited)


def test_requests_that_wait_within_the_limit_are_all_answered_in_their_order(limited: Service) -> None:
    with RawLine(limited) as line:
        for start in range(0, 60, 2):
            line.send(GET + b"X-Request-Id: %d\r\n\r\n" % start + GET + b"X-Request-Id: %d\r\n\r\n" % (start + 1), 7)
        assert [line.answer().headers["x-request-id"] for _ in range(60)] == [str(n) for n in range(60)]


def resident(service: Service, what: str) -> int:
    """KiB"""
    with open(f"/proc/{service.processes['api'].pid}/status") as status:
        [line] = [one for one in status if one.startswith(what)]
    return int(line.split()[1])


FLOODS: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "one header": lambda: (GET + b"A: ", b"x" * 65536),
    "many headers": lambda: (GET, b"A: b\r\n" * 10_000),
    "one address": lambda: (b"GET /", b"x" * 65536),
    "many requests": lambda: (b"", (GET + b"\r\n") * 2_000),
    "empty lines": lambda: (b"", b"\r\n" * 32_768),
    "the extension of a chunk": lambda: (GET + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_memory_stays_bounded_whatever_is_sent(limited: Service, flood: str) -> None:
    """200 MB on eight connections; refused ones are opened anew."""
    before = resident(limited, "VmHWM")
    first, more = FLOODS[flood]()
    for _ in range(8):
        sent = 0
        while sent < 25 * 10**6:
            with RawLine(limited) as line:
                going = line.send(first)
                while going and sent < 25 * 10**6:
                    going = line.send(more)
                    sent += len(more)
        assert healthy(limited)
    assert resident(limited, "VmHWM") - before < 64 * 1024


def test_every_limit_has_been_counted(limited: Service) -> None:
    def counted(reason: str) -> Any:
        return refusals(limited, reason) > 0

    with RawLine(limited) as line:
        line.send(TOO_MUCH["line"][0])
        line.answer()
    assert counted("line")
