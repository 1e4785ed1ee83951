"""A subscription's deliveries beside a real record: what it missed is said, what was changed is noticed, and the order holds."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.events import deliver
from activities.events.deliver import Deliver, DeliveryTurn
from schema.ids import MountId
from schema.principals import Principal
from schema.secrets.keyring import PLAIN, Keyring
from schema.store import subscriptions as store
from schema.store.pool import Pool
from schema.subscriptions import webhook
from tests.fix_webhooks import HookTarget, target
from tests.store.helpers import Protocol, give_positions, mkdir
from tests.store.test_metastore import run
from tests.store.test_timestore import forgotten

__all__ = ["target"]


@dataclass
class Delivering:
    pool: Pool
    protocol: Protocol
    mount: MountId
    target: HookTarget
    keys: Keyring
    id: str = ""

    async def subscribe(self) -> None:
        self.id = str(uuid.uuid4())
        secret = webhook.new_secret()
        filter = {"types": ["filestore.node.created"], "backendMountId": self.mount}
        async with self.pool.connection() as connection:
            await store.create(
                connection, self.id, Principal("admin", "main", 1), self.target.url, secret, filter, None
            )

    async def make(self, *paths: str) -> None:
        await run(self.protocol, *(mkdir(self.mount, path) for path in paths))
        async with self.pool.connection() as connection:
            await give_positions(connection)

    async def turn(self) -> DeliveryTurn:
        """A turn in which something came of it, or in which nothing was left to do. Each is short, and a machine can be slow."""
        for _ in range(60):
            turn = await ActivityEnvironment().run(Deliver(self.pool, ["127.0.0.1"], self.keys).deliver, self.id)
            found = await self.stands()
            if turn.ended or turn.seconds or (found["position"] == found["last"] and not await self.redrives()):
                return turn
        raise AssertionError(await self.stands())

    async def redrives(self) -> bool:
        async with self.pool.connection() as connection:
            return bool(await store.deliveries(connection, self.id, "main", 1, None, ["redrive"]))

    async def stands(self) -> dict[str, Any]:
        async with self.pool.connection() as connection:
            found = await store.find(connection, self.id, "main")
        assert found is not None
        return found

    async def change(self, **changes: Any) -> None:
        async with self.pool.connection() as connection:
            assert await store.change(connection, self.id, "main", changes)

    async def set(self, values: str) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(f"UPDATE filestore.subscriptions SET {values} WHERE id = '{self.id}'".encode())


@pytest.fixture
async def delivering(
    pool: Pool, protocol: Protocol, mount: MountId, target: HookTarget, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Delivering]:
    monkeypatch.setattr(deliver, "TURN_SECONDS", 0.5)
    found = Delivering(pool, protocol, mount, target, PLAIN)
    await found.make("first")  # what other tests have left has its position
    await found.subscribe()
    yield found


@pytest.mark.parametrize("later", [(), ("later",)], ids=["nothing since", "an event since"])
async def test_who_was_paused_for_longer_than_events_are_kept_is_told_so_at_once(
    delivering: Delivering, later: Sequence[str]
) -> None:
    await delivering.change(state="paused")
    await delivering.make("missed", "missed, too")
    await forgotten(delivering.pool)
    await delivering.make(*later)
    await delivering.change(state="active")
    assert await delivering.turn() == DeliveryTurn(ended=True)
    found = await delivering.stands()
    assert found["state"] == "broken" and "not kept any more" in found["reason"] and delivering.target.asked == []
    after = int(found["reason"].rpartition(" ")[2].rstrip("."))
    async with delivering.pool.connection() as connection:
        assert await store.replay(connection, delivering.id, "main", after)
    await delivering.make("new")
    await delivering.turn()
    assert delivering.target.paths() == [*later, "new"], "from where it was told to go on nothing is missed"


async def test_what_was_changed_is_noticed_before_the_next_message(
    delivering: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "NOTICE_SECONDS", 0.0)
    await delivering.make("a", "b", "c")
    sent, pause = deliver.send, asyncio.Event()

    async def send_and_pause(*arguments: Any) -> Any:
        attempt = await sent(*arguments)
        if not pause.is_set():
            pause.set()
            await delivering.change(state="paused")
        return attempt

    monkeypatch.setattr(deliver, "send", send_and_pause)
    assert (await delivering.turn()).ended
    assert delivering.target.paths() == ["a"]
    await delivering.change(state="active")
    await delivering.turn()
    assert delivering.target.paths() == ["a", "b", "c"]


async def test_a_poisonous_event_dies_visibly_and_holds_up_only_until_then(delivering: Delivering) -> None:
    """Each refusal is a turn of the workflow; days go by between them."""
    await delivering.make("poison", "next")
    delivering.target.answers[:] = [400] * 10
    for attempt in range(10):
        turn = await delivering.turn()
        await delivering.set("next_attempt_at = NULL")
        assert attempt == 9 or (turn.seconds >= 5 and delivering.target.taken == [])
    assert delivering.target.paths() == ["next"]
    asked = [message.told["data"]["path"] for message in delivering.target.asked]
    assert asked == ["poison"] * 10 + ["next"] and len({m.id for m in delivering.target.asked}) == 2
    async with delivering.pool.connection() as connection:
        [dead] = await store.deliveries(connection, delivering.id, "main", 10, None, ["dead"])
        assert dead["attempts"] == 10 and "400" in dead["error"]
        assert await store.redrive(connection, delivering.id, "main", None) == 1
    await delivering.turn()
    assert delivering.target.paths() == ["next", "poison"]


async def test_two_at_once_deliver_each_event_in_its_order(delivering: Delivering) -> None:
    """As when a worker that was given up goes on: a message can come twice, and none before one that it follows."""
    paths = [f"{n:02}" for n in range(12)]
    await delivering.make(*paths)
    await asyncio.gather(delivering.turn(), delivering.turn())
    assert list(dict.fromkeys(delivering.target.paths())) == paths
    found = await delivering.stands()
    assert (found["failures"], found["position"]) == (0, found["last"])


async def test_what_is_dead_and_whose_event_is_gone_says_so(delivering: Delivering) -> None:
    await delivering.make("poison")
    delivering.target.answers[:] = [400]
    await delivering.set("failures = 9")
    await delivering.turn()
    await forgotten(delivering.pool)
    async with delivering.pool.connection() as connection:
        assert await store.redrive(connection, delivering.id, "main", None) == 1
    await delivering.turn()
    async with delivering.pool.connection() as connection:
        [dead] = await store.deliveries(connection, delivering.id, "main", 10, None, ["dead"])
    assert dead["error"] == "the event is not kept any more" and delivering.target.taken == []
