"""Trouble with the disk: flushes, refusals, full, read-only, unmounted."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from activities.executors import syscalls
from activities.executors.contract.stage import Draft, Stage
from schema.ids import new_command_id
from tests.executors.conftest import Bench, refused
from tests.executors.local_disk.helpers import PROJECT


def test_a_failed_flush_is_never_repeated_and_trusted(disk: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    task = disk.create(b"file", b"x")
    disk.executor.act(task)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "lost")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="lost"):
            disk.executor.flush([task])
    with pytest.raises(OSError, match="an earlier flush failed"):
        disk.executor.flush([task])


def test_a_stage_whose_flush_failed_is_gone(disk: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = disk.executor.open_stage(new_command_id())
    writer.write(b"x")
    real = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "lost")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="lost"):
        writer.close()
    answers = disk.executor.seal([Draft(new_command_id(), b"x"), Draft(new_command_id(), None)])
    assert [type(answer) for answer in answers] == [OSError, Stage]
    assert len(disk.outside.stages()) == 1


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "STORAGE_FULL"),
        (errno.EDQUOT, "STORAGE_FULL"),
        (errno.EROFS, "MOUNT_READ_ONLY"),
        (errno.EACCES, "FORBIDDEN"),
        (errno.EPERM, "FORBIDDEN"),
        (errno.EXDEV, "NOT_SUPPORTED"),
        (errno.EBUSY, "NOT_SUPPORTED"),
    ],
)
def test_a_rename_the_disk_refuses_is_refused(
    disk: Bench, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    known = disk.has(b"file", b"old")
    place, gone = disk.deleted(b"gone", b"x")
    tasks = [disk.create(b"new", b"x"), disk.replace(b"file", b"new", known), disk.delete(b"file", known)]
    tasks += [disk.move(b"file", b"name", known), disk.restore(place, b"name", gone)]

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("activities.executors.local.steps.ends.renameat2", fail)
    assert [refused(disk.executor.act(task)) for task in tasks] == [code] * 5


def test_what_we_do_not_understand_stays_an_error(disk: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    task = disk.create(b"file", b"x")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("activities.executors.local.steps.ends.renameat2", fail)
    with pytest.raises(OSError, match="input/output error"):
        disk.executor.act(task)


def test_a_name_that_never_holds_still_is_busy(disk: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    task = disk.create(b"file", b"x")

    def fail(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "gone")

    monkeypatch.setattr("activities.executors.local.steps.ends.renameat2", fail)
    assert refused(disk.executor.act(task)) == "PATH_BUSY"


def test_a_folder_that_was_moved_before_the_flush_is_flushed_all_the_same(
    disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.has(b"folder", None)
    task = disk.create(b"folder/file", b"x")
    disk.executor.act(task)
    (root / "folder").rename(root / "elsewhere")
    flushed: list[int] = []
    monkeypatch.setattr(syscalls, "syncfs", flushed.append)
    disk.executor.flush([task])
    assert len(flushed) == 1


SMALL_DISK = """
import os, sys
sys.path.insert(0, {project!r})
from activities.executors.contract.stage import Draft, Stage
from activities.executors.contract.task import Done, Step, Task
from activities.executors.local.executor import LocalExecutor
from schema.errors import *
from schema.ids import new_command_id
from schema.paths import NodePath

def create(executor, path):
    (stage,) = executor.seal([Draft(new_command_id(), b"x")])
    return Task(stage.id, Step.CREATE, NodePath(path), stage.id, stage.identity)

def raised(do, *args):
    try:
        do(*args)
    except Exception as error:
        return type(error).__name__

root = {root!r}
executor = LocalExecutor.register(root, "small")
"""


FULL = """
executor.act(create(executor, b"file"))
writer = executor.open_stage(new_command_id())
assert raised(writer.write, bytes(2 << 20)) == "StorageFull"
writer.abort()
small, large, folder = (Draft(new_command_id(), content) for content in (b"small", bytes(2 << 20), None))
answers = executor.seal([small, large, folder])
assert [type(answer).__name__ for answer in answers] == ["Stage", "StorageFull", "Stage"], answers
assert sorted(id for id, _ in executor.stages()) == sorted([small.id, folder.id])
many = executor.seal([Draft(new_command_id(), None) for _ in range(100)])
assert type(many[-1]).__name__ == "StorageFull", many[-1]
assert open(root + "/file").read() == "x"
"""


NO_INODES = """
def names():
    return sorted(entry.path.raw for entry in executor.walk())
