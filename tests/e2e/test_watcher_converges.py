"""Whatever befalls the watcher, the record comes to the disk: stopped through more changes than the kernel keeps, killed and
started again, with room for a few directories only. And a tree that is moved is one move, however much is in it."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fix_service import MountOfTest, Service, make_mount, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MANY, LIMIT = 50_000, 100
NODES = """SELECT p.directory_path || n.name, n.size_bytes FROM filestore.nodes n JOIN filestore.nodes p ON p.id = n.parent_id
            WHERE n.mount_id = %s AND n.state = 'active' AND n.kind = 'file'"""
EVENTS = "SELECT type, count(*) FROM filestore.outbox WHERE mount_id = %s GROUP BY type"


def rows(service: Service, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"]) as connection:
        return connection.execute(query.encode(), values).fetchall()


def events(service: Service, mount: MountOfTest) -> dict[str, int]:
    return dict(rows(service, EVENTS, mount.id))


def recorded(service: Service, mount: MountOfTest) -> dict[bytes, int]:
    return {bytes(path): size for path, size in rows(service, NODES, mount.id)}


def on_disk(root: Path) -> dict[bytes, int]:
    return {
        os.fsencode(place.relative_to(root)): place.stat().st_size
        for place in root.rglob("*")
        if place.is_file() and ".filestore" not in place.parts
    }


def converges(service: Service, mount: MountOfTest, seconds: float = 900) -> None:
    wanted, deadline = on_disk(mount.root), time.monotonic() + seconds
    while (found := recorded(service, mount)) != wanted and time.monotonic() < deadline:
        time.sleep(2)
    assert len(found) == len(wanted)
    assert found == wanted


def phase(service: Service, mount: MountOfTest) -> str:
    found = rows(service, "SELECT phase FROM filestore.watchers WHERE mount_id = %s", mount.id)
    return str(found[0][0]) if found else ""


def watch(service: Service, mount: MountOfTest, **settings: str) -> None:
    service.start("watcher", FILESTORE_WATCH="true", FILESTORE_WATCH_QUIET_SECONDS="0.2", **settings)
    assert until(lambda: phase(service, mount) in ("watching", "partial"), 300), phase(service, mount)


@pytest.fixture
def followed(service: Service, tmp_path: Path) -> Iterator[MountOfTest]:
    """A mount whose record follows the disk."""
    mount = make_mount(service, tmp_path / "mount")
    policy = {"phase": "enforce", "brake": {"share": 1, "count": 10**6}}
    assert service.call("PUT", f"/v1/backend-mounts/{mount.id}/policy", json=policy).status_code == 200
    yield mount
    process = service.processes.get("watcher")
    if process is not None:
        process.send_signal(signal.SIGCONT)
        service.stop("watcher")
    service.call("PATCH", f"/v1/backend-mounts/{mount.id}", json={"state": "inactive"})


def test_a_watcher_that_stood_still_through_fifty_thousand_changes_catches_up(
    service: Service, followed: MountOfTest
) -> None:
    for folder in range(100):
        (followed.root / f"{folder}").mkdir()
    watch(service, followed)
    process = service.processes["watcher"]
    process.send_signal(signal.SIGSTOP)
    for n in range(MANY):
        place = followed.root / f"{n % 100}" / f"{n % 5000}"
        place.write_bytes(b"x" * (n % 7))
        if n % 11 == 0:
            place.rename(place.with_name(f"{n % 5000} moved"))
        elif n % 13 == 0:
            place.unlink()
    process.send_signal(signal.SIGCONT)
    lost = "SELECT lost FROM filestore.watchers WHERE mount_id = %s"
    assert until(lambda: rows(service, lost, followed.id)[0][0] >= 1, 300)
    converges(service, followed)


def test_a_watcher_that_was_killed_finds_what_happened_without_it_and_a_moved_tree_is_one_move(
    service: Service, followed: MountOfTest
) -> None:
    for n in range(10_000):
        place = followed.root / "tree" / f"{n // 100}" / f"{n}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    watch(service, followed)
    converges(service, followed)
    before = events(service, followed)
    (followed.root / "tree").rename(followed.root / "moved")
    assert until(lambda: events(service, followed).get("filestore.node.moved", 0) == 1, 120)
    converges(service, followed)
    after = events(service, followed)
    more = {type: n - before.get(type, 0) for type, n in after.items() if n != before.get(type, 0)}
    told = ("drift.detected", "node.moved", "node.updated", "node.reconciled")
    assert more == {f"filestore.{type}": 1 for type in told}, "of the directory alone"
    service.kill("watcher")
    shutil.rmtree(followed.root / "moved" / "7")
    (followed.root / "moved" / "8" / "800").write_bytes(b"meanwhile")
    (followed.root / "later").write_bytes(b"meanwhile")
    watch(service, followed)
    converges(service, followed)


def test_with_room_for_a_hundred_directories_the_rest_is_audited_and_it_is_said_so(
    service: Service, followed: MountOfTest
) -> None:
    for n in range(3 * LIMIT):
        (followed.root / f"{n}" / "below").mkdir(parents=True)
    watch(
        service, followed, FILESTORE_WATCH_DIRECTORIES_MAX=str(LIMIT), FILESTORE_WATCH_UNWATCHED_SECONDS="10",
    )  # fmt: skip
    assert phase(service, followed) == "partial"
    shown = service.call("GET", f"/v1/backend-mounts/{followed.id}/consistency").json()["data"]["watcher"]
    assert shown["state"] == "partial"
    for n in range(3 * LIMIT):
        (followed.root / f"{n}" / "below" / "file").write_bytes(b"x")
    converges(service, followed)
