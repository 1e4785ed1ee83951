"""Half an hour of five servers that are killed and cut off while contents go cold, come back and are collected."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from activities.sync.nats.store import NatsHot
from tests.fix_service import MountOfTest, Service, until
from tests.sync.agents import Tree
from tests.sync.chaos import ChaosOfTest, Watcher, is_whole
from tests.sync.nats_server import link_to
from tests.sync.test_projects import ProjectOfTest, sha_of
from tests.sync.test_tiers_of_projects import tiers, work

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
JOBS = ("evict", "promote", "gc", "resync", "repair")
STEPS = 40


@pytest.fixture
def soak(service: Service, mount: MountOfTest, tmp_path: Path) -> Iterator[ChaosOfTest]:
    """Nothing is kept that the tree does not need, and what a collection condemns goes a few seconds later."""
    settings = {"FILESTORE_SYNC_GRACE_SECONDS": "5"}
    service.restart(**settings)
    project = ProjectOfTest(service, mount, keepDays=0)
    made = ChaosOfTest(service, project, tmp_path, int(time.time()), settings=settings)
    yield made
    made.close()


def ask(soak: ChaosOfTest, kind: str) -> None:
    """Until a service that was killed a moment ago takes it."""

    def taken() -> bool:
        answer = soak.service.call("POST", f"/v1/projects/{soak.project.name}/{kind}", json={})
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202

    assert until(taken)


def one_round(soak: ChaosOfTest) -> None:
    for number in range(STEPS):
        soak.step()
        if number % 8 == 7:
            soak.fault()
        if number % 10 == 9:
            soak.mend()
            ask(soak, soak.random.choice(JOBS))
    soak.mend()


def rest(soak: ChaosOfTest) -> int:
    """The revision, once all that was asked for has ended and no node has anything to say."""

    def over() -> bool:
        return all(one["state"] != "running" for one in soak.project.call("GET", "/jobs")["data"]["jobs"])

    assert until(over, 120), soak.project.call("GET", "/jobs")
    return int(soak.project.shown()["revision"])


def needed(soak: ChaosOfTest, tree: Tree) -> tuple[set[str], set[str]]:
    """Contents that have to be there, and those that may: of conflicts that wait for a person. What was hot alone when the hot
    store lost its disk, and is in no folder any more, is told as missing: a fast project says so of its commit."""
    here = {sha_of(content) for content, _ in tree.values() if content is not None}
    assert until(lambda: not told_missing(soak) & here), "what is in a folder is in the stores again"
    conflicts = soak.project.call("GET", "/conflicts", params={"limit": 200})["data"]["conflicts"]
    lost = {one["loserSha"] for one in conflicts if one["loserSha"]}
    missing = told_missing(soak)
    for sha in lost - missing:
        assert is_whole(soak.project.call("GET", f"/objects/{sha}"))
    assert not missing or any("wipe" in one for one in soak.told)
    return here, lost


def told_missing(soak: ChaosOfTest) -> set[str]:
    query = """SELECT encode(o.sha, 'hex') FROM filestore.project_objects o JOIN filestore.projects p ON p.id = o.project_id
                WHERE p.name = %s AND o.tier = 'missing'"""
    with psycopg.connect(soak.service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        return {row[0] for row in connection.execute(query, [soak.project.name])}


def hot(soak: ChaosOfTest) -> set[str]:
    async def listed() -> set[str]:
        store = NatsHot(link_to(soak.service.stack))
        found: set[str] = set()
        async for page in store.listed(soak.project.shown()["id"]):
            found |= page
        await store.close()
        return found

    return asyncio.run(listed())


def collect(soak: ChaosOfTest) -> None:
    """As if all leases were over: what was put, and never committed, goes too."""
    for _ in range(3):
        with psycopg.connect(soak.service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
            connection.execute("UPDATE filestore.project_objects SET lease_until = NULL")
        work(soak.project, "gc")


@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60 + 900)
def test_half_an_hour_leaves_one_tree_nothing_lost_and_nothing_over(soak: ChaosOfTest) -> None:
    for agent in soak.agents:
        agent.start()
    watcher = Watcher([agent.folder for agent in soak.agents])
    end, rounds = time.monotonic() + MINUTES * 60, 0
    while time.monotonic() < end:
        one_round(soak)
        soak.become_one()
        rounds += 1
    watcher.stop()
    assert watcher.torn == [] and watcher.looks > 0 and rounds > 0
    tree = soak.become_one()
    revision = rest(soak)
    here, kept = needed(soak, tree)
    collect(soak)
    # The node that a collection has nothing to do with says nothing, either.
    assert soak.become_one() == tree and soak.project.shown()["revision"] == revision
    there = sum(tiers(soak.project).values())
    assert len(here) <= there <= len(here | kept), "no content is gone, and none is left that nothing needs"
    assert hot(soak) <= here | kept, "no orphan lies in the hot store"
    assert told_missing(soak) <= kept - here
