"""One crash: a process dies at a named point of the protocol while commands are held exactly there, one per mount. Afterwards
each is done once or not at all, the same key gets the one outcome, and the record agrees with the disks.

All commands of a crash share the death, the recovery and the consistency check, which are what takes the time. They do not
share a list: each has mounts of its own. `hold` keeps every one of them at the point until all are there.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psycopg
import pytest

from schema.faults import POINTS
from schema.locks import Lock
from tests.crash_commands import COMMANDS, LONG, PUBLISHED, TREES, Doing, way
from tests.fix_service import MountOfTest, Service, check_mounts, make_mount

TEMPORAL_AT = (
    "api.sealed", "api.started", "begin.committed", "stage.recorded", "apply.acted", "commit.committed", "finish.closed",
)  # fmt: skip
POSTGRES_AT = (
    "api.sealed", "begin.before_commit", "begin.committed", "stage.staged", "stage.recorded", "apply.locked",
    "apply.flushed", "commit.before_commit", "commit.committed", "finish.acted", "publish.positioned", "publish.sent",
)  # fmt: skip
REDIS_AT = ("commit.before_commit", "commit.committed", "publish.positioned", "publish.sent")
IN_WORKER = (
    "stage.staged", "stage.recorded", "apply.locked", "apply.act", "apply.acted", "apply.flushed", "commit.before_commit",
    "commit.committed", "finish.acted", "finish.closed", "publish.positioned", "publish.sent",
)  # fmt: skip
TWICE = (
    ("stage.staged", "stage.staged"),
    ("stage.staged", "stage.recorded"),
    ("stage.recorded", "apply.acted"),
    ("apply.act", "apply.acted"),
    ("apply.acted", "apply.locked"),
    ("apply.acted", "apply.flushed"),
    ("apply.acted", "commit.before_commit"),
    ("apply.acted", "commit.committed"),
    ("commit.before_commit", "commit.before_commit"),
    ("commit.committed", "finish.acted"),
    ("finish.acted", "finish.acted"),
    ("finish.acted", "finish.closed"),
)
SETTINGS = {
    "FILESTORE_SWEEP_SECONDS": "5",
    "FILESTORE_OVERDUE_SECONDS": "1",
    # As in service. That workflows are deterministic is proven elsewhere, and costs more than all the rest here.
    "FILESTORE_SANDBOX": "false",
}
_FEED_LOCK = f"SELECT pg_advisory_lock({Lock.FEED})"
_PATIENCE = 90.0
"""Seconds, on a machine that has other things to do."""


@dataclass(frozen=True)
class Crash:
    victim: str
    """`api`, `worker` (while it resumes what a dead API began, or does what is long), or a server"""
    point: str
    commands: tuple[str, ...]
    again: str | None = None
    """A second crash of the worker, at this point, while it recovers from the first"""

    def __str__(self) -> str:
        which = "+".join(self.commands[:2]) + (f"+{len(self.commands) - 2}" if len(self.commands) > 2 else "")
        return f"{self.victim}-{self.point}" + (f"-then-{self.again}" if self.again else "") + f"-{which}"


def passing(victim: str, *points: str) -> tuple[str, ...]:
    """The commands that pass all of these points in the process that dies there, or that serves them while a server dies."""

    def there(command: str) -> bool:
        in_api = command not in LONG or points[0].startswith(("api.", "begin."))
        return way(command).issuperset(points) and (victim == "worker" or in_api)

    return tuple(command for command in COMMANDS if there(command))


def every_crash() -> Iterator[Crash]:
    """Each point, each victim, each command that passes it there; but no two that differ in nothing:

    - `commit.item` lies within a transaction, as `commit.before_commit` does: nothing of it is left after either.
    - `commit.taken_back` is passed by lists of all or none alone: tests/e2e/test_atomic.py dies there.
    - `operation.*` and `purge.*` are passed by operations alone: tests/e2e/test_operation_crashes.py dies there.
    - `import.written`, `import.page` and `import.hashed` are passed by imports alone: tests/e2e/test_imports.py dies there.
    - `forget.*`, `drift.*`, `sync.*` and `archive.*` are passed by no command.
    - `stage.laid` and `finish.cleared` are passed by trees in buckets alone: tests/kills_s3.py dies there.
    - Temporal is spoken to between activities only: for it, all points of one activity are the same.
    - Postgres is not spoken to between `apply.locked` and `apply.flushed`.
    - Redis is spoken to by the publisher only, which begins when a list is recorded.
    - A worker that comes to a command which has acted recognises it, and does not pass `apply.act` again: the second of
      two crashes lies elsewhere.
    """
    for point in POINTS:
        victims = [
            ("api", point != "commit.item"),
            ("worker", point in IN_WORKER),
            ("temporal", point in TEMPORAL_AT),
            ("postgres", point in POSTGRES_AT),
            ("redis", point in REDIS_AT),
        ]
        for victim, wanted in victims:
            if wanted:
                yield from _crashes(victim, point)
    for point, again in TWICE:
        yield from _crashes("worker", point, again)


def _crashes(victim: str, point: str, again: str | None = None) -> Iterator[Crash]:
    """A thread that waits within a transaction keeps a connection: a process has fewer of them than there are
    commands."""
    commands = passing(victim, *filter(None, (point, again)))
    within = {"api.started", "begin.before_commit", "commit.before_commit"}
    parts = 2 if within.intersection((point, again)) else 1
    yield from (Crash(victim, point, commands[part::parts], again) for part in range(parts) if commands[part::parts])


def sample(seed: int) -> list[Crash]:
    """One crash of each victim and a double one, with two commands each, of which one at least is a move, copy or the like."""
    chosen = random.Random(seed)
    by_victim: dict[tuple[str, bool], list[Crash]] = {}
    for crash in every_crash():
        by_victim.setdefault((crash.victim, crash.again is not None), []).append(crash)
    crashes = []
    for candidates in by_victim.values():
        crash = chosen.choice([crash for crash in candidates if set(crash.commands) & set(TREES)])
        later = chosen.choice([command for command in crash.commands if command in TREES])
        rest = [command for command in crash.commands if command != later]
        crashes.append(Crash(crash.victim, crash.point, (later, *chosen.sample(rest, min(1, len(rest)))), crash.again))
    return crashes


class Gates:
    """Points of one process that are shut or open, while it runs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder

    @property
    def fault(self) -> str:
        return ";".join(f"{point}=hold:{self._folder}" for point in POINTS)

    def shut(self, point: str) -> None:
        for mark in self._folder.glob("*.reached"):
            mark.unlink()
        (self._folder / f"{point}.hold").touch()

    def open(self) -> None:
        for gate in self._folder.glob("*.hold"):
            gate.unlink()

    def waiting(self, point: str) -> int:
        return len(list(self._folder.glob(f"{point}.*.reached")))


