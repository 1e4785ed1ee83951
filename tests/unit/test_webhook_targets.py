"""Targets of webhooks that hang, drip, stream for ever, redirect, talk nonsense or hide a private address: each attempt is bounded,
goes nowhere else, and says what it was."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

import httpx2
import pytest

from activities.events import deliver
from activities.events.deliver import send
from schema.subscriptions import webhook
from schema.subscriptions.attempts import DeliveryAttempt

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "ANSWER_SECONDS", 1.0)


@asynccontextmanager
async def target(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """The port, and what was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head)
            await answer(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()


async def attempt(url: str, allowed: Sequence[str] = ("127.0.0.1",)) -> DeliveryAttempt:
    async with httpx2.AsyncClient(follow_redirects=False, trust_env=False) as http:
        return await send(http, url, [webhook.new_secret()], "msg_1", b"{}", allowed)


async def told(answer: Answer) -> DeliveryAttempt:
    async with target(answer) as (port, _):
        return await attempt(f"http://127.0.0.1:{port}/hook")


def once(content: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return answer


def again_and_again(first: bytes, content: bytes, seconds: float = 0.0) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(content)
            await writer.drain()
            await asyncio.sleep(seconds)

    return answer


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


HANGS: dict[str, Answer] = {
    "says nothing": silence,
    "drips its head": again_and_again(b"HTTP/1.1 200 OK\r\nx: ", b"y", 0.05),
    "says to wait, for ever": again_and_again(b"", b"HTTP/1.1 102 Processing\r\n\r\n", 0.01),
    "drips its body": again_and_again(OK + b"Content-Length: 9000\r\n\r\n", b"y", 0.05),
}


@pytest.mark.parametrize("name", HANGS)
async def test_a_target_that_hangs_is_left_after_its_time(name: str) -> None:
    began = monotonic()
    found = await told(HANGS[name])
    assert not found.succeeded and found.error == "no whole answer came within 1 s"
    assert found.milliseconds > 900 and monotonic() - began < 30


async def test_of_a_body_without_end_little_is_read_and_the_status_counts() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(OK + b"Content-Length: 99999999999\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    found = await told(endless)
    assert found.succeeded and sent < 16 * 2**20, "what lay in the buffers of the network"


async def test_a_head_without_end_is_refused() -> None:
    found = await told(again_and_again(OK, b"x-filler: " + b"y" * 8000 + b"\r\n"))
    assert not found.succeeded and found.error is not None


ANSWERS: dict[str, tuple[bytes, int | None, float | None]] = {
    "a redirect": (b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 307, None),
    "an error": (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 500, None),
    "a time to wait": (b"HTTP/1.1 503 No\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", 503, 120.0),
    "a date to wait for": (b"HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 1999 23:59 GMT\r\nContent-Length: 0\r\n\r\n", 503, None),
    "a digit that is no number": (OK + b"Retry-After: \xb2\r\nContent-Length: 0\r\n\r\n", 200, None),
    "nonsense": (b"SSH-2.0-OpenSSH_9\r\n\r\n", None, None),
    "nothing": (b"", None, None),
    "half of a body": (OK + b"Content-Length: 10\r\n\r\nhalf", None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_was_answered_is_what_is_told(name: str) -> None:
    content, status, retry_after = ANSWERS[name]
    found = await told(once(content))
    assert (found.status, found.retry_after) == (status, retry_after)
    assert found.succeeded is (status == 200) and (found.error is None) is (status is not None)


async def test_a_name_is_looked_up_once_and_asked_at_the_address_that_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that changes its mind between the look and the connection gains nothing."""
    async with target(once(OK + b"Content-Length: 0\r\n\r\n")) as (port, asked):
        looked = resolving(monkeypatch, {"example.org": ["127.0.0.1"]})
        found = await attempt(f"http://example.org:{port}/hook?x=1")
        assert found.succeeded and looked == ["example.org"]
        assert (
            asked[0].startswith(b"POST /hook?x=1 HTTP/1.1\r\n")
            and b"host: example.org:%d\r\n" % port in asked[0].lower()
        )


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.1.2.3"],
        ["93.184.216.34", "192.168.0.1"],
        ["::1"],
        ["fe80::1%eth0"],
        ["::ffff:169.254.169.254"],
        ["0.0.0.0"],
    ],
    ids=str,
)
async def test_a_name_that_leads_inside_is_not_asked(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    async with target(once(OK + b"\r\n")) as (port, asked):
        resolving(monkeypatch, {"inside.example.org": addresses})
        found = await attempt(f"http://inside.example.org:{port}/", allowed=())
    assert (found.succeeded, asked) == (False, []) and "no address of the open internet" in str(found.error)


def resolving(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Which names were looked up."""
    looked: list[str] = []
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def lookup(host: Any, port: Any, **more: Any) -> Any:
        if host not in names:
            return await real(host, port, **more)
        looked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]

    monkeypatch.setattr(loop, "getaddrinfo", lookup)
    return looked
