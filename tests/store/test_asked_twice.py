"""Activities of drift and of projects that are asked again, because their answer was lost with their worker: they say what they
said first, and have done it once."""

import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.drift.observe import LookOrder
from activities.drift.scrub import Scrub
from activities.sync.pages import ProjectStep
from activities.sync.steps import ProjectSteps
from schema import faults
from schema.drift.looks import LookState
from schema.store import drift_hints, looks, projects
from schema.store import scrub as scrub_store
from schema.store.drift_hints import Hint
from schema.store.pool import Pool
from tests.store.drift import Drifting, OneMount, make_drifting
from tests.store.helpers import Protocol, make_mount
from tests.store.sync.projects import make_project
from tests.store.test_scrub import damage


@pytest.fixture
async def drifting(pool: Pool, tmp_path: Path, protocol: Protocol) -> Drifting:
    return await make_drifting(pool, tmp_path / "root", protocol, ("a", "b", "d/c"))


async def hint(drifting: Drifting, *paths: str) -> None:
    async with drifting.pool.connection() as connection:
        hints = [Hint(path.encode(), subtree=path == "d") for path in paths]
        await drift_hints.hint(connection, drifting.mount, hints)


async def hints(drifting: Drifting) -> dict[bytes, bool]:
    async with drifting.pool.connection() as connection:
        return {one.path: one.subtree for one in await drift_hints.take(connection, drifting.mount, 100)}


async def begun(drifting: Drifting, key: str) -> int | None:
    order = LookOrder(drifting.mount, "drift", hinted=True, key=key)
    return await drifting.environment.run(drifting.observe.begin, order)


def new_key() -> str:
    return str(uuid.uuid4())


async def places(drifting: Drifting, look: int | None) -> set[tuple[bytes, bool]]:
    assert look is not None
    async with drifting.pool.connection() as connection:
        return {(place.path, place.subtree) for place in (await looks.find(connection, look)).places}


async def test_an_order_begins_one_look_with_the_hints_that_it_took(drifting: Drifting) -> None:
    key = new_key()
    await hint(drifting, "a", "d")
    first = await begun(drifting, key)
    await hint(drifting, "b")
    assert await begun(drifting, key) == first
    assert await places(drifting, first) == {(b"a", False), (b"d", True)}
    assert await hints(drifting) == {b"b": False}, "what came later is for the next look"


async def test_a_look_that_a_run_has_left_gives_its_hints_to_the_next_one(drifting: Drifting) -> None:
    drifting.write("a", "other")
    await hint(drifting, "a", "d")
    left = await begun(drifting, new_key())
    assert left is not None
    await drifting.read(left)
    await hint(drifting, "b", "d")
    look = await begun(drifting, new_key())
    assert look is not None
    assert await places(drifting, look) == {(b"a", False), (b"b", False), (b"d", True)}
    async with drifting.pool.connection() as connection:
        assert (await looks.find(connection, left)).state is LookState.FAILED
        assert await looks.entries(connection, left) == []
        assert await looks.interrupted(connection, drifting.mount) == [look]
    assert await drifting.read(look)
    assert (await drifting.conclude(look)).counts == {"changed": 1}
    assert await begun(drifting, new_key()) is None, "hints of a look that is concluded are done with"


async def test_hints_of_a_look_that_says_nothing_wait_again(drifting: Drifting) -> None:
    away = drifting.root.with_name("away")
    await hint(drifting, "a", "d")
    look = await begun(drifting, new_key())
    assert look is not None
    drifting.root.rename(away)
    assert (await drifting.read(look), await drifting.read(look)) == (False, False)
    away.rename(drifting.root)
    end = await drifting.conclude(look)
    assert (end.state, bool(end.problem)) == (LookState.DISCARDED, True)
    assert await hints(drifting) == {b"a": False, b"d": True}


@pytest.mark.parametrize(("most", "state"), [(100, "concluded"), (0, "waiting")])
async def test_a_conclusion_says_again_all_that_it_came_to(drifting: Drifting, most: int, state: str) -> None:
    await drifting.policy(brake={"share": 1.0, "count": most})
    drifting.remove("a")
    drifting.write("n")
    look = await drifting.begin()
    await drifting.read(look)
    first = await drifting.conclude(look)
    assert (first.state, first.changes, first.again) == (state, 1, True)
    assert await drifting.conclude(look) == first


async def test_a_round_of_a_scrub_that_has_ended_is_not_begun_anew_by_its_run(drifting: Drifting) -> None:
    await drifting.policy(scrub={"everySeconds": 3600})
    scrub = Scrub(drifting.pool, OneMount(drifting.executor), budgets.STEPS.build(), lambda: None)
    environment = ActivityEnvironment()
    first = await environment.run(scrub.scrub, drifting.mount, "run-1")
    assert (first.over, first.files) == (True, 3)
    async with drifting.pool.connection() as connection:
        ended, _ = await scrub_store.progress(connection, drifting.mount)
    assert await environment.run(scrub.scrub, drifting.mount, "run-1") == first
    async with drifting.pool.connection() as connection:
        assert (await scrub_store.progress(connection, drifting.mount))[0] == ended
    assert await environment.run(scrub.scrub, drifting.mount, "run-2") == first
    async with drifting.pool.connection() as connection:
        assert (await scrub_store.progress(connection, drifting.mount))[0].last != ended.last


async def test_damage_that_was_found_before_a_page_broke_off_counts(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await drifting.policy(scrub={"everySeconds": 3600})
    damage(drifting, "a", "x")
    damage(drifting, "b", "y")
    scrub = Scrub(drifting.pool, OneMount(drifting.executor), budgets.STEPS.build(), lambda: None)
    environment = ActivityEnvironment()
    with monkeypatch.context() as broken:
        broken.setenv("FILESTORE_FAULT", "drift.scrubbed=fail")
        faults.arm()
        with pytest.raises(faults.InjectedFault):
            await environment.run(scrub.scrub, drifting.mount, "run-1")
    faults.arm()
    assert set(await drifting.findings()) == {"a", "b"}
    turn = await environment.run(scrub.scrub, drifting.mount, "run-1")
    assert (turn.over, turn.files, turn.damaged) == (True, 3, 2)


async def test_the_end_of_a_job_of_a_project_is_in_the_journal_once(pool: Pool) -> None:
    async with pool.connection() as connection:
        project = await make_project(connection, await make_mount(connection))
        job = str(uuid.uuid4())
        await projects.begin_job(connection, job, project.id, "archive", {}, "ann")
    steps = ProjectSteps(_Contents(pool), lambda: None)  # type: ignore[arg-type]
    step = ProjectStep(project.mount, project.id, job)
    for again in (step, step, replace(step, cancelled=True)):
        await ActivityEnvironment().run(steps.step, again)
    async with pool.connection() as connection:
        query = b"""SELECT count(*) AS ends FROM filestore.journal_entries
                     WHERE kind = 'endProjectJob' AND payload->>'job' = %s"""
        row = await (await connection.execute(query, (job,))).fetchone()
    assert row is not None and row["ends"] == 1


class _Contents:
    """The steps of a project in the record need no store."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
