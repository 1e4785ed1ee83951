"""Streams of JetStream: made when they are first needed, made again after the server lost them, read by direct requests."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from activities.sync.hot import HotUnavailable
from activities.sync.nats.link import STREAM_EXISTS, TOO_MANY_FOR_SUBJECT, NatsLink, NoStream, Refusal, status_of

if TYPE_CHECKING:
    from nats.aio.msg import Msg


class NatsStreams:
    def __init__(self, link: NatsLink) -> None:
        self._link = link
        self._made: set[str] = set()
        self._known_on = 0
        """The connection on which they were made: behind another one there may be a server that was wiped"""

    def forget(self, stream: str) -> None:
        """It is not there any more."""
        self._made.discard(stream)

    async def make(self, stream: str, subjects: list[str], **options: Any) -> None:
        await self._link.client()
        if self._known_on != self._link.connections:
            self._made.clear()
            self._known_on = self._link.connections
        if stream in self._made:
            return
        config = {
            "name": stream, "subjects": subjects, "retention": "limits", "storage": "file", "num_replicas": 1,
            "allow_direct": True, "max_consumers": 100, **options,
        }  # fmt: skip
        try:
            await self._link.api(f"STREAM.CREATE.{stream}", **config)
        except Refusal as refusal:
            if refusal.code != STREAM_EXISTS:
                raise HotUnavailable from refusal
        self._made.add(stream)

    async def once_more(self, stream: str, put: Callable[[], Awaitable[Any]]) -> None:
        """A server that was wiped has no stream any more, which shows as silence: it is made again."""
        try:
            await put()
        except HotUnavailable:
            self._made.discard(stream)
            await put()
        except Refusal as refusal:
            raise HotUnavailable from refusal

    async def direct(self, stream: str, subject: str) -> Msg | None:
        """The last message of a subject."""
        try:
            message = await self._link.ask(f"$JS.API.DIRECT.GET.{stream}.{subject}")
        except NoStream:
            await self._link.has_no_stream()
            return None
        return None if status_of(message) in ("404", "408") else message

    async def asked(self, stream: str, asked: Mapping[str, Any]) -> AsyncGenerator[Msg]:
        """The messages of one request, as they come; none where there is no such stream."""
        async with aclosing(
            self._link.messages(f"$JS.API.DIRECT.GET.{stream}", json.dumps(asked).encode())
        ) as messages:
            async for message in messages:
                if status_of(message) == "503":
                    await self._link.has_no_stream()
                if status_of(message):
                    return
                yield message


async def all_there(waiting: deque[Awaitable[Any]]) -> None:
    """A message that is refused because there is one already is there. One after the other: the acknowledgements come in order."""
    try:
        while waiting:
            try:
                await waiting.popleft()
            except Refusal as refusal:
                if refusal.code != TOO_MANY_FOR_SUBJECT:
                    raise HotUnavailable from refusal
    finally:
        for answer in waiting:  # nothing is left of it where one did not come
            if isinstance(answer, Coroutine):
                answer.close()
        waiting.clear()
