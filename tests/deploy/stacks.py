"""What the tests of the stack share: a second stack by its commands, and what runs of it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SERVERS = ("postgres", "redis", "nats")


def ran_dev(*words: str) -> "subprocess.CompletedProcess[str]":
    """`deploy/dev.py` to its end, whatever that is."""
    argv = [sys.executable, str(REPOSITORY / "deploy" / "dev.py"), *words]
    # Without the variables of a stack around us: each would replace one of our servers.
    foreign = ("FILESTORE_", "REDIS_", "NATS_", "TEMPORAL_", "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign) or name == "TEMPORAL_CLI"}
    return subprocess.run(argv, env=kept, capture_output=True, text=True, timeout=300)


def dev(*words: str, check: bool = True) -> str:
    """What `deploy/dev.py` says."""
    ran = ran_dev(*words)
    assert ran.returncode == 0 or not check, ran.stdout + ran.stderr
    return ran.stdout


def up(folder: Path) -> str:
    return dev("up", "--background", "--dir", str(folder), "--only", ",".join(SERVERS))


def pids(folder: Path) -> dict[str, int]:
    pairs = (line.split() for line in (folder / "pids").read_text().splitlines())
    return {name: int(pid) for name, pid in pairs}


def sourced(folder: Path) -> dict[str, str]:
    """The variables as a shell gets them."""
    shown = subprocess.run(["sh", "-c", f"set -a; . '{folder}/env'; env"], env={}, capture_output=True, text=True)
    return dict(line.split("=", 1) for line in shown.stdout.splitlines())


def lives(pid: int) -> bool:
    """A zombie does not: it has ended, and waits for its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def processes_of(folder: Path) -> list[int]:
    """Everything that works inside the folder: servers and the children they made."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and Path(os.readlink(entry / "cwd")).is_relative_to(folder)
                and lives(int(entry.name))
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def eventually(true: Callable[[], object], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.05)
