"""What was asked of Postgres holds for a while, and is asked for anew by one request at a time."""

import asyncio
from collections.abc import Callable

import pytest
from psycopg import OperationalError

from api.access import lookups
from api.access.lookups import Holding, Lookups

HOLDING = Holding(fresh=10, grace=2, stale=60)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lookups, "monotonic", clock)
    return clock


class Asked:
    """Answers with `value`, or raises it; counts how often it was asked."""

    def __init__(self, value: str | Exception | None) -> None:
        self.value, self.times = value, 0

    async def __call__(self) -> str | None:
        self.times += 1
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def find(held: Lookups[str, str], ask: Callable[[], object], **more: bool) -> str | None:
    return asyncio.run(held.find("key", ask, HOLDING, **more))  # type: ignore[arg-type]


def test_an_answer_is_asked_for_again_when_it_is_too_old(clock: Clock) -> None:
    held, ask = Lookups[str, str](10), Asked("one")
    for seconds, times in ((0, 1), (9.9, 1), (10, 2), (19.9, 2)):
        clock.now = 1000 + seconds
        assert (find(held, ask), ask.times) == ("one", times), seconds


def test_while_one_asks_again_the_others_go_on_with_the_old_answer_for_the_grace(clock: Clock) -> None:
    held, old, new = Lookups[str, str](10), Asked("old"), Asked("new")
    find(held, old)
    clock.now += 11

    async def slow() -> str | None:
        assert await held.find("key", new, HOLDING) == "old"
        clock.now += 2
        assert await held.find("key", new, HOLDING) == "new", "the grace is over: another one asks"
        return await new()

    assert find(held, slow) == "new"
    assert new.times == 2


def test_what_is_gone_is_not_found_and_not_remembered(clock: Clock) -> None:
    held, gone = Lookups[str, str](10), Asked(None)
    find(held, Asked("one"))
    assert find(held, gone, anew=True) is None
    assert find(held, gone) is None
    assert gone.times == 2


@pytest.mark.parametrize(("seconds", "holds"), [(11, True), (59, True), (60, False)])
def test_without_postgres_an_answer_holds_until_it_is_stale(clock: Clock, seconds: float, holds: bool) -> None:
    held, away = Lookups[str, str](10), Asked(OperationalError("away"))
    find(held, Asked("one"))
    clock.now += seconds
    if holds:
        assert find(held, away) == "one"
        assert find(held, away) == "one", "and for the grace no request asks"
        assert away.times == 1
    else:
        with pytest.raises(OperationalError):
            find(held, away)


def test_what_was_never_known_is_an_error_without_postgres(clock: Clock) -> None:
    with pytest.raises(OperationalError):
        find(Lookups[str, str](10), Asked(OperationalError("away")))


def test_anew_asks_though_the_answer_is_fresh(clock: Clock) -> None:
    held, ask = Lookups[str, str](10), Asked("one")
    find(held, ask)
    assert find(held, ask, anew=True) == "one" and ask.times == 2


def test_no_more_answers_are_kept_than_the_limit(clock: Clock) -> None:
    held = Lookups[int, str](3)
    for key in range(7):
        asyncio.run(held.find(key, Asked("x"), HOLDING))
        assert len(held._known) <= 3
