"""Start a process that cannot outlive us."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOG_BYTES_MAX = 20 * 1024 * 1024

# Looked up before any fork: the child must not load libraries.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


@dataclass(frozen=True)
class Process:
    """What to run and how to end it."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    log: Path | None  # None: it shares our own output
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    # Clears what a killed predecessor left; called before every start.
    clear: Callable[[], None] = lambda: None
    stop_signal: signal.Signals = signal.SIGTERM
    # What the kernel sends it when we are gone. No process waits for a clean end then, so it is what surely ends it.
    orphan_signal: signal.Signals = signal.SIGKILL
    grace_s: float = 10


def spawn(process: Process) -> "subprocess.Popen[bytes]":
    """Starts it in a session of its own: a Ctrl-C reaches us only, and we choose the order of the end."""
    parent = os.getpid()

    def before_exec() -> None:
        _prctl(PR_SET_PDEATHSIG, int(process.orphan_signal))
        if os.getppid() != parent:  # we died before the line above could count
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor blocks signals, its children must not

    output = None if process.log is None else _open_log(process.log)
    try:
        return subprocess.Popen(
            process.argv,
            cwd=process.cwd,
            env=process.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=before_exec,  # safe: the supervisor has one thread
        )
    finally:
        if output is not None:
            os.close(output)


def adopt_orphans() -> None:
    """Makes us the parent of our children's orphans, so that we can reap them where no init does."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_session(pid: int) -> None:
    """Ends what a dead child left in its process group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def process_state(pid: int) -> str:
    """One letter, as proc(5) has it; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def last_lines(log: Path, count: int) -> list[str]:
    try:
        text = log.read_bytes()[-64 * 1024 :].decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-count:]


def _open_log(log: Path) -> int:
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        os.replace(log, log.with_suffix(".log.1"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
