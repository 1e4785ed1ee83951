"""Processes: locks that die with them, steps that are taken once, descriptors."""

import gc
import hashlib
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from activities.executors import syscalls
from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Step, Task
from schema.errors import MountOffline
from schema.ids import CommandId, new_command_id
from schema.paths import NodePath
from tests.executors.conftest import MOUNT, Bench, When, refused
from tests.executors.local_disk.helpers import PROJECT, read_or_refused


def offline() -> None:
    raise MountOffline


def python(script: str, *args: str, **environment: str) -> "subprocess.Popen[bytes]":
    prelude = f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
    command = [sys.executable, "-c", prelude + script, *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment})


def test_a_lock_is_seen_by_other_processes_and_dies_with_its_holder(disk: Bench, root: Path) -> None:
    holder = """
import time
from activities.executors.local.executor import LocalExecutor
locks = LocalExecutor(sys.argv[1], sys.argv[2]).locks()
print(locks.take(sys.argv[3]), flush=True)
time.sleep(60)
"""
    command = new_command_id()
    other = python(holder, str(root), MOUNT, command)
    assert other.stdout and other.stdout.readline() == b"True\n"
    locks = disk.executor.locks()
    assert not locks.take(command)
    assert locks.take(new_command_id())
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdout.close()
    assert locks.take(command)
    locks.close()


def killable(disk: Bench, step: Step, onto: bool) -> Task:
    """A step that ends with `new` at `file`, or deletes `old` there. Whatever it replaces is `old`."""
    match step:
        case Step.CREATE:
            return disk.create(b"file", b"new")
        case Step.REPLACE:
            return disk.replace(b"file", b"new", disk.has(b"file", b"old"))
        case Step.DELETE:
            return disk.delete(b"file", disk.has(b"file", b"old"))
        case Step.MOVE:
            disk.has(b"folder", None)
            replaced = disk.has(b"file", b"old") if onto else None
            return disk.move(b"folder/from", b"file", disk.has(b"folder/from", b"new"), replaced)
        case Step.RESTORE:
            place, known = disk.deleted(b"gone", b"new")
            return disk.restore(place, b"file", known)


POINTS = ["apply.act=kill", "apply.acted=kill"]


KILLS = [(step, False, point) for step in Step for point in POINTS]


KILLS += [(Step.MOVE, True, f"{point}@{rename}") for rename in (1, 2) for point in POINTS]


@pytest.mark.parametrize(("step", "onto", "fault"), KILLS)
def test_a_step_whose_process_was_killed_is_taken_once(
    disk: Bench, root: Path, step: Step, onto: bool, fault: str
) -> None:
    task = killable(disk, step, onto)
    script = """
import pickle
from activities.executors.local.executor import LocalExecutor
root, mount, task = sys.argv[1:]
LocalExecutor(root, mount).act(pickle.loads(bytes.fromhex(task)))
"""
    died = python(script, str(root), MOUNT, pickle.dumps(task).hex(), FILESTORE_FAULT=fault)
    died.communicate()
    assert died.returncode == -signal.SIGKILL
    assert not onto or disk.outside.read(b"file") is not None
    result = disk.executor.act(replace(task, attempt=2))
    acted = fault not in ("apply.act=kill", "apply.act=kill@1")
    assert isinstance(result, Done) and result.recognised is acted and result.drift is None
    disk.executor.flush([task])
    disk.executor.finish(task, True)
    assert disk.outside.read(b"file") == (None if step is Step.DELETE else b"new")
    old = step in (Step.REPLACE, Step.DELETE) or onto
    assert list(disk.outside.trash().values()) == ([b"old"] if old else [])
    assert disk.outside.stages() == {} and disk.outside.read(b"folder/from") is None


