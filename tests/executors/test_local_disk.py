"""What only a disk does: links, pipes, missing and foreign disks, a full one, dead processes, descriptors."""

import errno
import gc
import hashlib
import itertools
import json
import os
import pickle
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from activities.executors import syscalls
from activities.executors.base import Done, Draft, Identity, Stage, Step, Task, Unclear
from activities.executors.local.executor import LocalExecutor
from schema.errors import InvalidRequest, MountOffline, NodeNotFound, NotADirectory
from schema.ids import CommandId, new_command_id
from schema.paths import NodePath
from tests.executors.conftest import DAY, MOUNT, Bench, OutsideDisk, When, refused

PROJECT = Path(__file__).parents[2]


@pytest.fixture(params=["openat2", "ENOSYS", "EPERM"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel with openat2, one without it, and a container profile that forbids it."""
    how: str = request.param
    if how != "openat2":

        def refuse(folder: int, path: bytes, flags: int) -> int:
            raise OSError(getattr(errno, how), "no openat2 here")

        monkeypatch.setattr(syscalls, "openat2", refuse)
    return how


# -- names that lead elsewhere -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["inside", "../outside", "/", ".", "..", "nowhere", "link"])
def test_a_link_is_never_followed(disk: Bench, root: Path, kernel: str, target: str) -> None:
    (root / "inside").mkdir()
    (root.parent / "outside").mkdir()
    known = disk.has(b"inside/file", b"old")
    (root.parent / "outside" / "file").write_bytes(b"secret")
    (root / "link").symlink_to(target)
    assert refused(disk.executor.act(disk.create(b"link/new", b"x"))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.create(b"link/below/new", b"x"))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.replace(b"link/file", b"x", known))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.delete(b"link/file", known))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.move(b"link/file", b"moved", known))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.move(b"inside/file", b"link/moved", known))) == "NOT_A_DIRECTORY"
    (root / ".filestore" / "trash" / "link").symlink_to(root / "inside")
    assert refused(disk.executor.act(disk.restore(b"link/file", b"back", known))) == "CONTENT_EXPIRED"
    (root / ".filestore" / "trash" / "link").unlink()
    with pytest.raises(NodeNotFound):
        disk.executor.open(NodePath(b"link/file"))
    with pytest.raises(NotADirectory):
        disk.executor.open(NodePath(b"link"))
    assert {entry.path.raw for entry in disk.executor.walk()} == {b"inside", b"inside/file", b"link"}
    assert (root / "inside" / "file").read_bytes() == b"old"


def test_a_link_can_be_deleted_as_what_it_is(disk: Bench, root: Path) -> None:
    (root / "file").write_bytes(b"content")
    (root / "link").symlink_to("file")
    entries = {entry.path.raw: entry for entry in disk.executor.walk()}
    assert entries[b"link"].kind == "symlink"
    disk.done(disk.delete(b"link", entries[b"link"].identity))
    assert (root / "file").read_bytes() == b"content"
    assert not (root / "link").is_symlink()


def test_deep_paths_work_without_openat2(disk: Bench, kernel: str) -> None:
    path = b""
    for depth in range(40):
        path = path + b"/deeper %d" % depth if path else b"top"
        disk.has(path, None)
    disk.has(path + b"/file", b"deep")
    content = disk.executor.open(NodePath(path + b"/file"))
    assert content.read(0, 9) == b"deep"
    content.close()


def test_a_tree_deeper_than_any_path_is_walked_to_its_end(disk: Bench, root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(b"d" * 200, dir_fd=here)
        here, before = os.open(b"d" * 200, os.O_RDONLY, dir_fd=here), here
        os.close(before)
    os.close(here)
    assert max(len(entry.path.raw) for entry in disk.executor.walk()) == 30 * 201 - 1
    subprocess.run(["rm", "-rf", root / ("d" * 200)], check=True)


def test_no_step_escapes_while_a_folder_and_a_link_are_swapped(disk: Bench, root: Path, kernel: str) -> None:
    secret = root.parent / "secret"
    secret.mkdir()
    (secret / "file").write_bytes(b"SECRET")
    disk.has(b"folder", None)
    disk.has(b"folder/file", b"ours")
    (root / "link").symlink_to(secret)
    home = os.open(root, os.O_RDONLY)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            syscalls.renameat2(home, b"folder", home, b"link", syscalls.RENAME_EXCHANGE)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen: set[bytes] = set()
    try:
        end = time.monotonic() + (2.5 if kernel == "openat2" else 0.7)
        for _ in itertools.takewhile(lambda _: time.monotonic() < end, range(20_000)):
            seen.add(read_or_refused(disk, b"folder/file"))
        for n in range(300):
            stage = disk.executor.seal([Draft(new_command_id(), None)])[0]
            assert isinstance(stage, Stage)
            disk.executor.act(Task(stage.id, Step.CREATE, NodePath(b"folder/%d" % n), stage.id, stage.identity))
    finally:
        stop.set()
        swapping.join()
        os.close(home)
    assert seen == {b"ours", b"refused"}
    assert [file.name for file in secret.iterdir()] == ["file"]


def read_or_refused(disk: Bench, path: bytes) -> bytes:
    try:
        content = disk.executor.open(NodePath(path))
    except NodeNotFound:
        return b"refused"
    try:
        return content.read(0, 99)
    finally:
        content.close()


def test_a_pipe_is_told_and_never_opened(disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "pipe")
    (entry,) = disk.executor.walk()
    assert entry.kind == "special"
    opened: list[object] = []
    real = os.open

    def watched(path: bytes, *rest: int, **more: int) -> int:
        opened.append(path)
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", watched)
    with pytest.raises(NotADirectory):
        disk.executor.open(NodePath(b"pipe"))
    assert b"pipe" not in opened
    disk.done(disk.delete(b"pipe", entry.identity))


def test_a_file_swapped_for_a_pipe_while_it_is_opened_does_not_hang(
    disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.has(b"file", b"x")
    real = os.open

    def swapping(path: bytes, *rest: int, **more: int) -> int:
        if path == b"file":
            (root / "file").unlink()
            os.mkfifo(root / "file")
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(NotADirectory):
        disk.executor.open(NodePath(b"file"))


# -- identities --------------------------------------------------------------------------------------------------------


def test_an_identity_agrees_with_stat_and_fits_a_bigint(disk: Bench, root: Path) -> None:
    found = disk.has(b"file", b"12345")
    told = (root / "file").stat()
    expected = (told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_mode, told.st_nlink)
    assert (found.inode, found.size, found.mtime, found.ctime, found.mode, found.links) == expected
    assert found.device == 0
    assert abs(found.birth - time.time_ns()) < 60_000_000_000


def test_inodes_beyond_63_bits_are_told_as_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    def statx(folder: int, name: bytes, flags: int, mask: int, buffer: bytearray) -> int:
        syscalls._STATX.pack_into(buffer, 0, 0xFFF, 1, 0o100644, -2, 5, 1, 2, 3, 4, 5, 6, 8, 1)
        return 0

    monkeypatch.setattr(syscalls, "_statx", statx)
    found = syscalls.identity(0, b"any")
    times = (1_000_000_002, 5_000_000_006, 3_000_000_004)
    assert found == Identity(os.makedev(8, 1), -2, times[0], 5, times[1], times[2], False, 0o100644, 1)


def test_the_root_has_an_identity_too(root: Path) -> None:
    found = LocalExecutor(str(root), MOUNT).root_identity()
    assert (found.device, found.inode, found.directory) == (0, root.stat().st_ino, True)


def test_modes_do_not_depend_on_the_umask(disk: Bench) -> None:
    before = os.umask(0o077)
    try:
        file, folder = disk.has(b"file", b"x"), disk.has(b"folder", None)
    finally:
        os.umask(before)
    assert (stat.S_IMODE(file.mode), stat.S_IMODE(folder.mode)) == (0o644, 0o755)


def test_a_write_that_hides_behind_the_old_times_is_seen_before_the_first_attempt(disk: Bench, root: Path) -> None:
    task = disk.replace(b"file", b"new", disk.has(b"file", b"old"))
    before = (root / "file").stat()
    disk.outside.edit(b"file", b"OLD")
    os.utime(root / "file", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert refused(disk.executor.act(task)) == "VERSION_CONFLICT"
    assert (root / "file").read_bytes() == b"OLD"


# -- which disk it is --------------------------------------------------------------------------------------------------


def test_a_registered_root_is_that_mount_for_ever(root: Path) -> None:
    assert json.loads((root / ".filestore" / "mount.json").read_text()) == {"mount": MOUNT}
    shutil.rmtree(root / ".filestore" / "trash")
    LocalExecutor.register(str(root), MOUNT).check()
    with pytest.raises(InvalidRequest, match="another mount"):
        LocalExecutor.register(str(root), "another")
    assert {path.name for path in (root / ".filestore").iterdir()} == {"lock", "mount.json", "stage", "trash"}


def test_roots_that_can_not_be_mounts_are_refused(root: Path, tmp_path: Path) -> None:
    (root / "deep" / "inside").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".filestore").symlink_to(root / ".filestore")
    (tmp_path / "shortcut").symlink_to(root / "deep")
    for path in (root / "deep" / "inside", tmp_path / "shortcut" / "inside", root / ".filestore" / "stage"):
        with pytest.raises(InvalidRequest, match="inside of another mount"):
            LocalExecutor.register(str(path), "other")
    for nowhere in ("", "relative"):
        with pytest.raises(InvalidRequest, match="absolute"):
            LocalExecutor.register(nowhere, "other")
    for path in (tmp_path / "nothing", tmp_path / "file", tmp_path / "linked"):
        with pytest.raises(InvalidRequest):
            LocalExecutor.register(str(path), "other")


def test_a_file_system_without_exchange_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def renameat2(*_: object) -> None:
        raise OSError(errno.EINVAL, "as on NFS")

    monkeypatch.setattr("activities.executors.local.registration.renameat2", renameat2)
    with pytest.raises(InvalidRequest, match="exchange"):
        LocalExecutor.register(str(tmp_path), MOUNT)


def test_of_two_who_register_at_once_one_wins(tmp_path: Path) -> None:
    for n in range(20):
        root = tmp_path / str(n)
        root.mkdir()
        errors: list[Exception] = []

        def register(root: str, mount: str, errors: list[Exception]) -> None:
            try:
                LocalExecutor.register(root, mount)
            except InvalidRequest as error:
                errors.append(error)

        threads = [threading.Thread(target=register, args=(str(root), f"mount {i}", errors)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(errors) == 2


Vanish = Callable[[Path], Callable[[], object]]


def renamed_away(root: Path) -> Callable[[], object]:
    away = root.with_name("away")
    root.rename(away)
    return lambda: away.rename(root)


def an_empty_folder_instead(root: Path) -> Callable[[], object]:
    away = root.with_name("away")
    root.rename(away)
    root.mkdir()

    def come_back() -> None:
        root.rmdir()
        away.rename(root)

    return come_back


def another_mount_instead(root: Path) -> Callable[[], object]:
    away = root.with_name("away")
    root.rename(away)
    root.mkdir()
    LocalExecutor.register(str(root), "another")

    def come_back() -> None:
        shutil.rmtree(root)
        away.rename(root)

    return come_back


def the_sentinel_is_gone(root: Path) -> Callable[[], object]:
    sentinel = root / ".filestore" / "mount.json"
    away = sentinel.with_name("away")
    sentinel.rename(away)
    return lambda: away.rename(sentinel)


def the_sentinel_is_torn(root: Path) -> Callable[[], object]:
    sentinel = root / ".filestore" / "mount.json"
    before = sentinel.read_bytes()
    sentinel.write_bytes(before[:5])
    return lambda: sentinel.write_bytes(before)


def everything_of_ours_is_gone(root: Path) -> Callable[[], object]:
    away = root / "moved"
    (root / ".filestore").rename(away)
    return lambda: away.rename(root / ".filestore")


def the_stage_folder_is_another(root: Path) -> Callable[[], object]:
    stage = root / ".filestore" / "stage"
    stage.rename(stage.with_name("away"))
    return lambda: stage.with_name("away").rename(stage)


WAYS = [
    renamed_away,
    an_empty_folder_instead,
    another_mount_instead,
    the_sentinel_is_gone,
    the_sentinel_is_torn,
    everything_of_ours_is_gone,
    the_stage_folder_is_another,
]


@pytest.mark.parametrize("vanish", WAYS)
@pytest.mark.parametrize("checked", ["opened before", "opened now"])
def test_a_disk_that_is_not_there_is_offline_and_heals(root: Path, vanish: Vanish, checked: str) -> None:
    executor = LocalExecutor(str(root), MOUNT)
    if checked == "opened before":
        executor.check()
    come_back = vanish(root)
    for _ in range(2):
        with pytest.raises(MountOffline):
            executor.check()
    come_back()
    executor.check()
    assert list(executor.walk()) == []


@pytest.mark.parametrize("vanish", [way for way in WAYS if way is not the_sentinel_is_torn])
def test_nothing_is_called_missing_on_a_disk_that_is_not_there(disk: Bench, root: Path, vanish: Vanish) -> None:
    known = disk.has(b"file", b"content")
    disk.has(b"folder", None)
    created = disk.create(b"folder/new", b"x")
    disk.executor.act(created)
    deleted = disk.delete(b"file", known)
    os.rename(root / "file", root.parent / "file")
    come_back = vanish(root)
    asks: list[Callable[[], object]] = [
        lambda: disk.executor.act(replace(created, attempt=2)),
        lambda: disk.executor.act(deleted),
        lambda: disk.executor.find_stage(created.command),
        lambda: disk.executor.open(NodePath(b"file")),
        lambda: list(disk.executor.walk()),
        lambda: list(disk.executor.stages()),
    ]
    for ask in asks:
        with pytest.raises(MountOffline):
            ask()
    come_back()
    assert disk.executor.find_stage(created.command) is None


def offline() -> None:
    raise MountOffline


def test_threads_that_open_a_mount_at_once_share_it(root: Path) -> None:
    (root / "file").write_bytes(b"x")
    for _ in range(30):
        executor = LocalExecutor(str(root), MOUNT)
        with ThreadPoolExecutor(8) as pool:
            walks = [pool.submit(lambda walk: list(walk()), executor.walk) for _ in range(8)]
        assert [len(walk.result()) for walk in walks] == [1] * 8


def test_a_walk_during_which_the_disk_goes_away_does_not_end_well(disk: Bench, root: Path) -> None:
    for name in (b"a", b"b"):
        disk.has(name, None)
    walk = disk.executor.walk()
    next(walk)
    renamed_away(root)
    with pytest.raises(MountOffline):
        list(walk)


def test_the_disk_is_let_go_when_it_is_offline(disk: Bench, root: Path) -> None:
    disk.executor.check()
    renamed_away(root)
    with pytest.raises(MountOffline):
        disk.executor.check()
    links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd_is_open(fd)]
    assert not [link for link in links if str(root.parent) in link]


def fd_is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


# -- what survives a power cut -----------------------------------------------------------------------------------------


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


# -- trouble with the disk ---------------------------------------------------------------------------------------------


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
from activities.executors.base import *
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


# -- processes ---------------------------------------------------------------------------------------------------------


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
root, mount, told = sys.argv[1:]
LocalExecutor(root, mount).act(pickle.loads(bytes.fromhex(told)))
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


# -- descriptors -------------------------------------------------------------------------------------------------------


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


@pytest.fixture(autouse=True)
def no_stranger_leaks(disk: Bench) -> Iterator[None]:
    yield
    reserved = Path(os.fsdecode(disk.outside.at(b".filestore"))) if isinstance(disk.outside, OutsideDisk) else None
    if reserved and reserved.is_dir():
        assert not list(reserved.glob("probe.*")) + list(reserved.glob("mount.json.*"))
        assert {day.name for day in (reserved / "trash").glob("*")} <= {DAY, "kept"}


# -- what changes no content, and groups -------------------------------------------------------------------------------


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
