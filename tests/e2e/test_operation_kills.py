"""kill -9 of any process, again and again, in an operation of many items: every item happens once, and the totals are exact.

KILLS_FILES says how many files (20,000), KILLS_SEED which moments and victims.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from schema.settings import Settings
from tests.e2e.test_commands import result
from tests.e2e.test_operations import asked, ended, shown, steered
from tests.fix_service import MountOfTest, Service, make_mount, until
from workers import check

FILES = int(os.environ.get("KILLS_FILES", "20000"))
OURS, SERVERS = ("worker", "worker", "worker", "api", "api"), ("redis", "temporal", "postgres")
HOURS = 2 * 3600.0


@pytest.fixture
def large(service: Service, tmp_path: Path) -> Iterator[MountOfTest]:
    """Nine of ten files lie in directories that a copy takes as one item each; the others go file by file."""
    mount = make_mount(service, tmp_path / "mount")
    for number in range(FILES):
        group, most = ("small", 20) if number % 10 == 9 else ("large", 200)
        folder = mount.root / "tree" / f"{group}-{number // (10 * most):04}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:07}").write_bytes(b"content of %d" % number)
    operation = asked(service, mount, "import", path="tree")
    assert until(lambda: shown(service, operation)["endedAt"] is not None, HOURS)
    ended(service, operation)
    yield mount
    service.ensure_running()
    findings = asyncio.run(check.check_all(Settings(), level="content", mounts=[mount.key], sweep=True))  # type: ignore[call-arg]
    assert check.exit_code(findings) == 0, check.show(findings)
    service.call("PATCH", f"/v1/backend-mounts/{mount.id}", json={"state": "inactive"})


def below(mount: MountOfTest, folder: str) -> dict[str, int | None]:
    """Each file with its size; what it holds is compared by the check."""
    top = mount.root / folder
    return {
        os.path.join(os.path.relpath(at, top), name): None if name in folders else os.stat(os.path.join(at, name)).st_size
        for at, folders, files in os.walk(top) for name in (*folders, *files)
    }  # fmt: skip


def while_processes_die(service: Service, operation: dict[str, Any], chance: random.Random) -> Counter[str]:
    """Until it has ended. Of our processes one is dead at a time, and started again; the stack's are by its supervisor."""
    deaths, end = Counter[str](), time.monotonic() + HOURS
    while not _is_over(service, operation):
        assert time.monotonic() < end, (deaths, service.log("worker")[-3000:])
        time.sleep(chance.uniform(0.2, 4.0))
        victim = chance.choice(OURS if chance.random() < 0.85 else SERVERS)
        deaths[victim] += 1
        if victim in OURS:
            service.kill(victim)
            _started(service, victim)
        else:
            pid = service.stack.pid(victim)
            service.stack.kill(victim)
            service.stack.wait_restarted(victim, pid)
    return deaths


def _started(service: Service, name: str) -> None:
    """However long it takes while servers come back, too."""
    try:
        service.start(name)
    except AssertionError:
        assert service.processes[name].poll() is None, service.log(name)[-3000:]
        service.wait_ready(HOURS)


def _is_over(service: Service, operation: dict[str, Any]) -> bool:
    return bool(_patiently(lambda: shown(service, operation)["endedAt"] is not None))


def _patiently(ask: Callable[[], object]) -> object:
    """A server may be about to come back."""
    for _ in range(1000):
        try:
            return ask()
        except (httpx2.HTTPError, AssertionError):
            time.sleep(0.2)
    return ask()


