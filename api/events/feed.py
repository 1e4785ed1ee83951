"""The event feed as this process reads it: the newest part once for all followers, older parts from the table for each.

A follower holds a position and nothing else. One task looks for what is new, when Redis says so and at least every half
second; it keeps the last events in memory, within bounds. A follower that is close behind is served from there. One that is
further behind, because it resumes or reads slowly, pages through the table. So a slow follower costs no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import structlog
from starlette.requests import Request

from schema.store import events as store
from schema.store.events import Bounds, EventFilter, Placed

if TYPE_CHECKING:
    from api.services import Wakeups
    from schema.store.pool import Pool

log = structlog.get_logger(__name__)

PAGE = 1000
"""Positions looked at in one go."""
KEPT_EVENTS = 5000
KEPT_BYTES = 8 * 2**20
READERS = 3
"""Pages read from the table at a time: the other connections of the pool are for requests."""
LINGER_SECONDS = 5.0
"""How long the task goes on when no client follows: a client that polls is back in a moment."""
LISTEN_AGAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class FeedPart:
    """Part of the feed: what was wanted of it, and up to where it was looked at.

    `resumed`: what came between the position asked for and this one is not kept any more, and will never be seen.
    """

    events: list[Placed]
    last: int
    resumed: int | None = None


class Feed:
    """Lives on the HTTP loop."""

    def __init__(self, pool: Pool, wakeups: Wakeups | None, poll_seconds: float) -> None:
        self._pool, self._wakeups, self._poll_seconds = pool, wakeups, poll_seconds
        self._reading = asyncio.Semaphore(READERS)
        self._moved, self._nudge = asyncio.Event(), asyncio.Event()
        self._kept: list[Placed] = []
        self._kept_bytes = 0
        self._base: int | None = None
        """The position before the first event that is kept in memory; None: nothing was read yet."""
        self._head = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.TimerHandle | None = None
        self.followers = 0
        self.closed = False

    # Readers

    async def bounds(self) -> Bounds:
        async with self._pool.connection() as connection:
            return await store.bounds(connection)

    async def part(self, after: int, wanted: EventFilter) -> FeedPart:
        """What comes next after a position. Nothing new: an empty part that ends where it began."""
        if self._base is not None and self._base <= after:
            events = self._kept[after - self._base : after - self._base + PAGE]
            return FeedPart(list(filter(wanted.takes, events)), events[-1].position if events else after)
        known = 0 if self._base is None else self._head
        async with self._reading, self._pool.connection() as connection:
            page = await store.page(
                connection, after, PAGE, tenant=wanted.tenant, mount=wanted.mount, types=wanted.types
            )
        if page.first is None:
            return FeedPart([], max(after, known), known if known > after else None)
        resumed = page.first - 1 if page.first > after + 1 else None
        return FeedPart(list(filter(wanted.takes, page.events)), page.last, resumed)

    async def beyond(self, position: int, seconds: float) -> None:
        """Wait until there may be something after a position, until the feed closes here, or so long."""
        if self.closed or (self._base is not None and self._head > position):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()

    @contextmanager
    def following(self) -> Iterator[None]:
        """While a client follows, a task looks for new events."""
        self.followers += 1
        self._start()
        try:
            yield
        finally:
            self.followers -= 1
            if not self.followers and not self.closed:
                self._ending = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._stop)

    def close(self) -> None:
        """End every stream and every poll that waits, because the process ends."""
        self.closed = True
        self._stop()
        self._moved.set()

    # The one task

    def _start(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if not self._tasks and not self.closed:
            self._tasks = [asyncio.create_task(self._look())]
            if self._wakeups is not None:
                self._tasks.append(asyncio.create_task(self._listen(self._wakeups)))

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks, self._ending = [], None
        # What is missed from now on is not caught up with: the next follower begins at the end of the feed.
        self._kept, self._kept_bytes, self._base = [], 0, None

    async def _look(self) -> None:
        while True:
            try:
                await self._advance()
            except Exception as error:
                log.warning("the event feed can not be read", error=f"{type(error).__name__}: {error}")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._nudge.wait()
            self._nudge.clear()

    async def _listen(self, wakeups: Wakeups) -> None:
        while True:
            try:
                async for _ in wakeups.listen():
                    self._nudge.set()
            except Exception as error:
                # Looking every half second goes on: it is slower, nothing else.
                log.info("Redis does not say when there are events", error=repr(error))
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def _advance(self) -> None:
        """Read what is new. Positions become visible in their order: what follows the last one read is all there is."""
        async with self._pool.connection() as connection:
            if self._base is None:
                self._head = self._base = (await store.bounds(connection)).last
                self._wake()
            while (page := await store.page(connection, self._head, PAGE)).first is not None:
                if page.first != self._head + 1:
                    self._kept, self._kept_bytes, self._base = [], 0, page.first - 1
                self._keep(page.events)
                self._head = page.last
                self._wake()

    def _keep(self, events: list[Placed]) -> None:
        assert self._base is not None
        self._kept += events
        self._kept_bytes += sum(len(event.data) for event in events)
        drop = 0
        while len(self._kept) - drop > KEPT_EVENTS or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept[drop].data)
            drop += 1
        if drop:
            self._base = self._kept[drop - 1].position
            del self._kept[:drop]

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


def feed_of(request: Request) -> Feed:
    return cast(Feed, request.scope["app"].state.feed)
