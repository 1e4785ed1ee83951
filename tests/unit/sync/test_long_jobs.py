"""A job of a million contents is many pages: it begins anew before Temporal ends it for its length, and goes on where it was."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from activities.sync.pages import TierOrder, TierPage
from activities.sync.sweeps import Sweeps
from activities.sync.tiers import Tiers
from schema.ids import MountId
from workflows.sync import tiers
from workflows.sync.tiers import ProjectJob, ProjectWork

ORDER = TierOrder(MountId(1), 7, "5")


class BegunAnew(BaseException):
    def __init__(self, job: ProjectJob) -> None:
        super().__init__()
        self.job = job


class TemporalOfTest:
    """What the workflow asks of Temporal. `suggests`: after so many activities a run is long."""

    def __init__(self, pages: Iterator[TierPage], suggests: int, continued: str | None = None) -> None:
        self._pages, self._suggests, self.continued = pages, suggests, continued
        self.done: list[tuple[object, Any]] = []

    def info(self) -> SimpleNamespace:
        long = len(self.done) >= self._suggests
        return SimpleNamespace(is_continue_as_new_suggested=lambda: long, continued_run_id=self.continued)

    def patched(self, name: str) -> bool:
        return True

    def continue_as_new(self, job: ProjectJob) -> None:
        raise BegunAnew(job)

    async def execute_activity_method(self, method: object, order: Any, **_: Any) -> Any:
        self.done.append((method, order))
        return next(self._pages) if method in (Tiers.archive, Tiers.look, Tiers.evict, Sweeps.purge) else True


def run(monkeypatch: pytest.MonkeyPatch, job: ProjectJob, temporal: TemporalOfTest) -> str:
    monkeypatch.setattr(tiers, "workflow", temporal)
    return asyncio.run(ProjectWork().run(job))


def full(last: str = "") -> Iterator[TierPage]:
    while True:
        yield TierPage(200, 0, True, last)


@pytest.mark.parametrize("kind", ["archive", "evict", "delete", "deactivate"])
def test_a_long_job_begins_anew_from_the_rows(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    job, temporal = ProjectJob(kind, ORDER), TemporalOfTest(full(), 10)
    with pytest.raises(BegunAnew) as begun:
        run(monkeypatch, job, temporal)
    assert begun.value.job == job and len(temporal.done) == 10


def test_a_long_look_goes_on_behind_the_last_page(monkeypatch: pytest.MonkeyPatch) -> None:
    job = ProjectJob("repair", ORDER)
    with pytest.raises(BegunAnew) as begun:
        run(monkeypatch, job, TemporalOfTest(full("ab" * 32), 10))
    assert begun.value.job == replace(job, order=replace(ORDER, after="ab" * 32))
    temporal = TemporalOfTest(iter([TierPage(1, 0, False), TierPage(0, 0, False)]), 10, "the run before")
    assert run(monkeypatch, begun.value.job, temporal) == "done"
    assert temporal.done[0] == (Tiers.look, begun.value.job.order)


def test_what_goes_on_waits_for_no_node_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = iter([TierPage(0, 0, False), TierPage(0, 0, False)])
    temporal = TemporalOfTest(pages, 100, "the run before")
    assert run(monkeypatch, ProjectJob("deactivate", ORDER), temporal) == "done"
    assert temporal.done[0][0] == Tiers.archive
