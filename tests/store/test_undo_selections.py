"""Undo by selection in the record: what a selection takes, what it leaves, and how such an undo is put back itself."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.operations import undo as planning
from schema.ids import CommandId, MountId
from schema.operations.control import Control
from schema.operations.operation import ItemState, OperationKind, Options
from schema.operations.undo_selection import UndoSelection
from schema.paths import ROOT, NodePath
from schema.store.pool import Pool
from tests.store.authors import KIND, Author
from tests.store.helpers import Protocol, make_mount
from tests.store.operation_rows import Runner, asked_for, counted, lies, now, steered

AGENT = UndoSelection(principal="agent")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def runner(pool: Pool, protocol: Protocol) -> Runner:
    return Runner(pool, protocol)


@pytest.fixture
async def mount(pool: Pool) -> MountId:
    async with pool.connection() as connection:
        return await make_mount(connection)


@pytest.fixture
def agent(runner: Runner, mount: MountId) -> Author:
    return Author("agent", runner, mount)


@pytest.fixture
async def other(runner: Runner, mount: MountId) -> Author:
    author = Author("other", runner, mount)
    await author.mkdir("d")
    await author.put("d/f", "d/g", "d/h")
    return author


# How it is put back


@pytest.mark.parametrize("after", [1, 2, 4])
async def test_an_undo_that_is_rolled_back_leaves_what_was_there_before_it(
    pool: Pool, mount: MountId, runner: Runner, agent: Author, other: Author, after: int
) -> None:
    """Content and metadata of one file, a move, a deletion, a directory that is made and filled: each goes forth again."""
    await agent.put("d/f", size=8)
    await agent(KIND.MOVE, "d/f", target="d/moved")
    await agent(KIND.DELETE, "d/g")
    await agent.mkdir("n")
    await agent.put("n/new", size=9)
    before = await lies(pool, mount)
    undo = await other.undo(AGENT, options=Options(concurrency=1))
    for _ in range(after):
        await runner.turn(undo)
    assert await lies(pool, mount) != before
    await steered(pool, undo, Control.ROLLBACK)
    assert await runner.to_the_end(undo) == "rolled_back"
    assert await lies(pool, mount) == before
    row, items = await now(pool, undo)
    assert row.done == row.failed == 0 and {one.state for one in items} <= {ItemState.REVERSED, ItemState.PENDING}


# What it takes


async def at(pool: Pool, command: CommandId, minute: float) -> None:
    """The command was recorded so many minutes after the start."""
    query = "UPDATE filestore.journal_entries SET recorded_at = %s WHERE command_id = %s"
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")  # entries never change otherwise
        await connection.execute(query, [START + timedelta(minutes=minute), command])


def span(since: float, until: float, **values: object) -> UndoSelection:
    return UndoSelection(since=START + timedelta(minutes=since), until=START + timedelta(minutes=until), **values)  # type: ignore[arg-type]


async def test_a_time_has_its_beginning_and_not_its_end(
    pool: Pool, mount: MountId, agent: Author, other: Author
) -> None:
    for minute, name in ((9.99, "early"), (10, "first"), (19.99, "last"), (20, "late")):
        await at(pool, await agent(KIND.UPLOAD, name), minute)
    assert await other.undone(span(10, 20)) == ("succeeded", {})
    assert set(await lies(pool, mount)) == {"d", "d/f", "d/g", "d/h", "early", "late"}


@pytest.mark.parametrize("by_time", [True, False], ids=["time", "path"])
async def test_an_undo_by_time_or_path_alone_says_how_far_its_plan_is(
    pool: Pool, mount: MountId, agent: Author, other: Author, monkeypatch: pytest.MonkeyPatch, by_time: bool
) -> None:
    """By the numbers of the entries that it has come to; no index says how many it takes."""
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE filestore.journal_entries SET recorded_at = %s WHERE mount_id = %s", [START, mount]
        )
    for minute in range(8):
        await at(pool, await agent(KIND.UPLOAD, f"d/f{minute}"), 10 + minute)
    monkeypatch.setattr(planning, "PAGE", 2)
    selection = span(12, 17) if by_time else UndoSelection(path=NodePath(b"d"))
    undo = await asked_for(pool, mount, kind=OperationKind.UNDO, path=ROOT, undo=selection, subtrees=[(mount, ROOT)])
    told = list[tuple[int, int]]()
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        _, cursor = await planning.begin(connection, undo, datetime.now(UTC))
        while True:
            _, then = await planning.page(connection, undo, cursor)
            if then is None:
                break
            cursor = dict(then)
            told.append((cursor["looked"], cursor["expected"]))
    assert len(told) >= 2 and told == sorted(told) and told[0][0] > 0
    assert {expected for _, expected in told} == {5 if by_time else 12}, "the entries of its time, or of its mount"
    assert told[-1][0] <= told[-1][1]


async def test_a_piece_of_work_of_which_a_part_lies_in_the_time_goes_back_as_a_whole(
    pool: Pool, mount: MountId, agent: Author, other: Author
) -> None:
    for minute, name, work in ((5, "a", "w1"), (15, "b", "w1"), (25, "c", "w1"), (26, "x", "w2"), (27, "y", None)):
        await at(pool, await agent(KIND.UPLOAD, name, correlation_id=work), minute)
    assert await other.undone(span(10, 20)) == ("succeeded", {})
    assert {"a", "b", "c", "x", "y"} & set(await lies(pool, mount)) == {"x", "y"}


async def test_the_other_conditions_hold_within_a_piece_of_work_too(
    pool: Pool, mount: MountId, agent: Author, other: Author
) -> None:
    await at(pool, await agent(KIND.UPLOAD, "mine", correlation_id="w"), 15)
    await at(pool, await agent(KIND.UPLOAD, "mine too", correlation_id="w"), 25)
    await at(pool, await other(KIND.UPLOAD, "theirs", correlation_id="w"), 16)
    assert await other.undone(span(10, 20, principal="agent")) == ("succeeded", {})
    assert {"mine", "mine too", "theirs"} & set(await lies(pool, mount)) == {"theirs"}


@pytest.mark.parametrize("name", ["system", "system/heal", "system/schedule", "system/purge"])
async def test_what_a_machine_did_is_taken_only_by_a_selection_that_names_it(
    pool: Pool, mount: MountId, runner: Runner, agent: Author, other: Author, name: str
) -> None:
    machine = Author(name, runner, mount)
    await at(pool, await machine(KIND.UPLOAD, "d/made"), 15)
    await at(pool, await agent(KIND.UPLOAD, "d/mine"), 15)
    for selection in (span(10, 20), span(0, 60, path=NodePath(b"d")), UndoSelection(path=NodePath(b"d/made"))):
        _, items = await now(pool, await other.undo(selection))
        assert [one.path.text for one in items] == ["d/mine"] * (selection.since is not None)
    assert await other.undone(UndoSelection(principal=name)) == ("succeeded", {})
    assert "d/made" not in await lies(pool, mount)


async def test_one_whose_name_only_begins_like_a_machines_is_a_person(
    pool: Pool, mount: MountId, runner: Runner, other: Author
) -> None:
    person = Author("systematic", runner, mount)
    await at(pool, await person(KIND.UPLOAD, "d/made"), 15)
    assert await other.undone(span(10, 20)) == ("succeeded", {}) and "d/made" not in await lies(pool, mount)


async def test_what_a_machine_changed_last_is_left_as_others_changes_are(
    pool: Pool, mount: MountId, runner: Runner, agent: Author, other: Author
) -> None:
    await agent.put("d/f", size=8)
    await Author("system/heal", runner, mount).put("d/f", size=9)
    assert await other.undone(AGENT) == ("failed", {"d/f": "VERSION_CONFLICT"})
    assert (await lies(pool, mount))["d/f"] == ("file", 9)


async def test_only_changes_count_and_no_reads_failures_and_repetitions(
    pool: Pool, mount: MountId, runner: Runner, agent: Author, other: Author
) -> None:
    await agent(KIND.COPY, "d/f", target="d/copy")
    failing = await runner.protocol.begin(mount, [agent.command(KIND.DELETE, "d/g")])
    await runner.fail(failing, "STORAGE_FULL")
    undo = await other.undo(AGENT)
    _, items = await now(pool, undo)
    assert [one.path.text for one in items] == ["d/copy"]
    await runner.to_the_end(undo)
    assert set(await lies(pool, mount)) == {"d", "d/f", "d/g", "d/h"}


async def test_run(pool: Pool, mount: MountId, agent: Author, other: Author) -> None:
    """The agent replaces two files, somebody else one of them, and the agent that one once more: it goes back to theirs."""
    await agent.put("d/f", "d/g", size=8)
    await other.put("d/f", size=9)
    await agent.put("d/f", size=10)
    assert await other.undone(AGENT) == ("succeeded", {})
    there = await lies(pool, mount)
    assert (there["d/f"], there["d/g"]) == (("file", 9), ("file", 5))


async def test_run_over_places_and_lives(pool: Pool, mount: MountId, agent: Author, other: Author) -> None:
    """The same of moves and deletions: what somebody else moved in between stays where that has put it."""
    await agent(KIND.MOVE, "d/f", target="d/one")
    await other(KIND.MOVE, "d/one", target="d/two")
    await agent(KIND.MOVE, "d/two", target="d/three")
    await agent(KIND.DELETE, "d/three")
    assert await other.undone(AGENT) == ("succeeded", {})
    assert set(await lies(pool, mount)) == {"d", "d/two", "d/g", "d/h"}


# What is not kept any more


async def test_what_needs_content_that_is_not_kept_is_listed_and_the_rest_goes(
    pool: Pool, mount: MountId, agent: Author, other: Author
) -> None:
    await agent.put("d/f", "d/g", size=8)
    await agent(KIND.DELETE, "d/h")
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.versions s SET content_until = now() - interval '1 second' FROM filestore.nodes n"
            " WHERE n.id = s.node_id AND n.name IN ('f', 'h') AND s.content_until IS NOT NULL AND n.mount_id = %s",
            [mount],
        )
    undo = await other.undo(AGENT)
    row, items = await now(pool, undo)
    listed = {one.path.text: (one.state, one.code, one.message) for one in items if one.code}
    expired = (ItemState.SKIPPED, "CONTENT_EXPIRED", "What was there before is not kept any more.")
    assert listed == {"d/f": expired, "d/h": expired} and row.conflicts == 2
    assert await agent.runner.to_the_end(undo) == "partial"
    row, _ = await now(pool, undo)
    assert counted(row) == {"done": 1, "skipped": 2, "changed": 2}
    assert await lies(pool, mount) == {"d": ("directory", 0), "d/f": ("file", 8), "d/g": ("file", 5)}


async def test_a_piece_of_work_that_did_nothing_but_fail_has_nothing_to_put_back(
    pool: Pool, mount: MountId, runner: Runner, agent: Author, other: Author
) -> None:
    failing = await runner.protocol.begin(mount, [agent.command(KIND.DELETE, "d/g")])
    await runner.fail(failing, "STORAGE_FULL")
    undo = await other.undo(AGENT)
    row, items = await now(pool, undo)
    assert items == [] and row.claims == [] and await runner.to_the_end(undo) == "succeeded"
