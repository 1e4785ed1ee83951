"""Restores as they are planned from the record: what the trash keeps, as items that bring it back."""

from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.operations.plan import PlanItems
from schema.commands.command import CommandKind
from schema.ids import MountId, new_command_id
from schema.operations.operation import Operation, OperationItem, OperationKind, OperationState, Options
from schema.operations.selection import Selection
from schema.paths import NodePath
from schema.store import operations as store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, mkdir, upload


class Plans:
    """A mount with a tree, and the plans of restores there."""

    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.protocol, self.mount = pool, protocol, mount

    async def run(self, *requests: Any) -> None:
        for request in requests:
            await self.protocol.run(self.mount, request)

    async def items(self, path: str, **changes: Any) -> tuple[str, list[OperationItem]]:
        operation = Operation(
            id=str(new_command_id()), tenant="main", principal="ann", token_id=1, kind=OperationKind.RESTORE,
            mount_id=self.mount, path=NodePath(path.encode()), plan_only=True, **changes,
        )  # fmt: skip
        async with self.pool.connection() as connection:
            assert await store.create(connection, operation, operation.id, "00")
        state = await ActivityEnvironment().run(PlanItems(self.pool).plan, operation.id)
        async with self.pool.connection() as connection:
            found = await store.items(connection, operation.id, states=None, codes=None, after=-1, limit=1000)
        return state, found

    async def planned(self, path: str = "", **changes: Any) -> list[tuple[str, str, str | None]]:
        return [(one.kind, (one.target or one.path).text, one.code) for one in (await self.items(path, **changes))[1]]


@pytest.fixture
async def plans(pool: Pool, protocol: Protocol, mount: MountId) -> Plans:
    plans = Plans(pool, protocol, mount)
    await plans.run(
        *(mkdir(mount, path) for path in ("a", "a/b", "a/b/c")),
        *(upload(mount, path, 3) for path in ("a/f.csv", "a/b/g.csv", "a/b/h", "a/b/c/i.csv")),
    )
    return plans


async def test_what_went_last_comes_back_first_and_a_directory_as_one_item(plans: Plans) -> None:
    mount = plans.mount
    await plans.run(delete(mount, "a/b/h"), delete(mount, "a/b", recursive=True), delete(mount, "a/f.csv"))
    state, items = await plans.items("a")
    assert state == "planned"
    assert [(one.kind, one.path.text, one.nodes, one.size) for one in items] == [
        ("restore", "a/f.csv", 1, 3), ("restore", "a/b", 4, 6), ("restore", "a/b/h", 1, 3),
    ]  # fmt: skip
    assert await plans.planned("a/b/h") == [("mkdir", "a/b", None), ("restore", "a/b/h", None)]
    assert await plans.planned("a/b") == [("restore", "a/b", None), ("restore", "a/b/h", None)]
    assert await plans.planned("z") == [("restore", "z", "NODE_NOT_FOUND")]


@pytest.mark.parametrize(
    ("path", "selection", "expected"),
    [
        ("a", {"include": ("*.csv",)}, ["mkdir a/b", "restore a/b/g.csv", "mkdir a/b/c", "restore a/b/c/i.csv"]),
        ("a/b/c", {}, ["mkdir a/b", "restore a/b/c"]),
        ("a/b/c/i.csv", {}, ["mkdir a/b", "mkdir a/b/c", "restore a/b/c/i.csv"]),
        ("a", {"paths": ("a/b/c", "a/b/h")}, ["mkdir a/b", "restore a/b/c", "restore a/b/h"]),
        ("", {"kinds": ("directory",)}, ["mkdir a/b", "mkdir a/b/c"]),
        ("", {"min_bytes": 4}, []),
    ],
)  # fmt: skip
async def test_part_of_a_deleted_directory_comes_back_with_the_directories_it_needs(
    plans: Plans, path: str, selection: dict[str, Any], expected: list[str]
) -> None:
    await plans.run(delete(plans.mount, "a/b", recursive=True))
    planned = await plans.planned(path, selection=Selection(**selection))
    assert [f"{kind} {path}" for kind, path, _ in planned] == expected


async def test_a_directory_comes_back_into_the_one_that_lies_there_now(plans: Plans) -> None:
    mount = plans.mount
    await plans.run(
        delete(mount, "a/b", recursive=True), mkdir(mount, "a/b"), mkdir(mount, "a/b/c"), upload(mount, "a/b/h", 9)
    )
    state, _ = await plans.items("a")
    assert state == OperationState.FAILED, "one conflict ends it before anything is begun"
    choices: dict[Any, list[tuple[str, str, str | None]]] = {
        "skip": [("restore", "a/b/g.csv", None), ("restore", "a/b/h", "NODE_EXISTS"), ("restore", "a/b/c/i.csv", None)],
        "overwrite": [("restore", "a/b/g.csv", None), ("delete", "a/b/h", None), ("restore", "a/b/h", None),
                      ("restore", "a/b/c/i.csv", None)],
        "rename": [("restore", "a/b (1)", None)],
    }  # fmt: skip
    for choice, expected in choices.items():
        assert await plans.planned("a", options=Options(on_conflict=choice)) == expected, choice


async def test_a_living_file_gets_older_content_back_only_where_that_is_asked_for(plans: Plans) -> None:
    mount = plans.mount
    for size, digest in ((4, "cd"), (5, "ef")):
        await plans.run(upload(mount, "a/f.csv", size, overwrite=True, sha256=digest * 32))
    assert await plans.planned("a") == [("restore", "a/f.csv", "NODE_EXISTS")]
    for path, options in (("a/f.csv", Options()), ("", Options(on_conflict="overwrite"))):
        _, [one] = await plans.items(path, options=options)
        assert (one.version, one.content_version, one.size, one.code) == (3, 2, 4, None), path
    await plans.run(asked(CommandKind.MOVE, mount, "a/f.csv", target="elsewhere"))
    assert await plans.planned("a") == [], "it lies elsewhere now"


async def test_of_two_that_were_deleted_under_one_name_the_later_one_comes_back(plans: Plans) -> None:
    mount = plans.mount
    await plans.run(delete(mount, "a/f.csv"), upload(mount, "a/f.csv", 9), delete(mount, "a/f.csv"))
    _, [later, earlier] = await plans.items("a")
    assert (later.size, later.code) == (9, None) and (earlier.size, earlier.code) == (3, "NODE_EXISTS")


async def test_what_is_kept_no_longer_is_said_at_planning_and_holds_up_nothing(plans: Plans) -> None:
    mount = plans.mount
    await plans.run(delete(mount, "a/f.csv"), delete(mount, "a/b/h"))
    async with plans.pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.versions s SET content_until = now() FROM filestore.nodes n"
            " WHERE n.id = s.node_id AND n.name = 'h' AND s.content_until > now()"
        )
    paths = Selection(paths=("a/f.csv", "a/b/h"))
    state, items = await plans.items("a", selection=paths)
    assert state == "planned"
    assert [(one.path.text, one.state, one.code) for one in items] == [
        ("a/f.csv", "pending", None), ("a/b/h", "failed", "CONTENT_EXPIRED"),
    ]  # fmt: skip
