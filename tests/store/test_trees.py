"""Moves, copies, restores, metadata and whole trees in the record: what they change, and that everything else still agrees."""

import json
from typing import Any

import pytest

from schema import check
from schema.check import Severity
from schema.commands.command import Command, CommandKind
from schema.commands.verdicts import Busy, Go, Refuse
from schema.ids import MountId
from schema.nodes import NODE_METADATA_MAX
from schema.store import begin as begin_store
from schema.store import check as check_store
from schema.store import leftovers as leftover_store
from schema.store import record as record_store
from schema.store import trees
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, mkdir, upload


def move(mount: MountId, path: str, target: str, **changes: Any) -> Command:
    return asked(CommandKind.MOVE, mount, path, target=target, **changes)


def restore(mount: MountId, path: str, node: int | None = None, **changes: Any) -> Command:
    return asked(CommandKind.RESTORE, mount, path, node_id=node, **changes)


class StoredTree:
    """One mount with a small tree, and the questions of these tests."""

    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.protocol, self.mount = pool, protocol, mount

    async def plant(self) -> None:
        await self.run(mkdir(self.mount, "a"), mkdir(self.mount, "z"))
        await self.run(mkdir(self.mount, "a/b"), upload(self.mount, "a/f", 3), upload(self.mount, "y", 7))
        await self.run(mkdir(self.mount, "a/b/c"), upload(self.mount, "a/b/g", 5))
        await self.run(upload(self.mount, "a/b/c/h", 11), upload(self.mount, "a/f", 4, overwrite=True))

    async def run(self, *requests: Command) -> None:
        for verdict in (await self.protocol.run(self.mount, *requests)).values():
            assert isinstance(verdict, Go), verdict

    async def refused(self, request: Command) -> str:
        verdict = (await self.protocol.run(self.mount, request))[request.id]
        assert isinstance(verdict, Refuse), verdict
        return verdict.error.code

    async def paths(self) -> dict[str, tuple[int, int]]:
        """Living path -> version and depth."""
        query = """SELECT encode(a.canonical_path, 'escape') AS path, n.version, n.depth FROM filestore.active_nodes a
                     JOIN filestore.nodes n ON n.id = a.id WHERE a.mount_id = %s AND a.depth > 0"""
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(query, (self.mount,))).fetchall()
        return {row["path"].rstrip("/"): (row["version"], row["depth"]) for row in rows}

    async def node(self, path: str) -> int:
        query = """SELECT n.id FROM filestore.node_documents n WHERE n.mount_id = %s AND n.path = %s ORDER BY n.id DESC LIMIT 1"""
        async with self.pool.connection() as connection:
            row = await (await connection.execute(query, (self.mount, path.encode()))).fetchone()
        assert row is not None, path
        return int(row["id"])

    async def one(self, query: str, *values: Any) -> Any:
        async with self.pool.connection() as connection:
            row = await (await connection.execute(query.encode(), values)).fetchone()
        assert row is not None
        return next(iter(row.values()))

    async def is_sound(self) -> None:
        async with self.pool.connection() as connection:
            leftovers = await leftover_store.leftovers(connection, self.mount, None)
            await leftover_store.close_leftovers(connection, [leftover.cleanup for leftover in leftovers])
            record, _ = await check_store.record(connection, self.mount)
        assert [f for f in check.check(record, None) if f.severity is Severity.ERROR] == []


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol, mount: MountId) -> StoredTree:
    planted = StoredTree(pool, protocol, mount)
    await planted.plant()
    return planted


async def test_a_directory_moves_with_all_below_it(tree: StoredTree) -> None:
    inner, file = await tree.node("a/b/c"), await tree.node("a/b/c/h")
    await tree.run(move(tree.mount, "a/b", "z/new"))
    assert await tree.paths() == {
        "a": (1, 1), "a/f": (2, 2), "y": (1, 1), "z": (1, 1), "z/new": (2, 2), "z/new/c": (1, 3), "z/new/g": (1, 3),
        "z/new/c/h": (1, 4),
    }  # fmt: skip
    assert (await tree.node("z/new/c"), await tree.node("z/new/c/h")) == (inner, file), "the same nodes"
    await tree.is_sound()