def test_no_descriptor_is_left_open(disk: Bench, root: Path, when: When) -> None:
    (root / "link").symlink_to("nowhere")
    for path, content in ((b"tree", None), (b"tree/below", None), (b"tree/below/file", b"x"), (b"tree/file", b"y")):
        disk.has(path, content)
    disk.executor.check()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for n in range(50):
        created = disk.has(b"file%d" % n, b"x")
        disk.done(disk.delete(b"file%d" % n, created))
        disk.executor.act(disk.create(b"link/x", b"x"))
        disk.executor.act(disk.create(b"no/parent", None))
        moved, replaced = disk.has(b"from", b"x"), disk.has(b"to", b"y")
        disk.done(onto := disk.move(b"from", b"to", moved, replaced))
        disk.executor.act(disk.restore(onto.trash or "", b"no/parent", replaced))
        disk.executor.act(disk.restore(b"no/where", b"x", replaced))
        disk.executor.reverse(onto)
        stage = new_command_id()
        list(disk.executor.stage_copy(stage, [*disk.sources(b"tree")]))
        disk.executor.discard_stage(stage, None)
        half = disk.executor.stage_copy(stage, disk.sources(b"tree"))
        next(half)
        half.close()  # type: ignore[attr-defined]
        disk.outside.remove(b"from")
        disk.outside.remove(b"to")
        when("apply.act", offline)
        with pytest.raises(MountOffline):
            disk.executor.act(disk.create(b"interrupted", b"x"))
        abandoned = disk.executor.walk()
        next(abandoned)
        abandoned.close()  # type: ignore[attr-defined]
        read_or_refused(disk, b"file0")
        with pytest.raises(FileExistsError):
            disk.executor.open_stage(CommandId(next(iter(disk.outside.stages()))))
        disk.executor.locks().close()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_stage_streams_more_than_memory_should_hold(disk: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr(syscalls, "sync_file_range", lambda descriptor, offset=0, length=0: started.append(offset))
    writer = disk.executor.open_stage(new_command_id())
    for _ in range(24):
        writer.write(bytes(1 << 20))
    stage = writer.close()
    assert stage.identity.size == 24 << 20
    assert started[:3] == [0, 8 << 20, 16 << 20]


def test_a_disk_that_reads_and_writes_in_small_pieces_is_read_and_written_whole(
    disk: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pread, os.write
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: read(fd, min(length, 3), offset))
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
    disk.has(b"file", b"more than three bytes")
    content = disk.executor.open(NodePath(b"file"))
    assert content.read(5, 10) == b"than three"
    assert content.read(5, 99) == b"than three bytes"
    content.close()


def test_the_names_of_system_calls_are_in_the_manual() -> None:
    text = Path(syscalls.__file__).read_text()
    assert set(re.findall(r"\"\"\"(\w+)\(2\)", text)) >= {"openat2", "renameat2", "statx", "fcntl", "sync_file_range"}


def backed_up(path: Path) -> None:
    os.link(path, path.with_name("backup"))


def noted(path: Path) -> None:
    os.setxattr(path, "user.note", b"seen")


def made_private(path: Path) -> None:
    path.chmod(0o600)


def hidden_edit(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"OLD")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def steps_on(disk: Bench, known: Identity, other: Identity) -> dict[str, Task]:
    old = hashlib.sha256(b"old").digest()
    tasks = {
        "replace": disk.replace(b"file", b"new", known), "delete": disk.delete(b"file", known),
        "move": disk.move(b"file", b"name", known), "onto": disk.move(b"file", b"other", known, replaced=other),
    }  # fmt: skip
    tasks["replaced"] = disk.move(b"other", b"file", other, replaced=known)
    tasks = {name: replace(task, expected_sha256=old, replaced_sha256=old) for name, task in tasks.items()}
    return tasks


@pytest.mark.parametrize("step", ["replace", "delete", "move", "onto", "replaced"])
@pytest.mark.parametrize("change", [backed_up, noted, made_private])
def test_what_changes_no_content_does_not_freeze_a_file(
    disk: Bench, root: Path, step: str, change: Callable[[Path], None]
) -> None:
    task = steps_on(disk, disk.has(b"file", b"old"), disk.has(b"other", b"old"))[step]
    try:
        change(root / "file")
    except OSError as error:
        pytest.skip(f"not on this file system: {error}")
    disk.done(task)


@pytest.mark.parametrize("step", ["replace", "delete", "move", "onto", "replaced"])
def test_an_edit_behind_the_old_times_is_found_by_its_content(disk: Bench, root: Path, step: str) -> None:
    task = steps_on(disk, disk.has(b"file", b"old"), disk.has(b"other", b"old"))[step]
    hidden_edit(root / "file")
    assert refused(disk.executor.act(task)) == "VERSION_CONFLICT"
    assert (root / "file").read_bytes() == b"OLD" and (root / "other").read_bytes() == b"old"


def test_a_file_with_another_mode_is_copied(disk: Bench, root: Path) -> None:
    disk.has(b"file", b"old")
    (source,) = disk.sources(b"file")
    source = replace(source, sha256=hashlib.sha256(b"old").digest())
    made_private(root / "file")
    disk.done(disk.copy([source], b"copy"))
    assert (root / "copy").read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to other groups needs root")
def test_a_folder_with_a_group_of_its_own_gives_it_to_what_is_put_there(disk: Bench, root: Path) -> None:
    disk.has(b"team", None)
    os.chown(root / "team", -1, 4711)
    (root / "team").chmod(0o2775)
    disk.has(b"team/file", b"old")
    disk.has(b"team/sub", None)
    disk.has(b"team/sub/deep", b"x")
    known = next(entry.identity for entry in disk.executor.walk() if entry.path.raw == b"team/file")
    disk.done(disk.replace(b"team/file", b"new", known))
    disk.has(b"tree", None)
    disk.has(b"tree/in", b"x")
    disk.done(disk.copy(disk.sources(b"tree"), b"team/copy"))
    below = ["file", "sub", "sub/deep", "copy", "copy/in"]
    assert {name: (root / "team" / name).stat().st_gid for name in below} == dict.fromkeys(below, 4711)
    for name in ("sub", "copy"):
        assert (root / "team" / name).stat().st_mode & stat.S_ISGID
    disk.has(b"elsewhere", b"x")
    assert (root / "elsewhere").stat().st_gid == os.getegid()
