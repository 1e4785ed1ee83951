"""Which disk it is, and what happens when it is away."""

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from activities.executors.local.executor import LocalExecutor
from schema.errors import InvalidRequest, MountOffline
from schema.paths import NodePath
from tests.executors.conftest import MOUNT, Bench


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
