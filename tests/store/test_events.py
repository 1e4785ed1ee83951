"""Positions are gapless and follow commits, whatever order the ids were drawn in."""

import asyncio
import json

import pytest

from activities.events.publish import Publish
from schema.commands.command import CommandKind
from schema.ids import MountId
from schema.locks import Lock
from schema.store import events as store
from schema.store import journal
from schema.store.pool import Pool
from tests.store.helpers import Connection, Protocol, asked, delete, give_positions, mkdir, settle_journal, upload
from workers.buses.redis import InlineBus

EVENT = "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES ('main', 1, %s, '{}')"


@pytest.fixture(autouse=True)
async def drained(pool: Pool) -> None:
    """Every test begins with a feed in which nothing waits."""
    await give(pool)


async def give(pool: Pool, limit: int = 1000) -> int:
    async with pool.connection() as connection:
        return await give_positions(connection, limit)


async def after(pool: Pool, position: int) -> list[tuple[int, str]]:
    async with pool.connection() as connection:
        return [(event.position, event.type) for event in (await store.page(connection, position, 10_000)).events]


async def last(pool: Pool) -> int:
    async with pool.connection() as connection:
        return (await store.lag(connection)).position


async def test_a_short_transaction_waits_for_a_long_one_that_began_before_it(
    pool: Pool, connection: Connection, other: Connection
) -> None:
    start = await last(pool)
    await connection.execute(EVENT, ("A",))
    await other.execute(EVENT, ("B",))
    await other.commit()
    assert await give(pool) == 0, "A is open still: a consumer that had seen B would miss it"
    await connection.commit()
    assert await give(pool) == 2
    assert await after(pool, start) == [(start + 1, "A"), (start + 2, "B")]


async def test_what_began_after_the_horizon_waits_and_what_came_before_does_not(
    pool: Pool, connection: Connection, other: Connection
) -> None:
    start = await last(pool)
    await other.execute(EVENT, ("early",))
    await other.commit()
    await connection.execute(EVENT, ("open",))
    await other.execute(EVENT, ("late",))
    await other.commit()
    assert await give(pool) == 1
    assert await after(pool, start) == [(start + 1, "early")]
    await connection.commit()
    await give(pool)
    assert [type_ for _, type_ in await after(pool, start)] == ["early", "open", "late"]


async def test_a_transaction_that_is_rolled_back_leaves_no_gap(pool: Pool, connection: Connection) -> None:
    start = await last(pool)
    for type_, keep in (("1", True), ("lost", False), ("2", True)):
        await connection.execute(EVENT, (type_,))
        await (connection.commit() if keep else connection.rollback())
    assert await give(pool) == 2
    assert await after(pool, start) == [(start + 1, "1"), (start + 2, "2")]


async def test_pages_and_many_writers_leave_no_gap_and_lose_nothing(pool: Pool) -> None:
    start = await last(pool)

    async def write(name: int) -> None:
        for turn in range(10):
            async with pool.connection() as connection, connection.transaction():
                await connection.execute(EVENT, (f"{name}",))
                await connection.execute(EVENT, (f"{name}",))
                await asyncio.sleep(0.001 * (turn % 3))

    writers = [asyncio.create_task(write(name)) for name in range(5)]
    while not all(writer.done() for writer in writers):
        await give(pool, limit=7)
    await asyncio.gather(*writers)
    await give(pool, limit=7)
    seen = await after(pool, start)
    assert [position for position, _ in seen] == list(range(start + 1, start + 101))
    assert sorted(type_ for _, type_ in seen) == sorted(str(name) for name in range(5) for _ in range(20))


async def test_only_one_publisher_is_at_work(pool: Pool, connection: Connection, other: Connection) -> None:
    assert await store.lock(connection, Lock.FEED)
    assert not await store.lock(other, Lock.FEED)
    await store.unlock(connection, Lock.FEED)
    assert await store.lock(other, Lock.FEED)
    await store.unlock(other, Lock.FEED)


async def test_what_is_published_is_not_published_again_and_never_taken_back(
    pool: Pool, connection: Connection
) -> None:
    start = await last(pool)
    async with pool.connection() as session:
        await store.published(session, start)
    for type_ in "123":
        await connection.execute(EVENT, (type_,))
    await connection.commit()
    await give(pool)
    async with pool.connection() as session:
        assert [event.position - start for event in (await store.unpublished(session, 10))[0]] == [1, 2, 3]
        await store.published(session, start + 2)
        await store.published(session, start + 1)
        assert [event.position - start for event in (await store.unpublished(session, 10))[0]] == [3]
        lag = await store.lag(session)
        assert (lag.unpositioned, lag.unpublished) == (0, 1)


