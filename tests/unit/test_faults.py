"""Fault points: what a test asks for happens there, then and to that subject alone."""

import asyncio
import os
import re
import time
from pathlib import Path

import pytest

from schema import faults
from schema.faults import POINTS, InjectedFault

REPOSITORY = Path(__file__).resolve().parents[2]


def switch_on(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(faults, "_faults", faults._read(text))


def named_in(*folders: str) -> dict[Path, list[str]]:
    files = [file for folder in folders for file in (REPOSITORY / folder).rglob("*.py")]
    return {file.relative_to(REPOSITORY): re.findall(r"\ba?reach\(\s*\"([^\"]+)\"", file.read_text()) for file in files}


def test_every_point_stands_in_the_code_exactly_once_and_in_every_executor_that_acts() -> None:
    named = named_in("schema", "activities", "workflows", "api", "workers")
    executors = [points for file, points in named.items() if "executors" in file.parts and points]
    elsewhere = [point for file, points in named.items() if "executors" not in file.parts for point in points]
    assert executors and all(points == executors[0] for points in executors)
    assert sorted([*elsewhere, *executors[0]]) == sorted(POINTS)


def test_nothing_happens_while_nothing_is_switched_on() -> None:
    assert faults._read("") == {}
    faults.reach("begin.committed")


def test_a_fault_strikes_the_subject_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_on(monkeypatch, "commit.item=fail~poison")
    faults.reach("commit.item", "a/harmless")
    faults.reach("apply.act", "a/poison")
    with pytest.raises(InjectedFault):
        faults.reach("commit.item", "a/poison")


def test_a_fault_waits_for_its_turn_and_then_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_on(monkeypatch, "apply.act=fail~x@2")
    faults.reach("apply.act", "x")
    faults.reach("apply.act", "y")
    for _ in range(2):
        with pytest.raises(InjectedFault):
            faults.reach("apply.act", "x")


def test_a_sleep_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_on(monkeypatch, "apply.act=sleep:0.05")
    start = time.monotonic()
    faults.reach("apply.act")
    assert time.monotonic() - start >= 0.05


async def test_a_wait_says_that_it_is_reached_and_goes_on_once_it_may(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    switch_on(monkeypatch, f"begin.committed=wait:{tmp_path}")
    (tmp_path / "begin.committed.go").touch()
    await faults.areach("begin.committed")
    assert (tmp_path / "begin.committed.reached").exists()
    (tmp_path / "begin.committed.go").unlink()
    await faults.areach("begin.committed")  # once


async def test_a_hold_keeps_everybody_while_the_gate_is_shut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    switch_on(monkeypatch, f"begin.committed=hold:{tmp_path}")
    await faults.areach("begin.committed")
    assert os.listdir(tmp_path) == [], "an open gate leaves no mark"
    (tmp_path / "begin.committed.hold").touch()
    coming = [asyncio.create_task(faults.areach("begin.committed")) for _ in range(40)]
    coming.append(asyncio.create_task(asyncio.to_thread(faults.reach, "begin.committed")))
    try:
        for _ in range(6000):
            if len(os.listdir(tmp_path)) == 1 + 41:
                break
            await asyncio.sleep(0.01)
        assert len(os.listdir(tmp_path)) == 1 + 41 and not any(task.done() for task in coming)
    finally:
        # One of them waits in a thread, and the process would wait for it.
        (tmp_path / "begin.committed.hold").unlink()
    await asyncio.gather(*coming)


def test_a_kill_is_a_sigkill_the_third_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kills: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, signal: kills.append(signal))
    switch_on(monkeypatch, "finish.acted=kill@3")
    for _ in range(5):
        faults.reach("finish.acted")
    assert kills == [9]


def test_several_faults_are_read_with_all_their_parts() -> None:
    found = faults._read(" apply.act=sleep:20~slow@2 ; commit.item=fail~poison;; ")
    assert {point: (f.kind, f.argument, f.needle, f.at) for point, f in found.items()} == {
        "apply.act": ("sleep", "20", "slow", 2),
        "commit.item": ("fail", "", "poison", 1),
    }


@pytest.mark.parametrize("text", ["nowhere=kill", "apply.act=explode", "apply.act", "apply.act=kill@often"])
def test_a_fault_that_does_not_exist_is_refused_at_start(text: str) -> None:
    with pytest.raises(ValueError):
        faults._read(text)
