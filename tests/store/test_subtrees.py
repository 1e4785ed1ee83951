"""Which directories of a copy go as one item."""

from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.operations.plan import PlanItems
from schema.ids import MountId, new_command_id
from schema.operations import subtrees
from schema.operations.operation import Operation, OperationItem, OperationKind, Options
from schema.operations.selection import Selection
from schema.operations.subtrees import Subtree, goes_whole
from schema.paths import NodePath
from schema.store import operations as store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, mkdir, upload


@pytest.mark.parametrize(
    ("nodes", "size", "flat", "plain", "goes"),
    [(100, 0, False, True, True), (99, 0, True, True, False), (10_000, 1 << 28, False, True, True),
     (10_001, 0, False, True, False), (250_000, 1 << 30, True, True, True), (250_001, 0, True, True, False),
     (100, (1 << 28) + 1, False, True, False), (100, (1 << 30) + 1, True, True, False), (100, 0, True, False, False)],
)  # fmt: skip
def test_neither_too_small_nor_too_large(nodes: int, size: int, flat: bool, plain: bool, goes: bool) -> None:
    assert goes_whole(Subtree(nodes, size, flat, plain)) is goes


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol, mount: MountId, monkeypatch: pytest.MonkeyPatch) -> MountId:
    monkeypatch.setattr(subtrees, "NODES_LEAST", 4)
    monkeypatch.setattr(subtrees, "NODES_MOST", 6)
    monkeypatch.setattr(subtrees, "FLAT_MOST", 6)
    for path in ("a", "a/b", "a/b/c", "a/d", "z", "z/full"):
        await protocol.run(mount, mkdir(mount, path))
    files = ("a/f", "a/b/1", "a/b/2", "a/b/c/3", "a/b/c/4", "a/d/5")
    await protocol.run(mount, *(upload(mount, path, 3) for path in files))
    return mount


async def planned(
    pool: Pool, mount: MountId, path: str = "a", target: str = "z/copy", **values: Any
) -> list[OperationItem]:
    operation = Operation(
        id=str(new_command_id()), tenant="main", principal="ann", token_id=1, kind=OperationKind.COPY, mount_id=mount,
        path=NodePath(path.encode()), target_path=NodePath(target.encode()), plan_only=True, **values,
    )  # fmt: skip
    async with pool.connection() as connection:
        assert await store.create(connection, operation, operation.id, "00")
    await ActivityEnvironment().run(PlanItems(pool).plan, operation.id)
    async with pool.connection() as connection:
        return await store.items(connection, operation.id, states=None, codes=None, after=-1, limit=100)


def shown(items: list[OperationItem]) -> list[tuple[str, str, int, int, int | None]]:
    return [(one.kind, (one.target or one.path).text, one.nodes, one.size, one.needs) for one in items]


WHOLE = [
    ("mkdir", "z/copy", 1, 0, None), ("copy", "z/copy/f", 1, 3, 0), ("copy", "z/copy/b", 6, 12, 0),
    ("mkdir", "z/copy/d", 1, 0, 0), ("copy", "z/copy/d/5", 1, 3, 3),
]  # fmt: skip


async def test_a_directory_of_the_right_size_is_one_item_and_what_lies_around_it_is_not(
    pool: Pool, tree: MountId
) -> None:
    assert shown(await planned(pool, tree)) == WHOLE
    assert shown(await planned(pool, tree, "a/b", "z/b")) == [("copy", "z/b", 6, 12, None)]


async def test_of_a_directory_of_files_alone_more_go_whole(
    pool: Pool, protocol: Protocol, tree: MountId, monkeypatch: pytest.MonkeyPatch
) -> None:
    await protocol.run(tree, *(upload(tree, f"a/b/c/more {n}", 1) for n in range(8)))
    assert ("copy", "z/copy/b/c", 11, 14, 2) not in shown(await planned(pool, tree))
    monkeypatch.setattr(subtrees, "FLAT_MOST", 11)
    assert ("copy", "z/copy/b/c", 11, 14, 2) in shown(await planned(pool, tree))


@pytest.mark.parametrize("page", [1, 2, 3])
async def test_wherever_a_page_ends_each_node_is_planned_once(
    pool: Pool, tree: MountId, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.operations.plan._PAGE", page)
    assert shown(await planned(pool, tree)) == WHOLE


async def test_files_are_the_items_where_something_lies_at_the_target_or_rates_and_selections_ask_for_it(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    single = 4
    by_selection = await planned(pool, tree, "a/b", "z/b", selection=Selection(kinds=("file",)))
    by_rate = await planned(pool, tree, "a/b", "z/b", options=Options(files_per_second=100))
    onto = await planned(pool, tree, "a/b", "z/full")
    for items in (by_selection, by_rate, onto):
        assert sum(one.kind == "copy" and one.nodes == 1 for one in items) == single
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.nodes SET state = 'inconsistent' WHERE name = '3' AND mount_id = %s", [tree]
        )
    assert len(await planned(pool, tree, "a/b", "z/b")) == 6, "a copy of the whole would be refused for one file"