async def test_a_move_to_another_depth_tells_everything_below_how_deep_it_lies(tree: StoredTree) -> None:
    await tree.run(move(tree.mount, "a/b", "up"))
    assert (await tree.paths())["up/c/h"] == (1, 3)
    await tree.run(move(tree.mount, "up", "z/down"), mkdir(tree.mount, "up2"))
    assert (await tree.paths())["z/down/c/h"] == (1, 4)
    await tree.run(upload(tree.mount, "z/down/c/new", 1))
    await tree.is_sound()


async def test_names_that_share_a_prefix_do_not_move_along(tree: StoredTree) -> None:
    await tree.run(mkdir(tree.mount, "a_b"), mkdir(tree.mount, "ax"), mkdir(tree.mount, "a-"))
    await tree.run(mkdir(tree.mount, "a_b/in"), mkdir(tree.mount, "ax/in"), mkdir(tree.mount, "a-/in"))
    await tree.run(move(tree.mount, "a", "other"), move(tree.mount, "a_b", "under"))
    assert {"ax/in", "a-/in", "under/in", "other/b/c/h"} <= (await tree.paths()).keys()
    await tree.is_sound()


async def test_a_move_onto_a_file_keeps_what_it_replaces(tree: StoredTree) -> None:
    old = await tree.node("y")
    assert await tree.refused(move(tree.mount, "a/f", "y")) == "NODE_EXISTS"
    assert await tree.refused(move(tree.mount, "a/f", "y", overwrite=True, must_be_new=True)) == "NODE_EXISTS"
    await tree.run(move(tree.mount, "a/f", "y", overwrite=True))
    assert "a/f" not in await tree.paths() and (await tree.paths())["y"] == (3, 1)
    assert await tree.one("SELECT state::text FROM filestore.nodes WHERE id = %s", old) == "deleted"
    place = "SELECT content_place IS NOT NULL FROM filestore.snapshots WHERE node_id = %s AND version = 1"
    assert await tree.one(place, old) is True
    await tree.is_sound()


MOVES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "of nothing": ("nothing", "n", {}, "NODE_NOT_FOUND"),
    "into itself": ("a", "a/b/c/a", {}, "INVALID_REQUEST"),
    "onto itself": ("a/f", "a/f", {"overwrite": True}, "INVALID_REQUEST"),
    "below a file": ("a", "y/a", {}, "PARENT_NOT_FOUND"),
    "to nowhere": ("a", "no/where", {}, "PARENT_NOT_FOUND"),
    "onto a directory": ("y", "z", {"overwrite": True}, "NOT_A_DIRECTORY"),
    "of a directory onto a file": ("z", "y", {"overwrite": True}, "NOT_A_DIRECTORY"),
    "of a stale version": ("y", "n", {"if_version": 9}, "VERSION_CONFLICT"),
    "of other content": ("y", "n", {"if_hash": "cd" * 32}, "VERSION_CONFLICT"),
}


@pytest.mark.parametrize("case", MOVES)
async def test_a_move_that_is_refused_changes_nothing(tree: StoredTree, case: str) -> None:
    path, target, changes, code = MOVES[case]
    before = await tree.paths()
    assert await tree.refused(move(tree.mount, path, target, **changes)) == code
    assert await tree.paths() == before
    await tree.is_sound()


async def test_two_moves_can_not_build_a_circle(tree: StoredTree) -> None:
    into, back = move(tree.mount, "a", "z/a"), move(tree.mount, "z", "a/z")
    verdicts = await tree.protocol.run(tree.mount, into, back)
    assert isinstance(verdicts[into.id], Go) and verdicts[back.id] == Busy(into.id)
    assert await tree.refused(move(tree.mount, "z", "z/a/z")) == "INVALID_REQUEST"
    await tree.is_sound()


async def test_a_full_directory_goes_and_comes_back(tree: StoredTree) -> None:
    await tree.run(delete(tree.mount, "a/b/g"))
    before = await tree.paths()
    totals = (
        "SELECT r.size_bytes FROM filestore.nodes n, filestore.rollup_of(n.id) r WHERE n.mount_id = %s AND n.depth = 0"
    )
    size, node = await tree.one(totals, tree.mount), await tree.node("a")
    assert await tree.refused(delete(tree.mount, "a")) == "CHILDREN_EXIST"
    await tree.run(delete(tree.mount, "a", recursive=True))
    assert (await tree.paths()).keys() == {"y", "z"}
    assert await tree.one(totals, tree.mount) == 7
    await tree.is_sound()

    await tree.run(restore(tree.mount, "a", node))
    assert (await tree.paths()).keys() == before.keys(), "and what was deleted before stays deleted"
    assert await tree.one(totals, tree.mount) == size
    await tree.is_sound()


