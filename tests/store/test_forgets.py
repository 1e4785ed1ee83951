"""The undo of an import: what it recorded leaves the record, what has changed since stays; nothing on the storage is touched."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from api.operations import make
from schema.access.decision import access_of
from schema.commands.command import CommandKind
from schema.errors import MissingScope, NotSupported, WrongState
from schema.operations.control import Control
from schema.operations.operation import LEFT_MOST, ItemState, Operation
from schema.paths import NodePath
from schema.principals import Principal
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, make_mount, mkdir
from tests.store.operation_rows import Runner, counted, now, set_row, steered, undo_of
from tests.store.test_imports import MADE, Imports


@dataclass
class Forgets:
    imports: Imports
    runner: Runner

    async def imported(self) -> Operation:
        self.imports.lies(MADE)
        return await self.imports.imported()

    async def undo(self, original: Operation, **changes: Any) -> Operation:
        operation = await undo_of(self.imports.pool, original, **changes)
        await self.runner.plan(operation)
        return operation

    async def turn(self, operation: Operation) -> str:
        step = await self.runner.turn(operation)
        return step.state if step.over else ""

    async def to_the_end(self, operation: Operation) -> str:
        return await self.runner.to_the_end(operation)

    async def undone(self, original: Operation) -> tuple[str, dict[str, str]]:
        """How it ends, and what stays, with its codes."""
        operation = await self.undo(original)
        state = await self.to_the_end(operation)
        _, items = await now(self.imports.pool, operation)
        return state, {one.path.text: str(one.code) for one in items if one.state is not ItemState.DONE}

    async def stays(self, *paths: bytes) -> None:
        """So much is in the record, all of it is on the storage still, and the check finds nothing."""
        assert set(await self.imports.nodes()) == set(paths)
        tree = self.imports.executor.tree
        kept = dict(tree)
        for path in set(tree) - set(paths):
            del tree[path]
        await self.imports.holds()
        tree.update(kept)


@pytest.fixture
async def forgets(pool: Pool, protocol: Protocol) -> Forgets:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    imports = Imports(pool, protocol, mount)
    return Forgets(imports, Runner(pool, protocol))


async def test_all_that_was_imported_leaves_the_record_and_lies_on_the_storage_still(forgets: Forgets) -> None:
    original = await forgets.imported()
    assert await forgets.undone(original) == ("succeeded", {})
    await forgets.stays()
    assert set(forgets.imports.executor.tree) == set(MADE)
    gone = await forgets.imports.told("filestore.node.deleted")
    trees = {one["path"]: one["tree"] for one in gone}
    assert trees == {
        "a": {"size": 3, "files": 2, "directories": 1}, "c": {"size": 3, "files": 1, "directories": 0}, "z": None,
    }  # fmt: skip
    assert sum(one["delta"]["sizeBytes"] for one in gone) == -10
    again = await forgets.imports.imported()
    assert again.done == len(MADE)
    await forgets.imports.holds()


async def test_what_has_changed_since_stays_with_the_directories_that_hold_it(forgets: Forgets) -> None:
    original = await forgets.imported()
    imports = forgets.imports
    await imports.command(mkdir(imports.mount, "c/new"))
    await imports.command(delete(imports.mount, "z"))
    await imports.command(asked(CommandKind.MOVE, imports.mount, "a/b", target="moved"))
    state, stays = await forgets.undone(original)
    assert state == "partial"
    assert stays == {
        "c": "CHILDREN_EXIST", "z": "VERSION_CONFLICT", "moved": "VERSION_CONFLICT", "moved/one": "VERSION_CONFLICT",
    }  # fmt: skip
    await forgets.stays(b"c", b"c/new", b"moved", b"moved/one")


async def test_what_changes_after_the_plan_stays_too(forgets: Forgets) -> None:
    original = await forgets.imported()
    undo = await forgets.undo(original, plan_only=True)
    imports = forgets.imports
    await imports.command(mkdir(imports.mount, "c/new"))
    await imports.command(delete(imports.mount, "z"))
    await steered(imports.pool, undo, Control.APPLY)
    assert await forgets.to_the_end(undo) == "partial"
    _, items = await now(imports.pool, undo)
    codes = {one.path.text: one.code for one in items if one.code}
    assert codes == {"c": "CHILDREN_EXIST", "z": "VERSION_CONFLICT"}
    await forgets.stays(b"c", b"c/new")


async def test_a_place_at_which_a_command_is_comes_later_and_so_does_its_directory(forgets: Forgets) -> None:
    original = await forgets.imported()
    imports = forgets.imports
    hung = await imports.protocol.begin(imports.mount, [asked(CommandKind.DESCRIBE, imports.mount, "a/b/one")])
    undo = await forgets.undo(original)
    for _ in range(3):
        await forgets.turn(undo)
    assert set(await imports.nodes()) == {b"a", b"a/b", b"a/b/one"}
    await forgets.runner.fail(hung, "STORAGE_FULL")
    assert await forgets.to_the_end(undo) == "succeeded"
    await forgets.stays()


async def test_a_place_that_is_busy_for_too_long_fails_and_a_retry_takes_it(forgets: Forgets) -> None:
    original = await forgets.imported()
    imports = forgets.imports
    hung = await imports.protocol.begin(imports.mount, [asked(CommandKind.DESCRIBE, imports.mount, "a/b/one")])
    undo = await forgets.undo(original)
    for _ in range(3 * LEFT_MOST):
        await forgets.turn(undo)
    row, items = await now(imports.pool, undo)
    assert {one.path.text for one in items if one.code == "PATH_BUSY"} == {"a/b/one", "a/b", "a"}
    assert row.state == "partial" and counted(row) == {"done": len(MADE) - 3, "failed": 3}
    await forgets.runner.fail(hung, "STORAGE_FULL")
    await steered(imports.pool, undo, Control.RETRY)
    assert await forgets.to_the_end(undo) == "succeeded"


async def test_what_was_handed_out_and_is_not_wanted_any_more_is_not_done(forgets: Forgets) -> None:
    undo = await forgets.undo(await forgets.imported())
    step = await forgets.runner.next(undo)
    await steered(forgets.imports.pool, undo, Control.PAUSE)
    assert step.portion is not None
    assert await forgets.runner.work(step) == 0
    assert (await forgets.runner.next(undo)).state == "paused"
    await forgets.imports.holds()
    await steered(forgets.imports.pool, undo, Control.RESUME)
    assert await forgets.to_the_end(undo) == "succeeded"


async def test_it_claims_its_path_against_other_operations(forgets: Forgets) -> None:
    original = await forgets.imported()
    other = await forgets.imports.asked(b"a")
    undo = await forgets.undo(original)
    assert (await forgets.runner.next(undo)).portion is None
    assert (await now(forgets.imports.pool, undo))[0].state == "waiting"
    await set_row(forgets.imports.pool, other, "claimed = false")
    assert await forgets.to_the_end(undo) == "succeeded"


async def test_it_is_neither_undone_nor_rolled_back_and_the_import_is_not_retried(forgets: Forgets) -> None:
    original, pool = await forgets.imported(), forgets.imports.pool
    undo = await forgets.undo(original, plan_only=True)
    await steered(pool, undo, Control.APPLY)
    with pytest.raises(NotSupported, match="Import the path again"):
        await steered(pool, undo, Control.ROLLBACK)
    await forgets.to_the_end(undo)
    with pytest.raises(NotSupported, match="Import the path again"):
        make.undo_of(ANN, (await now(pool, undo))[0], plan_only=False)
    await set_row(pool, original, "state = 'partial', started_at = now(), ended_at = now()")
    with pytest.raises(WrongState, match="is or was undone"):
        await steered(pool, original, Control.RETRY)


ANN = Principal(name="ann", tenant="main", token_id=1, access=access_of(("admin",)))


async def test_it_needs_the_right_to_reconcile(forgets: Forgets) -> None:
    original = (await now(forgets.imports.pool, await forgets.imported()))[0]
    assert make.undo_of(ANN, original, plan_only=True).path == NodePath(b"")
    with pytest.raises(MissingScope):
        make.undo_of(replace(ANN, access=access_of(("read",))), original, plan_only=True)
