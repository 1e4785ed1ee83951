"""What a process knows of a token holds for less than a second, however slow Postgres is, and never when it is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg import OperationalError

from api.access import tokens as module
from api.access.rates import Rates
from api.access.tokens import HOLDS_SECONDS, Tokens
from schema.access.decision import access_of
from schema.errors import RateLimited, Unauthenticated, Unavailable
from schema.principals import Principal, TokenLimits
from schema.store import tokens as store

TOKEN = store.mint()


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SlowRecord:
    """Stands in for Postgres: it says what was so when it was asked, and says it when it is let."""

    def __init__(self) -> None:
        self.valid, self.asked, self.away = True, 0, False
        self.let = asyncio.Event()
        self.let.set()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        yield self

    async def find(self, connection: Any, hash: bytes, known: Principal | None = None) -> Principal | None:
        self.asked += 1
        told = Principal("ann", "main", 7, access_of(["read"])) if self.valid else None
        await self.let.wait()
        if self.away:
            raise OperationalError("away")
        return told


async def settled() -> None:
    """Whatever can run has run."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> SlowRecord:
    record = SlowRecord()
    monkeypatch.setattr(store, "find", record.find)
    return record


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def known(record: SlowRecord, clock: Time) -> Tokens:
    return Tokens(record, clock)  # type: ignore[arg-type]


async def test_many_requests_at_once_ask_once(known: Tokens, record: SlowRecord) -> None:
    record.let.clear()
    waiting = [asyncio.create_task(known.principal_of(TOKEN)) for _ in range(50)]
    await settled()
    record.let.set()
    assert {one.name for one in await asyncio.gather(*waiting)} == {"ann"} and record.asked == 1
    await known.principal_of(TOKEN)
    assert record.asked == 1


async def test_a_revocation_holds_when_the_answer_is_old_even_where_postgres_is_slow(
    known: Tokens, record: SlowRecord, clock: Time
) -> None:
    await known.principal_of(TOKEN)
    record.let.clear()
    record.valid = False
    clock.now += HOLDS_SECONDS - 0.1
    assert (await known.principal_of(TOKEN)).name == "ann", "it is asked anew beside this"
    clock.now += 0.1
    late = asyncio.create_task(known.principal_of(TOKEN))
    await settled()
    assert not late.done(), "no request passes on what was known before"
    record.let.set()
    with pytest.raises(Unauthenticated):
        await late
    with pytest.raises(Unauthenticated):
        await known.principal_of(TOKEN)


async def test_a_slow_answer_counts_from_when_it_was_asked(known: Tokens, record: SlowRecord, clock: Time) -> None:
    record.let.clear()
    first = asyncio.create_task(known.principal_of(TOKEN))
    await settled()
    record.valid = False  # revoked while the answer, that it holds, is on its way
    clock.now += HOLDS_SECONDS
    second = asyncio.create_task(known.principal_of(TOKEN))
    await settled()
    record.let.set()
    assert (await first).name == "ann", "it came before the token was revoked"
    with pytest.raises(Unauthenticated):
        await second
    with pytest.raises(Unauthenticated):
        await known.principal_of(TOKEN)
    assert record.asked >= 2


async def test_while_postgres_is_away_nothing_passes_on_old_knowledge(
    known: Tokens, record: SlowRecord, clock: Time
) -> None:
    await known.principal_of(TOKEN)
    record.away = True
    assert (await known.principal_of(TOKEN)).name == "ann"
    clock.now += HOLDS_SECONDS
    with pytest.raises(Unavailable):
        await known.principal_of(TOKEN)
    record.away = False
    assert (await known.principal_of(TOKEN)).name == "ann"


async def test_a_request_waits_a_bounded_time(
    known: Tokens, record: SlowRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 0.01)
    record.let.clear()
    with pytest.raises(Unavailable):
        await known.principal_of(TOKEN)
    record.let.set()


async def test_uses_are_noted_together(
    known: Tokens, record: SlowRecord, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[set[int]] = []

    async def note(_: Any, ids: set[int]) -> None:
        noted.append(set(ids))

    monkeypatch.setattr(store, "note_use", note)
    for _ in range(5):
        await known.principal_of(TOKEN)
    clock.now += module.NOTE_SECONDS
    await known.principal_of(TOKEN)
    assert noted == [{7}]


def test_a_token_has_its_rate(clock: Time) -> None:
    refused: list[str] = []
    rates = Rates(refused.append, clock)
    slow, free = (Principal(name, "main", id, limits=limits) for name, id, limits in
                  (("slow", 1, TokenLimits(requests_per_second=2)), ("free", 2, TokenLimits())))  # fmt: skip
    for _ in range(2):
        rates.take(slow)
    with pytest.raises(RateLimited) as limited:
        rates.take(slow)
    assert limited.value.retry_after_seconds == 1 and refused == ["rate"]
    clock.now += 0.5
    rates.take(slow)
    for _ in range(100):
        rates.take(free)
    crawling = Principal("crawling", "main", 3, limits=TokenLimits(requests_per_second=0.1))
    rates.take(crawling)
    with pytest.raises(RateLimited) as limited:
        rates.take(crawling)
    assert limited.value.retry_after_seconds == 10


def test_a_token_has_so_many_uploads_at_a_time(clock: Time) -> None:
    rates, one = Rates(lambda _: None, clock), Principal("one", "main", 1, limits=TokenLimits(uploads_max=1))
    with rates.upload(one):
        with pytest.raises(RateLimited), rates.upload(one):
            pass
        with rates.upload(Principal("other", "main", 2, limits=TokenLimits(uploads_max=1))):
            pass
    with rates.upload(one):
        pass
