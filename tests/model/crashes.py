"""Ways to die while a command is on its way. Each leaves the service running again, without faults."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx2

from schema.faults import POINTS
from tests.dying import kill_api_at, kill_worker_again_at, kill_worker_at
from tests.fix_service import Service
from tests.model.walk import Disturbance

_NOT_HERE = ("commit.item", "commit.taken_back", "stage.laid", "finish.cleared", "metastore.taken", "timestore.taken")
"""Within a transaction; never passed by one command on a local disk; or of the consumers"""
IN_API = tuple(point for point in POINTS if point not in _NOT_HERE)
IN_WORKER = (
    "apply.locked", "apply.act", "apply.acted", "apply.flushed", "commit.before_commit", "commit.committed", "finish.acted",
    "finish.closed",
)  # fmt: skip


def at_a_point(point: str) -> Disturbance:
    """The API, at a named point of the protocol."""

    def strike(service: Service, call: Callable[[], object]) -> None:
        service.settle()
        service.kill("api")
        kill_api_at(service, point, call)
        service.start("api")

    return strike


def in_the_worker(point: str, again: str | None) -> Disturbance:
    """The API once its intent is durable, and then the worker that carries on; perhaps twice."""

    def strike(service: Service, call: Callable[[], object]) -> None:
        service.settle()
        service.kill()
        kill_worker_at(service, point, call)
        if again:
            kill_worker_again_at(service, again)
        service.ensure_running()

    return strike


def at_a_moment(seconds: float) -> Disturbance:
    """The API, this long after the request was sent."""

    def strike(service: Service, call: Callable[[], object]) -> None:
        def quietly() -> None:
            with suppress(httpx2.HTTPError):
                call()

        asking = threading.Thread(target=quietly)
        asking.start()
        time.sleep(seconds)
        service.kill("api")
        asking.join()
        service.start("api")

    return strike
