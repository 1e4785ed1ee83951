"""Totals are recomputed on request and by schedule, on the real stack. Each test ends with the consistency check."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from temporalio.service import RPCError

from schema.settings import Settings
from tests.e2e.test_commands import refused, result
from tests.fix_service import PATIENCE, MountOfTest, Service, until
from workflows.client import connect

LIE = """INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
         SELECT id, 7, 3, -2, 1 FROM filestore.nodes
          WHERE mount_id = %s AND directory_text = %s AND directory_path IS NOT NULL AND state <> 'deleted'"""
RIGHT = {"": (6, 3, 2, 1), "a": (6, 3, 1, 3), "a/b": (3, 1, 0, 1)}


@pytest.fixture
def tree(service: Service, mount: MountOfTest) -> MountOfTest:
    for path in ("a", "a/b"):
        result(service.mkdir(mount, path), 201)
    for path, content in (("a/1", b"1"), ("a/2", b"22"), ("a/b/3", b"333")):
        result(service.upload(mount, path, content), 201)
    return mount


def make_wrong(service: Service, mount: MountOfTest, path: str) -> None:
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        assert connection.execute(LIE, (mount.id, path)).rowcount == 1


def rollup(service: Service, mount: MountOfTest, path: str) -> dict[str, Any]:
    found: dict[str, Any] = result(service.at(mount, path), 200)["rollup"]
    return found


def totals(service: Service, mount: MountOfTest) -> dict[str, tuple[int, ...]]:
    names = ("sizeBytes", "fileCount", "directoryCount", "childCount")
    found = {path: rollup(service, mount, path) for path in RIGHT}
    return {path: tuple(one[name] for name in names) for path, one in found.items()}


def asked(service: Service, mount: MountOfTest, **body: Any) -> dict[str, Any]:
    answer = service.call("POST", "/v1/rollups/recomputes", json={"backendMountId": mount.id, **body})
    assert answer.headers["location"] == f"/v1/rollups/recomputes/{answer.json()['data']['id']}"
    return result(answer, 202)


def shown(service: Service, recompute: dict[str, Any]) -> dict[str, Any]:
    return result(service.call("GET", f"/v1/rollups/recomputes/{recompute['id']}"), 200)


def ended(service: Service, recompute: dict[str, Any]) -> dict[str, Any]:
    assert until(lambda: shown(service, recompute)["endedAt"] is not None), shown(service, recompute)
    return shown(service, recompute)


def events(service: Service, mount: MountOfTest) -> list[dict[str, Any]]:
    wanted = {"after": 0, "limit": 1000, "events": "filestore.rollup.recomputed", "backendMountId": mount.id}
    found: list[dict[str, Any]] = []
    while True:
        page = result(service.call("GET", "/v1/events", params=wanted), 200)
        found += [event["data"] for event in page["events"]]
        if page["next"] >= page["last"]:
            return found
        wanted["after"] = page["next"]


def test_wrong_totals_of_a_mount_are_right_when_the_recompute_has_ended_and_its_end_is_an_event(
    service: Service, tree: MountOfTest
) -> None:
    before = rollup(service, tree, "a/b")
    assert totals(service, tree) == RIGHT
    make_wrong(service, tree, "a/b/")
    assert totals(service, tree) != RIGHT
    recompute = asked(service, tree)
    assert (recompute["path"], recompute["reason"], recompute["principal"]) == ("", "request", "admin")
    end = ended(service, recompute)
    assert (end["state"], end["directories"], end["differences"]) == ("succeeded", 3, 1)
    assert totals(service, tree) == RIGHT
    assert rollup(service, tree, "")["state"] == "up_to_date"
    assert rollup(service, tree, "a/b")["lastCalculatedAt"] > before["lastCalculatedAt"]
    assert until(lambda: bool(events(service, tree)))
    [event] = events(service, tree)
    assert event["recomputeId"] == recompute["id"] and event["state"] == "succeeded" and event["differences"] == 1
    assert event["rollup"]["sizeBytes"] == 6 and event["rollup"]["state"] == "up_to_date"


def test_a_directory_is_pending_until_a_worker_has_recomputed_it_and_the_same_request_joins(
    service: Service, tree: MountOfTest
) -> None:
    service.settle()
    service.stop("worker")
    recompute = asked(service, tree, path="a")
    assert asked(service, tree, path="a")["id"] == recompute["id"] and recompute["state"] == "queued"
    assert asked(service, tree, path="a/b")["id"] != recompute["id"]
    assert rollup(service, tree, "a")["state"] == "pending" and rollup(service, tree, "")["state"] == "up_to_date"
    service.start("worker")
    assert ended(service, recompute)["state"] == "succeeded"
    assert rollup(service, tree, "a")["state"] == "up_to_date"
    assert asked(service, tree, path="a")["id"] != recompute["id"]


def test_a_recompute_goes_on_when_its_worker_is_killed_in_the_middle(service: Service, tree: MountOfTest) -> None:
    make_wrong(service, tree, "a/")
    service.settle()
    service.stop("worker")
    service.start("worker", fault="recompute.page=kill")
    recompute = asked(service, tree)
    assert until(lambda: service.processes["worker"].poll() is not None), "it is killed after the first page"
    seen = shown(service, recompute)
    assert (seen["state"], seen["directories"], seen["differences"]) == ("running", 3, 1)
    service.processes.pop("worker")
    service.start("worker")
    assert ended(service, recompute)["state"] == "succeeded"
    assert totals(service, tree) == RIGHT
    assert until(lambda: len(events(service, tree)) == 1)


async def soon(there: Callable[[], Awaitable[bool]]) -> bool:
    """Made by the worker's plain loop."""
    end = time.monotonic() + PATIENCE
    while not await there():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.1)
    return True


