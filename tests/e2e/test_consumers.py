"""Metastore and Timestore as a process beside the service: they end with exactly the right state, whatever kills them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from activities.consumers.lake import LakePlace, connect
from tests.fix_service import MountOfTest, Service, check_mounts, make_mount, until
from tests.fix_stack import REPOSITORY


@pytest.fixture
def consumers(service: Service) -> Iterator[Service]:
    service.start("consumers")
    yield service
    if "consumers" in service.processes:
        service.kill("consumers")


def behind(service: Service, name: str) -> int | None:
    answer = service.call("GET", f"/v1/{name}")
    if answer.status_code != 200:
        return None
    found = answer.json()["data"]
    return int(found["behind"]) if found["state"] == "following" else None


def caught_up(service: Service) -> bool:
    """Everything that was committed by now has a position, and is taken in."""
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        if not until(
            lambda: connection.execute("SELECT FROM filestore.outbox WHERE position IS NULL").fetchone() is None
        ):
            return False
    return until(lambda: behind(service, "metastore") == 0) and until(lambda: behind(service, "timestore") == 0)


def rows(service: Service, query: str, *values: Any) -> list[tuple[Any, ...]]:
    place = LakePlace(service.env["FILESTORE_DATABASE_URL"], service.env["FILESTORE_TIMESTORE_PATH"], 256 * 2**20)
    with connect(place, read_only=True) as connection:
        return connection.execute(query, list(values)).fetchall()


def record(service: Service, mount: MountOfTest, path: str) -> dict[str, Any]:
    node = service.at(mount, path).json()["data"]["id"]
    answer = service.call("GET", f"/v1/metastore/records/{node}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def live(service: Service, mount: MountOfTest, name: str) -> None:
    """A bit of everything below one directory."""
    service.mkdir(mount, name)
    service.mkdir(mount, f"{name}/d")
    for n in range(3):
        assert service.upload(mount, f"{name}/d/{n}", b"x" * (n + 1), metadata={"n": n}).status_code == 201
    service.upload(mount, f"{name}/d/0", b"other", overwrite="true")
    service.copy(mount, f"{name}/d", f"{name}/copy")
    service.move(mount, f"{name}/d", f"{name}/moved")
    node = service.at(mount, f"{name}/copy/1").json()["data"]["id"]
    service.describe(mount, node, set={"k": "v"})
    copy = service.at(mount, f"{name}/copy").json()["data"]["id"]
    service.delete(mount, f"{name}/copy", recursive=True)
    assert service.restore(mount, nodeId=copy).status_code == 200
    service.delete(mount, f"{name}/moved/2")
    service.mkdir(mount, f"{name}/no/parent")


FACTS = """SELECT * EXCLUDE (position) FROM lake.filestore_activity
            WHERE journal_id IS NOT NULL AND backend_mount_id = ? ORDER BY journal_id, event_type, node_id"""


def test_records_and_rows_follow_what_happens(consumers: Service, mount: MountOfTest, tmp_path: Path) -> None:
    service = consumers
    other = make_mount(service, tmp_path / "other")
    service.mkdir(mount, "a")
    for path in ("a/f", "a/g"):
        service.upload(mount, path, b"content")
        node = service.at(mount, path).json()["data"]["id"]
        changed = service.call("PATCH", f"/v1/metastore/records/{node}", json={"addTags": [path], "owner": "ann"})
        assert changed.status_code == 200, changed.text
    service.copy(mount, "a/f", "a/h")
    service.move(mount, "a/f", "f")
    service.move(mount, "a", "moved", targetBackendMountId=other.id)
    live(service, mount, "x")
    assert caught_up(service), service.log("consumers")[-3000:]
    assert (record(service, mount, "f")["tags"], record(service, mount, "f")["owner"]) == (["a/f"], "ann")
    assert record(service, other, "moved/g")["tags"] == ["a/g"], "what was said went along to the other mount"
    assert record(service, other, "moved/h")["tags"] == [], "a copy begins empty"
    found = service.call("POST", "/v1/metastore/search", json={"tags": ["a/g"]}).json()["data"]["records"]
    assert [one["filestore"]["path"] for one in found] == ["moved/g"]

    held = sum(len(content or b"") for content in mount.on_disk().values())
    grown = service.call("GET", "/v1/timestore/growth", params={"backendMountId": mount.id, "step": "1h"})
    assert grown.json()["data"]["series"][-1]["sizeBytes"] == held, grown.text
    told = service.call("GET", "/v1/timestore/commands", params={"backendMountId": mount.id})
    commands = told.json()["data"]["commands"]
    assert {one["command"] for one in commands} >= {"uploadFile", "moveNode", "copyNode", "restoreNode", "deleteNode"}
    assert all(one["p50Ms"] > 0 for one in commands)
    check_mounts([mount, other], "structure")

    before = rows(service, FACTS, mount.id)
    rebuild = [sys.executable, "-m", "workers.consumers", "--rebuild"]
    rebuilt = subprocess.run(rebuild, cwd=REPOSITORY, env=service.env, check=True, capture_output=True)
    assert b"written anew" in rebuilt.stderr
    for one, again in zip(before, rows(service, FACTS, mount.id), strict=True):
        assert one == again


def test_whatever_kills_the_consumers_nothing_is_missing_and_nothing_is_there_twice(
    consumers: Service, mount: MountOfTest
) -> None:
    service = consumers
    assert caught_up(service), service.log("consumers")[-3000:]
    for round, fault in enumerate(("metastore.taken=kill", "timestore.taken=kill@2", "")):
        service.kill("consumers")
        service.start("consumers", fault=fault)
        live(service, mount, f"round{round}")
    assert until(lambda: service.processes["consumers"].poll() is None)
    service.kill("consumers")
    live(service, mount, "unseen")
    service.start("consumers")
    assert caught_up(service), service.log("consumers")[-3000:]
    check_mounts([mount], "structure")  # records are nodes, as the Metastore has caught up
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        query = "SELECT position, type FROM filestore.outbox WHERE mount_id = %s ORDER BY position"
        told = connection.execute(query, [mount.id]).fetchall()
    query = "SELECT position, event_type FROM lake.filestore_activity WHERE backend_mount_id = ? ORDER BY position"
    assert rows(service, query, mount.id) == told and len(told) > 100
