"""Processes that die at a named point, and a client that asks meanwhile."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx2

from tests.fix_service import Service


def kill_api_at(service: Service, point: str, call: Callable[[], object]) -> None:
    """A new API, which dies there; it is not running afterwards."""
    service.start("api", fault=f"{point}=kill")
    _ask(call, until=lambda: _dead(service, "api"))
    service.kill("api")


def kill_worker_at(service: Service, point: str, call: Callable[[], object]) -> None:
    """A new API, which dies once its intent is durable, and then the worker that carries on; neither runs afterwards."""
    service.start("worker", fault=f"{point}=kill")
    service.start("api", fault="begin.committed=kill")
    _ask(call, until=lambda: _dead(service, "api"))
    _wait(lambda: _dead(service, "worker"), 12)
    service.kill()


def kill_worker_again_at(service: Service, point: str) -> None:
    """The next worker, while it carries on what the last one left."""
    service.start("worker", fault=f"{point}=kill")
    _wait(lambda: _dead(service, "worker"), 8)
    service.kill()


def _dead(service: Service, name: str) -> bool:
    return service.processes[name].poll() is not None


def _ask(call: Callable[[], object], until: Callable[[], bool]) -> None:
    """Send, and go on as soon as the process has died or, where the point is not on this command's way, the answer is there."""

    def quietly() -> None:
        with suppress(httpx2.HTTPError):
            call()

    asking = threading.Thread(target=quietly)
    asking.start()
    _wait(lambda: until() or not asking.is_alive(), 15)
    if not until():
        _wait(until, 1.0)  # the answer came first; the point may lie behind it
    asking.join(timeout=1)


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
