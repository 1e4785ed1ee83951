"""What the consistency check reads is what there is: commands leave a clean record, tampering does not."""

from collections.abc import AsyncIterator

import pytest

from schema import check
from schema.check import FindingKind, Severity
from schema.ids import MountId
from schema.store import check as store
from schema.store import leftovers as leftover_store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, delete, mkdir, upload


@pytest.fixture
async def lived_in(pool: Pool, protocol: Protocol, mount: MountId) -> AsyncIterator[MountId]:
    await protocol.run(mount, mkdir(mount, "d"), upload(mount, "f", 3), mkdir(mount, "no/x"))
    await protocol.run(mount, upload(mount, "d/g", 4), upload(mount, "f", 5, overwrite=True), mkdir(mount, "d/e"))
    await protocol.run(mount, delete(mount, "f"), delete(mount, "d/e"))
    async with pool.connection() as connection:
        leftovers = await leftover_store.leftovers(connection, mount, None)
        await leftover_store.close_leftovers(connection, [leftover.cleanup for leftover in leftovers])
    yield mount


async def kinds(pool: Pool, mount: MountId) -> set[FindingKind]:
    async with pool.connection() as connection:
        record, _ = await store.record(connection, mount)
    return {finding.kind for finding in check.check(record, None) if finding.severity is Severity.ERROR}


async def test_a_record_made_by_commands_is_clean(pool: Pool, lived_in: MountId) -> None:
    assert await kinds(pool, lived_in) == set()


async def test_the_record_is_read_whole(pool: Pool, lived_in: MountId) -> None:
    async with pool.connection() as connection:
        record, last = await store.record(connection, lived_in)
        assert last == await store.last_entry(connection, lived_in) == record.journal[-1].id
    assert (len(record.nodes), len(record.journal), len(record.commands), len(record.snapshots)) == (5, 8, 8, 7)
    root = next(node for node in record.nodes if node.parent is None)
    assert record.rollups[root.id] == check.TotalsFacts(4, 1, 1, 1)
    assert sorted(place[-2:] for place in check.wanted_places(record)) == [b".0", b".0"]


TAMPERED = {
    "UPDATE filestore.nodes SET size_bytes = 9 WHERE mount_id = %s AND name = 'g'": {
        FindingKind.JOURNAL,
        FindingKind.SNAPSHOTS,
        FindingKind.ROLLUPS,
    },
    "UPDATE filestore.nodes SET directory_path = 'z/' WHERE mount_id = %s AND name = 'd'": {FindingKind.TREE},
    "UPDATE filestore.commands SET outcome = NULL WHERE mount_id = %s AND path = 'd'": {FindingKind.COMMANDS},
    "DELETE FROM filestore.outbox WHERE mount_id = %s AND type = 'filestore.node.deleted'": {FindingKind.EVENTS},
    "UPDATE filestore.versions s SET valid_to = now() FROM filestore.nodes n"
    " WHERE n.id = s.node_id AND n.mount_id = %s AND n.name = 'g'": {FindingKind.SNAPSHOTS},
    "INSERT INTO filestore.claims SELECT mount_id, path, 'path', id FROM filestore.commands"
    " WHERE mount_id = %s AND path = 'd'": {FindingKind.REST},
    "INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)"
    " SELECT id, 1, 0, 0, 0 FROM filestore.nodes WHERE mount_id = %s AND depth = 0": {FindingKind.ROLLUPS},
}


@pytest.mark.parametrize(("change", "expected"), TAMPERED.items())
async def test_a_change_past_the_commands_is_found(
    pool: Pool, lived_in: MountId, change: str, expected: set[FindingKind]
) -> None:
    async with pool.connection() as connection:
        await connection.execute(change.encode(), (lived_in,))
    assert await kinds(pool, lived_in) == expected


async def test_the_feed_is_read(pool: Pool, lived_in: MountId) -> None:
    async with pool.connection() as connection:
        facts = await store.feed(connection)
        assert facts.overdue > 0, "no process has given positions yet"
        assert await store.outstanding(connection, [lived_in]) == facts.overdue
