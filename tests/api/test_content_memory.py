"""Content on its way, in and out, shares one budget of memory: what does not fit waits, and hears 503 in the end."""

import asyncio
import os
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from activities.executors.kinds import PIECES
from api.access.limits import MIB, Budget, Lease
from schema.errors import Overloaded
from tests.api.conftest import FrontOfTest, Tree
from tests.api.test_writes import SentLine, heads, put, until
from tests.api.tus.helpers import begin
from tests.api.tus.test_connections import head_of


class Tally(list[str]):
    def __call__(self, reason: str) -> None:
        self.append(reason)


async def test_the_first_to_wait_is_served_first_and_nothing_is_lost() -> None:
    refused = Tally()
    budget = Budget(2 * PIECES, 60, refused)
    held = [await budget.write(None), await budget.write(None)]
    order: list[int] = []

    async def wait(number: int) -> Lease:
        lease = await budget.write(None)
        order.append(number)
        return lease

    waiting = [asyncio.create_task(wait(number)) for number in range(6)]
    await asyncio.sleep(0)
    assert order == [] and budget.free == 0
    waiting[2].cancel()
    await asyncio.gather(waiting[2], return_exceptions=True)
    for lease in held:
        lease.close()
        lease.close()  # once is all it gives back
    for number in (0, 1, 3, 4, 5):
        (await waiting[number]).close()
    assert order == [0, 1, 3, 4, 5]
    assert (budget.free, refused) == (2 * PIECES, [])


async def test_who_waits_in_vain_is_refused_and_takes_nothing() -> None:
    refused = Tally()
    budget = Budget(PIECES, 0.01, refused)
    held = await budget.write(None)
    answers = await asyncio.gather(*[budget.write(None) for _ in range(20)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [Overloaded] * 20
    held.close()
    assert budget.free == PIECES and refused == ["memory"] * 20


@pytest_asyncio.fixture
async def budget(front: FrontOfTest) -> AsyncIterator[Budget]:
    """With room for one stream; all of it comes back, however the streams ended."""
    made = Budget(PIECES, 0.1, Tally())
    object.__setattr__(front.app.state.front, "budget", made)
    yield made
    await until(lambda: made.free == PIECES)


async def test_a_stalled_reader_holds_its_part_until_it_is_gone(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, address: tuple[str, int], budget: Budget
) -> None:
    node = await tree.file("big", os.urandom(24 * MIB))
    line = await SentLine.open(address)
    token = front.tokens["read"]
    await line.send(
        f"GET /v1/files/{node}/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    await until(lambda: budget.free == 0)
    refused = await client.get(f"/v1/files/{node}/content")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "OVERLOADED")
    assert refused.headers["retry-after"] == "2"
    assert (await client.head(f"/v1/files/{node}/content")).status_code == 200
    line.writer.transport.abort()
    await until(lambda: budget.free == PIECES)
    assert len((await client.get(f"/v1/files/{node}/content")).content) == 24 * MIB


@pytest.mark.parametrize("way", ["put", "tus"])
async def test_a_stalled_writer_holds_its_part_until_it_is_gone(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, address: tuple[str, int], budget: Budget, way: str
) -> None:
    if way == "put":
        head = heads(front, tree, "put", Content_Length=str(MIB)) + b"\r\n\r\n"
    else:
        head = head_of(front, await begin(client, tree, MIB), 0, MIB)
    line = await SentLine.open(address)
    await line.send(head + b"x" * 300_000)
    await until(lambda: budget.free == 0)
    refused = await put(client, tree, b"x" * 300_000)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "OVERLOADED")
    assert (await put(client, tree, b"a little", path="small")).status_code == 201, "it needs none of it"
    line.writer.transport.abort()
    await until(lambda: budget.free == PIECES)
    assert (await put(client, tree, b"x" * 300_000)).status_code == 201
