"""A client that asks while a process dies."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx2


def ask(call: Callable[[], object], until: Callable[[], bool]) -> None:
    """Send, and go on as soon as the process has died or, where the point is not on this command's way, the answer is there."""

    def quietly() -> None:
        with suppress(httpx2.HTTPError):
            call()

    asking = threading.Thread(target=quietly)
    asking.start()
    wait(lambda: until() or not asking.is_alive(), 15)
    if not until():
        wait(until, 1.0)  # the answer came first; the point may lie behind it
    asking.join(timeout=1)


def wait(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
