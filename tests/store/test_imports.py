"""Imports in the record: pages of a scan become nodes beside commands, and the consistency check holds after each."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.executors.memory.executor import MemoryExecutor
from activities.executors.memory.tree import MemoryNode
from activities.operations import import_hashes as hashing
from activities.operations import imports as importing
from activities.operations.imports import ImportTree
from schema import check
from schema.check import StorageFacts
from schema.commands.command import Command, CommandKind
from schema.errors import NotSupported
from schema.ids import MountId, new_command_id
from schema.operations.control import Control, steer
from schema.operations.operation import Operation, OperationItem, OperationKind, OperationState, Options
from schema.operations.turn import reached
from schema.paths import NodePath
from schema.store import check as check_store
from schema.store import imports as import_store
from schema.store import operation_turns as turn_store
from schema.store import operations as store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, make_mount, mkdir
from workers.check import look

MADE = {b"a": None, b"a/b": None, b"a/b/one": b"1", b"a/two": b"22", b"c": None, b"c/three": b"333", b"z": b"4444"}


class Imports:
    """A mount in memory, its commands, and imports of it."""

    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.protocol, self.mount, self.executor = pool, protocol, mount, MemoryExecutor()
        protocol.serve(self)
        self.activity = ImportTree(pool, self, budgets.COPIES.build(), lambda: None)

    def of(self, mount: MountId) -> MemoryExecutor:
        return self.executor

    def lies(self, tree: Mapping[bytes, bytes | None]) -> None:
        for path, content in tree.items():
            self.executor.tree[path] = MemoryNode(content)

    async def asked(self, path: bytes = b"", **options: Any) -> Operation:
        operation = Operation(
            id=str(new_command_id()), tenant="main", principal="ann", token_id=1, kind=OperationKind.IMPORT,
            mount_id=self.mount, path=NodePath(path), options=Options(**options), state=OperationState.RUNNING,
        )  # fmt: skip
        async with self.pool.connection() as connection, connection.transaction():
            assert await store.create(connection, operation, operation.id, "00")
            assert await turn_store.claim(connection, operation) is None
        return operation

    async def turn(self, operation: Operation) -> float:
        return await ActivityEnvironment().run(self.activity.import_tree, operation.id)

    async def run(self, operation: Operation, *, turns: int = 60) -> Operation:
        """As its runner does, until it has ended."""
        for _ in range(turns):
            async with self.pool.connection() as connection, connection.transaction():
                locked = await store.lock(connection, operation.id)
                assert locked is not None
                if end := reached(locked.operation, left=not (locked.cursor or {}).get("over")):
                    await turn_store.reach(connection, operation.id, end)
                    await import_store.tell(connection, locked.operation)
                    return replace(locked.operation, state=end.state)
                await connection.execute("UPDATE filestore.operation_items SET retry_at = NULL")
            await self.turn(operation)
        raise AssertionError("the import does not end")

    async def imported(self, path: bytes = b"", **options: Any) -> Operation:
        return await self.run(await self.asked(path, **options))

    async def items(self, operation: Operation) -> list[OperationItem]:
        async with self.pool.connection() as connection:
            return await store.items(connection, operation.id, states=None, codes=None, after=-1, limit=1000)

    async def command(self, request: Command) -> None:
        """Carry it through, with its effect in memory."""
        begun = await self.protocol.begin(self.mount, [request])
        await self.commits(request, begun.go[0].attempt if begun.go else 0)

    async def commits(self, request: Command, attempt: int = 1) -> None:
        if attempt:
            await self.protocol.commit(self.mount, [self.acts(request, attempt)])

    def acts(self, request: Command, attempt: int = 1) -> Any:
        tree, path, target = self.executor.tree, request.path.encode(), (request.target or "").encode()
        applied = self.protocol.applied(request.id, attempt)
        if request.kind is CommandKind.CREATE_DIRECTORY:
            tree[path] = MemoryNode(None)
        else:
            taken = {name: tree.pop(name) for name in list(tree) if name == path or name.startswith(path + b"/")}
            if request.kind is CommandKind.DELETE:
                node = taken[path]
                return replace(applied, identity=node.identity.facts())
            tree.update({target + name[len(path) :]: node for name, node in taken.items()})
            path = target
        return replace(applied, identity=tree[path].identity.facts())

    async def nodes(self) -> dict[bytes, tuple[str, int, bytes | None]]:
        """The living ones, by their paths."""
        async with self.pool.connection() as connection:
            found = await (
                await connection.execute(
                    "SELECT p.directory_path || n.name AS path, n.kind::text, n.size_bytes, n.sha256 FROM nodes n"
                    " JOIN nodes p ON p.id = n.parent_id WHERE n.mount_id = %s AND n.state <> 'deleted'",
                    [self.mount],
                )
            ).fetchall()
        paths = [bytes(row["path"]) for row in found]
        assert len(paths) == len(set(paths)), "a name is there once"
        return {bytes(row["path"]): (row["kind"], row["size_bytes"], row["sha256"]) for row in found}

    async def told(self, kind: str) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            query = "SELECT data FROM outbox WHERE mount_id = %s AND type = %s ORDER BY id"
            return [row["data"] for row in await (await connection.execute(query, [self.mount, kind])).fetchall()]

    async def holds(self) -> None:
        """The record is what lies there, and the check finds nothing."""
        assert set(await self.nodes()) == set(self.executor.tree)
        async with self.pool.connection() as connection:
            record, _ = await check_store.record(connection, self.mount)
        seen = look(self.executor, [], content=False)
        found = check.check(replace(record, cleanups=()), StorageFacts(seen.listing))
        assert [one for one in found if one.kind != "kept" and "second" not in one.message] == []


@pytest.fixture
async def imports(pool: Pool, protocol: Protocol) -> Imports:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    return Imports(pool, protocol, mount)


def at(monkeypatch: pytest.MonkeyPatch, point: str, do: Callable[[], Awaitable[None]], times: int = 1) -> None:
    left = [times]

    async def areach(reached: str, subject: str = "") -> None:
        if reached == point and left[0]:
            left[0] -= 1
            await do()

    monkeypatch.setattr(importing, "areach", areach)


async def test_what_lies_there_becomes_nodes_and_a_second_import_finds_nothing_new(imports: Imports) -> None:
    imports.lies(MADE)
    done = await imports.imported()
    assert (done.state, done.done, done.items, done.failed, done.skipped) == (OperationState.SUCCEEDED, 7, 7, 0, 0)
    assert await imports.nodes() == {
        path: ("directory", 0, None) if content is None else ("file", len(content), None)
        for path, content in MADE.items()
    }
    await imports.holds()
    again = await imports.imported()
    assert (again.state, again.done, again.items) == (OperationState.SUCCEEDED, 0, 0)
    await imports.holds()
    assert [(event["path"], event["tree"]) for event in await imports.told("filestore.node.updated")] == [
        ("", {"size": 10, "files": 4, "directories": 3})
    ]
    assert [event["result"] for event in await imports.told("filestore.command.completed")] == [
        {"tree": {"size": 10, "files": 4, "directories": 3}}
    ]


async def test_a_part_is_told_of_with_the_way_to_it(imports: Imports) -> None:
    imports.lies(MADE)
    await imports.imported(b"a/b/one")
    told = await imports.told("filestore.node.updated")
    assert [(event["path"], event["kind"], bool(event["tree"])) for event in told] == [
        ("a", "directory", False), ("a/b", "directory", False), ("a/b/one", "file", True),
    ]  # fmt: skip


async def test_a_subtree_is_imported_with_the_way_to_it_and_a_missing_one_is_said(imports: Imports) -> None:
    imports.lies(MADE)
    assert (await imports.imported(b"a/b")).done == 3
    assert set(await imports.nodes()) == {b"a", b"a/b", b"a/b/one"}
    missing = await imports.asked(b"nothing")
    assert (await imports.run(missing)).state is OperationState.FAILED
    assert [(one.path.raw, one.code) for one in await imports.items(missing)] == [(b"nothing", "NODE_NOT_FOUND")]


async def test_names_the_record_can_not_hold_are_items_and_the_rest_goes_on(imports: Imports) -> None:
    long, deep = b"n" * 1025, b"/".join([b"d" * 255] * 11)
    folders = [b"/".join([b"d" * 255] * n) for n in range(1, 12)]
    imports.lies({**dict.fromkeys(folders), deep + b"/file": b"x", long: b"x", b"back\\slash\xff": b"x"})
    operation = await imports.asked()
    assert (await imports.run(operation)).state is OperationState.PARTIAL
    assert {one.path.raw for one in await imports.items(operation)} == {long, deep}
    assert set(await imports.nodes()) == {*folders[:10], b"back\\slash\xff"}


async def test_what_the_record_has_otherwise_is_left_and_told_and_a_retry_looks_anew(imports: Imports) -> None:
    imports.lies(MADE)
    await imports.imported()
    imports.lies({b"c": b"a file now", b"z": b"other content"})
    del imports.executor.tree[b"c/three"]
    before = await imports.nodes()
    operation = await imports.asked()
    assert (await imports.run(operation)).state is OperationState.FAILED
    assert {(one.path.raw, one.code) for one in await imports.items(operation)} == {
        (b"c", "VERSION_CONFLICT"), (b"z", "VERSION_CONFLICT"),
    }  # fmt: skip
    assert await imports.nodes() == before
    async with imports.pool.connection() as connection, connection.transaction():
        locked = await store.lock(connection, operation.id)
        assert locked is not None
        await store.steer(connection, operation.id, steer(locked.operation, Control.RETRY))
        await import_store.begin_anew(connection, operation.id)
        await turn_store.claim(connection, operation)
    imports.lies({b"new": b"x"})
    again = await imports.run(operation)
    assert (again.state, again.done, again.skipped) == (OperationState.PARTIAL, 1, 2)


async def test_an_import_is_not_put_back(imports: Imports) -> None:
    with pytest.raises(NotSupported):
        steer(replace(await imports.asked(), done=1), Control.ROLLBACK)


async def test_contents_get_their_hashes_now_where_that_is_wanted(imports: Imports) -> None:
    imports.lies(MADE)
    await imports.imported()
    await imports.imported(hashes="now")
    assert {path: node[2] is not None for path, node in (await imports.nodes()).items()} == {
        path: content is not None for path, content in MADE.items()
    }
    await imports.holds()


async def test_what_was_written_to_since_it_was_recorded_gets_no_hash(imports: Imports) -> None:
    imports.lies(MADE)
    await imports.imported()
    imports.executor.tree[b"z"].write(b"5555")
    operation = await imports.asked(hashes="now")
    assert (await imports.run(operation)).state is OperationState.FAILED
    assert (await imports.nodes())[b"z"][2] is None and (await imports.nodes())[b"a/two"][2] is not None


async def test_a_pause_holds_between_two_pages_and_nothing_is_lost_or_doubled(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports.lies(MADE)
    monkeypatch.setattr(importing, "PAGE", 1)
    operation = await imports.asked()

    async def pause() -> None:
        async with imports.pool.connection() as connection, connection.transaction():
            locked = await store.lock(connection, operation.id)
            assert locked is not None
            await store.steer(connection, operation.id, steer(locked.operation, Control.PAUSE))

    at(monkeypatch, "import.page", pause)
    await imports.turn(operation)
    assert len(await imports.nodes()) == 1
    async with imports.pool.connection() as connection, connection.transaction():
        locked = await store.lock(connection, operation.id)
        assert locked is not None
        there = reached(locked.operation, left=True)
        assert there is not None
        await turn_store.reach(connection, operation.id, there)
        assert there.state is OperationState.PAUSED
        await store.steer(connection, operation.id, steer(replace(locked.operation, state=there.state), Control.RESUME))
        await turn_store.claim(connection, operation)
    assert (await imports.run(operation)).done == len(MADE)
    await imports.holds()


async def test_two_runners_do_each_page_once(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    imports.lies(MADE)
    monkeypatch.setattr(importing, "PAGE", 2)
    operation = await imports.asked()

    async def other() -> None:
        await imports.turn(operation)

    at(monkeypatch, "import.page", other)
    await imports.turn(operation)
    assert (await imports.run(operation)).done == len(MADE)
    await imports.holds()


async def test_executions_that_die_again_and_again_record_each_name_once(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, died = random.Random(7), 0
    names: dict[bytes, bytes | None] = {b"d%d" % n: None for n in range(6)}
    names |= {b"d%d/f%d" % (n, k): b"x" for n in range(6) for k in range(5)}
    imports.lies(names)
    monkeypatch.setattr(importing, "PAGE", 3)

    async def dies(point: str, subject: str = "") -> None:
        if chance.random() < 0.3:
            raise RuntimeError("it died here")

    monkeypatch.setattr(importing, "areach", dies)
    monkeypatch.setattr(hashing, "areach", dies)
    operation = await imports.asked(hashes="now")
    for _ in range(200):
        try:
            done = await imports.run(operation)
            break
        except RuntimeError:
            died += 1
    assert died > 3 and (done.state, done.done) == (OperationState.SUCCEEDED, len(names))
    assert all(node[2] for node in (await imports.nodes()).values() if node[0] == "file")
    await imports.holds()


# -- beside commands ---------------------------------------------------------------------------------------------------


async def test_a_name_that_a_command_is_at_waits_for_its_end(imports: Imports) -> None:
    imports.lies(MADE)
    await imports.imported()
    request = mkdir(imports.mount, "a/new")
    await imports.protocol.begin(imports.mount, [request])
    acted = imports.acts(request)
    imports.lies({b"a/new/inside": b"by a stranger"})
    operation = await imports.asked()
    await imports.turn(operation)
    assert b"a/new" not in await imports.nodes()
    assert [(one.path.raw, one.code, one.state) for one in await imports.items(operation)] == [
        (b"a/new", "PATH_BUSY", "pending")
    ]
    await imports.protocol.commit(imports.mount, [acted])
    done = await imports.run(operation)
    assert (done.state, done.done) == (OperationState.SUCCEEDED, 1) and await imports.items(operation) == []
    await imports.holds()


async def test_what_a_command_took_away_while_a_page_was_written_is_no_ghost(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports.lies(MADE)
    await imports.imported(b"c")

    async def gone() -> None:
        await imports.command(delete(imports.mount, "c", recursive=True))

    at(monkeypatch, "import.written", gone)
    imports.lies({b"c/late": b"seen, then gone with its directory"})
    await imports.imported()
    assert b"c/late" not in await imports.nodes() and b"c" not in await imports.nodes()
    await imports.holds()


async def test_what_came_with_a_directory_that_moved_meanwhile_is_found_where_it_went(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports.lies(MADE)
    await imports.imported(b"c")

    async def moved() -> None:
        await imports.command(asked(CommandKind.MOVE, imports.mount, "c", target="a2"))

    at(monkeypatch, "import.written", moved)
    imports.lies({b"c/late": b"it moves along"})
    done = await imports.imported()
    assert done.state is OperationState.SUCCEEDED and {b"a2", b"a2/late", b"a2/three"} <= set(await imports.nodes())
    await imports.holds()


@pytest.mark.parametrize("seed", range(6))
async def test_commands_at_any_moment_leave_the_record_as_the_storage(
    imports: Imports, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    imports.lies({path: None for n in range(5) for path in (b"d%d" % n, b"d%d/e" % n)})
    imports.lies({b"d%d/e/f%d" % (n, k): b"x" * k for n in range(5) for k in range(4)})
    await imports.imported(b"d1")
    running: list[Any] = []
    monkeypatch.setattr(importing, "PAGE", chance.choice([1, 3, 8]))

    async def one() -> None:
        if running and chance.random() < 0.7:
            await imports.protocol.commit(imports.mount, [running.pop()])
            return
        known = sorted(await imports.nodes())
        path = chance.choice(known).decode()
        request = {
            "mkdir": lambda: mkdir(imports.mount, f"m{chance.random()}"),
            "delete": lambda: delete(imports.mount, path, recursive=True),
            "move": lambda: asked(CommandKind.MOVE, imports.mount, path, target=f"t{chance.random()}"),
        }[chance.choice(["mkdir", "delete", "move"])]()
        begun = await imports.protocol.begin(imports.mount, [request])
        if begun.go:
            running.append(imports.acts(request, begun.go[0].attempt))

    for point in ("import.written", "import.page"):
        at(monkeypatch, point, one, times=5)
        operation = await imports.asked()
        for _ in range(3):
            await imports.turn(operation)
        at(monkeypatch, "nothing more", one)
        while running:
            await imports.protocol.commit(imports.mount, [running.pop()])
        await imports.run(operation)
    await imports.imported()
    await imports.holds()
