"""Crash cases on a mount in a bucket: a process dies at a named point while one command is on its way. Afterwards it is done
once or not at all, the same key gets the one outcome, and record and bucket agree."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import httpx2

from tests.dying import kill_api_at, kill_worker_at
from tests.fix_service import MountOfTest, Service, until

POINTS = (
    "begin.committed", "apply.act", "apply.acted", "apply.flushed", "commit.before_commit", "commit.committed",
    "finish.acted",
)  # fmt: skip
COMMANDS = ("create", "large", "overwrite", "delete", "move", "from_local")
TREES = ("move_tree", "copy_tree", "delete_tree", "restore_tree", "tree_away", "tree_here")
"""The last two: a tree moves to the local mount, or comes from there."""
TREE_POINTS = (
    "stage.laid",
    "stage.recorded",
    "apply.flushed",
    "commit.before_commit",
    "commit.committed",
    "finish.cleared",
    "finish.closed",
)
"""What holds much goes on in the worker: only that one can die of these."""
LARGE = os.urandom(1 << 20) * 20
NEVER = {
    ("copy_tree", "finish.cleared"): "nothing leaves",
    ("tree_here", "finish.cleared"): "a local disk loses it in one step",
    ("tree_away", "stage.laid"): "a local disk stages it as a whole",
}
INSIDE = {"t": None, "t/f": b"one", "t/s": None, "t/s/g": b"two"}


@dataclass(frozen=True)
class Case:
    victim: str
    """`api`, or `worker`: while it carries on what a dead API began"""
    point: str
    command: str

    def __str__(self) -> str:
        return f"{self.victim}-{self.point}-{self.command}"


def every_case() -> Iterator[Case]:
    for command in COMMANDS:
        for point in POINTS:
            if command != "from_local" or point == "begin.committed":  # what is long goes on in the worker
                yield Case("api", point, command)
            if point != "begin.committed":
                yield Case("worker", point, command)
    for tree in TREES:
        yield Case("api", "begin.committed", tree)
        for point in TREE_POINTS:
            if (tree, point) not in NEVER:
                yield Case("worker", point, tree)


def run(service: Service, s3: MountOfTest, local: MountOfTest, case: Case) -> None:
    for answer in (service.mkdir(s3, "d"), service.upload(s3, "d/old", b"old"), service.upload(local, "file", LARGE)):
        assert answer.status_code == 201, answer.text
    if case.command in TREES:
        _plant(service, local if case.command == "tree_here" else s3, deleted=case.command == "restore_tree")
    send = partial(_send, service, s3, local, case.command, f"key-{s3.id}-{case}")
    service.settle()
    # In good order: nothing of the preparation goes on in the process that is to die.
    if case.victim == "api":
        service.stop("api")
        kill_api_at(service, case.point, send)
    else:
        service.stop()
        kill_worker_at(service, case.point, send)
    service.ensure_running()
    _settle(service, s3, local, case.command, send)


def _plant(service: Service, on: MountOfTest, *, deleted: bool) -> None:
    for answer in (
        service.mkdir(on, "t"), service.mkdir(on, "t/s"), service.upload(on, "t/f", b"one"), service.upload(on, "t/s/g", b"two"),
    ):  # fmt: skip
        assert answer.status_code == 201, answer.text
    if deleted:
        assert service.delete(on, "t", recursive=True).status_code == 200
        assert until(lambda: "t" not in on.on_disk())


def _send(service: Service, s3: MountOfTest, local: MountOfTest, command: str, key: str) -> httpx2.Response:
    match command:
        case "create":
            return service.upload(s3, "d/new", b"fresh", key)
        case "large":
            return service.upload(s3, "d/large", LARGE, key)
        case "overwrite":
            return service.upload(s3, "d/old", b"new content", key, overwrite="true")
        case "delete":
            return service.delete(s3, "d/old", key)
        case "move":
            return service.move(s3, "d/old", "moved", key)
        case "from_local":
            return service.move(local, "file", "d/file", key, targetBackendMountId=s3.id)
        case "move_tree":
            return service.move(s3, "t", "d/t", key)
        case "copy_tree":
            return service.copy(s3, "t", "d/t", key)
        case "delete_tree":
            return service.delete(s3, "t", key, recursive=True)
        case "restore_tree":
            return service.restore(s3, key, path="t")
        case "tree_away":
            return service.move(s3, "t", "t", key, targetBackendMountId=local.id)
        case "tree_here":
            return service.move(local, "t", "d/t", key, targetBackendMountId=s3.id)
    raise AssertionError(command)


def _expected(command: str) -> dict[str, bytes | None]:
    usual: dict[str, bytes | None] = {"d": None, "d/old": b"old"}
    after: dict[str, dict[str, bytes | None]] = {
        "create": usual | {"d/new": b"fresh"},
        "large": usual | {"d/large": LARGE},
        "overwrite": usual | {"d/old": b"new content"},
        "delete": {"d": None},
        "move": {"d": None, "moved": b"old"},
        "from_local": usual | {"d/file": LARGE},
        "move_tree": usual | {f"d/{path}": content for path, content in INSIDE.items()},
        "copy_tree": usual | INSIDE | {f"d/{path}": content for path, content in INSIDE.items()},
        "delete_tree": usual,
        "restore_tree": usual | INSIDE,
        "tree_away": usual,
        "tree_here": usual | {f"d/{path}": content for path, content in INSIDE.items()},
    }
    return after[command]


def _settle(
    service: Service, s3: MountOfTest, local: MountOfTest, command: str, send: Callable[[], httpx2.Response]
) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            answer = send()
        except httpx2.HTTPError:
            answer = None
        if answer is not None and answer.status_code in (200, 201):
            break
        assert answer is None or answer.status_code == 503, answer.text
        assert time.monotonic() < end, f"no outcome: {answer.text if answer is not None else 'no answer'}"
        time.sleep(0.2)
    assert until(lambda: s3.on_disk() == _expected(command), 20), sorted(s3.on_disk())
    here: dict[str, bytes | None] = {} if command == "from_local" else {"file": LARGE}
    here |= INSIDE if command == "tree_away" else {}
    assert until(lambda: local.on_disk() == here, 20), sorted(local.on_disk())
    entry = answer.json()["data"]["journalEntryId"]
    ended = [
        e
        for e in service.journal(local if command == "tree_away" else s3)
        if e["id"] == entry and e["outcome"] == "succeeded"
    ]
    assert len(ended) == 1, ended
    again = send()
    assert again.status_code == 200 and again.json()["data"]["idempotent"] is True
    assert again.json()["data"]["journalEntryId"] == entry
