"""Old commands and old events go, as the settings say; what is kept tells the same as before."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from temporalio.testing import ActivityEnvironment

from activities.upkeep.retention import Pruned, Retention
from schema import check, migrate
from schema.check import Severity
from schema.commands.command import CommandKind, Status
from schema.commands.verdicts import Go, Replay
from schema.ids import FIRST_COMMAND_ID, CommandId, MountId, NodeId, new_command_id
from schema.operations.operation import ItemKind, Operation, OperationItem, OperationKind, OperationState
from schema.paths import NodePath
from schema.store import begin as begin_store
from schema.store import check as check_store
from schema.store import events as event_store
from schema.store import leftovers as leftover_store
from schema.store import operation_plans as plan_store
from schema.store import operations as operation_store
from schema.store import retention as store
from schema.store import snapshots
from schema.store.pool import Pool, make_pool
from tests.store.conftest import Databases
from tests.store.helpers import TOKEN_OF_COMMANDS, Protocol, asked, delete, give_positions, make_mount, mkdir, upload

NOW, LONG = timedelta(0), timedelta(days=1)


@pytest.fixture(scope="module")
async def own(new_database: Databases) -> AsyncIterator[Pool]:
    """A database of this module: pruning concerns all rows of a database."""
    url = new_database()
    migrate.migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TOKEN_OF_COMMANDS)
    opened = make_pool(url, name="retention", min_size=1, max_size=4, generic_plans=True)
    await opened.open(wait=True)
    yield opened
    await opened.close()


@pytest.fixture
def protocol(own: Pool) -> Protocol:
    return Protocol(own)


@pytest.fixture
async def mount(own: Pool) -> MountId:
    async with own.connection() as connection:
        return await make_mount(connection)


async def one(pool: Pool, query: str, *values: Any) -> Any:
    async with pool.connection() as connection:
        row = await (await connection.execute(query.encode(), values)).fetchone()
    return next(iter(row.values())) if row else None


async def clear(pool: Pool, mount: MountId) -> None:
    """As `finish` does."""
    async with pool.connection() as connection:
        leftovers = await leftover_store.leftovers(connection, mount, None)
        await leftover_store.close_leftovers(connection, [leftover.cleanup for leftover in leftovers])


async def publish(pool: Pool) -> int:
    """All events have positions, and Redis has had them. Returns the last position."""
    async with pool.connection() as connection:
        await give_positions(connection)
        last = (await event_store.bounds(connection)).last
        await event_store.published(connection, last)
    return last


async def prune(pool: Pool, keys: timedelta = LONG, events: timedelta = LONG) -> Pruned:
    return await ActivityEnvironment().run(Retention(pool, keys, events, LONG).prune)


async def test_a_command_is_kept_for_as_long_as_its_key_was_promised(
    own: Pool, protocol: Protocol, mount: MountId
) -> None:
    first = mkdir(mount, "d", key="k")
    await protocol.run(mount, first)
    assert (await prune(own)).commands == 0
    again = mkdir(mount, "d", key="k", hash=first.hash)
    assert isinstance((await protocol.run(mount, again))[again.id], Replay)
    assert (await prune(own, keys=NOW)).commands >= 1
    assert await one(own, "SELECT count(*) FROM filestore.commands WHERE mount_id = %s", mount) == 0
    new = mkdir(mount, "e", key="k")
    assert isinstance((await protocol.run(mount, new))[new.id], Go), "the key is free again"


async def test_what_runs_or_has_something_to_clear_stays(own: Pool, protocol: Protocol, mount: MountId) -> None:
    await protocol.run(mount, upload(mount, "f"))
    running, replacing = mkdir(mount, "d"), upload(mount, "f", 9, overwrite=True)
    await protocol.begin(mount, [running])
    await protocol.run(mount, replacing)
    await prune(own, keys=NOW)
    kept = "SELECT array_agg(id::text ORDER BY id) FROM filestore.commands WHERE mount_id = %s"
    assert await one(own, kept, mount) == sorted([running.id, replacing.id])
    await clear(own, mount)
    await prune(own, keys=NOW)
    assert await one(own, kept, mount) == [running.id]


async def test_a_page_goes_on_where_the_last_one_ended(own: Pool, protocol: Protocol, mount: MountId) -> None:
    await prune(own, keys=NOW)
    await protocol.begin(mount, stuck := [mkdir(mount, f"stuck{n}") for n in range(3)])
    await protocol.run(mount, *(mkdir(mount, f"d{n}") for n in range(4)))
    last = CommandId("ffffffff-ffff-ffff-ffff-ffffffffffff")
    pages = [await _page(own, FIRST_COMMAND_ID, last)]
    while (after := pages[-1].last) is not None:
        pages.append(await _page(own, after, last))
    kept = await one(own, "SELECT array_agg(id::text ORDER BY id) FROM filestore.commands WHERE mount_id = %s", mount)
    assert len(pages) > 2 and sum(page.gone for page in pages) == 4 and kept == sorted(r.id for r in stuck)


async def _page(pool: Pool, after: CommandId, below: CommandId) -> store.PrunedPage:
    async with pool.connection() as connection:
        return await store.prune_commands(connection, NOW, 3, below=below, after=after)


async def test_events_go_from_the_first_and_only_what_redis_has_had(
    own: Pool, protocol: Protocol, mount: MountId
) -> None:
    await protocol.run(mount, mkdir(mount, "a"))
    last = await publish(own)
    await protocol.run(mount, mkdir(mount, "b"))
    async with own.connection() as connection:
        await give_positions(connection)
    assert (await prune(own)).events == 0
    assert (await prune(own, events=NOW)).events >= 2
    async with own.connection() as connection:
        bounds = await event_store.bounds(connection)
        assert bounds.first == last + 1 and bounds.last == last + 2
        page = await event_store.page(connection, 0, 100)
        assert page.first == last + 1, "a client that asks for more learns where they begin"
    await publish(own)
    await prune(own, events=NOW)
    async with own.connection() as connection:
        assert (await event_store.bounds(connection)).first == last + 3, "all that were given are gone"


async def test_nothing_goes_beyond_an_event_that_is_still_to_be_kept(
    own: Pool, protocol: Protocol, mount: MountId
) -> None:
    await publish(own)  # what other tests have left
    await prune(own, events=NOW)
    await protocol.run(mount, mkdir(mount, "a"))
    last = await publish(own)
    await protocol.run(mount, mkdir(mount, "b"))
    await publish(own)
    old = "UPDATE filestore.outbox SET created_at = now() - interval '2 days' WHERE position <> %s RETURNING 1"
    await one(own, old, last)
    pruned = await prune(own)
    assert pruned.events == 1, "the one before it"


async def test_what_was_not_done_in_time_is_told(own: Pool, protocol: Protocol, mount: MountId) -> None:
    await prune(own, keys=NOW, events=NOW)
    await protocol.run(mount, mkdir(mount, "a"))
    retention = Retention(own, NOW, NOW, NOW, longest_seconds=-1)
    assert (await ActivityEnvironment().run(retention.prune)).more is False, "a page is enough for it"


@pytest.fixture
async def lived_in(own: Pool, protocol: Protocol, mount: MountId) -> MountId:
    await protocol.run(mount, mkdir(mount, "d"), upload(mount, "f", 3), mkdir(mount, "no/x"))
    await protocol.run(mount, upload(mount, "d/g", 4), upload(mount, "f", 5, overwrite=True))
    await protocol.run(mount, delete(mount, "d", recursive=True))
    await clear(own, mount)
    return mount


async def test_a_record_without_its_old_commands_and_events_is_sound(own: Pool, lived_in: MountId) -> None:
    await publish(own)
    await prune(own, keys=NOW, events=NOW)
    assert await one(own, "SELECT count(*) FROM filestore.commands WHERE mount_id = %s", lived_in) == 0
    assert await one(own, "SELECT count(*) FROM filestore.outbox WHERE mount_id = %s", lived_in) == 0
    async with own.connection() as connection:
        record, _ = await check_store.record(connection, lived_in)
        feed = await check_store.feed(connection)
    assert [f for f in check.check(record, None) if f.severity is Severity.ERROR] == []
    assert list(check.feed(feed)) == []


async def test_which_file_old_content_is_outlives_the_command_that_put_it_away(
    own: Pool, protocol: Protocol, lived_in: MountId
) -> None:
    """Of a replaced file, and of one in a directory that was deleted whole: each its own."""
    asking = "SELECT id FROM filestore.nodes WHERE mount_id = %s AND name = %s"
    f, g = await one(own, asking, lived_in, b"f"), await one(own, asking, lived_in, b"g")
    await prune(own, keys=NOW)
    seen = "SELECT inode FROM filestore.nodes WHERE id = %s"
    async with own.connection() as connection:
        old, buried = await snapshots.content(connection, f, 1), await snapshots.content(connection, g, 1)
        restoring = asked(CommandKind.RESTORE, lived_in, "f", node_id=NodeId(f), content_version=1)
        found = (await begin_store.look(connection, [restoring]))[restoring.id]
    assert old is not None and buried is not None and old.identity is not None and buried.identity is not None
    assert found.old is not None and list(found.old.identity or ()) == list(old.identity)
    assert old.identity[3] == 3 and old.identity[1] != await one(own, seen, f), "it was another file"
    assert buried.identity[1] == await one(own, seen, g)


async def test_content_that_came_back_is_with_its_node(own: Pool, protocol: Protocol, mount: MountId) -> None:
    await protocol.run(mount, upload(mount, "f", 3))
    await protocol.run(mount, delete(mount, "f"))
    node = await one(own, "SELECT id FROM filestore.nodes WHERE mount_id = %s AND name = 'f'", mount)
    known = "SELECT (content_identity).inode IS NOT NULL FROM filestore.snapshots WHERE node_id = %s AND version = 1"
    assert await one(own, known, node) is True
    back = asked(CommandKind.RESTORE, mount, "f", node_id=NodeId(node), staged=None)
    await protocol.run(mount, back)
    assert protocol.outcome(back.id).status is Status.SUCCEEDED
    assert await one(own, known, node) is False


async def test_what_an_earlier_release_kept_is_known_as_well(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrate.migrations()
    added = next(m.version for m in known if m.name == "retention")
    monkeypatch.setattr(migrate, "migrations", lambda: known[: added - 1])
    migrate.migrate(empty)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(EARLIER.encode())
    monkeypatch.setattr(migrate, "migrations", lambda: known)
    migrate.migrate(empty)
    with psycopg.connect(empty, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT node_id, (content_identity).inode, (content_identity).etag FROM filestore.snapshots ORDER BY 1, version"
        ).fetchall()
    assert rows == [(2, 77, "tag"), (2, None, None), (3, 33, None)], "of the command; none; of the node itself"


COMMAND = "01a226ce-3030-7c09-8f02-997790a411a3"
EARLIER = f"""
    INSERT INTO filestore.backend_mounts (mount_key, backend_kind, root_path, host_id) VALUES ('m', 'local', '/m', 'h');
    INSERT INTO filestore.nodes (id, mount_id, name, name_text, directory_path, directory_text, depth, kind)
    VALUES (1, 1, '', '', '', '', 0, 'directory');
    INSERT INTO filestore.nodes (id, mount_id, parent_id, name, name_text, depth, kind, state, deleted_at, inode)
    VALUES (2, 1, 1, 'f', 'f', 1, 'file', 'active', NULL, 22), (3, 1, 1, 'g', 'g', 1, 'file', 'deleted', now(), 33);
    INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status, ended_at)
    VALUES ('{COMMAND}', 'p', 'k', 'uploadFile', 1, 'f', '{{}}',
            '{{"step": "replace", "node": 2, "expected": [0, 77, 1, 5, 2, 3, 0, 420, 1, "tag", ""]}}', 'succeeded', now());
    INSERT INTO filestore.snapshots (node_id, version, command_id, name, kind, state, size_bytes, valid_from, valid_to,
        content_place)
    VALUES (2, 1, '{COMMAND}', 'f', 'file', 'active', 5, now(), now(), '2026-11-29/{COMMAND}.0'),
           (2, 2, '{COMMAND}', 'f', 'file', 'active', 5, now(), NULL, NULL),
           (3, 1, '{COMMAND}', 'g', 'file', 'active', 5, now(), now(), '2026-11-29/{COMMAND}.0/g');
