"""What waiting, working side by side and reading local files mean in this manner. The one module that differs by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
Lock = asyncio.Lock


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def blocking(function: Callable[..., T], *arguments: Any) -> T:
    """A call that blocks: on a disk, mostly. It is over when this returns, also where the task is cancelled: what it works on
    is closed next."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def side_by_side(jobs: Iterable[Callable[[], Awaitable[T]]], most: int) -> list[T]:
    """All results in order, at most so many jobs at once; the first failure ends the others."""
    turns = asyncio.Semaphore(most)

    async def one(job: Callable[[], Awaitable[T]]) -> T:
        async with turns:
            return await job()

    tasks = [asyncio.ensure_future(one(job)) for job in jobs]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
