"""Run a consumer of the feed: batch after batch while there is something, then wait for Redis to tell of more, or for a moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

import structlog

from api.services import Wakeups
from schema.consumers.following import Following

log = structlog.get_logger("consumers")

AGAIN_FIRST_SECONDS, AGAIN_MAX_SECONDS = 0.5, 15.0
LISTEN_AGAIN_SECONDS = 2.0


class Consumer(Protocol):
    @property
    def name(self) -> str: ...

    async def step(self) -> int:
        """Take in the next batch; 0: there is nothing."""
        ...

    async def complain(self, problem: str) -> None:
        """Say where others can read it why it stands still."""
        ...

    async def state(self) -> Following: ...


async def follow(consumer: Consumer, moved: asyncio.Event, poll_seconds: float) -> None:
    """Until it is cancelled. What fails is tried again, because each batch is all or nothing."""
    pause = AGAIN_FIRST_SECONDS
    while True:
        try:
            while await consumer.step():
                pause = AGAIN_FIRST_SECONDS
        except Exception as error:
            await _complain(consumer, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_MAX_SECONDS)
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(poll_seconds):
                await moved.wait()
        moved.clear()


async def listen(wakeups: Wakeups, consumers: list[asyncio.Event]) -> None:
    """Wake all of them when there are new events. Without Redis they look by themselves: later, nothing else."""
    while True:
        try:
            async for _ in wakeups.listen():
                for moved in consumers:
                    moved.set()
        except Exception as error:
            log.info("Redis does not say when there are events", error=repr(error))
        await asyncio.sleep(LISTEN_AGAIN_SECONDS)


async def _complain(consumer: Consumer, error: Exception) -> None:
    problem = f"{type(error).__name__}: {error}".splitlines()[0][:500]
    log.warning("a consumer stands still", consumer=consumer.name, problem=problem)
    with suppress(Exception):
        await consumer.complain(problem)
