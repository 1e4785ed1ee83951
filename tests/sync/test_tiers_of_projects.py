"""Contents between the stores, on the real service: no eviction, wiped hot store, lying cold one or collection loses any."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import psycopg

from activities.sync.nats.store import NatsHot
from tests.files import paths_in
from tests.fix_service import MountOfTest, Service, until
from tests.sync.nats_server import link_to
from tests.sync.test_projects import ProjectOfTest, sha_of

LARGE = b"large" * 200_000


def ended(project: ProjectOfTest, kind: str) -> bool:
    jobs = project.call("GET", "/jobs")["data"]["jobs"]
    return any(one["kind"] == kind and one["state"] == "succeeded" for one in jobs)


def work(project: ProjectOfTest, kind: str, **body: object) -> None:
    """Until it has ended well."""
    id = project.call("POST", f"/{kind}", 202, json=body)["data"]["id"]

    def over() -> bool:
        (job,) = [one for one in project.call("GET", "/jobs")["data"]["jobs"] if one["id"] == id]
        assert job["state"] != "failed", job
        return bool(job["state"] == "succeeded")

    assert until(over), project.call("GET", "/jobs")


def tiers(project: ProjectOfTest) -> dict[str, int]:
    return {tier: one["objects"] for tier, one in project.shown()["objects"].items()}


def cold_files(mount: MountOfTest) -> list[Path]:
    return [path for path in paths_in(mount.root / ".filestore/cold") if path.is_file()]


def test_contents_go_cold_and_come_back(service: Service, mount: MountOfTest) -> None:
    """One story: archived after the commit, evicted, read, pinned, promoted, deactivated, reactivated."""
    project = ProjectOfTest(service, mount)
    project.commit(project.change("small", b"small"), project.change("large", LARGE))
    assert until(lambda: tiers(project) == {"hot_cold": 2})
    assert until(lambda: project.call("GET", "/commits")["data"]["revisions"][0]["durability"] == "cold")
    assert project.call("POST", "/pin", json={"shas": [sha_of(b"small")]})["data"] == {"pinned": 1}
    work(project, "evict")
    assert tiers(project) == {"hot_cold": 1, "cold": 1}
    assert project.call("GET", f"/objects/{sha_of(LARGE)}") == LARGE
    work(project, "promote", paths=["small"])
    assert tiers(project) == {"hot_cold": 1, "cold": 1}, "what was asked for is hot already"
    work(project, "promote")
    assert tiers(project) == {"hot_cold": 2}
    work(project, "deactivate")
    assert (tiers(project), project.shown()["state"]) == ({"cold": 2}, "inactive")
    metrics = project.call("GET", "/metrics")["data"]
    assert (metrics["hitRatio"], metrics["commitsPerMinute"], metrics["coldObjects"]) == (0.0, 1, 2), "one read, cold"
    assert metrics["rehydration"]["objects"] == 1 and metrics["rehydration"]["seconds"] > 0
    refused = project.commit({"kind": "mkdir", "path": "d"}, status=409)["error"]
    assert (refused["code"], refused["details"]["state"]) == ("WRONG_STATE", "inactive")
    assert project.call("GET", f"/objects/{sha_of(b'small')}") == b"small"
    work(project, "reactivate", paths=["large"])
    assert (tiers(project), project.shown()["state"]) == ({"hot_cold": 2}, "active")
    project.commit({"kind": "mkdir", "path": "d"})


def test_a_job_that_is_cancelled_stops_and_space_and_conflicts_are_kept_in_bounds(
    service: Service, mount: MountOfTest
) -> None:
    bounds = {"hotMaxBytes": len(LARGE), "decideAfterSeconds": 0, "decideAs": "loser"}
    project = ProjectOfTest(service, mount, **bounds)
    job = project.call("POST", "/gc", 202, json={})["data"]
    assert (job["state"], job["etaSeconds"]) == ("running", None)
    project.call("POST", f"/jobs/{job['id']}/cancel", 202, json={})

    def state() -> str:
        return str(project.call("GET", "/jobs")["data"]["jobs"][0]["state"])

    assert until(lambda: state() == "cancelled"), "it waits for two hours otherwise"
    assert project.call("POST", f"/jobs/{job['id']}/cancel", 404, json={})["error"]["code"] == "NOT_FOUND"
    # More is hot than may be: the longest unused goes. Two wrote one path, and nobody decides.
    project.commit(project.change("f", b"one"), node="a")
    project.commit(project.change("f", b"two"), project.change("large", LARGE), node="b")
    assert until(lambda: tiers(project).get("cold", 0) >= 1)
    assert until(lambda: project.shown()["conflicts"] == 0)
    decided = project.call("GET", "/conflicts", params={"state": "decided"})["data"]["conflicts"]
    assert [(one["decision"], one["decidedBy"]) for one in decided] == [("loser", "rule")]
    assert [one["sha"] for one in project.changes("2")["changes"]] == [sha_of(b"one")]


def test_a_cold_copy_that_is_not_what_it_should_be_keeps_the_hot_one(service: Service, mount: MountOfTest) -> None:
    project = ProjectOfTest(service, mount)
    project.commit(project.change("f", b"content"))
    assert until(lambda: tiers(project) == {"hot_cold": 1})
    (copy,) = cold_files(mount)
    copy.write_bytes(b"CONTENT")
    work(project, "evict")
    assert project.call("GET", f"/objects/{sha_of(b'content')}") == b"content"
    assert until(lambda: tiers(project) == {"hot_cold": 1}), "it is archived anew"
    assert copy.read_bytes() == b"CONTENT"
    assert b"content" in [one.read_bytes() for one in cold_files(mount)]


def test_a_hot_store_that_lost_everything_is_made_anew(service: Service, mount: MountOfTest) -> None:
    project = ProjectOfTest(service, mount)
    project.commit(project.change("f", b"content"), project.change("large", LARGE))
    assert until(lambda: tiers(project) == {"hot_cold": 2})
    wipe_hot(service)
    assert until(lambda: project.service.call("GET", "/ready").status_code == 200)
    assert project.call("GET", f"/objects/{sha_of(b'content')}") == b"content"
    work(project, "resync")
    assert tiers(project) == {"cold": 2}
    work(project, "promote")
    assert tiers(project) == {"hot_cold": 2}
    assert project.commit(project.change("g", b"new"))["data"]["revision"] == 2


def wipe_hot(service: Service) -> None:
    """Its data is gone while it runs, and it is killed: it comes back with nothing."""
    assert until(lambda: service.stack.pid("nats") is not None)  # it may have been killed a moment ago
    pid = service.stack.pid("nats")
    data = service.stack.folder / "data" / "nats" / "jetstream"
    for path in sorted(paths_in(data), reverse=True):
        with suppress(OSError):  # it runs, and may take a file away itself or make a new one
            path.unlink() if not path.is_dir() else path.rmdir()
    if service.stack.pid("nats") == pid:  # or it has ended without its files
        service.stack.kill("nats")
    service.stack.wait_restarted("nats", pid)


def test_what_nothing_needs_is_collected_and_nothing_else(service: Service, mount: MountOfTest) -> None:
    service.restart(FILESTORE_SYNC_GRACE_SECONDS="0")
    project = ProjectOfTest(service, mount, keepDays=0)
    project.commit(project.change("f", b"first"))
    project.commit(project.change("f", b"second", b"first"))
    project.put(os.urandom(10))
    assert until(lambda: tiers(project) == {"hot_cold": 3})
    work(project, "gc")
    assert tiers(project) == {"hot_cold": 3}, "what was put a moment ago may be about to be committed"
    stray = plant_strays(service, project, cold_files(mount)[0])
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE filestore.project_objects SET lease_until = NULL")
    work(project, "gc")
    assert until(lambda: tiers(project) == {"hot_cold": 2}), "a hot copy that no row knew has one now"
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE filestore.project_objects SET lease_until = NULL")
    work(project, "gc")
    assert tiers(project) == {"hot_cold": 1} and not stray.exists()
    # Where it lay in a pack, that was written anew, and the old one goes with the next collection.
    work(project, "gc")
    (copy,) = cold_files(mount)
    assert b"second" in copy.read_bytes() and b"first" not in copy.read_bytes()
    assert project.call("GET", f"/objects/{sha_of(b'second')}") == b"second"
    project.call("GET", f"/objects/{sha_of(b'first')}", 404)
    # What is deleted goes as a whole once its time is over.
    project.call("DELETE", "")
    assert until(lambda: cold_files(mount) == [])
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:

        def over() -> bool:
            query = "SELECT purged_at IS NOT NULL FROM filestore.projects WHERE name = %s"
            return connection.execute(query, (project.name,)).fetchone() == (True,)

        assert until(over)


def plant_strays(service: Service, project: ProjectOfTest, copy: Path) -> Path:
    """What a process leaves that dies between a copy and its row, in both stores; the cold one."""
    stray = copy.with_name(f"{'0' * 64}.{'0' * 12}")
    stray.write_bytes(b"stray")

    async def put() -> None:
        hot = NatsHot(link_to(service.stack))
        await hot.put(project.shown()["id"], sha_of(b"unknown"), b"unknown")
        await hot.close()

    asyncio.run(put())
    return stray
