"""What the tests of events share."""

from collections.abc import AsyncIterator

import pytest

from tests.api.conftest import FrontOfTest
from tests.sse import close_all


@pytest.fixture(autouse=True)
async def hung_up() -> AsyncIterator[None]:
    yield
    await close_all()


@pytest.fixture
async def read_token(front: FrontOfTest) -> str:
    return front.tokens["read"]
