"""`client`: the SDK on the running service, once in each manner; the same tests hold for both. `shell`: the command."""

import asyncio
import inspect
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filestore_sdk import AsyncClient, Client

from tests.clients.sdk.command import Shell
from tests.fix_s3_proxy import S3Proxy
from tests.fix_service import Service
from tests.fix_stack import REPOSITORY
from tests.sampling import SEED, chosen

ACCEPTANCE = 6
"""Cases of fsspec's own suite in `make test`; all of them in `make test-slow`"""


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    cases = [item for item in items if "sdk/test_fsspec.py::Test" in item.nodeid]
    kept = chosen([item.nodeid for item in cases], ACCEPTANCE, SEED)
    for item in cases:
        if item.nodeid not in kept:
            item.add_marker(pytest.mark.slow)


class ClientThatWaits:
    """An asynchronous client, used as if it waited: each call runs in a loop of its own thread."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._target, self._loop = target, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return ClientThatWaits(found, self._loop)

        def call(*arguments: Any, **named: Any) -> Any:
            result = found(*arguments, **named)
            if inspect.isasyncgen(result):
                return self._each(result)
            return self._run(result) if inspect.isawaitable(result) else result

        return call

    def _run(self, awaitable: Any) -> Any:
        async def run() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(120)

    def _each(self, source: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._run(anext(source))
                except StopAsyncIteration:
                    return
        finally:
            self._run(source.aclose())


@pytest.fixture(scope="session")
def loop_of_clients() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@dataclass(frozen=True)
class Upstream:
    endpoint: str


@pytest.fixture
def proxy(service: Service) -> Iterator[S3Proxy]:
    """Between client and service; it breaks what it is told to break."""
    between = S3Proxy(Upstream(service.url))  # type: ignore[arg-type]
    yield between
    between.close()


def make(manner: str, url: str, token: str, loop: asyncio.AbstractEventLoop, **options: Any) -> Any:
    if manner == "waits":
        return Client(url, token, **options)

    async def made() -> AsyncClient:
        return AsyncClient(url, token, **options)

    return ClientThatWaits(asyncio.run_coroutine_threadsafe(made(), loop).result(30), loop)


@pytest.fixture(params=["waits", "async"])
def client(
    request: pytest.FixtureRequest, service: Service, loop_of_clients: asyncio.AbstractEventLoop
) -> Iterator[Any]:
    made = make(request.param, service.url, service.token, loop_of_clients, correlation_id="tests/clients")
    yield made
    made.close()


@pytest.fixture(params=["waits", "async"])
def shaken(
    request: pytest.FixtureRequest, service: Service, proxy: S3Proxy, loop_of_clients: asyncio.AbstractEventLoop
) -> Iterator[Any]:
    """The same behind the proxy."""
    made = make(request.param, proxy.endpoint, service.token, loop_of_clients, timeout=20.0)
    yield made
    made.close()


@pytest.fixture
def shell(service: Service, tmp_path: Path) -> Shell:
    folder = tmp_path / "here"
    folder.mkdir()
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY / "api/sdk"),
        "FILESTORE_URL": service.url, "FILESTORE_TOKEN": service.token,
    }  # fmt: skip
    return Shell(env, folder)
