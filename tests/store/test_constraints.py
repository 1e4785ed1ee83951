"""The database refuses wrong states, whichever process writes."""

import uuid
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from schema.ids import MountId
from schema.nodes import TRANSITIONS, NodeState
from tests.store.helpers import Connection, make_mount


class PlantedTree:
    """A mount with a directory `d` that holds a file `d/f`, written with plain SQL."""

    def __init__(self, connection: Connection, mount: MountId, root: int) -> None:
        self.connection, self.mount, self.root = connection, mount, root

    async def node(self, parent: int | None, name: bytes, **changes: Any) -> int:
        values: dict[str, Any] = {
            "mount_id": self.mount, "parent_id": parent, "name": name, "name_text": "x", "kind": "file", "depth": 1,
            "directory_path": None, "directory_text": None,
        }  # fmt: skip
        values |= changes
        if values["kind"] == "directory" and "directory_path" not in changes:
            values |= {"directory_path": name + b"/", "directory_text": "x/"}
        columns, marks = ", ".join(values), ", ".join(f"%({name})s" for name in values)
        query = f"INSERT INTO filestore.nodes ({columns}) VALUES ({marks}) RETURNING id"
        return int((await self.do(query, values))[0]["id"])

    async def do(self, query: str, values: Any = None) -> list[dict[str, Any]]:
        cursor = await self.connection.execute(query.encode(), values)
        return await cursor.fetchall() if cursor.description else []

    async def refused(self, kind: type[psycopg.Error], query: str, values: Any = None, constraint: str = "") -> None:
        with pytest.raises(kind) as caught:
            async with self.connection.transaction():
                await self.do(query, values)
        assert constraint in (caught.value.diag.constraint_name or "")


@pytest.fixture
async def tree(connection: Connection) -> PlantedTree:
    mount = await make_mount(connection)
    cursor = await connection.execute("SELECT id FROM filestore.nodes WHERE mount_id = %s", (mount,))
    row = await cursor.fetchone()
    assert row is not None
    return PlantedTree(connection, mount, row["id"])


# Nodes


async def test_the_transitions_in_the_database_are_those_in_the_code(tree: PlantedTree) -> None:
    stored = await tree.do("SELECT from_state::text, to_state::text, reason FROM filestore.node_transitions")
    assert {(NodeState(r["from_state"]), NodeState(r["to_state"])): r["reason"] for r in stored} == TRANSITIONS


async def test_the_states_in_the_database_are_those_in_the_code(tree: PlantedTree) -> None:
    stored = await tree.do("SELECT unnest(enum_range(NULL::filestore.node_state))::text AS state")
    assert [row["state"] for row in stored] == [state.value for state in NodeState]


_SET = "UPDATE filestore.nodes SET state = %s, deleted_at = CASE WHEN %s = 'deleted' THEN now() END WHERE id = %s"
_WAYS: dict[NodeState, list[NodeState]] = {
    NodeState.ACTIVE: [],
    NodeState.INCONSISTENT: [NodeState.INCONSISTENT],
    NodeState.MISSING: [NodeState.INCONSISTENT, NodeState.MISSING],
    NodeState.DELETED: [NodeState.DELETED],
}
"""How a new node gets into a state."""


@pytest.mark.parametrize("before", NodeState)
@pytest.mark.parametrize("after", NodeState)
async def test_exactly_the_transitions_of_the_table_are_possible(
    tree: PlantedTree, before: NodeState, after: NodeState
) -> None:
    node = await tree.node(tree.root, b"f")
    for step in _WAYS[before]:
        await tree.do(_SET, (step, step, node))
    if before is after or (before, after) in TRANSITIONS:
        await tree.do(_SET, (after, after, node))
    else:
        await tree.refused(pg.CheckViolation, _SET, (after, after, node), "nodes_transition")


async def test_two_living_nodes_can_not_have_one_name(tree: PlantedTree) -> None:
    node = await tree.node(tree.root, b"f")
    with pytest.raises(pg.UniqueViolation):
        async with tree.connection.transaction():
            await tree.node(tree.root, b"f")
    await tree.do(_SET, ("deleted", "deleted", node))
    await tree.node(tree.root, b"f")


async def test_a_deleted_node_can_not_come_back_under_a_name_that_is_taken(tree: PlantedTree) -> None:
    node = await tree.node(tree.root, b"f")
    await tree.do(_SET, ("deleted", "deleted", node))
    await tree.node(tree.root, b"f")
    await tree.refused(pg.UniqueViolation, _SET, ("active", "active", node), "nodes_name")


