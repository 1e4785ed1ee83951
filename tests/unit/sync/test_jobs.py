"""Jobs of projects: how long they still take, what is evicted for space, and what is started without being asked for."""

from datetime import UTC, datetime

import pytest

from activities.sync.pages import TierOrder, order_of
from activities.sync.tiers import too_many
from schema.ids import MountId
from schema.store.objects import ObjectRow
from schema.store.project_due import DueProject
from schema.sync.jobs import JobProgress, totals_of
from schema.sync.tiers import Tier
from workers.engine.sync import jobs_of

MOUNT = MountId(3)


@pytest.mark.parametrize(
    ("progress", "left"),
    [
        (JobProgress(50, 100, 10, 10, 60.0), 60.0),
        (JobProgress(100, 100, 25, 100, 60.0), 180.0),
        (JobProgress(0, 100, 0, 0, 60.0), None),
        (JobProgress(5, 0, 5, 0, 60.0), None),
        (JobProgress(120, 100, 0, 0, 60.0), 0.0),
    ],
)
def test_what_is_left_is_told_by_the_slower_of_contents_and_bytes(progress: JobProgress, left: float | None) -> None:
    assert progress.eta == left


def test_a_job_has_before_it_what_it_will_move() -> None:
    totals = {"hot": (1, 10), "hot_cold": (2, 20), "cold": (4, 40)}
    assert totals_of("promote", totals) == (4, 40)
    assert totals_of("evict", totals) == (2, 20)
    assert totals_of("deactivate", totals) == (4, 40), "what is hot alone is archived and evicted"
    assert totals_of("repair", totals) == (7, 70)
    assert totals_of("gc", totals) == (0, 0)


def test_as_much_is_evicted_as_is_too_much() -> None:
    rows = [ObjectRow(str(n), 10, Tier.HOT_COLD, n, "key", datetime.now(UTC)) for n in range(5)]
    assert [row.sha for row in too_many(rows, 15)] == ["0", "1"]
    assert too_many(rows, 0) == [] and len(too_many(rows, 1000)) == 5


def due(**facts: object) -> DueProject:
    usual: dict[str, object] = {
        "id": 7, "mount": MOUNT, "state": "active", "evict_after": 60.0, "untold": False, "warm": False,
        "idle": False, "over": False, "undecided": False, "uncollected": False,
        "jobs": [],
    }  # fmt: skip
    return DueProject(**(usual | facts))  # type: ignore[arg-type]


def test_rows_ask_for_the_work_that_they_need() -> None:
    def kinds(**facts: object) -> list[tuple[str, TierOrder]]:
        return [(job.kind, job.order) for job in jobs_of(due(**facts), 9.0)]

    order = TierOrder(MOUNT, 7)
    assert kinds() == []
    assert kinds(warm=True) == [("archive", order)]
    assert kinds(idle=True) == [("evict", TierOrder(MOUNT, 7, idle=60.0))]
    assert kinds(uncollected=True) == [("gc", order)]
    assert kinds(undecided=True) == [("decide", order)]
    assert kinds(state="deleted", warm=True, idle=True) == [
        ("archive", order), ("evict", TierOrder(MOUNT, 7, pinned=True)),
    ]  # fmt: skip
    assert kinds(state="deleted", warm=True, over=True) == [("delete", order)]


def test_a_job_is_started_again_as_it_was_asked_for() -> None:
    row = {"id": "j", "kind": "promote", "options": {"first": ["Zg=="], "only": True}}
    (job,) = jobs_of(due(jobs=[row]), 9.0)
    assert job.order == TierOrder(MOUNT, 7, "j", first=("Zg==",), only=True, rank=3) and job.grace == 9.0
    assert order_of(MOUNT, 7, "j", {"idle": 5.0}) == TierOrder(MOUNT, 7, "j", 5.0, rank=3)
    (evict,) = jobs_of(due(jobs=[{"id": "j", "kind": "evict", "options": {}}], idle=True), 9.0)
    assert evict.order.job == "j", "what a client asked for is not started twice"
