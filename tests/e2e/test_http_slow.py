"""How long the HTTP server waits for a client, over raw sockets, against the process that serves."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from schema.settings import Settings
from tests.e2e.test_http_limits import GET, RawLine, healthy, put, refusals
from tests.fix_service import MountOfTest, Service, until


@pytest.fixture(scope="module")
def hurried(running_service: Service) -> Iterator[Service]:
    running_service.kill()
    running_service.start(
        FILESTORE_HTTP_HEAD_SECONDS="2", FILESTORE_HTTP_BODY_SECONDS="2", FILESTORE_HTTP_WRITE_SECONDS="2",
        FILESTORE_HTTP_KEEP_ALIVE_SECONDS="2",
    )  # fmt: skip
    yield running_service
    running_service.kill()
    running_service.start()


def test_a_head_that_comes_too_slowly_is_refused_and_an_idle_connection_closed(hurried: Service) -> None:
    before = refusals(hurried, "slow_head")
    with RawLine(hurried) as slow, RawLine(hurried) as idle:
        slow.send(GET)
        assert healthy(hurried)
        answer = slow.answer()
        assert (answer.status, answer.code) == (408, "REQUEST_TOO_SLOW")
        assert idle.closed() == b""
    assert refusals(hurried, "slow_head") == before + 2


def test_bytes_that_trickle_do_not_keep_a_head_open(hurried: Service) -> None:
    with RawLine(hurried) as line:
        line.send(GET + b"A: ")
        line.socket.settimeout(0.2)
        came = b""
        while not came:
            line.send(b"x")
            with suppress(TimeoutError):
                came = line.socket.recv(65536)
    assert came.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_a_body_that_comes_too_slowly_is_refused(hurried: Service, mount: MountOfTest, framing: str) -> None:
    before = refusals(hurried, "slow_body")
    with RawLine(hurried) as line:
        line.send(put(hurried, mount, framing) + b"1\r\nx\r\n")
        assert healthy(hurried)
        answer = line.answer()
        assert (answer.status, answer.code) == (408, "REQUEST_TOO_SLOW")
    assert refusals(hurried, "slow_body") == before + 1
    assert os.listdir(mount.root / ".filestore" / "stage") == []


def test_an_idle_connection_stays_open_for_the_next_request_and_is_closed_in_the_end(hurried: Service) -> None:
    assert Settings().http_keep_alive_seconds == 75  # type: ignore[call-arg]
    with RawLine(hurried) as line:
        for _ in range(3):
            line.send(GET + b"\r\n")
            assert line.answer().status == 200
        assert line.closed() == b""


def test_a_client_that_stops_reading_is_cut_off(hurried: Service, mount: MountOfTest) -> None:
    content = os.urandom(48 * 2**20)
    made = hurried.call(
        "PUT", "/v1/files/by-path", params={"backendMountId": mount.id, "path": "big"}, content=content
    ).json()
    node = made["data"]["node"]["id"]
    before = refusals(hurried, "slow_reader")
    with RawLine(hurried, receive_buffer=4096) as line:
        get = f"GET /v1/files/{node}/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hurried.token}\r\n\r\n"
        line.send(get.encode())
        assert until(lambda: refusals(hurried, "slow_reader") == before + 1)
        assert len(line.closed()) < len(content)
