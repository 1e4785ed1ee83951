"""A plan of several paths, or of pages: no two items of it go to one place."""

import pytest

from activities.operations import plan as planning
from schema.ids import MountId
from schema.operations.operation import OperationKind, Options
from schema.operations.selection import Selection
from schema.paths import NodePath
from schema.store.pool import Pool
from tests.store.helpers import Protocol, make_mount, mkdir, upload
from tests.store.operation_rows import Runner, asked_for, lies, now


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol) -> MountId:
    """Two directories of one name, in two others."""
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    for names in (("d", "e"), ("d/p", "d/q"), ("d/p/x", "d/q/x")):
        await protocol.run(mount, *[mkdir(mount, name) for name in names])
    await protocol.run(
        mount, *[upload(mount, f"d/{name}") for name in ("p/f.txt", "q/f.txt", "p/x/g", "q/x/g", "q/x/h")]
    )
    return mount


@pytest.fixture
def runner(pool: Pool, protocol: Protocol) -> Runner:
    return Runner(pool, protocol)


async def copied(
    runner: Runner, mount: MountId, *paths: str, choice: str
) -> tuple[str, set[str], dict[str | None, int]]:
    """The end, what lies at the target then, and how many items had which code."""
    operation = await asked_for(
        runner.pool, mount, kind=OperationKind.COPY, target_path=NodePath(b"e"), selection=Selection(paths=paths),
        options=Options(on_conflict=choice),  # type: ignore[arg-type]
    )  # fmt: skip
    await runner.plan(operation)
    end = (await now(runner.pool, operation))[0].state
    if end == "running":
        await runner.to_the_end(operation)
    row, items = await now(runner.pool, operation)
    codes = [item.code for item in items if item.code]
    there = {path for path in await lies(runner.pool, mount) if path.startswith("e/")}
    return row.state, there, {code: codes.count(code) for code in codes}


BOTH = ("d/p/f.txt", "d/q/f.txt")
CHOICES = [
    ("fail", "failed", set(), {"NODE_EXISTS": 1}),
    ("skip", "succeeded", {"e/f.txt"}, {"NODE_EXISTS": 1}),
    ("overwrite", "partial", {"e/f.txt"}, {"NODE_EXISTS": 1}),
    ("rename", "succeeded", {"e/f.txt", "e/f (1).txt"}, {}),
]


@pytest.mark.parametrize(("choice", "state", "there", "codes"), CHOICES)
async def test_two_files_of_one_name_are_a_conflict_of_the_plan(
    tree: MountId, runner: Runner, choice: str, state: str, there: set[str], codes: dict[str | None, int]
) -> None:
    assert await copied(runner, tree, *BOTH, choice=choice) == (state, there, codes)


async def test_two_directories_of_one_name_become_one(tree: MountId, runner: Runner) -> None:
    state, there, codes = await copied(runner, tree, "d/p/x", "d/q/x", choice="rename")
    assert (state, there, codes) == ("succeeded", {"e/x", "e/x/g", "e/x/g (1)", "e/x/h"}, {})


async def test_a_path_within_another_one_is_not_meant_twice(tree: MountId, runner: Runner) -> None:
    state, there, codes = await copied(runner, tree, "d/q/x/h", "d/q", "d/q", choice="fail")
    assert (state, codes) == ("succeeded", {}) and there == {"e/q", "e/q/f.txt", "e/q/x", "e/q/x/g", "e/q/x/h"}


async def test_another_name_that_an_earlier_page_has_given_is_taken(
    protocol: Protocol, tree: MountId, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_PAGE", 1)
    await protocol.run(tree, *[upload(tree, path) for path in ("e/a", "e/a (1)", "d/a (1)", "d/a")])
    state, there, codes = await copied(runner, tree, "d/a", "d/a (1)", choice="rename")
    assert (state, codes) == ("succeeded", {})
    assert there == {"e/a", "e/a (1)", "e/a (2)", "e/a (1) (1)"}
