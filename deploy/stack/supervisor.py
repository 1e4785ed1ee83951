"""Keep processes running: notice every death, name it, start again, and end all of them in order.

One thread and one place to wait. All signals we care for are blocked and fetched by `sigtimedwait`, so nothing ever
interrupts us half-way through starting or ending a child.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from deploy.stack.companion import Companion
from deploy.stack.folder import Folder
from deploy.stack.part import Part, StartFailed
from deploy.stack.pids_file import write_pids
from deploy.stack.process import Process, adopt_orphans, kill_session, last_lines, spawn
from deploy.stack.running import FolderLost, Hold
from deploy.stack.say import say

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
WATCHED = STOP_SIGNALS | {signal.SIGCHLD}

# The first restart comes at once; a child that dies again within the calm time waits longer each time.
CALM_AFTER_S = 10.0
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 5.0
# How often a part that is coming up is asked.
ASK_EVERY_S = 0.05
EXISTING_ANSWERS_WITHIN_S = 5.0


class StopAsked(Exception):
    """A person wants the stack to end: Ctrl-C, `make stop`, a closed terminal."""


@dataclass
class Child:
    """One process of ours and its luck so far."""

    process: Process
    part: Part | None = None  # None: it runs once, to its end
    popen: "subprocess.Popen[bytes] | None" = None
    exit_code: int = 0
    started_at: float = 0
    ready_once: bool = False
    ready: bool = False
    backoff_s: float = 0
    restart_at: float | None = None

    @property
    def alive(self) -> bool:
        return self.popen is not None

    def how_it_ended(self) -> str:
        return f"signal {-self.exit_code}" if self.exit_code < 0 else f"exit {self.exit_code}"


@dataclass
class Supervisor:
    folder: Folder
    hold: Hold
    companion: Companion
    _children: dict[str, Child] = field(default_factory=dict)
    _waves: list[list[str]] = field(default_factory=list)  # in order of their start

    def __post_init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        adopt_orphans()
        self._write_pids()

    def start(self, parts: Sequence[Part]) -> None:
        """Starts these together and returns when each does its work."""
        self._waves.append([part.name for part in parts if part.process])
        began = time.monotonic()
        for part in parts:
            if part.process:
                self._children[part.name] = Child(part.process, part)
                with _named(part):
                    self._spawn(self._children[part.name])
        for part in parts:
            self._wait_until_ready(part, began)
            with _named(part):
                part.furnish()

    def run_to_end(self, process: Process) -> int:
        """Runs a process that ends by itself while the others are watched; returns its exit code."""
        child = self._children[process.name] = Child(process)
        self._spawn(child)
        try:
            while child.alive:
                self._turn(1)
        finally:
            self._end([child])
            del self._children[process.name]
        return child.exit_code

    def wait(self, seconds: float) -> None:
        """Watches for so long."""
        self._turn(seconds)

    def watch(self) -> NoReturn:
        """Keeps all of them running until we are asked to stop."""
        while True:
            self._turn(1)

    def stop(self) -> None:
        """Ends the waves in reverse order, each with its grace; a second Ctrl-C ends all at once.

        Where the folder is another's by now, only our own children end, at once: their data is gone or elsewhere."""
        for child in self._children.values():
            child.restart_at = None
        for names in reversed(self._waves):
            self._end([self._children[name] for name in names if name in self._children])
        if self.hold.is_ours():
            self.folder.pids.unlink(missing_ok=True)

    def _turn(self, timeout_s: float) -> None:
        """Sleeps until something happens, then deals with it. Raises FolderLost, StopAsked."""
        self.hold.claim()
        if self.companion.has_ended():
            say("the process that this stack belongs to has ended")
            raise StopAsked
        waits = [child.restart_at - time.monotonic() for child in self._children.values() if child.restart_at]
        if any(child.alive and child.ready_once and not child.ready for child in self._children.values()):
            waits.append(ASK_EVERY_S)
        received = signal.sigtimedwait(WATCHED, max(0, min([timeout_s, *waits])))
        if received and received.si_signo in STOP_SIGNALS:
            raise StopAsked
        for child in self._reap():
            self._plan_restart(child)
        self._restart_due()
        self._greet_returned()

    def _spawn(self, child: Child) -> None:
        """Raises OSError when the program cannot be run."""
        self.hold.claim()  # what `clear` ends lies in the folder
        child.process.clear()
        child.popen = spawn(child.process)
        child.started_at = time.monotonic()
        child.restart_at = None
        child.ready = False
        self._write_pids()

    def _reap(self) -> list[Child]:
        """Takes in every dead process; returns those that we started."""
        dead = []
        by_pid = {child.popen.pid: child for child in self._children.values() if child.popen}
        for pid, exit_code in _ended_processes():
            child = by_pid.get(pid)
            if child is None or child.popen is None:  # an adopted orphan
                continue
            kill_session(pid)
            child.popen.returncode = child.exit_code = exit_code
            child.popen = None
            dead.append(child)
        if dead:
            self._write_pids()
        return dead

    def _plan_restart(self, child: Child) -> None:
        if not child.part or not child.ready_once:  # the caller that waits for a start says that it failed
            return
        calm = time.monotonic() - child.started_at > CALM_AFTER_S
        wait_s = 0 if calm else child.backoff_s
        child.backoff_s = BACKOFF_FIRST_S if wait_s == 0 else min(2 * wait_s, BACKOFF_MAX_S)
        child.restart_at = time.monotonic() + wait_s
        later = f" in {wait_s:g} s" if wait_s else ""
        say(f"{child.process.name} died ({child.how_it_ended()}), restarting{later}")
        if child.exit_code >= 0 and child.process.log:  # it ended by itself and may have said why
            for line in last_lines(child.process.log, 3):
                say(f"    {line}")

    def _restart_due(self) -> None:
        for child in self._children.values():
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                try:
                    self._spawn(child)
                except OSError as error:  # its program is being replaced, or there is no memory: both may pass
                    child.restart_at = time.monotonic() + BACKOFF_MAX_S
                    say(f"{child.process.name} cannot be started, trying again in {BACKOFF_MAX_S:g} s: {error}")

    def _greet_returned(self) -> None:
        for child in self._children.values():
            if child.part and child.popen and child.ready_once and not child.ready and not _complaint(child.part):
                child.ready = True
                took = time.monotonic() - child.started_at
                say(f"{child.process.name} is back (pid {child.popen.pid}, {took:.1f} s)")

    def _wait_until_ready(self, part: Part, began: float) -> None:
        child = self._children.get(part.name)
        within_s = part.ready_within_s if child else EXISTING_ANSWERS_WITHIN_S
        while complaint := _complaint(part):
            if child and not child.alive:
                raise StartFailed(f"{part.name} ended while starting ({child.how_it_ended()}){_log_end(child.process)}")
            if time.monotonic() - began > within_s:
                ours = _log_end(child.process) if child else ""
                raise StartFailed(f"{part.name} at {part.address} is not ready after {within_s:g} s: {complaint}{ours}")
            self._turn(ASK_EVERY_S)
        if child:
            child.ready = child.ready_once = True
        kind = f"ready after {time.monotonic() - began:.1f} s" if child else "answers (not ours)"
        say(f"  {part.name:<10}{part.title:<36} {part.address}  {kind}")

    def _end(self, children: Sequence[Child]) -> None:
        ours = self.hold.is_ours()
        for child in children:
            _send(child, child.process.stop_signal if ours else child.process.orphan_signal)
        began = time.monotonic()
        while left := [child for child in children if child.alive]:
            received = signal.sigtimedwait(WATCHED, 0.1)
            asked_again = received is not None and received.si_signo in STOP_SIGNALS
            self._reap()
            for child in left:
                if child.alive and (asked_again or time.monotonic() - began > child.process.grace_s):
                    why = "asked again" if asked_again else f"no end within {child.process.grace_s:g} s"
                    say(f"killing {child.process.name}: {why}")
                    _send(child, signal.SIGKILL)
        for child in children:
            if self.hold.is_ours():
                child.process.clear()

    def _write_pids(self) -> None:
        if not self.hold.is_ours():
            return
        alive = {name: child.popen.pid for name, child in self._children.items() if child.popen}
        write_pids(self.folder.pids, {"supervisor": os.getpid(), **alive})


def _ended_processes() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


@contextmanager
def _named(part: Part) -> Iterator[None]:
    """Every error at a part's start names the part."""
    try:
        yield
    except FolderLost:
        raise
    except Exception as error:
        raise StartFailed(f"{part.name}: {error}") from error


def _complaint(part: Part) -> str:
    """Empty when the part does its work."""
    try:
        part.check()
    except Exception as error:  # whatever the part's client raises is the reason
        return str(error).strip() or type(error).__name__
    return ""


def _send(child: Child, number: signal.Signals) -> None:
    if child.popen:
        os.kill(child.popen.pid, number)  # not reaped yet, so the number is still its own


def _log_end(process: Process) -> str:
    lines = last_lines(process.log, 15) if process.log else []
    return "; the end of its log:" + "".join(f"\n    {line}" for line in lines) if lines else ""
