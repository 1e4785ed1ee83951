"""What the tests of events share."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests import sse, ws
from tests.api.conftest import FrontOfTest
from tests.sse import StreamReader
from tests.ws import SocketReader

Connect = Callable[..., Awaitable[StreamReader | SocketReader]]


@pytest.fixture(autouse=True)
async def hung_up() -> AsyncIterator[None]:
    yield
    await sse.close_all()
    await ws.close_all()


@pytest.fixture(params=[sse.connect, ws.connect], ids=["stream", "socket"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """The same question to either way of following: what a test says of it holds for both."""
    found: Connect = request.param
    return found


@pytest.fixture
async def read_token(front: FrontOfTest) -> str:
    return front.tokens["read"]
