"""What readiness says of the hot store."""

import socket
from typing import Any, cast

from activities import budgets
from schema.settings import Settings
from tests.sync.nats_server import NatsServer
from workers.engine.health import Health


async def state(url: str) -> dict[str, str]:
    nothing = cast(Any, None)
    return await Health(Settings(nats_url=url), nothing, nothing, nothing, budgets.LOOKS.build())._nats_state()  # type: ignore[call-arg]


async def test_a_hot_store_that_does_not_answer_is_named_with_its_setting(nats_server: NatsServer) -> None:
    assert await state(nats_server.url) == {"nats": "ok"} and await state("") == {}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "did not answer" in (await state(f"nats://127.0.0.1:{port}"))["nats"]
    told = (await state(f"nats://127.0.0.1:{port}"))["nats"]
    assert told.startswith("NATS is not reachable") and "NATS_URL" in told
