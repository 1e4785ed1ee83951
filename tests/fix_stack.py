"""`stack`: Postgres, Redis and Temporal for the whole run, started by the project's own development stack."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Stack:
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        lines = (self.folder / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def pid(self, name: str) -> int | None:
        """As the supervisor says now; None while it is being restarted."""
        for line in (self.folder / "pids").read_text().splitlines():
            part, pid = line.split()
            if part == name:
                return int(pid)
        return None

    def kill(self, name: str) -> None:
        """SIGKILL; the supervisor will notice and start it again."""
        pid = self.pid(name)
        assert pid is not None, f"{name} is not running"
        os.kill(pid, signal.SIGKILL)

    def wait_restarted(self, name: str, old: int | None, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.pid(name) not in (None, old):
                return
            time.sleep(0.05)
        raise AssertionError(f"{name} was not restarted within {seconds} s")


def dev(*arguments: str) -> None:
    command = [sys.executable, "deploy/dev.py", *arguments]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=900, check=False)
    if result.returncode:
        raise AssertionError(f"{' '.join(arguments)} failed:\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    dev(
        "up",
        "--background",
        "--dir",
        str(folder),
        "--only",
        "postgres,redis,nats,temporal",
        "--with-pid",
        str(os.getpid()),
    )
    running = Stack(folder)
    os.environ.update(running.env)
    yield running
    if os.environ.get("RECORD_HISTORIES"):
        subprocess.run([sys.executable, "-m", "tests.workflows.record"], cwd=REPOSITORY, check=True)
    dev("stop", "--dir", str(folder))