@pytest.mark.parametrize(("path", "limit"), [("a", "15min"), ("y", "20s")])
async def test_a_whole_tree_has_more_time_to_be_recorded_and_nothing_else_has(
    tree: StoredTree, path: str, limit: str
) -> None:
    begun = await tree.protocol.begin(tree.mount, [delete(tree.mount, path, recursive=True)])
    async with tree.pool.connection() as connection:
        async with connection.transaction(force_rollback=True):
            ended = await record_store.end(connection, [tree.protocol.applied(begun.go[0].id)])
            await record_store.record(connection, ended, retention_days=1)
            row = await (await connection.execute("SHOW statement_timeout")).fetchone()
        after = await (await connection.execute("SHOW statement_timeout")).fetchone()
    assert row == {"statement_timeout": limit} and after == {"statement_timeout": "20s"}


async def test_a_directory_is_restored_under_another_name(tree: StoredTree) -> None:
    node = await tree.node("a")
    await tree.run(delete(tree.mount, "a", recursive=True))
    await tree.run(mkdir(tree.mount, "a"))
    assert await tree.refused(restore(tree.mount, "a", node)) == "NODE_EXISTS"
    await tree.run(restore(tree.mount, "a", node, target="z/was-a"))
    assert (await tree.paths())["z/was-a/b/c/h"] == (3, 5)
    assert await tree.node("z/was-a") == node
    await tree.is_sound()


async def test_one_file_comes_back_out_of_a_directory_that_was_deleted(tree: StoredTree) -> None:
    file = await tree.node("a/b/c/h")
    await tree.run(delete(tree.mount, "a", recursive=True))
    assert await tree.refused(restore(tree.mount, "a/b/c/h", file)) == "PARENT_NOT_FOUND"
    await tree.run(restore(tree.mount, "a/b/c/h", file, target="saved"))
    assert await tree.node("saved") == file
    assert (await tree.paths())["saved"] == (3, 1)
    await tree.is_sound()


RESTORES: dict[str, tuple[dict[str, Any], str]] = {
    "of what lives": ({}, "NODE_EXISTS"),
    "of no node": ({"node_id": 2**40}, "NODE_NOT_FOUND"),
    "of a version that never was": ({"node_id": None, "content_version": 9}, "NOT_FOUND"),
}


@pytest.mark.parametrize("case", RESTORES)
async def test_a_restore_that_is_refused(tree: StoredTree, case: str) -> None:
    changes, code = RESTORES[case]
    assert await tree.refused(restore(tree.mount, "y", **{"node": await tree.node("y")} | _named(changes))) == code
    await tree.is_sound()


def _named(changes: dict[str, Any]) -> dict[str, Any]:
    return {"node" if name == "node_id" else name: value for name, value in changes.items()}


async def test_what_is_no_longer_kept_is_not_restored(tree: StoredTree) -> None:
    node = await tree.node("y")
    await tree.run(delete(tree.mount, "y"))
    async with tree.pool.connection() as connection:
        await connection.execute("UPDATE filestore.versions SET content_until = now() WHERE node_id = %s", (node,))
    assert await tree.refused(restore(tree.mount, "y", node)) == "CONTENT_EXPIRED"


async def described(tree: StoredTree, change: dict[str, Any], **conditions: Any) -> Command:
    """A change of the metadata of `y`, that waits for `begin`."""
    request = asked(CommandKind.DESCRIBE, tree.mount, "y", node_id=await tree.node("y"), **conditions)
    async with tree.pool.connection() as connection:
        await begin_store.keep_metadata(connection, tree.mount, [(request, change)])
    return request