def fill():
    number = 0
    try:
        while True:
            os.mkdir(root + "/.filestore/filler%d" % number)
            number += 1
    except OSError:
        return number
known = {}
for path in (b"file", b"other", b"third"):
    known[path] = executor.act(create(executor, path)).identity
executor.make_day("2026-01-02")
filled = fill()
today, missing = "2026-01-02/", "2026-01-03/"
def new(step, path, day, **more):
    return Task(new_command_id(), step, NodePath(path), expected=known[path], trash=day + "c.0", **more)
onto = dict(target=NodePath(b"other"), replaced=known[b"other"])
tasks = [new(Step.DELETE, b"file", missing), new(Step.MOVE, b"file", missing, **onto)]
for task in tasks:
    result = executor.act(task)
    assert result.code == "STORAGE_FULL" and "free some space" in result.message, result
    executor.flush([task])
    executor.act(replace(task, attempt=2)).code == "STORAGE_FULL"
executor.flush([*tasks, new(Step.DELETE, b"third", today)])
assert names() == [b"file", b"other", b"third"]
assert raised(executor.make_day, "2026-01-03") == "StorageFull"
assert isinstance(executor.act(gone := new(Step.DELETE, b"third", today)), Done)
executor.flush([gone])
assert names() == [b"file", b"other"]
for number in range(filled):
    os.rmdir(root + "/.filestore/filler%d" % number)
for task in (tasks[1], ):
    assert isinstance(executor.act(replace(task, attempt=2)), Done)
    executor.flush([task])
assert names() == [b"other"]
"""


READ_ONLY = """
done = create(executor, b"done")
executor.act(done)
task = create(executor, b"file")
known = executor.act(done := replace(done, attempt=2)).identity
assert os.system("mount -o remount,ro " + root) == 0
assert executor.act(task).code == "MOUNT_READ_ONLY"
assert executor.act(done).recognised
assert executor.act(Task("c", Step.DELETE, NodePath(b"done"), expected=known, trash="d/c.0")).code == "MOUNT_READ_ONLY"
assert raised(executor.open_stage, new_command_id()) == "MountReadOnly"
assert type(executor.seal([Draft(new_command_id(), None)])[0]).__name__ == "MountReadOnly"
assert raised(executor.finish, task, False) == "MountReadOnly"
assert raised(LocalExecutor.register, root, "small") in (None, "MountReadOnly")
executor.check()
assert [entry.path.raw for entry in executor.walk()] == [b"done"]
"""


UNMOUNTED = """
executor.act(create(executor, b"file"))
inner = root + "/inner"
os.mkdir(inner)
assert os.system("mount -t tmpfs tmpfs " + inner) == 0
assert executor.act(create(executor, b"inner/file")).code == "NOT_SUPPORTED"
(folder,) = [entry.identity for entry in executor.walk() if entry.path.raw == b"inner"]
assert folder.device != 0
assert executor.act(Task("c", Step.DELETE, NodePath(b"inner"), expected=folder, trash="d/c.0")).code == "NOT_SUPPORTED"
assert os.system("umount " + inner) == 0
before = {entry.path.raw: entry.identity for entry in executor.walk()}
assert os.system("mount -t tmpfs tmpfs " + root) == 0
assert raised(executor.check) == raised(executor.find_stage, new_command_id()) == "MountOffline"
assert raised(lambda: list(executor.walk())) == "MountOffline"
assert os.system("umount " + root) == 0
executor.check()
assert {entry.path.raw: entry.identity for entry in executor.walk()} == before
assert os.system("umount -l " + root) == 0
assert raised(executor.check) == "MountOffline"
"""


@pytest.mark.parametrize(
    "story", [FULL, NO_INODES, READ_ONLY, UNMOUNTED], ids=["full", "no-inodes", "read-only", "unmounted"]
)
def test_on_a_small_disk_of_its_own(tmp_path: Path, story: str) -> None:
    """A tmpfs in a mount namespace of its own: it needs no privileges, and is gone with the process."""
    small = tmp_path / "small"
    small.mkdir()
    script = SMALL_DISK.format(project=str(PROJECT), root=str(small)) + "from dataclasses import replace\n" + story
    mounting = f"mount -t tmpfs -o size=1m,nr_inodes=64 tmpfs '{small}' && exec {sys.executable} -c \"$STORY\""
    namespace = [shutil.which("unshare") or "unshare", "-Urm"]
    try:
        subprocess.run([*namespace, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no user namespaces here: {error}")
    done = subprocess.run([*namespace, "sh", "-c", mounting], env={**os.environ, "STORY": script}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
