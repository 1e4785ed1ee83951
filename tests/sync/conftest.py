"""A NATS server for the run, and a hot store on it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from activities.sync.nats.link import NatsLink
from activities.sync.nats.store import NatsHot
from tests.sync.nats_server import NatsServer


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats")).start()
    yield server
    server.kill()


@pytest.fixture
async def hot(nats_server: NatsServer) -> AsyncIterator[NatsHot]:
    store = NatsHot(NatsLink(nats_server.url))
    yield store
    await store.close()
