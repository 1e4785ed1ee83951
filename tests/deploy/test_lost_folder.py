"""A stack whose folder is removed, moved or replaced under it: it ends, and leaves the next one alone."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from tests.deploy.stacks import REPOSITORY, SERVERS, dev, eventually, lives, pids, processes_of, up

ENDS_WITHIN_S = 30


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "stack"
    yield place
    dev("stop", "--dir", str(place), check=False)


def remove(folder: Path) -> None:
    """As `rm -rf` asked until it has done it: the servers write meanwhile."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def words_of(folder: Path) -> TextIO:
    """The supervisor's log, readable after it has lost its name too."""
    return (folder / "logs" / "supervisor.log").open()


def test_a_stack_whose_folder_was_removed_says_so_and_ends(folder: Path) -> None:
    up(folder)
    before = pids(folder)
    with words_of(folder) as words:
        remove(folder)
        eventually(lambda: not any(lives(pid) for pid in before.values()), ENDS_WITHIN_S)
        assert f"{folder} was removed, moved or replaced: this stack has lost its folder and ends" in words.read()
    assert not folder.exists()


def test_the_next_stack_at_the_place_of_a_removed_one_keeps_all_its_processes(folder: Path) -> None:
    up(folder)
    before = pids(folder)
    with words_of(folder) as words:
        remove(folder)
        up(folder)
        after = pids(folder)
        eventually(lambda: not any(lives(pid) for pid in before.values()), ENDS_WITHIN_S)
        assert "has lost its folder" in words.read()
    assert set(after) == {"supervisor", *SERVERS} and pids(folder) == after
    assert all(lives(pid) for pid in after.values())
    assert "died" not in (folder / "logs" / "supervisor.log").read_text()
    assert "  ok  " in dev("status", "--dir", str(folder))


def test_a_folder_moved_away_and_another_moved_there_ends_the_first_stack_alone(folder: Path, tmp_path: Path) -> None:
    up(folder)
    first = pids(folder)
    kept = folder.rename(tmp_path / "kept")
    up(folder)
    second = pids(folder)
    eventually(lambda: not any(lives(pid) for pid in first.values()), ENDS_WITHIN_S)

    assert pids(folder) == second and all(lives(pid) for pid in second.values())
    assert processes_of(kept) == []
    up(kept)  # its data is whole, and has other ports while the second stack holds them
    dev("stop", "--dir", str(kept))


def test_a_server_that_dies_after_the_folder_went_is_not_started_in_the_new_one(folder: Path, tmp_path: Path) -> None:
    up(folder)
    first = pids(folder)
    os.kill(first["supervisor"], signal.SIGSTOP)
    try:
        folder.rename(tmp_path / "kept")
        up(folder)
        second = pids(folder)
        os.kill(first["postgres"], signal.SIGKILL)  # both are news to it when it goes on
    finally:
        os.kill(first["supervisor"], signal.SIGCONT)
    eventually(lambda: not any(lives(pid) for pid in first.values()), ENDS_WITHIN_S)
    assert pids(folder) == second and all(lives(pid) for pid in second.values())


def test_in_the_foreground_the_words_come_to_the_terminal_and_the_exit_code_is_1(folder: Path, tmp_path: Path) -> None:
    argv = [sys.executable, str(REPOSITORY / "deploy" / "dev.py"), "up", "--dir", str(folder), "--only", "redis"]
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            for line in running.stdout:
                if "the variables are in" in line:
                    break
            folder.rename(tmp_path / "kept")
            said, _ = running.communicate(timeout=ENDS_WITHIN_S)
        finally:
            with suppress(ProcessLookupError):
                running.terminate()
    assert "has lost its folder and ends" in said
    assert running.returncode == 1


def test_a_stack_that_belongs_to_a_process_ends_with_it(folder: Path) -> None:
    companion = subprocess.Popen(["sleep", "600"])
    dev("up", "--background", "--dir", str(folder), "--only", "redis", "--with-pid", str(companion.pid))
    running = pids(folder)
    assert set(running) == {"supervisor", "redis"} and all(lives(pid) for pid in running.values())
    companion.kill()
    companion.wait()
    eventually(lambda: not any(lives(pid) for pid in running.values()), ENDS_WITHIN_S)
    assert "the process that this stack belongs to has ended" in (folder / "logs" / "supervisor.log").read_text()
    said = dev(
        "up", "--background", "--dir", str(folder), "--only", "redis", "--with-pid", str(companion.pid), check=False
    )
    assert "has ended" in said and not processes_of(folder), "and does not begin without it"
