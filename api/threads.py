"""Threads for what blocks: each mount has its own few, so that a hung disk holds up nobody but its own callers."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from schema.ids import MountId

P = ParamSpec("P")
T = TypeVar("T")

PER_MOUNT = 8


class MountThreads:
    """Made once per process; a mount's threads start when it is first used."""

    def __init__(self) -> None:
        self._threads: dict[MountId, ThreadPoolExecutor] = {}

    async def run(self, mount: MountId, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        threads = self._threads.get(mount)
        if threads is None:
            threads = self._threads[mount] = ThreadPoolExecutor(PER_MOUNT, thread_name_prefix=f"mount-{mount}")
        return await asyncio.get_running_loop().run_in_executor(threads, partial(work, *args, **kwargs))

    def close(self) -> None:
        """Take no more work, wait for none: a thread that hangs on a dead disk must not keep the process alive."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)
