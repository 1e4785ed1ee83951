"""The first version of a node that an import has made is read from the node; what ends it writes its row before."""

import psycopg.errors
import pytest

from schema.commands.command import CommandKind
from schema.ids import NodeId
from schema.store import past, snapshots
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, make_mount
from tests.store.test_imports import MADE, Imports


@pytest.fixture
async def imports(pool: Pool, protocol: Protocol) -> Imports:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    made = Imports(pool, protocol, mount)
    made.lies(MADE)
    await made.imported()
    return made


async def rows(imports: Imports) -> dict[str, list[int]]:
    """Which versions of each node have a row, by the node's name of today."""
    query = """SELECT n.name_text AS name, array_agg(v.version ORDER BY v.version) AS versions FROM filestore.versions v
                 JOIN filestore.nodes n ON n.id = v.node_id WHERE n.mount_id = %s GROUP BY n.name_text"""
    async with imports.pool.connection() as connection:
        found = await (await connection.execute(query, (imports.mount,))).fetchall()
    return {row["name"]: row["versions"] for row in found}


async def node(imports: Imports, name: str) -> NodeId:
    query = "SELECT id FROM filestore.nodes WHERE mount_id = %s AND name_text = %s"
    async with imports.pool.connection() as connection:
        row = await (await connection.execute(query, (imports.mount, name))).fetchone()
    assert row is not None
    return NodeId(row["id"])


async def test_a_new_node_has_its_version_and_no_row_of_it(imports: Imports) -> None:
    assert await rows(imports) == {}
    id = await node(imports, "z")
    async with imports.pool.connection() as connection:
        (one,) = await snapshots.page(connection, id, limit=9, before=None)
        was = await past.node(connection, id, "main", await past.now(connection))
    assert (one.version, one.name, one.size, one.valid_to) == (1, b"z", 4, None)
    assert was is not None and (was[0].version, was[0].name) == (1, b"z")
    await imports.holds()


async def test_what_ends_it_writes_its_row_and_no_other(imports: Imports) -> None:
    await imports.command(delete(imports.mount, "z"))
    await imports.command(asked(CommandKind.MOVE, imports.mount, "c", target="d"))
    await imports.holds()
    assert await rows(imports) == {"z": [1, 2], "d": [1, 2]}
    await imports.command(delete(imports.mount, "a", recursive=True))
    await imports.holds()
    assert await rows(imports) == {name: [1, 2] for name in ("z", "d", "a", "b", "one", "two")}
    async with imports.pool.connection() as connection:
        gone, kept = await snapshots.page(connection, await node(imports, "one"), limit=9, before=None)
    assert (gone.version, gone.state, kept.version, kept.state) == (2, "deleted", 1, "active")
    assert kept.valid_to == gone.valid_from and kept.valid_from < kept.valid_to and kept.available


async def test_a_node_does_not_change_under_a_first_version_without_a_row(imports: Imports) -> None:
    change = "UPDATE filestore.nodes SET version = 2 WHERE id = %s"
    with pytest.raises(psycopg.errors.CheckViolation, match="ends without a row"):
        async with imports.pool.connection() as connection:
            await connection.execute(change, (await node(imports, "z"),))
