"""Five servers on the real service while everything is killed and every line is cut: one tree in the end, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_s3 import S3Server
from tests.fix_s3_service import make_bucket_mount
from tests.fix_service import MountOfTest, Service, until
from tests.sync.chaos import ChaosOfTest, Watcher, is_whole
from tests.sync.test_projects import ProjectOfTest
from tests.sync.test_tiers_of_projects import wipe_hot

STEPS = 90
IN_BUCKETS = (2, 3)


@pytest.fixture
def chaos(
    service: Service, mount: MountOfTest, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[ChaosOfTest]:
    """Two of the seeds with a project that is cold in a bucket."""
    bucket = None
    if request.param in IN_BUCKETS:
        server: S3Server = request.getfixturevalue("s3_server")
        bucket, mount = server.stack, make_bucket_mount(service, server)
    made = ChaosOfTest(service, ProjectOfTest(service, mount), tmp_path, request.param, bucket)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("chaos", range(4), indirect=True)
def test_five_servers_become_one_whatever_is_cut_and_killed(chaos: ChaosOfTest) -> None:
    for agent in chaos.agents:
        agent.start()
    watcher = Watcher([agent.folder for agent in chaos.agents])
    faults = []
    for number in range(STEPS):
        chaos.step()
        if number % 6 == 5:
            faults.append(chaos.fault())
        if number % 15 == 14:
            chaos.mend()
    chaos.mend()
    chaos.become_one()
    watcher.stop()
    assert watcher.torn == [] and watcher.looks > 0
    # What lost is kept, and nothing goes on by itself: no node commits what it was told.
    for one in chaos.project.call("GET", "/conflicts", params={"limit": 200})["data"]["conflicts"]:
        assert is_whole(chaos.project.call("GET", f"/objects/{one['loserSha']}"))
    revision = chaos.project.shown()["revision"]
    chaos.agents[0].write("n0/last", b"the last one")
    assert until(lambda: all((agent.folder / "n0/last").exists() for agent in chaos.agents))
    assert chaos.project.shown()["revision"] == revision + 1, faults


@pytest.mark.slow
@pytest.mark.parametrize("chaos", [9], indirect=True)
def test_a_hot_store_that_loses_everything_while_nodes_work_loses_nothing(chaos: ChaosOfTest) -> None:
    """The contents that were hot alone are on the node that wrote them: it puts them again."""
    for agent in chaos.agents:
        agent.start()
    for number in range(40):
        chaos.step()
        if number in (12, 25):
            wipe_hot(chaos.service)
    chaos.become_one()
    states = chaos.project.shown()["objects"]
    assert states.get("missing", {"objects": 0})["objects"] == 0 or until(
        lambda: "missing" not in chaos.project.shown()["objects"]
    )
