"""Routes run on the loop of HTTP, and the engine has another one: what it asks of a route goes over."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class OnLoop(Generic[T]):
    """Called on any loop, it runs on this one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[int], Coroutine[Any, Any, T]]) -> None:
        self._loop, self._work = loop, work

    async def __call__(self, subject: int) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._work(subject), self._loop))
