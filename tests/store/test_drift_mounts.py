"""Mounts that are away, hang, or are others; places that are not on the mount any more; and one verdict whoever looks."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activities.executors.contract.listing import ScanPage
from activities.executors.local.executor import LocalExecutor
from schema.store.pool import Pool
from tests.store.drift import Drifting, make_drifting
from tests.store.healing import healed, steps_of
from tests.store.helpers import Protocol


@pytest.fixture
async def drifting(pool: Pool, tmp_path: Path, protocol: Protocol) -> Drifting:
    drifting = await make_drifting(pool, tmp_path / "root", protocol, ("a", "b", "d/x"))
    await drifting.policy(onNew="quarantine", onChanged="restore", onMissing="restore")
    return drifting


async def test_another_disk_or_none_in_the_place_of_a_mount_is_no_drift_and_nothing_is_healed_there(
    drifting: Drifting,
) -> None:
    drifting.write("stray")
    await drifting.look()
    away = drifting.root.with_name("away")
    drifting.root.rename(away)
    for other in (True, False):
        if other:
            drifting.root.mkdir()
            LocalExecutor.register(str(drifting.root), "5d7a1c1e-0000-4000-8000-000000000001")
            drifting.write("stray")
        for _ in range(2):
            assert not await drifting.read(await drifting.begin())
        assert await healed(drifting) == 0
        if other:
            assert (drifting.root / "stray").exists()
            drifting.root.rename(drifting.root.with_name("other"))
    away.rename(drifting.root)
    assert set((await drifting.states()).values()) == {"active"}
    assert await healed(drifting) == 1
    assert (await drifting.look()).counts.keys() <= {"touched"}


async def test_a_disk_that_hangs_says_nothing_until_it_answers(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, answers, scan = threading.Event(), threading.Event(), drifting.executor.scan

    def slow(*args: Any, **more: Any) -> Iterator[ScanPage]:
        hangs.set()
        answers.wait()
        yield from scan(*args, **more)

    monkeypatch.setattr(drifting.executor, "scan", slow)
    look = await drifting.begin()
    reading = asyncio.create_task(drifting.read(look))
    try:
        assert await asyncio.to_thread(hangs.wait, 30)
        assert set((await drifting.states()).values()) == {"active"} and await drifting.findings() == {}
    finally:
        answers.set()
    assert await reading
    assert (await drifting.conclude(look)).counts == {}


async def test_a_heal_takes_nothing_from_outside_of_the_mount(drifting: Drifting, tmp_path: Path) -> None:
    """The directory of a finding is swapped for a link that leads out, before the heal looks, or before it steps."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "stray").write_text("d/stray")
    (outside / "x").write_text("d/x")
    drifting.write("d/stray")
    await drifting.look()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    assert [command.path for command in step.commands] == ["d/stray"]
    drifting.rename("d", "../was-d")
    os.symlink(outside, drifting.root / "d")
    await steps.run(drifting.mount, step.commands)
    assert await steps.end(step) == 0
    await drifting.rows("UPDATE filestore.findings SET due_at = now() WHERE mount_id = %s RETURNING id", drifting.mount)
    assert await healed(drifting) == 0
    await drifting.settle()
    await healed(drifting)
    assert {place.name: place.read_text() for place in outside.iterdir()} == {"stray": "d/stray", "x": "d/x"}


@pytest.mark.parametrize("whole", [True, False], ids=["scan", "watcher"])
async def test_a_rename_followed_by_a_touch_has_one_verdict_whoever_looks(drifting: Drifting, whole: bool) -> None:
    before = await drifting.nodes()
    drifting.rename("a", "d/moved")
    os.utime(drifting.root / "d" / "moved", (1_000_000_000, 1_000_000_000))
    end = await drifting.look(*([] if whole else ["a", "d/moved"]), whole=whole, subtree=whole)
    assert ({**end.counts}, end.unsure, end.again) == ({"moved": 1}, False, False)
    assert (await drifting.nodes())["d/moved"] == before["a"]
    assert (await drifting.problems(), (await drifting.look()).counts) == ([], {})
