"""The rows of watches, and what the record says of names that a watch saw."""

from typing import Any

from schema.commands.command import CommandKind
from schema.drift.own import Own, There, whose
from schema.ids import MountId
from schema.store import watchers as store
from tests.store.helpers import Connection, Protocol, asked, mkdir, upload


def status(mount: MountId, **changes: Any) -> dict[str, Any]:
    return {
        "mount": mount, "phase": "watching", "cause": "", "lag": 0.0, "directories": 3, "unwatched": 0, "events": 10,
        "lost": 0, "hints": 2, "own": 5,
    } | changes  # fmt: skip


async def test_a_watch_is_as_its_process_said_last_and_gone_when_that_has_left(
    connection: Connection, mount: MountId
) -> None:
    before = await store.beat(connection, "host", "p1", [status(mount)])
    first = await store.of_mount(connection, mount)
    assert before == await store.beat(connection, "host", "p1", [status(mount, phase="partial", cause="Why.", lost=1)])
    row = await store.of_mount(connection, mount)
    assert first is not None and row is not None
    assert (row.state, row.cause, row.lost, row.own, row.since) == ("partial", "Why.", 1, 5, first.since)
    assert [one.watch for one in await store.every(connection) if one.watch.mount_id == mount] == [row]
    assert await store.silent_seconds(connection, "host") is not None

    await connection.execute("UPDATE filestore.watchers SET seen_at = now() - interval '20 seconds'")
    silent = await store.of_mount(connection, mount)
    assert silent is not None and silent.state == "silent" and silent.lag >= 20
    await store.beat(connection, "host", "p1", [])
    assert await store.of_mount(connection, mount) is None
    assert await store.silent_seconds(connection, "host") is None


async def test_another_process_counts_from_its_own_begin(connection: Connection, mount: MountId) -> None:
    await store.beat(connection, "host", "p1", [status(mount)])
    await connection.execute("UPDATE filestore.watchers SET since = now() - interval '1 hour'")
    await store.beat(connection, "host", "p2", [status(mount)])
    await store.leave(connection, "p1")
    row = await store.of_mount(connection, mount)
    assert row is not None and (await _age(connection, mount)) < 60


async def _age(connection: Connection, mount: MountId) -> float:
    query = "SELECT extract(epoch FROM now() - since)::float8 AS age FROM filestore.watchers WHERE mount_id = %s"
    row = await (await connection.execute(query, (mount,))).fetchone()
    assert row is not None
    return float(row["age"])


async def test_what_a_command_left_is_recognised_and_what_it_works_at_waits(
    connection: Connection, mount: MountId, protocol: Protocol
) -> None:
    await protocol.run(mount, mkdir(mount, "d"))
    await protocol.run(mount, upload(mount, "d/f", size=7))
    await protocol.begin(mount, [asked(CommandKind.DELETE, mount, "d/f")])
    found = await store.recorded(connection, mount, [b"d", b"d/f", b"d/none", b"none/f", b"\xff"])

    folder, file = found[0], found[1]
    assert [one.known for one in found] == [True, True, False, False, False]
    assert (folder.directory, folder.active, folder.claimed) == (True, True, False)
    assert (file.directory, file.claimed, file.facts[3]) == (False, True, 7)
    assert whose(There(file.facts), file) is Own.OURS
    assert whose(There(), file) is Own.BUSY
    assert whose(There(), found[3]) is Own.OURS
