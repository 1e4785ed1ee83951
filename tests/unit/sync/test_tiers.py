"""The tiers of an object, explored: no process takes the last copy, wherever any of them dies and whatever a store forgets."""

from dataclasses import replace

import pytest

from schema.sync.tiers import HAS_COLD, MOVES, Tier, TierMove, TierStanding, begins_from, moved
from tests.unit.sync import lifecycle
from tests.unit.sync.lifecycle import PROCESSES, ObjectWorld, explore

COMMITTED = ObjectWorld(TierStanding(Tier.HOT), hot=1, generation=1, old_reference=True, faults=0)
ARCHIVED = replace(COMMITTED, row=TierStanding(Tier.HOT_COLD), cold=2, cold_of_row=2, generation=2)
STARTS = {"new": ObjectWorld(faults=0), "committed": COMMITTED, "archived": ARCHIVED,
          "evicted": replace(ARCHIVED, row=TierStanding(Tier.COLD), hot=0)}  # fmt: skip


def a_copy_is_there(before: ObjectWorld, after: ObjectWorld) -> bool:
    return not after.referenced or bool(after.hot or after.cold)


def the_last_copy_is_not_taken(before: ObjectWorld, after: ObjectWorld) -> bool:
    """What a process of ours does leaves a copy where there was one. What a store forgets is not in its hands."""
    forgets = after.faults < before.faults
    return forgets or not after.referenced or bool(after.hot or after.cold) or not (before.hot or before.cold)


@pytest.mark.parametrize("start", STARTS)
def test_a_reference_always_has_a_copy(start: str) -> None:
    assert explore(STARTS[start], list(PROCESSES.values()), a_copy_is_there) > 50


@pytest.mark.parametrize("start", STARTS)
def test_a_store_that_forgets_or_lies_never_makes_a_process_take_the_last_copy(start: str) -> None:
    start_ = replace(STARTS[start], faults=1)
    processes = [*PROCESSES.values(), lifecycle.stores_that_lose]
    assert explore(start_, processes, the_last_copy_is_not_taken) > 50


def test_a_commit_that_did_not_look_at_the_row_again_would_lose_its_content() -> None:
    """The model finds what it is there to find."""

    def hasty(world: ObjectWorld) -> list[tuple[str, ObjectWorld]]:
        if world.writer == "commits":
            return [("writer commits blindly", replace(world, new_reference=True, writer="done"))]
        return list(lifecycle.writer(world))

    processes = [hasty if process is lifecycle.writer else process for process in PROCESSES.values()]
    with pytest.raises(AssertionError, match="commits blindly"):
        explore(COMMITTED, processes, a_copy_is_there)  # type: ignore[arg-type]


def test_an_evictor_that_trusts_an_earlier_look_would_take_the_last_copy() -> None:
    def trusting(world: ObjectWorld) -> list[tuple[str, ObjectWorld]]:
        if world.evictor[0] == "begun" and world.row.tier is Tier.EVICTING:
            return [("evictor trusts", replace(world, evictor=("verified", world.evictor[1])))]
        return list(lifecycle.evictor(world))

    processes = [trusting if process is lifecycle.evictor else process for process in PROCESSES.values()]
    with pytest.raises(AssertionError, match="evictor trusts"):
        explore(
            replace(ARCHIVED, faults=1), [*processes, lifecycle.stores_that_lose], the_last_copy_is_not_taken,  # type: ignore[list-item]
        )  # fmt: skip


def test_every_state_is_left_and_reached_by_some_move() -> None:
    reached = {target for targets in MOVES.values() for target in targets.values()}
    left = {source for move in TierMove for source in begins_from(move)}
    assert reached == left == set(Tier)


def test_no_move_but_a_deletion_forgets_a_cold_copy() -> None:
    forgetting = {move for move, ways in MOVES.items() for source, target in ways.items()
                  if source in HAS_COLD and target not in HAS_COLD}  # fmt: skip
    assert forgetting == {TierMove.EVICT_REFUSED, TierMove.COLD_LOST, TierMove.CONDEMN}


@pytest.mark.parametrize("tier", [Tier.HOT, Tier.HOT_COLD, Tier.COLD, Tier.MISSING])
def test_what_is_condemned_comes_back_as_it_was(tier: Tier) -> None:
    condemned = moved(TierStanding(tier), TierMove.CONDEMN)
    assert condemned == TierStanding(Tier.CONDEMNED, tier)
    assert moved(condemned, TierMove.RESCUE) == TierStanding(tier)
    assert moved(TierStanding(tier), TierMove.RESCUE) is None
