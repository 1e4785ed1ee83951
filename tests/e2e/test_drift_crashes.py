"""A worker that dies while it looks, heals or scrubs: the look goes on, each heal happens once, and all ends as policy says."""

import os
import shutil

import psycopg
import pytest

from tests.e2e.test_commands import result
from tests.e2e.test_drift import HINT, inbox, policy, states
from tests.e2e.test_operation_crashes import dies, with_fault
from tests.fix_service import MountOfTest, Service, check_mounts, until

LOOKING = ["drift.differing", "drift.read", "drift.judged", "drift.concluded"]
HEALING = ["drift.staged", "begin.committed", "apply.acted", "commit.before_commit", "commit.committed", "drift.healed"]
FILES = ("a", "b", "d/c")


@pytest.fixture
def tree(service: Service, mount: MountOfTest) -> MountOfTest:
    for path in ("d", "copies"):
        result(service.mkdir(mount, path), 201)
    for path in FILES:
        result(service.upload(mount, path, path.encode()), 201)
        result(service.upload(mount, f"copies/{path.replace('/', '-')}", path.encode()), 201)
    return mount


def asked(service: Service, mount: MountOfTest) -> str:
    body = {"backendMountId": mount.id, "path": "", "detectChildren": True}
    return f"/v1/reconciliation/jobs/{result(service.call('POST', '/v1/reconciliation', json=body), 202)['id']}"


def ended(service: Service, job: str) -> bool:
    return result(service.call("GET", job), 200)["completedAt"] is not None


@pytest.mark.sampled(1)
@pytest.mark.parametrize("point", [*LOOKING, *HEALING])
def test_a_worker_that_dies_looks_on_and_heals_each_finding_once(
    service: Service, tree: MountOfTest, point: str
) -> None:
    job = asked(service, tree)
    assert until(lambda: ended(service, job))
    policy(service, tree, onNew="quarantine", onChanged="restore", onMissing="restore")
    (tree.root / "a").write_bytes(b"theirs")
    (tree.root / "b").unlink()
    shutil.rmtree(tree.root / "d")
    (tree.root / "stray").write_bytes(b"stray")
    with_fault(service, f"{point}=kill")
    job = asked(service, tree)
    dies(service)
    assert until(lambda: ended(service, job))
    assert until(lambda: all((tree.root / path).exists() for path in FILES) and not inbox(service, tree)), inbox(
        service, tree
    )
    assert [(tree.root / path).read_bytes() for path in FILES] == [path.encode() for path in FILES]
    assert not (tree.root / "stray").exists()
    assert set(states(service, tree).values()) == {"active"}
    ended_well = [one for one in service.journal(tree) if one["outcome"] == "succeeded"]
    healed = sorted(one["path"] for one in ended_well if one["command"] in ("restoreNode", "deleteNode"))
    assert healed == ["a", "b", "d", "d/c", "stray"]
    trash = tree.root / ".filestore" / "trash"
    assert {kept.read_bytes() for kept in trash.rglob("*") if kept.is_file()} == {b"theirs", b"stray"}
    check_mounts([tree])


@pytest.mark.slow
@pytest.mark.parametrize("point", ["drift.begun", "drift.read", "drift.concluded"])
def test_hints_that_a_worker_has_taken_lead_to_a_look_when_it_dies(
    service: Service, tree: MountOfTest, point: str
) -> None:
    policy(service, tree)
    job = asked(service, tree)
    assert until(lambda: ended(service, job))
    (tree.root / "b").unlink()
    with_fault(service, f"{point}=kill")
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(HINT, (tree.id, b"b"))
    dies(service)
    assert until(lambda: states(service, tree).get("b") == "missing"), states(service, tree)
    check_mounts([tree])


@pytest.mark.slow
def test_a_worker_that_dies_while_it_scrubs_goes_on_where_it_was(service: Service, tree: MountOfTest) -> None:
    job = asked(service, tree)
    assert until(lambda: ended(service, job))
    place = tree.root / "a"
    was = place.stat()
    place.write_bytes(b"x")
    os.utime(place, ns=(was.st_atime_ns, was.st_mtime_ns))
    with_fault(service, "drift.scrubbed=kill")
    policy(service, tree, scrub={"everySeconds": 2})
    dies(service)
    assert until(lambda: place.read_bytes() == b"a")
    policy(service, tree)
    check_mounts([tree])
