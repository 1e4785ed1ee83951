"""No step leaves the mount, however fast the folders on its way become links. (A million tries: `make test-slow`.)"""

import errno
import os
from pathlib import Path

import pytest

from activities.executors import syscalls
from tests.executors.conftest import Bench
from tests.executors.symlink_race import Race

KINDS = {"read", "move", "copy", "create", "delete", "restore", "onto"}


@pytest.mark.parametrize("kernel", ["openat2", "ENOSYS"])
def test_no_step_escapes_through_a_link(disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def refuse(folder: int, path: bytes, flags: int) -> int:
        raise OSError(errno.ENOSYS, "no openat2 here")

    if kernel != "openat2":
        monkeypatch.setattr(syscalls, "openat2", refuse)
    counts = Race(disk, root).run(5_000)
    assert {f"{kind} {how}" for kind in KINDS for how in ("done", "refused")} == set(counts), counts