def succeeded(service: Service, operation: dict[str, Any]) -> list[tuple[int, int]]:
    """How many entries of success each item has in the journal."""
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"]) as connection:
        query = (
            "SELECT i.item, count(j.id) FROM filestore.operation_items i LEFT JOIN filestore.journal_entries j"
            " ON j.operation_id = i.operation_id AND j.item = i.item AND j.outcome = 'succeeded'"
            " WHERE i.operation_id = %s GROUP BY 1 HAVING count(j.id) <> 1"
        )
        return connection.execute(query, (operation["id"],)).fetchall()


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("seed", [int(os.environ.get("KILLS_SEED", "1"))])
def test_processes_that_die_all_the_time_lose_no_item_and_do_none_twice(
    service: Service, large: MountOfTest, seed: int
) -> None:
    chance, lies = random.Random(seed), below(large, "tree")
    result(service.mkdir(large, "copy"), 201)  # so that the tree is not one item, however small it is
    copy = asked(service, large, "copy", path="tree", targetPath="copy")
    deaths = while_processes_die(service, copy, chance)
    service.ensure_running()
    done = ended(service, copy)
    assert done["progress"]["itemsDone"] == done["plan"]["items"] and done["progress"]["itemsRunning"] == 0
    assert below(large, "copy") == lies and succeeded(service, copy) == []
    totals = result(service.at(large, "copy"), 200)["rollup"]
    assert totals["fileCount"] == FILES and totals["sizeBytes"] == sum(size or 0 for size in lies.values())

    undo = steered(service, copy, "undo")
    deaths += while_processes_die(service, undo, chance)
    service.ensure_running()
    undone = ended(service, undo)
    assert undone["progress"]["itemsDone"] == done["plan"]["items"] and succeeded(service, undo) == []
    assert below(large, "copy") == {} and below(large, "tree") == lies
    print(f"{FILES} files, {done['plan']['items']} items, deaths: {dict(deaths)}")


SELECTED = {"include": ["*"]}
"""Every file is an item of its own, also where whole directories could go"""
MOMENTS: dict[str, dict[str, Any]] = {
    "copy": {"path": "tree", "targetPath": "there"},
    "move": {"path": "tree", "targetPath": "there", "selection": SELECTED},
    "delete": {"path": "tree", "selection": SELECTED},
}


def killed_three_times(service: Service, operation: dict[str, Any], chance: random.Random) -> list[int]:
    """The worker, at random moments of the work. Returns how many items were done then; it is waited for the end."""
    moments = list[int]()
    for share in sorted(chance.uniform(0, 0.9) for _ in range(3)):
        assert until(partial(_has_come_to, service, operation, share), HOURS)
        time.sleep(chance.uniform(0, 1))
        service.kill("worker")
        moments.append(shown(service, operation)["progress"]["itemsDone"])
        service.start("worker")
    assert until(lambda: shown(service, operation)["endedAt"] is not None, HOURS)
    return moments


def _has_come_to(service: Service, operation: dict[str, Any], share: float) -> bool:
    """So much of it is done, or it has ended."""
    now = shown(service, operation)
    if now["endedAt"] is not None:
        return True
    return now["state"] == "running" and bool(now["progress"]["itemsDone"] >= share * now["plan"]["items"])


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("kind", MOMENTS)
def test_a_worker_that_is_killed_three_times_ends_a_large_operation_exactly(
    service: Service, large: MountOfTest, kind: str
) -> None:
    chance, lies = random.Random(f"{os.environ.get('KILLS_SEED', '1')} {kind}"), below(large, "tree")
    files = {path: size for path, size in lies.items() if size is not None}
    result(service.mkdir(large, "there"), 201)
    began = time.monotonic()
    operation = asked(service, large, kind, **MOMENTS[kind])
    moments = killed_three_times(service, operation, chance)
    taken = time.monotonic() - began
    done = ended(service, operation)
    assert done["progress"]["itemsDone"] == done["plan"]["items"] and succeeded(service, operation) == []
    left = {path: size for path, size in below(large, "tree").items() if size is not None}
    came = {path: size for path, size in below(large, "there").items() if size is not None}
    assert left == (files if kind == "copy" else {}) and came == ({} if kind == "delete" else files)
    folder = "tree" if kind == "copy" else "there"
    if kind != "delete":
        totals = result(service.at(large, folder), 200)["rollup"]
        assert (totals["fileCount"], totals["sizeBytes"]) == (len(files), sum(files.values()))
    print(f"{kind} of {FILES} files, {done['plan']['items']} items: {taken:.0f} s, killed when {moments} were done")
