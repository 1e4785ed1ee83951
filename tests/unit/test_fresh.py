"""Which attempts are certain to be first ones: opened here, and executed by no thread yet."""

from activities.commands.fresh import FreshAttempts
from schema.commands.payloads import Going
from schema.ids import CommandId

FIRST, SECOND = Going(CommandId("a"), 1), Going(CommandId("b"), 4)


def opened(*going: Going) -> FreshAttempts:
    fresh = FreshAttempts()
    for one in going:
        fresh.add(one.id, one.attempt)
    return fresh


def test_an_attempt_that_was_opened_here_is_fresh_once() -> None:
    fresh = opened(FIRST)
    assert fresh.take([FIRST]) == [FIRST]
    assert fresh.take([FIRST]) == []


def test_an_attempt_of_another_process_is_never_fresh() -> None:
    assert opened().take([FIRST]) == []


def test_a_later_attempt_of_the_same_command_is_not_fresh() -> None:
    assert opened(FIRST).take([Going(FIRST.id, 2)]) == []


def test_taking_one_leaves_the_others_fresh() -> None:
    fresh = opened(FIRST, SECOND)
    assert fresh.take([SECOND]) == [SECOND]
    assert fresh.take([FIRST, SECOND]) == [FIRST]


def test_what_is_fresh_comes_in_the_order_of_the_list() -> None:
    assert opened(FIRST, SECOND).take([SECOND, Going(CommandId("c"), 1), FIRST]) == [SECOND, FIRST]