async def test_a_mount_can_not_have_two_roots(tree: PlantedTree) -> None:
    with pytest.raises(pg.UniqueViolation):
        async with tree.connection.transaction():
            await tree.node(None, b"", kind="directory", depth=0, directory_path=b"")


async def test_a_root_can_be_neither_deleted_nor_a_file(tree: PlantedTree) -> None:
    await tree.refused(pg.CheckViolation, _SET, ("deleted", "deleted", tree.root))
    with pytest.raises(pg.CheckViolation):
        async with tree.connection.transaction():
            await tree.node(None, b"", depth=0)


ORPHANS: dict[str, dict[str, Any]] = {
    "of a wrong depth": {"depth": 2},
    "on another mount": {"mount_id": "other"},
    "below a file": {"parent_id": "file", "depth": 2},
    "below a deleted directory": {"parent_id": "gone", "depth": 2},
}


@pytest.mark.parametrize("changes", ORPHANS.values(), ids=ORPHANS.keys())
async def test_an_orphan_is_refused(tree: PlantedTree, changes: dict[str, Any]) -> None:
    gone = await tree.node(tree.root, b"gone", kind="directory")
    await tree.do(_SET, ("deleted", "deleted", gone))
    places = {"file": await tree.node(tree.root, b"file"), "gone": gone, "other": await make_mount(tree.connection)}
    changes = {name: places.get(value, value) for name, value in changes.items()}
    with pytest.raises(pg.ForeignKeyViolation) as caught:
        async with tree.connection.transaction():
            await tree.node(changes.pop("parent_id", tree.root), b"orphan", **changes)
    assert caught.value.diag.constraint_name == "nodes_no_orphan"


async def test_a_parent_that_never_was_is_refused(tree: PlantedTree) -> None:
    with pytest.raises(pg.ForeignKeyViolation):
        async with tree.connection.transaction():
            await tree.node(2**60, b"orphan")


async def test_a_root_without_a_mount_is_refused(tree: PlantedTree) -> None:
    root = (
        "INSERT INTO filestore.nodes (mount_id, name, name_text, directory_path, directory_text, depth, kind)"
        " VALUES (%s, '', '', '', '', 0, 'directory')"
    )
    await tree.refused(pg.ForeignKeyViolation, root, (2**60,), "nodes_no_orphan")


async def test_a_node_is_never_removed(tree: PlantedTree) -> None:
    node = await tree.node(tree.root, b"f")
    await tree.refused(pg.RestrictViolation, "DELETE FROM filestore.nodes WHERE id = %s", (node,))


async def test_a_directory_with_living_children_can_not_be_deleted(tree: PlantedTree) -> None:
    directory = await tree.node(tree.root, b"d", kind="directory")
    child = await tree.node(directory, b"f", depth=2)
    await tree.refused(pg.ForeignKeyViolation, _SET, ("deleted", "deleted", directory), "nodes_no_orphan")
    await tree.do(_SET, ("deleted", "deleted", child))
    await tree.do(_SET, ("deleted", "deleted", directory))


async def test_a_child_can_not_come_back_below_a_deleted_directory(tree: PlantedTree) -> None:
    directory = await tree.node(tree.root, b"d", kind="directory")
    child = await tree.node(directory, b"f", depth=2)
    for node in (child, directory):
        await tree.do(_SET, ("deleted", "deleted", node))
    await tree.refused(pg.ForeignKeyViolation, _SET, ("active", "active", child), "nodes_no_orphan")


async def test_parent_and_child_can_be_made_and_deleted_in_one_statement(tree: PlantedTree) -> None:
    directory = await tree.node(tree.root, b"d", kind="directory")
    child = await tree.node(directory, b"f", depth=2)
    query = "UPDATE filestore.nodes SET state = 'deleted', deleted_at = now() WHERE id = ANY(%s)"
    await tree.do(query, ([directory, child],))


