"""What waiting, working side by side and reading local files mean in this manner. The one module that differs by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")
Lock = threading.Lock


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def blocking(function: Callable[..., T], *arguments: Any) -> T:
    """A call that blocks: on a disk, mostly."""
    return function(*arguments)


def side_by_side(jobs: Iterable[Callable[[], T]], most: int) -> list[T]:
    """All results in order, at most so many jobs at once; the first failure ends the others."""
    listed = list(jobs)
    if len(listed) < 2:
        return [job() for job in listed]
    with ThreadPoolExecutor(min(most, len(listed))) as pool:
        tasks = [pool.submit(job) for job in listed]
        try:
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        if any(task.exception() for task in done):
            pool.shutdown(cancel_futures=True)
        return [task.result() for task in tasks if not task.cancelled()]
