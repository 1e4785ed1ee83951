"""What survives a power cut."""

import shutil
from pathlib import Path

import pytest

from activities.executors.contract.stage import Draft
from activities.executors.contract.task import Done, Unclear
from activities.executors.local.executor import LocalExecutor
from schema.ids import new_command_id
from tests.executors.conftest import DAY, MOUNT, Bench, When, refused


def test_a_list_is_sealed_with_one_flush_a_file_and_one_for_all_names(disk: Bench, flushed: list[str]) -> None:
    drafts = [Draft(new_command_id(), content) for content in (b"a", None, b"b", None)]
    disk.executor.seal(drafts)
    assert flushed == [f"stage/{drafts[0].id}", f"stage/{drafts[2].id}", "stage"]
    flushed.clear()
    writer = disk.executor.open_stage(stage := new_command_id())
    writer.close()
    disk.executor.seal([], [stage])
    assert flushed == [f"stage/{stage}", "stage"]


def test_a_flush_reaches_every_folder_of_its_steps_once(disk: Bench, flushed: list[str]) -> None:
    disk.has(b"a", None)
    known = disk.has(b"a/old", b"old")
    tasks = [disk.create(b"a/1", b"1"), disk.create(b"a/2", b"2"), disk.create(b"3", None)]
    results = [disk.executor.act(task) for task in tasks]
    flushed.clear()
    disk.executor.flush(tasks)
    assert sorted(flushed) == [".", "a", "stage"]
    deletion = disk.delete(b"a/old", known)
    disk.executor.act(deletion)
    assert flushed[-1] == "trash"  # the day's folder is new
    flushed.clear()
    disk.executor.flush([deletion])
    assert sorted(flushed) == ["a", f"trash/{DAY}"]
    assert isinstance(results[0], Done) and results[0].identity
    moved = disk.move(b"a/1", b"moved", results[0].identity)
    disk.executor.act(moved)
    flushed.clear()
    disk.executor.flush([moved])
    assert flushed == [".", "a"]  # where it appears, then where it left
    disk.outside.remove(f".filestore/trash/{deletion.trash}".encode())
    disk.outside.remove(f".filestore/trash/{DAY}".encode())
    flushed.clear()
    disk.executor.flush([deletion])
    assert flushed == ["a"]  # purged meanwhile: nothing of the step lies there, and no folder is made for it


def test_a_move_onto_a_file_and_a_restore_flush_the_trash_too(disk: Bench, flushed: list[str]) -> None:
    disk.has(b"a", None)
    task = disk.move(b"a/new", b"old", disk.has(b"a/new", b"new"), replaced=disk.has(b"old", b"old"))
    flushed.clear()
    disk.executor.act(task)
    assert flushed == ["trash"]  # the day's folder is new, and durable before anything is put into it
    flushed.clear()
    disk.executor.flush([task])
    assert flushed == [".", "a", f"trash/{DAY}"]
    place, known = disk.deleted(b"file", b"x")
    restored = disk.restore(place, b"a/file", known)
    disk.executor.act(restored)
    flushed.clear()
    disk.executor.flush([restored])
    assert flushed == ["a", f"trash/{DAY}"]


def test_what_finish_moves_is_durable_before_it_returns(disk: Bench, flushed: list[str]) -> None:
    task = disk.replace(b"file", b"new", disk.has(b"file", b"old"))
    disk.executor.act(task)
    flushed.clear()
    disk.executor.finish(task, True)
    assert flushed == ["trash", f"trash/{DAY}", "stage"]


def test_what_is_put_back_is_durable_before_it_is_told(disk: Bench, flushed: list[str], when: When) -> None:
    replaced = disk.replace(b"file", b"new", disk.has(b"file", b"old"))
    deleted = disk.delete(b"other", disk.has(b"other", b"old"))
    flushed.clear()
    when("apply.act", lambda: disk.outside.put(b"file", b"strange"))
    assert refused(disk.executor.act(replaced)) == "VERSION_CONFLICT"
    assert sorted(flushed) == [".", "stage"]
    flushed.clear()
    when("apply.act", lambda: disk.outside.put(b"other", b"strange"))
    assert refused(disk.executor.act(deleted)) == "VERSION_CONFLICT"
    assert sorted(flushed) == [".", "trash", f"trash/{DAY}"]


def test_what_is_reversed_is_durable_before_it_is_told(disk: Bench, flushed: list[str]) -> None:
    task = disk.create(b"file", b"new")
    disk.executor.act(task)
    flushed.clear()
    disk.executor.reverse(task)
    assert sorted(flushed) == [".", "stage"]


def test_a_step_that_can_not_be_reversed_is_not_even_tried(disk: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    task = disk.create(b"file", b"new")
    disk.executor.act(task)
    disk.outside.edit(b"file", b"edited")

    def fail(*_: object) -> None:
        raise AssertionError("moved")

    monkeypatch.setattr("activities.executors.local.steps.ends.renameat2", fail)
    monkeypatch.setattr("activities.executors.local.disk.renameat2", fail)
    assert isinstance(disk.executor.reverse(task), Unclear)


def test_a_mount_is_registered_durably(root: Path, flushed: list[str]) -> None:
    (root / "other").mkdir()
    shutil.rmtree(root / ".filestore")
    LocalExecutor.register(str(root), MOUNT)
    assert flushed[0].startswith("mount.json.")
    assert flushed[1:] == [".filestore", "."]
