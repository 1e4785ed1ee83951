"""One crash case: a process dies at a named point of the protocol while one command is on its way; afterwards the command is
done once or not at all, the same key gets the one outcome, and the record agrees with the disk."""

import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from schema.faults import POINTS
from tests.fix_service import MountOfTest, Service

SERVERS = ("temporal", "postgres", "redis")
COMMANDS = ("mkdir", "create", "overwrite", "delete_file", "delete_directory", "large")
IN_API = tuple(point for point in POINTS if point != "commit.item")
IN_WORKER = (
    "apply.locked",
    "apply.act",
    "apply.acted",
    "apply.flushed",
    "commit.before_commit",
    "commit.committed",
    "finish.acted",
    "finish.closed",
)
LARGE = os.urandom(1 << 20)


@dataclass(frozen=True)
class Case:
    victim: str
    """`api`, `worker` (while it resumes what a dead API began), or a server"""
    point: str
    command: str
    again: str | None = None
    """A second crash, at this point, while the first one is being recovered from"""

    def __str__(self) -> str:
        return f"{self.victim}-{self.point}-{self.command}" + (f"-then-{self.again}" if self.again else "")


def on_the_way(point: str, command: str) -> bool:
    """Only what replaces something leaves something to clear after its record."""
    return not point.startswith("finish.") or command == "overwrite"


def every_case() -> Iterator[Case]:
    for command in COMMANDS:
        for point in IN_API:
            if on_the_way(point, command):
                yield Case("api", point, command)
                yield from (Case(server, point, command) for server in SERVERS)
        for point in IN_WORKER:
            if on_the_way(point, command):
                yield Case("worker", point, command)
                yield Case("worker", "apply.acted", command, again=point)


def sample(seed: int, count: int) -> list[Case]:
    """Always some of each victim, and never the same commands only."""
    chosen = random.Random(seed)
    cases = list(every_case())
    chosen.shuffle(cases)
    by_victim: dict[str, list[Case]] = {}
    for case in cases:
        by_victim.setdefault(case.victim, []).append(case)
    turns = [case for turn in zip(*by_victim.values(), strict=False) for case in turn]
    return turns[:count]


def prepare(service: Service, mount: MountOfTest) -> None:
    for answer in (
        service.mkdir(mount, "d"),
        service.mkdir(mount, "d/empty"),
        service.upload(mount, "d/old", b"old content"),
    ):
        assert answer.status_code == 201, answer.text


def send(service: Service, mount: MountOfTest, command: str, key: str) -> httpx2.Response:
    match command:
        case "mkdir":
            return service.mkdir(mount, "d/new", key)
        case "create":
            return service.upload(mount, "d/file", b"fresh", key)
        case "large":
            return service.upload(mount, "d/large", LARGE, key)
        case "overwrite":
            return service.upload(mount, "d/old", b"new content!", key, overwrite="true")
        case "delete_file":
            return service.delete(mount, "d/old", key)
        case "delete_directory":
            return service.delete(mount, "d/empty", key)
    raise AssertionError(command)


def expected(command: str) -> dict[str, bytes | None]:
    disk: dict[str, bytes | None] = {"d": None, "d/empty": None, "d/old": b"old content"}
    match command:
        case "mkdir":
            disk["d/new"] = None
        case "create":
            disk["d/file"] = b"fresh"
        case "large":
            disk["d/large"] = LARGE
        case "overwrite":
            disk["d/old"] = b"new content!"
        case "delete_file":
            del disk["d/old"]
        case "delete_directory":
            del disk["d/empty"]
    return disk


def run(service: Service, mount: MountOfTest, case: Case) -> None:
    prepare(service, mount)
    key = f"key-{case}"
    match case.victim:
        case "api":
            crash_api(service, case.point, lambda: send(service, mount, case.command, key))
        case "worker":
            crash_worker(service, case, lambda: send(service, mount, case.command, key))
        case server:
            _crash_server(service, server, case.point, lambda: send(service, mount, case.command, key))
    service.ensure_running()
    _settle(service, mount, case.command, key)


def crash_api(service: Service, point: str, call: Callable[[], object]) -> None:
    service.kill("api")
    service.start("api", fault=f"{point}=kill")
    _in_background(call, until=lambda: service.processes["api"].poll() is not None)
    service.kill("api")


def crash_worker(service: Service, case: Case, call: Callable[[], object]) -> None:
    """The API dies once its intent is durable; the worker dies while it carries on, once or twice."""
    service.kill()
    service.start("worker", fault=f"{case.point}=kill")
    service.start("api", fault="begin.committed=kill")
    _in_background(call, until=lambda: service.processes["api"].poll() is not None)
    _wait(lambda: service.processes["worker"].poll() is not None, 12)
    service.kill()
    if case.again:
        service.start("worker", fault=f"{case.again}=kill")
        _wait(lambda: service.processes["worker"].poll() is not None, 8)
        service.kill()


def _crash_server(service: Service, server: str, point: str, call: Callable[[], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        service.kill("api")
        service.start("api", fault=f"{point}=wait:{folder}")
        reached = Path(folder) / f"{point}.reached"
        thread = threading.Thread(target=_quietly, args=(call,))
        thread.start()
        _wait(lambda: reached.exists() or not thread.is_alive(), 10)
        pid = service.stack.pid(server)
        service.stack.kill(server)
        (Path(folder) / f"{point}.go").touch()
        service.stack.wait_restarted(server, pid)
        thread.join(timeout=60)
        # Background work may still wait at the point; its folder goes away with this block.
        service.kill("api")


def _in_background(call: Callable[[], object], until: Callable[[], bool]) -> None:
    """Send, and go on as soon as the process has died or, where the point is not on this command's way, the answer is there."""
    thread = threading.Thread(target=_quietly, args=(call,))
    thread.start()
    _wait(lambda: until() or not thread.is_alive(), 15)
    if not until():
        # The answer came first; the point may lie behind it.
        _wait(until, 1.0)
    thread.join(timeout=1)


def _quietly(call: Callable[[], object]) -> None:
    with suppress(httpx2.HTTPError):
        call()


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def _settle(service: Service, mount: MountOfTest, command: str, key: str) -> None:
    """A client that was told nothing sends the same key again, as often as it takes."""
    end = time.monotonic() + 60
    while True:
        try:
            answer = send(service, mount, command, key)
        except httpx2.HTTPError:
            answer = None
        if answer is not None and answer.status_code in (200, 201):
            break
        assert answer is None or answer.status_code == 503, answer.text
        assert time.monotonic() < end, f"no outcome: {answer.text if answer is not None else 'no answer'}"
        time.sleep(0.2)
    assert mount.on_disk() == expected(command)
    ended = [e for e in service.journal(mount) if e["key"] == key and e["outcome"] == "succeeded"]
    assert len(ended) == 1, ended
    again = send(service, mount, command, key)
    assert again.status_code == 200 and again.json()["data"]["idempotent"] is True
    assert again.json()["data"]["journalEntryId"] == ended[0]["id"]
