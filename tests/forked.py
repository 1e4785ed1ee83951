"""Processes of the service without the seconds that Python takes to load them: one process loads the module and waits, and each
start is a fork of it. What `python -m` itself does is tested with the development stack (tests/deploy).

    python -m tests.forked workers.api

reads orders as lines of JSON: `{"env": {...}, "log": "a file"}` answers the id of a new process, `{"reap": id}` its exit code,
or null while it runs.
"""

import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from schema import faults


class ServiceProcess(Protocol):
    """The part of `subprocess.Popen` that tests use."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


def spawned(module: str, env: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """The same by the slow way."""
    with log.open("ab") as written:
        return subprocess.Popen([sys.executable, "-m", module], env=env, stdout=written, stderr=written)


class Loaded:
    """A process that has loaded one module of the service. It ends with this process."""

    def __init__(self, module: str, log: Path) -> None:
        self.module = module
        self._turn = threading.Lock()
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            )

    def start(self, env: Mapping[str, str], log: Path) -> "Forked":
        return Forked(int(self.ask({"env": dict(env), "log": str(log)})), self)

    def ask(self, order: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


class Forked:
    def __init__(self, pid: int, parent: Loaded) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._parent = parent

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._parent.ask({"reap": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None:
            handle = os.pidfd_open(self.pid)
            try:
                if not select.select([handle], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(self._parent.module, timeout or 0)
            finally:
                os.close(handle)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _reaped(pid: int) -> int | None:
    gone, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if gone else None


def _become(order: Mapping[str, Any]) -> None:
    """Streams and settings of a process of its own."""
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for handle, stream in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(handle, stream)
    os.close(nothing)
    os.close(log)
    os.environ.clear()
    os.environ.update(order["env"])
    faults.arm()


def main() -> int:
    module = importlib.import_module(sys.argv[1])
    gc.freeze()
    assert len(os.listdir("/proc/self/task")) == 1, "a fork would lose the other threads"
    for line in iter(sys.stdin.buffer.readline, b""):
        order = json.loads(line)
        if "reap" in order:
            answer = _reaped(order["reap"])
        elif not (answer := os.fork()):
            _become(order)
            del sys.argv[1:]
            return int(module.main())
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