async def test_a_command_tells_of_its_end_and_of_its_node_in_that_order(
    pool: Pool, protocol: Protocol, mount: MountId
) -> None:
    start = await last(pool)
    await protocol.run(mount, mkdir(mount, "x"), mkdir(mount, "no/x"))
    await give(pool)
    async with pool.connection() as connection:
        sent = [(e.type, json.loads(e.data)) for e in (await store.page(connection, start, 10)).events]
    ends = [data["status"] for type_, data in sent if type_ == "filestore.command.completed"]
    assert sorted(ends) == ["failed", "succeeded"]
    types = [type_ for type_, data in sent if data["path"] == "x"]
    assert types == ["filestore.command.completed", "filestore.node.created"]


# Pages


def event(mount: int, type_: str, tenant: str = "main", **data: object) -> tuple[str, int, str, str]:
    return tenant, mount, type_, json.dumps(data)


async def tell(pool: Pool, *events: tuple[str, int, str, str]) -> int:
    """Write these events, give them their positions; returns the position before the first."""
    start = await last(pool)
    query = "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES (%s, %s, %s, %s)"
    async with pool.connection() as connection, connection.transaction():
        for one in events:
            await connection.execute(query, one)
    await give(pool)
    return start


async def test_a_page_tells_how_far_it_looked_though_nothing_in_it_was_wanted(pool: Pool) -> None:
    start = await tell(pool, event(1, "a"), event(2, "a"), event(2, "b"), event(2, "a", "other"), event(2, "a"))
    async with pool.connection() as connection:
        page = await store.page(connection, start, 4, tenant="main", mount=MountId(2), types=["a"])
        assert [e.position - start for e in page.events] == [2]
        assert (page.first, page.last) == (start + 1, start + 4)
        nothing = await store.page(connection, start, 5, mount=MountId(3))
        assert (nothing.events, nothing.last) == ([], start + 5)
        end = await store.page(connection, start + 5, 5)
        assert (end.first, end.last, end.events) == (None, start + 5, [])