async def test_one_wrong_row_among_many_is_found(tree: PlantedTree) -> None:
    """Also by a session whose plans were made for single rows."""
    directories = [await tree.node(tree.root, b"d%d" % n, kind="directory") for n in range(50)]
    files = [await tree.node(directory, b"f", depth=2) for directory in directories]
    many = (
        "UPDATE filestore.nodes SET state = %s, deleted_at = CASE WHEN %s = 'deleted' THEN now() END WHERE id = ANY(%s)"
    )
    nodes = [*directories, *files]
    await tree.refused(pg.ForeignKeyViolation, many, ("deleted", "deleted", nodes[:-1]), "nodes_no_orphan")
    await tree.do(many, ("deleted", "deleted", nodes))
    await tree.refused(pg.ForeignKeyViolation, many, ("active", "active", nodes[1:]), "nodes_no_orphan")
    await tree.do(many, ("active", "active", nodes))
    await tree.do(_SET, ("inconsistent", "inconsistent", files[25]))
    await tree.do(_SET, ("missing", "missing", files[25]))
    await tree.refused(pg.CheckViolation, many, ("inconsistent", "inconsistent", files), "nodes_transition")
    deeper = "UPDATE filestore.nodes SET depth = CASE id WHEN %s THEN 3 ELSE 2 END WHERE id = ANY(%s)"
    await tree.refused(pg.ForeignKeyViolation, deeper, (files[40], files), "nodes_no_orphan")


NEVER: dict[str, str] = {
    "go back to an earlier version": "version = version - 1",
    "become a directory": "kind = 'directory', directory_path = 'f/'",
    "change its mount": "mount_id = mount_id + 1",
    "change its id": "id = id + 1000000000",
    "have a name with a slash": "name = 'a/b'",
    "have no name": "name = ''",
    "have a negative size": "size_bytes = -1",
    "have half a hash": "sha256 = '\\x00'",
    "have a directory path": "directory_path = 'f/'",
    "have lost its parent": "parent_id = NULL",
    "be deleted without a time": "state = 'deleted'",
    "have a time of deletion and live": "deleted_at = now()",
}


@pytest.mark.parametrize("change", NEVER.values(), ids=NEVER.keys())
async def test_a_file_can_never(tree: PlantedTree, change: str) -> None:
    node = await tree.node(tree.root, b"f", version=5)
    await tree.refused(pg.CheckViolation, f"UPDATE filestore.nodes SET {change} WHERE id = %s", (node,))


# Journal and commands


async def entry(
    tree: PlantedTree, command: uuid.UUID, attempt: int = 1, *, retryable: bool = False, outcome: str = "failed"
) -> None:
    await tree.do(
        """INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, path, principal, key,
               executor, outcome, retryable, payload, started_at)
           VALUES ('main', %s, %s, 'x', %s, 'x', 'me', 'k', 'local', %s, %s, '{}', now())""",
        (command, attempt, tree.mount, outcome, retryable),
    )


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE filestore.journal_entries SET code = 'x'",
        "DELETE FROM filestore.journal_entries",
        "TRUNCATE filestore.journal_entries",
    ],
)
async def test_the_journal_is_append_only(tree: PlantedTree, query: str) -> None:
    await entry(tree, uuid.uuid4())
    await tree.refused(pg.RestrictViolation, query)


async def test_a_command_ends_once_in_the_journal(tree: PlantedTree) -> None:
    command = uuid.uuid4()
    await entry(tree, command, 1, retryable=True)
    await entry(tree, command, 2, retryable=True)
    await entry(tree, command, 3)
    with pytest.raises(pg.UniqueViolation):
        async with tree.connection.transaction():
            await entry(tree, command, 4, outcome="succeeded")


async def test_an_attempt_ends_once_in_the_journal(tree: PlantedTree) -> None:
    command = uuid.uuid4()
    await entry(tree, command, 1, retryable=True)
    with pytest.raises(pg.UniqueViolation):
        async with tree.connection.transaction():
            await entry(tree, command, 1, retryable=True)


async def test_the_journal_never_tells_of_a_running_command(tree: PlantedTree) -> None:
    with pytest.raises(pg.CheckViolation):
        async with tree.connection.transaction():
            await entry(tree, uuid.uuid4(), outcome="running")


async def command(tree: PlantedTree, **changes: Any) -> None:
    values: dict[str, Any] = {
        "id": uuid.uuid4(), "principal": f"of {tree.mount}", "key": "k", "kind": "x", "mount_id": tree.mount,
        "path": b"x", "request": "{}", "intent": "{}", "status": "running",
    }  # fmt: skip
    values |= changes
    columns, marks = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    await tree.do(f"INSERT INTO filestore.commands ({columns}) VALUES ({marks})", values)


WRONG_COMMANDS: dict[str, tuple[dict[str, Any], type[psycopg.Error]]] = {
    "with a key that is taken": ({}, pg.UniqueViolation),
    "that runs without an intent": ({"key": "l", "intent": None}, pg.CheckViolation),
    "that ended at no time": ({"key": "l", "status": "succeeded"}, pg.CheckViolation),
    "at attempt zero": ({"key": "l", "attempt": 0}, pg.CheckViolation),
    "on no mount": ({"key": "l", "mount_id": 2**60}, pg.ForeignKeyViolation),
}