@dataclass
class Scene:
    """The service, a gate at each point of both processes, and mounts for each command that serve one crash after the other."""

    service: Service
    folder: Path
    api: Gates
    worker: Gates
    mounts: dict[str, tuple[MountOfTest, MountOfTest]] = field(default_factory=dict)
    crashes: int = 0

    def start(self, *names: str) -> None:
        for name in names:
            gates = self.api if name == "api" else self.worker
            self.service.start(name, fault=gates.fault, **SETTINGS)

    def ensure_running(self) -> None:
        """What does not run is started; the worker first, because the API is waited for."""
        for name in ("worker", "api"):
            process = self.service.processes.get(name)
            if process is None or process.poll() is not None:
                self.start(name)

    def doings(self, commands: Sequence[str]) -> list[Doing]:
        self.crashes += 1
        for command in commands:
            if command not in self.mounts:
                two = (command, f"{command}-too") if command == "move_to_mount" else (command,)
                made = [make_mount(self.service, self.folder / f"{name}-{self.crashes}") for name in two]
                self.mounts[command] = made[0], made[-1]
        return [Doing(self.service, name, *self.mounts[name], f"c{self.crashes}") for name in commands]

    def forget(self, command: str) -> None:
        """Something is wrong on its mounts: the next crash begins on others."""
        for mount in self.mounts.pop(command, ()):
            self.service.call("PATCH", f"/v1/backend-mounts/{mount.id}", json={"state": "inactive"})