async def test_large_events_make_a_page_short_and_never_empty(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAGE_BYTES", 1000)
    start = await tell(pool, *(event(1, "a", metadata="x" * 600) for _ in range(5)))
    seen: list[int] = []
    async with pool.connection() as connection:
        while (page := await store.page(connection, start + len(seen), 100)).events:
            assert len(page.events) <= 2
            seen += [e.position - start for e in page.events]
    assert seen == [1, 2, 3, 4, 5]


async def test_large_events_go_to_redis_in_short_pages(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has to be taken within the time that Redis is given: a thousand events with all their metadata never would be."""
    monkeypatch.setattr(store, "PAGE_BYTES", 1000)
    async with pool.connection() as connection:
        await store.published(connection, await last(pool))
    start = await tell(pool, *(event(1, "a", metadata="x" * 600) for _ in range(5)))
    bus = ListedBus()
    assert await Publish(pool, bus).send() == 5
    assert [position - start for page in bus.pages for position in page] == [1, 2, 3, 4, 5]
    assert max(map(len, bus.pages)) == 2


class ListedBus(InlineBus):
    """Remembers the pages that it was sent."""

    def __init__(self) -> None:
        self.pages: list[list[int]] = []

    async def send(self, events: list[store.Event]) -> None:
        self.pages.append([one.position for one in events])


async def test_an_event_knows_its_places_by_their_bytes(pool: Pool) -> None:
    start = await tell(
        pool, event(1, "a", path="d/\u00e9"), event(1, "b", path="d/\ufffd", pathB64="ZC//"), event(1, "c", path=None),
        event(1, "d", path="to", movedFrom="from"), event(1, "e", path="to", movedFrom={"path": "\ufffd", "pathB64": "/w=="}),
        event(1, "f"), event(1, "g", path="to", movedFrom="\ufffd", movedFromB64="/w=="),
        event(1, "h", path="to", movedFrom='{"path": "else"}'),
        event(1, "i", path="to", movedFrom="from", movedFromBackendMountId=2),
        event(1, "j", path="to", copiedFrom="from"),
    )  # fmt: skip
    async with pool.connection() as connection:
        events = (await store.page(connection, start, 10)).events
    assert [e.paths for e in events] == [
        ("d/\u00e9".encode(),), (b"d/\xff",), (), (b"to", b"from"), (b"to", b"\xff"), (), (b"to", b"\xff"),
        (b"to", b'{"path": "else"}'), (b"to",), (b"to",),
    ]  # fmt: skip
    assert [e.sources for e in events[3:5] + events[8:]] == [
        ((1, b"from"),), ((1, b"\xff"),), ((2, b"from"),), ((1, b"from"),),
    ]  # fmt: skip


async def test_what_is_kept_begins_where_pruning_ended(pool: Pool, connection: Connection) -> None:
    start = await tell(pool, event(1, "a"), event(1, "b"))
    await connection.execute("DELETE FROM filestore.outbox WHERE position <= %s", [start + 1])
    assert await store.bounds(connection) == store.Bounds(start + 2, start + 2)
    await connection.execute("DELETE FROM filestore.outbox")
    assert await store.bounds(connection) == store.Bounds(start + 3, start + 2), "nothing is kept"


async def test_commands_that_took_a_whole_directory_along_tell_so(
    pool: Pool, mount: MountId, protocol: Protocol
) -> None:
    start = await last(pool)
    await protocol.run(mount, mkdir(mount, "a"))
    await protocol.run(mount, upload(mount, "a/f"))
    await protocol.run(mount, asked(CommandKind.MOVE, mount, "a", target="b"))
    await protocol.run(mount, asked(CommandKind.MOVE, mount, "b/f", target="b/g"))
    await protocol.run(mount, delete(mount, "b", recursive=True))
    await give(pool)
    async with pool.connection() as connection:
        found = (await store.page(connection, start, 100, mount=mount)).events
    assert [(event.type.removeprefix("filestore."), event.paths) for event in found if event.whole] == [
        ("command.completed", (b"b", b"a")), ("node.updated", (b"b", b"a")), ("node.moved", (b"b", b"a")),
        ("command.completed", (b"b",)), ("node.deleted", (b"b",)),
    ]  # fmt: skip
    assert len(found) > 5


# The journal's watermark

ENTRY = """
    INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, path, principal, key, executor,
        outcome, payload, started_at)
    SELECT 'main', gen_random_uuid(), 1, 'createDirectory', %s, %s, 'ann', 'k', 'local', 'succeeded', '{}', now()
      FROM pg_current_xact_id() RETURNING id"""


async def settle(pool: Pool, rounds: int = 2) -> None:
    async with pool.connection() as connection:
        await settle_journal(connection, rounds)


async def follow(pool: Pool, mount: MountId, after: int = 0) -> list[int]:
    async with pool.connection() as connection:
        page = await journal.entries(
            connection, "main", journal.JournalFilter(mount=mount, after=after), limit=100, oldest_first=True
        )
    return [entry["id"] for entry in json.loads(f"[{page.items}]")]


async def write(connection: Connection, mount: MountId, path: bytes = b"a") -> int:
    row = await (await connection.execute(ENTRY, (mount, path))).fetchone()
    assert row is not None
    return int(row["id"])


async def test_who_follows_the_journal_never_misses_an_entry_that_commits_late(
    pool: Pool, connection: Connection, other: Connection, mount: MountId
) -> None:
    await settle(pool)
    early = await write(connection, mount)
    late = await write(other, mount)
    assert early < late
    await other.commit()
    await settle(pool)
    assert await follow(pool, mount) == [], "a follower behind the later one would never see the earlier one"
    await connection.commit()
    await settle(pool)
    assert await follow(pool, mount) == [early, late]
    assert await follow(pool, mount, late) == []


async def test_ids_that_were_drawn_before_the_watermark_and_transactions_that_are_older_than_their_ids(
    pool: Pool, connection: Connection, other: Connection, mount: MountId
) -> None:
    """The order of transactions is not the order of ids, and neither is the order of commits."""
    await settle(pool)
    await other.execute("SELECT pg_current_xact_id()")  # an old transaction that draws its id late
    first = await write(connection, mount)
    second = await write(other, mount)
    await other.commit()
    await settle(pool)
    assert await follow(pool, mount) == []
    await connection.commit()
    third = await write(connection, mount)
    await settle(pool, 1)
    assert await follow(pool, mount) in ([], [first, second])
    await settle(pool)
    assert await follow(pool, mount) == [first, second], "the third is open, and holds up none before it"
    await connection.rollback()
    await settle(pool)
    fourth = await write(connection, mount)
    await connection.commit()
    await settle(pool)
    assert await follow(pool, mount) == [first, second, fourth] and third < fourth, "a gap is no reason to wait"


async def test_a_record_from_another_cluster_is_followed_at_once(
    pool: Pool, connection: Connection, mount: MountId
) -> None:
    """After a restore from a dump transaction numbers begin anew: what waits for one from the future would wait for ever."""
    entry = await write(connection, mount)
    await connection.execute("UPDATE filestore.event_feed SET awaited = %s, awaited_before = '1000000000'", [entry])
    await connection.commit()
    await settle(pool)
    assert await follow(pool, mount) == [entry]


async def test_many_who_write_and_one_who_follows(pool: Pool, mount: MountId) -> None:
    written: list[int] = []

    async def writes(turns: int) -> None:
        for turn in range(turns):
            async with pool.connection() as connection, connection.transaction():
                mine = [await write(connection, mount) for _ in range(2)]
                await asyncio.sleep(0.001 * (turn % 4))
            written.extend(mine)

    seen: list[int] = []
    writers = [asyncio.create_task(writes(15)) for _ in range(5)]
    while not all(writer.done() for writer in writers):
        await settle(pool, 1)
        seen += await follow(pool, mount, seen[-1] if seen else 0)
    await asyncio.gather(*writers)
    await settle(pool)
    seen += await follow(pool, mount, seen[-1] if seen else 0)
    assert seen == sorted(written) and len(seen) == 150
