"""A connection to NATS: made when it is first needed, and again after it was lost; acknowledgements come through one inbox."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import nats.errors
from nats.aio.client import Client

from activities.sync.hot import HotUnavailable

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from activities.sync.nats.accounts import NatsUser

CONNECT_SECONDS = 2
ACK_SECONDS = 5.0
"""An acknowledgement that takes longer never comes: the server was restarted"""
AGAIN_SECONDS = 1.0
WINDOW_BYTES = 16 << 20
"""Of content on its way at once: a faster sender is refused"""

WRONG_SEQUENCE, TOO_MANY_FOR_SUBJECT, NO_STREAM, STREAM_EXISTS = 10071, 10077, 10059, 10058


class Refusal(Exception):
    """What the server answered instead of an acknowledgement."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("description")))
        self.code = int(error.get("err_code", 0))


class NoStream(HotUnavailable):
    """Nothing listens: there is no such stream, or JetStream is not up yet."""


class NatsLink:
    """It belongs to the loop that first uses it."""

    def __init__(
        self, url: str, name: str = "filestore", *, user: Callable[[], NatsUser] | None = None,
        introduce: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """`user`: as whom it comes, where the server asks. `introduce`: called where it does not know that one's account."""
        self._url, self._name, self._user, self._introduce = url, name, user, introduce
        self._introduced = False
        self._client: Client | None = None
        self.connections = 0
        """That were made so far: what was known of the server was known on one of them"""
        self._guard = asyncio.Lock()
        self._failed_at = float("-inf")
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._inbox, self._count = "", 0
        self._listeners: dict[str, Callable[[Msg], Awaitable[None]]] = {}
        self._queues: set[asyncio.Queue[Msg | None]] = set()

    async def client(self) -> Client:
        """Raises HotUnavailable at once where the last try failed a moment ago."""
        if self._client is not None and self._client.is_connected:
            return self._client
        async with self._guard:
            if self._client is not None and self._client.is_connected:
                return self._client
            now = asyncio.get_running_loop().time()
            if now - self._failed_at < AGAIN_SECONDS:
                raise HotUnavailable
            self._failed_at = now
            client = await self._connected()
            self._failed_at = float("-inf")
            self._client = client
            self.connections += 1
            return client

    async def _connected(self) -> Client:
        await self._drop()
        try:
            client = await self._admitted()
            self._inbox = client.new_inbox()
            await client.subscribe(f"{self._inbox}.*", cb=self._acknowledged)
            for subject, heard in self._listeners.items():
                await client.subscribe(subject, cb=heard)
        except (OSError, TimeoutError, nats.errors.Error) as error:
            raise HotUnavailable from error
        return client

    async def _admitted(self) -> Client:
        """A server that is asked for an account that it does not know takes two seconds to say so: it is told of it first."""
        if self._introduce is not None and not self._introduced:
            await self._introduce()
            self._introduced = True
        try:
            return await self._opened()
        except nats.errors.Error as error:
            self._introduced = self._introduced and "authorization" not in str(error).lower()
            raise

    async def _opened(self) -> Client:
        user = {} if self._user is None else presented(self._user())
        client = Client()
        opening = client.connect(
            self._url, name=self._name, allow_reconnect=False, connect_timeout=CONNECT_SECONDS, error_cb=_ignore,
            closed_cb=self._lost, pending_size=32 << 20, **user,
        )  # fmt: skip
        try:
            await asyncio.wait_for(opening, 2 * CONNECT_SECONDS)
        except BaseException:
            with suppress(Exception):
                await client.close()
            raise
        return client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        await self._lost()
        self._waiting.clear()
        if client is not None:
            with suppress(Exception):
                await client.close()

    async def _lost(self) -> None:
        """What waits for an answer does not get it any more."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(HotUnavailable())
                future.exception()  # who sent it may wait for it no more
        for queue in self._queues:
            queue.put_nowait(None)

    async def _acknowledged(self, message: Msg) -> None:
        future = self._waiting.pop(message.subject.rpartition(".")[2], None)
        if future is not None and not future.done():
            future.set_result(message)

    async def send(self, subject: str, content: bytes, headers: Mapping[str, str] | None = None) -> Awaitable[Any]:
        """On its way; what it returns waits for the acknowledgement. Raises HotUnavailable; waiting raises Refusal too."""
        client = await self.client()
        self._count += 1
        token = str(self._count)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        try:
            await client.publish(
                subject, content, reply=f"{self._inbox}.{token}", headers=dict(headers) if headers else None
            )
        except (OSError, nats.errors.Error) as error:
            self._waiting.pop(token, None)
            raise HotUnavailable from error
        return self._answer(token, future)

    async def _answer(self, token: str, future: asyncio.Future[Msg]) -> Any:
        try:
            if future.done():  # of many that were sent, most have their answer by the time it is asked for
                return _checked(future.result())
            async with asyncio.timeout(ACK_SECONDS):
                return _checked(await future)
        except TimeoutError as error:
            raise HotUnavailable from error
        finally:
            self._waiting.pop(token, None)

    async def publish(self, subject: str, content: bytes, headers: Mapping[str, str] | None = None) -> Any:
        """Acknowledged. Raises HotUnavailable, Refusal."""
        return await (await self.send(subject, content, headers))

    async def has_no_stream(self) -> None:
        """Silence means that a stream is not there only where JetStream itself answers. Raises HotUnavailable."""
        try:
            await self.api("INFO")
        except Refusal as refusal:
            raise HotUnavailable from refusal

    async def ask(self, subject: str, content: bytes = b"", seconds: float = ACK_SECONDS) -> Msg:
        """Raises HotUnavailable; NoStream where nothing listens to it."""
        client = await self.client()
        try:
            return await client.request(subject, content, timeout=seconds)
        except nats.errors.NoRespondersError as error:
            raise NoStream from error
        except (OSError, TimeoutError, nats.errors.Error) as error:
            raise HotUnavailable from error

    async def api(self, request: str, **body: Any) -> Any:
        """A request to JetStream itself. Raises HotUnavailable, Refusal."""
        return _checked(await self.ask(f"$JS.API.{request}", json.dumps(body).encode() if body else b""))

    async def listen(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> None:
        """On the connection that there is, and on each that follows. One listener for a subject: it may try until there is one."""
        connected = self._client is not None and self._client.is_connected
        known, self._listeners[subject] = subject in self._listeners, heard
        client = await self.client()
        if connected and not known:
            await client.subscribe(subject, cb=heard)

    async def messages(self, subject: str, content: bytes) -> AsyncGenerator[Msg]:
        """All that is sent in answer to one request, the last one with a status. Raises HotUnavailable."""
        client = await self.client()
        came: asyncio.Queue[Msg | None] = asyncio.Queue()

        async def taken(message: Msg) -> None:
            came.put_nowait(message)

        self._queues.add(came)
        subscription = None
        try:
            inbox = client.new_inbox()
            subscription = await client.subscribe(inbox, cb=taken, pending_bytes_limit=-1)
            await client.publish(subject, content, reply=inbox)
            while True:
                async with asyncio.timeout(ACK_SECONDS):
                    message = await came.get()
                if message is None:
                    raise HotUnavailable
                yield message
        except (OSError, TimeoutError, nats.errors.Error) as error:
            raise HotUnavailable from error
        finally:
            self._queues.discard(came)
            if subscription is not None:
                with suppress(nats.errors.Error):
                    await subscription.unsubscribe()

    async def close(self) -> None:
        await self._drop()


def presented(user: NatsUser) -> dict[str, Any]:
    """How a user shows who it is, as options of a connection."""

    def signed(nonce: str) -> bytes:
        return base64.b64encode(user.key.sign(nonce.encode()))

    return {"user_jwt_cb": lambda: user.token.encode(), "signature_cb": signed, "inbox_prefix": user.inbox.encode()}


def _checked(message: Msg) -> Any:
    if status_of(message) == "503":
        raise HotUnavailable
    answer = json.loads(message.data)
    if "error" in answer:
        raise Refusal(answer["error"])
    return answer


def status_of(message: Msg) -> str:
    return (message.headers or {}).get("Status", "")


async def _ignore(error: Exception) -> None:
    """What is refused is seen by its caller, as an answer that does not come."""