@pytest.fixture(scope="module")
def scene(running_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("crashes")
    scene = Scene(running_service, folder, Gates(folder / "api"), Gates(folder / "worker"))
    running_service.kill()
    yield scene
    scene.ensure_running()
    for command in list(scene.mounts):
        scene.forget(command)
    # The next tests want neither gates nor our settings.
    running_service.restart()


def run(scene: Scene, crash: Crash) -> None:
    for gates in (scene.api, scene.worker):
        gates.open()
    scene.ensure_running()
    doings = scene.doings(crash.commands)
    with ThreadPoolExecutor(len(doings)) as threads:
        list(threads.map(Doing.prepare, doings))
        # Only the victim is at the commands until it dies.
        scene.service.kill("worker")
        if crash.victim == "api":
            _crash_api(scene, crash.point, doings)
        elif crash.victim == "worker":
            _crash_worker(scene, crash, doings)
        else:
            _crash_server(scene, crash, doings)
        scene.ensure_running()
        wrong = [problem for problem in threads.map(_settle, doings) if problem]
    try:
        check_mounts([mount for doing in doings for mount in doing.mounts])
    except AssertionError as error:
        wrong.append(str(error))
    if wrong:
        for doing in doings:
            scene.forget(doing.command)
    assert not wrong, "\n".join(wrong)


def _crash_api(scene: Scene, point: str, doings: Sequence[Doing]) -> None:
    if point == "api.started":
        # The workflow runs in the same process: it must not get ahead of us.
        scene.api.shut("begin.before_commit")
    scene.api.shut(point)
    with _unpublished(scene, point), _sent(doings) as sent:
        _gather(scene.api, point, len(doings), sent, ends=point in PUBLISHED)
        scene.service.kill("api")
    scene.api.open()


def _crash_worker(scene: Scene, crash: Crash, doings: Sequence[Doing]) -> None:
    """The API dies once its intents are durable; the worker dies while it carries on, once or twice."""
    _crash_api(scene, "begin.committed", doings)
    for point in filter(None, (crash.point, crash.again)):
        scene.worker.shut(point)
        with _unpublished(scene, point):
            scene.start("worker")
            _gather(scene.worker, point, len(doings))
            scene.service.kill("worker")
        scene.worker.open()


def _crash_server(scene: Scene, crash: Crash, doings: Sequence[Doing]) -> None:
    stack, point = scene.service.stack, crash.point
    scene.api.shut(point)
    with _sent(doings) as sent:
        _gather(scene.api, point, len(doings), sent, ends=point in PUBLISHED)
        pid = stack.pid(crash.victim)
        stack.kill(crash.victim)
        scene.start("worker")
        stack.wait_restarted(crash.victim, pid)
        scene.api.open()


@contextmanager
def _sent(doings: Sequence[Doing]) -> Iterator[list[threading.Thread]]:
    """All at once; afterwards each client got an answer, or will never get one."""

    def send(doing: Doing) -> None:
        with suppress(httpx2.HTTPError):
            doing.first = doing.send()

    threads = [threading.Thread(target=send, args=(doing,)) for doing in doings]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.join(timeout=_PATIENCE)


def _gather(gates: Gates, point: str, many: int, sent: Sequence[threading.Thread] = (), ends: bool = False) -> None:
    """Until all are at the point. There is but one publisher: it is there for all, once they are answered."""
    wanted = 1 if point in PUBLISHED else many
    reached = _wait(lambda: gates.waiting(point) >= wanted)
    assert reached, f"{gates.waiting(point)} of {wanted} came to {point}"
    if ends:
        assert _wait(lambda: not any(thread.is_alive() for thread in sent)), f"not all were answered before {point}"


def _unpublished(scene: Scene, point: str) -> "psycopg.Connection[tuple[object, ...]] | nullcontext[None]":
    """What is recorded but has no position yet stays like that until the process is dead."""
    if point != "commit.committed":
        return nullcontext()
    connection = psycopg.connect(scene.service.env["FILESTORE_DATABASE_URL"], autocommit=True)
    connection.execute(_FEED_LOCK)
    return connection


def _wait(condition: Callable[[], bool], seconds: float = _PATIENCE) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _settle(doing: Doing) -> str:
    """A client that was told nothing sends the same key again, as often as it takes. What is wrong, or nothing."""
    end = time.monotonic() + _PATIENCE
    try:
        while True:
            try:
                answer = doing.send()
            except httpx2.HTTPError as error:
                problem = repr(error)
            else:
                if answer.status_code in (200, 201):
                    break
                problem = answer.text
                assert answer.status_code == 503, problem
            assert time.monotonic() < end, f"no outcome: {problem}"
            time.sleep(0.1)
        doing.verify(answer)
    except Exception as error:
        return f"{doing.command} in {doing.folder}: {error!r}"
    return ""