@pytest.mark.parametrize(("changes", "kind"), WRONG_COMMANDS.values(), ids=WRONG_COMMANDS.keys())
async def test_a_command_is_refused(tree: PlantedTree, changes: dict[str, Any], kind: type[psycopg.Error]) -> None:
    await command(tree)
    with pytest.raises(kind):
        async with tree.connection.transaction():
            await command(tree, **changes)


async def test_the_same_key_serves_every_tenant_and_principal(tree: PlantedTree) -> None:
    await command(tree)
    await command(tree, tenant="other")
    await command(tree, principal="other")


async def test_a_path_is_claimed_once_and_only_by_a_command(tree: PlantedTree) -> None:
    owner = uuid.uuid4()
    await command(tree, id=owner)
    claim = "INSERT INTO filestore.claims VALUES (%s, 'x', 'path', %s)"
    await tree.do(claim, (tree.mount, owner))
    other = uuid.uuid4()
    await command(tree, id=other, key="another")
    await tree.refused(pg.UniqueViolation, claim, (tree.mount, other))
    shared = "INSERT INTO filestore.claims VALUES (%s, 'y', 'path', %s, true)"
    for reader in (owner, other):
        await tree.do(shared, (tree.mount, reader))
    await tree.refused(pg.ForeignKeyViolation, claim, (tree.mount + 1, uuid.uuid4()))


async def test_a_node_has_one_current_snapshot_and_no_interval_ends_before_it_begins(tree: PlantedTree) -> None:
    node = await tree.node(tree.root, b"f")
    snapshot = """INSERT INTO filestore.versions
                      (node_id, version, command_id, name, kind, state, size_bytes, valid_from, valid_to)
                  VALUES (%s, %s, gen_random_uuid(), 'f', 'file', 'active', 0, now(), now() + %s::interval)"""
    await tree.do(snapshot, (node, 1, None))
    await tree.refused(pg.UniqueViolation, snapshot, (node, 2, None), "snapshots_current")
    await tree.refused(pg.CheckViolation, snapshot, (node, 2, "-1 second"))
    await tree.refused(pg.ForeignKeyViolation, snapshot, (2**60, 1, None), "snapshots_of_a_node")
    for key in ("node_id", "version"):
        other = f"UPDATE filestore.versions SET {key} = {key} + 1 WHERE node_id = %s"
        await tree.refused(pg.CheckViolation, other, (node,), "snapshots_of_a_node")


# Tokens, mounts, the feed

TOKEN = "INSERT INTO filestore.tokens (principal, hash, hint, scopes) "
MOUNT = "INSERT INTO filestore.backend_mounts (mount_key, host_id, backend_kind) "
TWICE = "FROM generate_series(1, 2)"
WRONG: dict[str, tuple[str, type[psycopg.Error]]] = {
    "a token with an unknown scope": (TOKEN + "VALUES ('x', sha256('x'), 'x', '{root}')", pg.CheckViolation),
    "a token that is not a hash": (TOKEN + "VALUES ('x', 'fst_secret', 'x', '{read}')", pg.CheckViolation),
    "a token that is there twice": (TOKEN + f"SELECT 'x', sha256('x'), 'x', '{{read}}' {TWICE}", pg.UniqueViolation),
    "a mount in no state": ("UPDATE filestore.backend_mounts SET state = 'tired'", pg.CheckViolation),
    "a second feed": ("INSERT INTO filestore.event_feed DEFAULT VALUES", pg.UniqueViolation),
    "another feed": ("INSERT INTO filestore.event_feed VALUES (false)", pg.CheckViolation),
    "a feed that published what has no position": (
        "UPDATE filestore.event_feed SET published = position + 1",
        pg.CheckViolation,
    ),
    "an event position given twice": (
        "INSERT INTO filestore.outbox (tenant, mount_id, type, data, position) "
        f"SELECT 'main', 1, 'x', '{{}}', 2^40 {TWICE}",
        pg.UniqueViolation,
    ),
}


@pytest.mark.parametrize(("query", "kind"), WRONG.values(), ids=WRONG.keys())
async def test_it_is_refused(tree: PlantedTree, query: str, kind: type[psycopg.Error]) -> None:
    await tree.refused(kind, query)
