"""A list that fails is halved until the culprit is alone; a failure that passes by itself is no item's fault."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.failures import by_halves, passes


class SqlError(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class OperationalError(Exception):
    """Named as the driver's."""


@given(st.integers(0, 64), st.sets(st.integers(0, 63)))
async def test_exactly_the_culprits_are_returned_and_everybody_else_is_recorded_once(size: int, bad: set[int]) -> None:
    recorded: list[int] = []

    async def run(part: Sequence[int]) -> None:
        if bad & set(part):
            raise SqlError("23514")
        recorded.extend(part)

    culprits = await by_halves(range(size), run)
    assert [item for item, _ in culprits] == sorted(bad & set(range(size)))
    assert recorded == [item for item in range(size) if item not in bad]


async def test_one_culprit_among_64_costs_no_more_than_13_transactions() -> None:
    runs = 0

    async def run(part: Sequence[int]) -> None:
        nonlocal runs
        runs += 1
        if 17 in part:
            raise ValueError

    await by_halves(range(64), run)
    assert runs <= 13


@pytest.mark.parametrize("state", ["40001", "40P01", "08006", "57P01", "57014", "53300", "55P03", "25P03"])
async def test_a_failure_that_passes_is_raised_whole(state: str) -> None:
    async def run(part: Sequence[int]) -> None:
        raise SqlError(state)

    with pytest.raises(SqlError):
        await by_halves(range(8), run)


@pytest.mark.parametrize("state", ["23505", "23514", "22P05", "42601", "P0001", "23001"])
def test_a_failure_of_the_data_does_not_pass(state: str) -> None:
    assert not passes(SqlError(state))


def test_a_lost_connection_passes_though_it_has_no_sqlstate() -> None:
    assert passes(OperationalError()) and not passes(ValueError())
