"""Large contents travel beside the rounds, both ways: what programs of this server write is committed meanwhile, and what others
write is placed. The step that waits for one is taken by the first round after it has arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from workers.syncing.link import AGAIN_FIRST_SECONDS, AGAIN_MAX_SECONDS, ServiceSilent

log = structlog.get_logger("node")

Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")
AT_ONCE = 4
"""Large contents on their way in one direction"""


@dataclass(slots=True)
class Travel(Generic[T]):
    sha: str
    task: asyncio.Task[T]


class Travels(Generic[Key, T]):
    """Contents on their way, by what waits for them. `arrived`: called when one has come to its end. `drop`: what came in vain."""

    def __init__(self, arrived: Callable[[], None], drop: Callable[[T], None] = lambda _: None) -> None:
        self._arrived, self._drop = arrived, drop
        self._going: dict[Key, Travel[T]] = {}
        self.problem: str | None = None

    def only(self, wanted: Mapping[Key, str]) -> None:
        """All but these contents go on no further."""
        for key in [key for key, travel in self._going.items() if wanted.get(key) != travel.sha]:
            self._end(self._going.pop(key))

    def came(self, key: Key, sha: str, begin: Callable[[], Awaitable[T]]) -> T | None:
        """What came of it, for as long as it is wanted. None: it is on its way, or waits for room."""
        travel = self._going.get(key)
        if travel is None and len(self._going) < AT_ONCE:
            self._going[key] = Travel(sha, self._begun(begin))
        if travel is None or not travel.task.done():
            return None
        return travel.task.result()

    def taken(self, key: Key, sha: str, begin: Callable[[], Awaitable[T]]) -> T | None:
        """The same, once."""
        found = self.came(key, sha, begin)
        if found is not None:
            del self._going[key]
        return found

    def _begun(self, begin: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        task = asyncio.create_task(self._carried(begin))
        task.add_done_callback(lambda _: self._arrived())
        return task

    async def _carried(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Again, less and less often, where the service does not answer: nothing else waits for it."""
        pause = AGAIN_FIRST_SECONDS
        while True:
            try:
                found = await begin()
            except ServiceSilent as error:
                self.problem = str(error)[:500]
                log.info("a large content waits on", why=self.problem)
            else:
                self.problem = None
                return found
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_MAX_SECONDS)

    def _end(self, travel: Travel[T]) -> None:
        travel.task.cancel()
        travel.task.add_done_callback(self._dropped)

    def _dropped(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._drop(task.result())

    async def close(self) -> None:
        """Nothing is on its way any more."""
        tasks: Iterable[asyncio.Task[T]] = [travel.task for travel in self._going.values()]
        self.only({})
        await asyncio.gather(*tasks, return_exceptions=True)
