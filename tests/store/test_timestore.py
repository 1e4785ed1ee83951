"""The Timestore has a row for each event, exactly once, and the journal alone makes the same rows."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from activities.consumers import lake
from activities.consumers.lake import Lake, LakeConflict, LakePlace, connect
from activities.consumers.timestore import Timestore, table
from schema.ids import MountId
from schema.metastore.changes import RecordAuthor
from schema.metastore.records import Description
from schema.store import records
from schema.store.pool import Pool
from tests.store.conftest import Databases
from tests.store.helpers import Protocol, delete, give_positions, mkdir, upload
from tests.store.test_metastore import run
from tests.store.test_trees import move, restore

MiB = 2**20


@pytest.fixture(scope="module")
def place(new_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> LakePlace:
    """Its catalogue is in a database of its own: the feed that the tests share lies elsewhere."""
    return LakePlace(new_database(), str(tmp_path_factory.mktemp("lake")), 256 * MiB)


@pytest.fixture
async def timestore(pool: Pool, place: LakePlace) -> Timestore:
    """In batches so small that a test has several; what other tests have left in the feed is taken in by large ones."""
    await follow(pool, Timestore(pool, Lake(place), 0.0, batch=10_000, gather_seconds=0))
    return Timestore(pool, Lake(place), 0.0, batch=7, gather_seconds=0)


async def follow(pool: Pool, timestore: Timestore) -> None:
    async with pool.connection() as connection:
        await give_positions(connection)
    while await timestore.step():
        pass


Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def ask(place: LakePlace) -> Ask:
    def rows(query: str, *values: Any) -> list[tuple[Any, ...]]:
        with connect(place, read_only=True) as connection:
            return connection.execute(query, list(values)).fetchall()

    return rows


async def live(pool: Pool, protocol: Protocol, mount: MountId) -> None:
    """A bit of everything: files, trees, moves, what is replaced, deleted, restored and refused."""
    await run(protocol, mkdir(mount, "a"), mkdir(mount, "a/b"), upload(mount, "a/b/f", 10), upload(mount, "a/g", 3))
    await run(protocol, upload(mount, "a/b/f", 25, overwrite=True), move(mount, "a/g", "g"))
    await run(protocol, upload(mount, "x", 4), upload(mount, "y", 5), move(mount, "x", "y", overwrite=True))
    await run(protocol, move(mount, "a", "z"), delete(mount, "z", recursive=True))
    query = "SELECT id FROM filestore.nodes WHERE mount_id = %s AND directory_path = 'z/'"
    async with pool.connection() as connection:
        row = await (await connection.execute(query, [mount])).fetchone()
    assert row is not None
    await run(protocol, restore(mount, "z", row["id"]), delete(mount, "g"))
    await protocol.run(mount, mkdir(mount, "no/such/parent"))
    async with pool.connection() as connection, connection.transaction():
        held = await records.make(connection, row["id"], "main")
        assert held is not None
        by = RecordAuthor(principal="ann", correlation="w1")
        now = Description(tags=["red"], metadata={"a": 1})
        await records.change(connection, held, now, change="updated", by=by, schema=None, violation=None)


FACTS = """SELECT * EXCLUDE (position) FROM lake.filestore_activity
            WHERE journal_id IS NOT NULL AND backend_mount_id = ? ORDER BY journal_id, event_type, node_id"""


async def test_growth_adds_up_to_what_the_mount_holds(
    pool: Pool, protocol: Protocol, mount: MountId, timestore: Timestore, ask: Ask
) -> None:
    await live(pool, protocol, mount)
    await follow(pool, timestore)
    query = "SELECT sum(size_delta), sum(file_delta) FROM lake.filestore_activity WHERE backend_mount_id = ?"
    async with pool.connection() as connection:
        held = await connection.execute(
            "SELECT sum(size_bytes) AS bytes, count(*) AS files FROM filestore.active_nodes WHERE mount_id = %s AND kind = 'file'",
            [mount],
        )
        row = await held.fetchone()
    assert row is not None
    assert ask(query, mount) == [(row["bytes"], row["files"])] == [(29, 2)]


async def test_each_event_is_one_row(
    pool: Pool, protocol: Protocol, mount: MountId, timestore: Timestore, ask: Ask
) -> None:
    await live(pool, protocol, mount)
    await follow(pool, timestore)
    async with pool.connection() as connection:
        found = await connection.execute(
            "SELECT position, type FROM filestore.outbox WHERE mount_id = %s ORDER BY position", [mount]
        )
        told = [(row["position"], row["type"]) for row in await found.fetchall()]
    query = "SELECT position, event_type FROM lake.filestore_activity WHERE backend_mount_id = ? ORDER BY position"
    assert ask(query, mount) == told and len(told) > 20


async def test_the_journal_alone_makes_the_same_rows(
    pool: Pool, protocol: Protocol, mount: MountId, timestore: Timestore, ask: Ask
) -> None:
    await live(pool, protocol, mount)
    await follow(pool, timestore)
    before = ask(FACTS, mount)
    assert await timestore.rebuild() > 20
    after = ask(FACTS, mount)
    for one, other in zip(before, after, strict=True):
        assert one == other
    await run(protocol, upload(mount, "later", 1))
    await follow(pool, timestore)
    assert len(ask(FACTS, mount)) == len(before) + 3, "it goes on behind what was rebuilt"


@pytest.mark.parametrize("later", [0, 1], ids=["nothing since", "an event since"])
async def test_events_that_are_gone_are_made_up_for_by_the_journal(
    pool: Pool, protocol: Protocol, mount: MountId, timestore: Timestore, ask: Ask, later: int
) -> None:
    """As after weeks in which the process was off: nobody has to notice."""
    await run(protocol, upload(mount, "before", 1))
    await follow(pool, timestore)
    await live(pool, protocol, mount)
    await forgotten(pool)
    for n in range(later):
        await run(protocol, upload(mount, f"later {n}", 2))
    await follow(pool, timestore)
    there = ask(FACTS, mount)
    assert len(there) > 20 and (await timestore.state()).position == (await timestore.state()).last
    await timestore.rebuild()
    assert ask(FACTS, mount) == there
    growth = "SELECT sum(size_delta) FROM lake.filestore_activity WHERE backend_mount_id = ?"
    assert ask(growth, mount) == [(29 + 1 + 2 * later,)]


async def forgotten(pool: Pool) -> None:
    """All events so far are kept no longer."""
    async with pool.connection() as connection:
        await give_positions(connection)
        await connection.execute("UPDATE filestore.event_feed SET published = position")
        await connection.execute("DELETE FROM filestore.outbox")
        await connection.execute(
            "UPDATE filestore.retention SET events_position = (SELECT position FROM filestore.event_feed)"
        )


async def test_texts_of_every_kind_arrive_as_they_were(
    pool: Pool, protocol: Protocol, mount: MountId, timestore: Timestore, ask: Ask
) -> None:
    """Whatever could end a field or a line on its way into the lake."""
    names = ['quo"te', "com,ma", "tab\there", "line\nfeed", "\x02\x01 control", "'", "ü\U0001f4a9"]
    await run(protocol, *(upload(mount, name, n) for n, name in enumerate(names)))
    await follow(pool, timestore)
    query = """SELECT path, size_bytes FROM lake.filestore_activity
                WHERE backend_mount_id = ? AND event_type = 'filestore.node.created' ORDER BY size_bytes"""
    assert ask(query, mount) == [(name, n) for n, name in enumerate(names)]


async def test_a_batch_that_fails_leaves_no_row_and_does_not_move_the_cursor(
    pool: Pool, protocol: Protocol, mount: MountId, timestore: Timestore, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    await follow(pool, timestore)
    await run(protocol, upload(mount, "f"))
    async with pool.connection() as connection:
        await give_positions(connection)
    broken = {**lake.SQL, "move": "SELECT no_such_function($position, $written)"}
    monkeypatch.setattr("activities.consumers.lake.SQL", broken)
    with pytest.raises(Exception, match="no_such_function"):
        await timestore.step()
    monkeypatch.undo()
    count = "SELECT count(*) FROM lake.filestore_activity WHERE backend_mount_id = ?"
    assert ask(count, mount) == [(0,)]
    await follow(pool, timestore)
    assert ask(count, mount) == [(3,)]


async def test_of_two_processes_that_take_the_same_batch_one_keeps_nothing(place: LakePlace) -> None:
    one, other = Lake(place), Lake(place)
    at = one.cursor().position
    row = (at + 1, "filestore.node.downloaded", "main", 1, datetime.now(UTC), "{}")
    other.cursor()
    other._open().execute("BEGIN")
    other._take(other._open(), table([row]), at, at + 1)
    one.take(table([row]), at, at + 1)
    with pytest.raises(Exception, match="conflict"):
        other._open().execute("COMMIT")
    other.close()
    with pytest.raises(LakeConflict):
        other.take(table([row]), at, at + 1)
    assert one.cursor().position == at + 1
    one._open().execute("UPDATE lake.consumer_cursor SET position = ?", [at])


def test_small_files_are_merged_and_no_row_is_lost(new_database: Databases, tmp_path: Path) -> None:
    place = LakePlace(new_database(), str(tmp_path), 256 * MiB)
    one = Lake(place)
    for batch in range(5):
        rows = [(n, "filestore.node.downloaded", "main", 1, datetime.now(UTC), "{}") for n in range(50)]
        one.take(table(rows), batch, batch + 1)
    many = files_of(place)
    for _ in range(2):  # what the first one replaces, the second one removes
        one.compact(0.0)
    assert files_of(place) < many >= 5
    assert one._open().execute("SELECT count(*) FROM lake.filestore_activity").fetchall() == [(250,)]
    assert one.cursor().written == 250
    one.close()


def files_of(place: LakePlace) -> int:
    return len(list(Path(place.path).rglob("filestore_activity/**/*.parquet")))
