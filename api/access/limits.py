"""One budget for the memory of content on its way, in and out: what does not fit waits a little, then hears 503."""

import asyncio
from collections import deque
from collections.abc import Callable

from activities.executors.kinds import PIECES, reading, writing
from schema.errors import Overloaded
from schema.mounts import Mount

MIB = 1024 * 1024


class Lease:
    """A part of the budget. Given back once, however often it is closed."""

    def __init__(self, budget: "Budget", size: int) -> None:
        self._budget, self._size = budget, size

    def close(self) -> None:
        size, self._size = self._size, 0
        self._budget.give(size)


class Budget:
    """The memory of one process, used by its HTTP loop alone. The request that has waited longest is served first."""

    def __init__(self, total: int, wait_seconds: float, refused: Callable[[str], None]) -> None:
        self._total = self.free = total
        self._wait_seconds, self._refused = wait_seconds, refused
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def read(self, mount: Mount, size: int) -> Lease:
        """Raises Overloaded."""
        return await self._take(min(size, reading(mount.backend_kind)))

    async def write(self, mount: Mount | None) -> Lease:
        """None: into the folder of resumable uploads. Raises Overloaded."""
        return await self._take(writing(mount.backend_kind) if mount else PIECES)

    async def _take(self, size: int) -> Lease:
        size = min(size, self._total)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._serve()
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give(size)
            else:
                self._waiting.remove((size, turn))
                self._serve()
            if isinstance(error, TimeoutError):
                self._refused("memory")
                raise Overloaded("Too much content is on its way here. Send the same request again shortly.") from error
            raise
        return Lease(self, size)

    def give(self, size: int) -> None:
        self.free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            size, turn = self._waiting.popleft()
            if turn.cancelled():
                continue
            self.free -= size
            turn.set_result(None)