async def test_the_metadata_of_a_node_does_not_grow_beyond_its_limit_request_by_request(tree: StoredTree) -> None:
    """30 changes of 250 KB made a node of which each further change wrote 30 MB."""
    most = NODE_METADATA_MAX - len('{"a": "", "b": ""}')
    node, read = await tree.node("y"), "SELECT octet_length(metadata::text) FROM filestore.nodes WHERE id = %s"
    await tree.run(await described(tree, {"set": {"a": "x" * (most // 2)}, "unset": []}))
    await tree.run(await described(tree, {"set": {"b": "x" * (most - most // 2)}, "unset": []}))
    assert await tree.one(read, node) == NODE_METADATA_MAX
    for more in ({"set": {"c": 1}, "unset": []}, {"set": {"a": "x" * (most // 2 + 1)}, "unset": []}):
        assert await tree.refused(await described(tree, more)) == "PAYLOAD_TOO_LARGE"
    await tree.run(await described(tree, {"set": {"c": 1}, "unset": ["b"]}))
    assert await tree.one(read, node) < NODE_METADATA_MAX
    await tree.is_sound()


async def test_of_metadata_that_is_beyond_the_limit_since_an_earlier_release_some_can_go(tree: StoredTree) -> None:
    large = {name: "x" * NODE_METADATA_MAX for name in "abc"}
    async with tree.pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.nodes SET metadata = %s WHERE id = %s", (json.dumps(large), await tree.node("y"))
        )
    assert await tree.refused(await described(tree, {"set": {"d": 1}, "unset": []})) == "PAYLOAD_TOO_LARGE"
    await tree.run(await described(tree, {"set": {"a": 1}, "unset": ["b"]}))


async def test_metadata_keeps_its_types_and_what_it_does_not_name(tree: StoredTree) -> None:
    await tree.run(
        await described(tree, {"set": {"n": 1, "t": True, "none": None, "deep": {"x": [1, "1"]}}, "unset": []})
    )
    await tree.run(await described(tree, {"set": {"n": 2}, "unset": ["t", "nothing"]}))
    read = "SELECT metadata FROM filestore.nodes WHERE id = %s"
    assert await tree.one(read, await tree.node("y")) == {"n": 2, "none": None, "deep": {"x": [1, "1"]}}
    assert (await tree.paths())["y"] == (3, 1)
    assert await tree.refused(await described(tree, {"set": {}, "unset": []}, if_version=2)) == "VERSION_CONFLICT"
    await tree.run(upload(tree.mount, "y", 2, overwrite=True))
    assert (await tree.one(read, await tree.node("y")))["n"] == 2, "an upload without metadata leaves it"
    places = (
        "SELECT count(DISTINCT content_place) FROM filestore.snapshots WHERE node_id = %s AND content_place IS NOT NULL"
    )
    assert await tree.one(places, await tree.node("y")) == 1, "three versions had that content"
    await tree.is_sound()


async def test_a_copied_directory_is_recorded_with_totals_and_metadata(tree: StoredTree) -> None:
    """As `stage` does it: planned, staged entry by entry, then recorded."""
    request = asked(CommandKind.COPY, tree.mount, "a", target="z/copy")
    begun = await tree.protocol.begin(tree.mount, [request])
    assert (begun.go, begun.unstaged, begun.long) == ([], [], [request.id])
    async with tree.pool.connection() as connection:
        count, _ = await trees.plan(connection, request.id, await tree.node("a"))
        entries = await trees.page(connection, request.id, b"", 3) + await trees.page(
            connection, request.id, b"b/c/h", 9
        )
        assert [entry.path for entry in entries] == [b"b", b"b/c", b"b/c/h", b"b/g", b"f"] and count == 5
        identities = [[0, 1000 + n, 1, 0, 0, 0, 0, 0o644, 1] for n in range(5)]
        await trees.keep(connection, request.id, [(e.path, i) for e, i in zip(entries, identities, strict=True)])
        await trees.record_stage(connection, request.id, 1, [0, 999, 1, 0, 0, 0, 1, 0o755, 2], tree=True)
    blocked = mkdir(tree.mount, "a/new")
    assert (await tree.protocol.run(tree.mount, blocked))[blocked.id] == Busy(request.id), "the source holds still"
    await tree.protocol.commit(tree.mount, [tree.protocol.applied(request.id)])
    assert {"z/copy", "z/copy/b", "z/copy/b/c", "z/copy/b/c/h", "z/copy/b/g", "z/copy/f"} <= (await tree.paths()).keys()
    totals = "SELECT ARRAY[r.size_bytes, r.file_count, r.directory_count, r.child_count] FROM filestore.rollup_of(%s) r"
    for path in ("", "/b", "/b/c"):
        assert await tree.one(totals, await tree.node("z/copy" + path)) == await tree.one(
            totals, await tree.node("a" + path)
        )
    assert await tree.one("SELECT count(*) FROM filestore.staged_entries WHERE command_id = %s", request.id) == 0
    await tree.is_sound()
