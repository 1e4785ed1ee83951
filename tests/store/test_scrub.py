"""Scrub on a real disk: every content is read again, and silent damage is found, marked and repaired from a copy."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.drift import scrub as scrubbing
from activities.drift.scrub import Scrub, ScrubTurn
from schema.errors import MountOffline
from schema.paths import NodePath
from schema.store import scrub as store
from schema.store.pool import Pool
from tests.store.drift import Drifting, OneMount, make_drifting
from tests.store.healing import healed
from tests.store.helpers import Protocol

FILES = ("a", "b", "copy", "d/c", "d/e/f")


@pytest.fixture
async def drifting(pool: Pool, tmp_path: Path, protocol: Protocol) -> Drifting:
    drifting = await make_drifting(pool, tmp_path / "root", protocol, FILES)
    drifting.write("copy", "a")
    await drifting.settle(1)
    await drifting.policy(scrub={"everySeconds": 3600})
    return drifting


async def scrubbed(drifting: Drifting) -> ScrubTurn:
    scrub = Scrub(drifting.pool, OneMount(drifting.executor), budgets.STEPS.build(), lambda: None)
    return await ActivityEnvironment().run(scrub.scrub, drifting.mount)


def damage(drifting: Drifting, path: str, content: str) -> None:
    """Other bytes of the same length, under the same time."""
    place = drifting.root / path
    was = place.stat()
    place.write_text(content)
    os.utime(place, ns=(was.st_atime_ns, was.st_mtime_ns))


async def test_silent_damage_is_found_marked_and_repaired_and_the_damaged_bytes_are_kept(drifting: Drifting) -> None:
    damage(drifting, "a", "x")
    damage(drifting, "b", "y")
    assert (await scrubbed(drifting)).damaged == 2
    assert await drifting.findings() == {"a": ("damaged", "waiting"), "b": ("damaged", "waiting")}
    assert (await drifting.states())["a"] == "inconsistent"
    await drifting.look()
    assert await drifting.findings() == {"a": ("damaged", "waiting"), "b": ("damaged", "waiting")}
    assert await healed(drifting) == 1
    assert ((drifting.root / "a").read_text(), (drifting.root / "b").read_text()) == ("a", "y")
    trash = drifting.root / ".filestore" / "trash"
    assert {place.read_text() for place in trash.rglob("*") if place.is_file()} == {"x"}
    assert await drifting.findings() == {"b": ("damaged", "open")}
    assert await drifting.problems() == []


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MountOffline("One key answers 403.")])
async def test_a_file_that_can_not_be_read_any_more_is_a_finding_until_it_can(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    opened = drifting.executor.open

    def broken(path: NodePath) -> Any:
        if path.raw == b"b":
            raise error
        return opened(path)

    monkeypatch.setattr(drifting.executor, "open", broken)
    turn = await scrubbed(drifting)
    assert (turn.over, turn.files, turn.damaged) == (True, len(FILES), 1), "the others are read in the same round"
    await drifting.look()
    assert (await drifting.findings(), (await drifting.states())["b"]) == (
        {"b": ("unreadable", "open")},
        "inconsistent",
    )
    monkeypatch.undo()
    await drifting.look()
    assert (await drifting.findings(), (await drifting.states())["b"]) == ({}, "active")


async def test_a_round_reads_every_byte_once_and_says_how_far_it_is(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "_FILES", 2)
    monkeypatch.setattr(scrubbing, "_PAGES", 1)
    turns = [await scrubbed(drifting)]
    while not turns[-1].over:
        turns.append(await scrubbed(drifting))
    assert [turn.files for turn in turns] == [2, 4, 5]
    async with drifting.pool.connection() as connection:
        progress, total = await store.progress(connection, drifting.mount)
    assert progress.last is not None and (progress.last.size, progress.now) == (total, None)
    checked = await drifting.rows(
        "SELECT count(*) AS read FROM filestore.nodes WHERE kind = 'file' AND consistency_checked_at >= %s::timestamptz",
        progress.last.started_at,
    )
    assert checked[0]["read"] == len(FILES)


async def test_a_round_that_broke_off_goes_on_and_does_not_read_again_what_it_has_read(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "_FILES", 2)
    monkeypatch.setattr(scrubbing, "_PAGES", 1)
    await scrubbed(drifting)
    damage(drifting, "d/e/f", "other")
    damage(drifting, "a", "z")
    while not (turn := await scrubbed(drifting)).over:
        pass
    assert (turn.damaged, set(await drifting.findings())) == (1, {"d/e/f"})


async def test_what_a_program_wrote_is_no_damage_but_a_reason_to_look(drifting: Drifting) -> None:
    drifting.write("b", "other, longer")
    drifting.remove("d/c")
    assert (await scrubbed(drifting)).damaged == 0
    hints = await drifting.rows("SELECT path FROM filestore.drift_hints WHERE mount_id = %s", drifting.mount)
    assert {bytes(row["path"]) for row in hints} == {b"b", b"d/c"}


async def test_without_the_mount_or_a_policy_a_round_ends_and_says_nothing(drifting: Drifting) -> None:
    drifting.root.rename(drifting.root.with_name("away"))
    assert (await scrubbed(drifting)).over
    drifting.root.with_name("away").rename(drifting.root)
    await drifting.policy()
    assert (await scrubbed(drifting)).over
    assert (await drifting.findings(), set((await drifting.states()).values())) == ({}, {"active"})


async def test_a_rate_that_is_set_is_kept(drifting: Drifting) -> None:
    drifting.write("large", "x" * 600_000)
    await drifting.settle(1)
    await drifting.policy(scrub={"everySeconds": 3600, "bytesPerSecond": 1_000_000})
    began = datetime.now(UTC)
    await scrubbed(drifting)
    assert datetime.now(UTC) - began >= timedelta(seconds=0.5)
