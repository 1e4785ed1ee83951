"""What is held stays: each kind of command that would take it away is refused, at the path, above it and below it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schema.access.holds import takes
from schema.commands.command import Command, CommandKind
from schema.commands.verdicts import Go, Refuse
from schema.ids import MountId
from schema.paths import NodePath
from schema.store import begin, holds
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, mkdir, upload


async def hold(pool: Pool, mount: MountId, path: str, kind: str = "legal", until: datetime | None = None) -> int:
    async with pool.connection() as connection, connection.transaction():
        await begin.lock_mounts(connection, {mount})
        return await holds.create(connection, "main", mount, NodePath(path.encode()), kind, "case 1.", until, "ann")


@pytest.fixture
async def grown(protocol: Protocol, mount: MountId) -> Protocol:
    await protocol.run(mount, mkdir(mount, "d"), mkdir(mount, "free"), mkdir(mount, "other"))
    await protocol.run(mount, mkdir(mount, "d/held"), upload(mount, "free/f"))
    await protocol.run(mount, upload(mount, "d/held/f"))
    await protocol.run(mount, upload(mount, "d/held/f", overwrite=True, size=7))
    return protocol


def takings(mount: MountId) -> dict[CommandKind, list[Callable[[], Command]]]:
    """Commands of every kind that would take away what is at `d/held` or below it."""

    def move(path: str, target: str, **more: Any) -> Command:
        return asked(CommandKind.MOVE, mount, path, target=target, **more)

    return {
        CommandKind.DELETE: [
            lambda: delete(mount, "d/held/f"), lambda: delete(mount, "d/held", recursive=True),
            lambda: delete(mount, "d", recursive=True),
        ],
        CommandKind.MOVE: [
            lambda: move("d/held/f", "g"), lambda: move("d/held", "g"), lambda: move("d", "g"),
            lambda: move("free/f", "d/held/f", overwrite=True),
        ],
        CommandKind.COPY: [lambda: asked(CommandKind.COPY, mount, "free/f", target="d/held/f", overwrite=True)],
        CommandKind.UPLOAD: [lambda: upload(mount, "d/held/f", overwrite=True, size=9)],
        CommandKind.RESTORE: [lambda: asked(CommandKind.RESTORE, mount, "d/held/f", content_version=1)],
        CommandKind.CREATE_DIRECTORY: [],
        CommandKind.DESCRIBE: [],
    }  # fmt: skip


async def test_every_kind_of_command_is_refused_where_it_would_take_away(
    grown: Protocol, pool: Pool, mount: MountId
) -> None:
    id = await hold(pool, mount, "d/held")
    everything = takings(mount)
    assert set(everything) == set(CommandKind), "a new kind says here what it takes away"
    for made in [one for some in everything.values() for one in some]:
        command = made()
        verdict = (await grown.run(mount, command))[command.id]
        assert isinstance(verdict, Refuse) and verdict.error.code == "HELD", command
        assert verdict.error.details is not None and verdict.error.details["holdId"] == id
        assert "case 1." in verdict.error.message and "ann" in verdict.error.message
    async with pool.connection() as connection:
        await holds.release(connection, id, "ann")
    command = delete(mount, "d", recursive=True)
    assert isinstance((await grown.run(mount, command))[command.id], Go), "released"


async def test_what_takes_nothing_away_goes_on_below_a_hold(grown: Protocol, pool: Pool, mount: MountId) -> None:
    await hold(pool, mount, "d/held")
    for command in (
        upload(mount, "d/held/new"), upload(mount, "d/held/newer", overwrite=True), mkdir(mount, "d/held/sub"),
        asked(CommandKind.COPY, mount, "d/held/f", target="free/copy"),
        asked(CommandKind.MOVE, mount, "free/f", target="d/held/moved"), delete(mount, "other"),
    ):  # fmt: skip
        assert isinstance((await grown.run(mount, command))[command.id], Go), command


async def test_a_hold_whose_time_is_over_holds_nothing(grown: Protocol, pool: Pool, mount: MountId) -> None:
    id = await hold(pool, mount, "d/held", "retain", datetime.now(UTC) + timedelta(days=1))
    first = delete(mount, "d/held/f")
    assert isinstance((await grown.run(mount, first))[first.id], Refuse)
    async with pool.connection() as connection:
        await holds.extend(connection, id, datetime.now(UTC) - timedelta(seconds=1))
    second = delete(mount, "d/held/f")
    assert isinstance((await grown.run(mount, second))[second.id], Go)


async def test_a_command_that_runs_is_seen_before_something_is_held(
    grown: Protocol, pool: Pool, mount: MountId
) -> None:
    await grown.begin(mount, [delete(mount, "d/held/f"), upload(mount, "free/new")])
    async with pool.connection() as connection:
        for path, taken in (("d/held/f", True), ("d/held", True), ("d/held/f/x", True), ("free", False), ("", True)):
            assert await holds.taken_now(connection, mount, NodePath(path.encode())) is taken, path


async def test_a_node_tells_of_its_hold(grown: Protocol, pool: Pool, mount: MountId) -> None:
    await hold(pool, mount, "d")
    await hold(pool, mount, "d/held", "protect")
    query = "SELECT filestore.protection_v1(%s, %s)->>'kind' AS kind"
    async with pool.connection() as connection:
        for path, kind in (
            (b"d/held/f", "protect"),
            (b"d/held", "protect"),
            (b"d/x", "legal"),
            (b"dx", None),
            (b"", None),
        ):
            row = await (await connection.execute(query, [mount, path])).fetchone()
            assert row is not None and row["kind"] == kind, path


def test_only_what_is_there_is_taken() -> None:
    from dataclasses import replace

    from schema.commands.situations import Place, Situation
    from schema.ids import NodeId

    here = Place(MountId(1), "active", "rw", True)
    found = Situation(fresh_node=NodeId(1), here=here)
    new = upload(MountId(1), "a", overwrite=True)
    assert takes(new, found) == []
    assert [one.path.text for one in takes(delete(MountId(1), "a"), replace(found))] == ["a"]


def test_a_heal_takes_what_it_has_found() -> None:
    """A stray that leaves its name, content that was written over; a file that is missing takes nothing."""
    from dataclasses import replace

    from schema.commands.situations import KnownFinding, Place, Situation
    from schema.ids import NodeId

    finding = KnownFinding(1, b"a", "changed", 1, True, 7, 1, "file", [0, 1, 1, 5, 0, 0, 0, 0, 1])
    found = Situation(fresh_node=NodeId(1), here=Place(MountId(1), "active", "rw", True), finding=finding)
    back = asked(CommandKind.RESTORE, MountId(1), "a", finding_version=1)
    assert [one.path.text for one in takes(back, found)] == ["a"]
    assert takes(back, replace(found, finding=replace(finding, facts=()))) == []
    assert [one.path.text for one in takes(delete(MountId(1), "a", finding_version=1), found)] == ["a"]
