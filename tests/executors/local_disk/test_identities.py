"""Identities: of files, of the root."""

import os
import stat
import time
from pathlib import Path

import pytest

from activities.executors import syscalls
from activities.executors.contract.identity import Identity
from activities.executors.local.executor import LocalExecutor
from tests.executors.conftest import MOUNT, Bench, refused


def test_an_identity_agrees_with_stat_and_fits_a_bigint(disk: Bench, root: Path) -> None:
    found = disk.has(b"file", b"12345")
    status = (root / "file").stat()
    expected = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode, status.st_nlink)
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
