"""Ways to die while a command is on its way. Each leaves the service running again, without faults."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx2

from tests import kills
from tests.fix_service import Service
from tests.model.walk import Disturbance


def at_a_point(point: str) -> Disturbance:
    """The API, at a named point of the protocol."""

    def strike(service: Service, call: Callable[[], object]) -> None:
        kills.crash_api(service, point, call)
        service.start("api")

    return strike


def in_the_worker(point: str, again: str | None) -> Disturbance:
    """The API once its intent is durable, and then the worker that carries on; perhaps twice."""

    def strike(service: Service, call: Callable[[], object]) -> None:
        kills.crash_worker(service, kills.Case("worker", point, "any", again), call)
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
