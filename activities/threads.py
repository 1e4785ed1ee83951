"""Threads for what blocks: each mount has its own few, so that a hung disk holds up only its own callers.

They are daemons, unlike those of concurrent.futures: one that hangs on a dead disk must not keep the process alive.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Any, ParamSpec, TypeVar

from schema.ids import MountId

P = ParamSpec("P")
T = TypeVar("T")

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class _Crew:
    """The threads of one mount. A new one starts when work comes and none is idle."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most, self._started = name, most, 0
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._idle = Semaphore(0)

    def put(self, job: _Job) -> None:
        self._jobs.put(job)
        if self._started < self._most and not self._idle.acquire(blocking=False):
            self._started += 1
            Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()

    def _work(self) -> None:
        while True:
            loop, future, work = self._jobs.get()
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:
                error = raised
            try:
                loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:
                return  # the loop is closed: the process is about to exit
            del future, work, result, error
            self._idle.release()


def _settle(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if future.done():
        return  # its caller does not wait any longer
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class MountThreads:
    """A mount's threads start when they are first needed. `name`: what they are for, as the table of budgets calls it."""

    def __init__(self, name: str, per_mount: int) -> None:
        self._name, self._most = name, per_mount
        self._crews: dict[MountId, _Crew] = {}

    async def run(self, mount: MountId, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        crew = self._crews.get(mount)
        if crew is None:
            crew = self._crews[mount] = _Crew(f"{self._name}-{mount}", self._most)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        crew.put((loop, future, partial(work, *args, **kwargs)))
        return await future


def loop_thread(name: str, run: Callable[[], None]) -> Thread:
    """A daemon thread, not started yet, that does one thing for as long as a mount is watched."""
    return Thread(target=run, name=name, daemon=True)
