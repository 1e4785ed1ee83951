"""One writer at a time for each upload. A silent one gives way to a newcomer: a client that lost its connection comes back
on another one, long before the server notices that the first is dead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import cast

from starlette.requests import Request

from api.uploads.remembered import UploadLocked

SILENT_SECONDS = 1.0
GIVE_WAY_SECONDS = 5.0
"""How long a newcomer waits for what is being written to reach the disk."""


class Turn:
    """What a writer holds. Around whatever waits for its client it says so: `async with turn.listening()`."""

    def __init__(self) -> None:
        self._listening: asyncio.Timeout | None = None
        self._heard = 0.0
        self.waits = False
        """For its client, and for nothing else"""
        self.over = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Raises TimeoutError when another writer takes over."""
        self._heard = monotonic()
        try:
            async with asyncio.timeout(None) as self._listening:
                yield
        finally:
            self._listening, self.waits = None, False

    def heard(self) -> None:
        """The client is alive."""
        self._heard, self.waits = monotonic(), False

    def stop(self) -> bool:
        """False: it works, or its client talks."""
        if self._listening is None or not self.waits or monotonic() - self._heard < SILENT_SECONDS:
            return False
        if not self._listening.expired():
            self._listening.reschedule(asyncio.get_running_loop().time())
        return True


class Turns:
    """Of this process. Against other ones the lock of the file stands."""

    def __init__(self) -> None:
        self._held: dict[str, Turn] = {}

    def taken(self, id: str) -> bool:
        return id in self._held

    @asynccontextmanager
    async def take(self, id: str) -> AsyncIterator[Turn]:
        """Raises Locked."""
        await self.silence(id)
        turn = self._held[id] = Turn()
        try:
            yield turn
        finally:
            del self._held[id]
            turn.over.set()

    async def silence(self, id: str) -> None:
        """Have a silent writer put down what it has. Raises Locked when there is one that is not silent."""
        if turn := self._held.get(id):
            if not turn.stop():
                raise UploadLocked()
            try:
                await asyncio.wait_for(turn.over.wait(), GIVE_WAY_SECONDS)
            except TimeoutError as error:
                raise UploadLocked() from error
        if id in self._held:
            raise UploadLocked()  # another newcomer was faster


def turns_of(request: Request) -> Turns:
    return cast(Turns, request.scope["app"].state.turns)