async def test_a_schedule_finds_what_is_wrong_reports_it_and_has_it_recomputed(
    service: Service, tree: MountOfTest
) -> None:
    settings = Settings()  # type: ignore[call-arg]
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    schedule = client.get_schedule_handle(f"rollups/proof/{tree.id}")

    async def is_there() -> bool:
        with suppress(RPCError):
            return bool(await schedule.describe())
        return False

    assert await soon(is_there)
    make_wrong(service, tree, "a/b/")
    await schedule.trigger()
    assert until(lambda: bool(events(service, tree)))
    [event] = events(service, tree)
    assert (event["reason"], event["state"], event["path"], event["differences"]) == ("proof", "succeeded", "", 1)
    assert totals(service, tree) == RIGHT
    assert {rollup(service, tree, path)["state"] for path in RIGHT} == {"up_to_date"}
    assert "rollup defect, found by a proof" in service.log("worker") and "'a/b/'" in service.log("worker")

    def counted() -> float:
        lines = service.call("GET", "/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("filestore_rollup_differences_total ")).split()[1])

    assert until(lambda: counted() >= 2), "it and the directory above disagreed"


def test_what_has_no_totals_is_refused(service: Service, tree: MountOfTest) -> None:
    def ask(token: str | None = None, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        body = {"backendMountId": tree.id, **body}
        return service.call("POST", "/v1/rollups/recomputes", json=body, headers=headers)

    refused(ask(path="a/1"), 409, "NOT_A_DIRECTORY")
    refused(ask(path="a/none"), 404, "NODE_NOT_FOUND")
    refused(ask(backendMountId=987654321), 404, "BACKEND_NOT_FOUND")
    refused(ask(service.make_token("reader", "read")), 403, "MISSING_SCOPE")
    result(service.delete(tree, "a/b", recursive=True), 200)
    refused(ask(path="a/b"), 404, "NODE_NOT_FOUND")
    refused(service.call("GET", "/v1/rollups/recomputes/987654321"), 404, "NOT_FOUND")