"""


async def planned(pool: Pool, mount: MountId, items: int, *, ended: bool, undoes: str | None = None) -> str:
    """An operation with items of its own, that has ended or not."""
    operation = Operation(
        id=str(new_command_id()), tenant="main", principal="ann", token_id=1, kind=OperationKind.DELETE, mount_id=mount,
        path=NodePath(b"d"), undoes=undoes,
    )  # fmt: skip
    rows = [OperationItem(item=number, kind=ItemKind.DELETE, path=NodePath(b"d/f")) for number in range(items)]
    async with pool.connection() as connection:
        assert await operation_store.create(connection, operation, operation.id, "00")
        await plan_store.put_items(connection, operation.id, rows)
        await operation_store.heard_of(connection, operation.id, "key", "pause", "00")
        if ended:
            await plan_store.end_plan(connection, operation.id, OperationState.FAILED)
    return operation.id


async def test_an_operation_goes_page_by_page_some_time_after_its_end(own: Pool, mount: MountId) -> None:
    ended = await planned(own, mount, 2500, ended=True)
    undo = await planned(own, mount, 3, ended=False, undoes=ended)
    prune_all = Retention(own, LONG, LONG, LONG).prune
    assert await ActivityEnvironment().run(prune_all) == Pruned(), "it is young"
    await one(
        own, "UPDATE filestore.operations SET ended_at = now() - interval '2 days' WHERE id = %s RETURNING 1", ended
    )
    assert await ActivityEnvironment().run(prune_all) == Pruned(), "what puts it back has not ended"
    async with own.connection() as connection:
        await plan_store.end_plan(connection, undo, OperationState.FAILED)
    assert await ActivityEnvironment().run(prune_all) == Pruned(operations=2501)
    left = "SELECT array_agg(id::text) FROM filestore.operations WHERE mount_id = %s"
    assert await one(own, left, mount) == [undo]
    assert await one(own, "SELECT undoes FROM filestore.operations WHERE id = %s", undo) is None
    assert await one(own, "SELECT count(*) FROM filestore.operation_items WHERE operation_id = %s", undo) == 3
