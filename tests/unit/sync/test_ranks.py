"""What of a project's work goes first."""

import pytest

from activities.sync.pages import TierOrder, order_of
from schema.ids import MountId
from schema.sync.ranks import RANKS, PriorityName, WorkRank, name_of, rank_in, rank_of


@pytest.mark.parametrize(
    ("name", "paths_alone", "rank"),
    [
        (None, True, WorkRank.NOW),
        (None, False, WorkRank.NORMAL),
        ("background", True, WorkRank.BACKGROUND),
        ("now", False, WorkRank.NOW),
    ],
)
def test_who_names_the_paths_waits_for_them(name: PriorityName | None, paths_alone: bool, rank: WorkRank) -> None:
    assert rank_of(name, paths_alone=paths_alone) is rank


def test_what_nobody_asked_for_comes_last_and_jobs_of_former_releases_are_as_any() -> None:
    assert TierOrder(MountId(1), 2).rank == WorkRank.BACKGROUND == max(WorkRank)
    assert order_of(MountId(1), 2, "j", {}).rank == rank_in({}) == WorkRank.NORMAL
    assert order_of(MountId(1), 2, "j", {"rank": 1}).rank == WorkRank.NOW


def test_ranks_have_names() -> None:
    assert {name_of(rank) for rank in WorkRank} == RANKS.keys()
