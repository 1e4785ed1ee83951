"""Whole directories from one mount to another: local disks and buckets, in every direction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_commands import refused, result
from tests.e2e.test_trees import total
from tests.fix_s3 import S3Server
from tests.fix_s3_service import make_bucket_mount
from tests.fix_service import MountOfTest, Service, check_mount, make_mount, until

# Of the kinds of bucket and the pairs of mounts, each run draws one a test; `make test-slow` has them all.
pytestmark = pytest.mark.sampled(1)

LARGE = bytes(range(256)) * 40_000
INSIDE = {"": None, "/b": None, "/b/c": None, "/b/c/h": b"three", "/b/é ö": LARGE, "/empty": None, "/f": b"one"}
Two = tuple[MountOfTest, MountOfTest]


@pytest.fixture(params=["local-local", "local-s3", "s3-local", "s3-s3"])
def two(request: pytest.FixtureRequest, service: Service, s3_server: S3Server, tmp_path: Path) -> Iterator[Two]:
    here, there = [
        make_mount(service, tmp_path / str(n)) if kind == "local" else make_bucket_mount(service, s3_server)
        for n, kind in enumerate(request.param.split("-"))
    ]
    for name, content in at("a").items():
        answer = (
            service.mkdir(here, name) if content is None else service.upload(here, name, content, metadata={"of": name})
        )
        result(answer, 201)
    result(service.mkdir(there, "d"), 201)
    yield here, there
    for mount in (here, there):
        check_mount(service, mount)


def at(path: str) -> dict[str, bytes | None]:
    return {path + name: content for name, content in INSIDE.items()}


def test_a_directory_is_copied_to_another_mount(service: Service, two: Two) -> None:
    here, there = two
    key = f"copy-{there.id}"
    data = result(service.copy(here, "a", "d/copy", key, targetBackendMountId=there.id), 201)
    assert (data["node"]["rollup"]["fileCount"], data["node"]["rollup"]["directoryCount"]) == (3, 3)
    assert there.on_disk() == {"d": None} | at("d/copy") and here.on_disk() == at("a")
    assert result(service.at(there, "d/copy/b/c/h"), 200)["metadata"] == {"of": "a/b/c/h"}
    assert result(service.copy(here, "a", "d/copy", key, targetBackendMountId=there.id), 200)["idempotent"] is True
    refused(service.copy(here, "a", "d/copy", targetBackendMountId=there.id), 409, "NODE_EXISTS")
    result(service.upload(there, "d/copy/f", b"newer", overwrite="true"), 200)
    result(service.move(there, "d/copy/b", "b"), 200)


def test_a_directory_moves_to_another_mount_and_can_be_had_back(service: Service, two: Two) -> None:
    here, there = two
    before = total(service, here)
    data = result(service.move(here, "a", "d/moved", key := f"move-{here.id}", targetBackendMountId=there.id), 200)
    assert there.on_disk() == {"d": None} | at("d/moved")
    assert until(lambda: here.on_disk() == {}) and total(service, here) == (0, 0, 0)
    assert total(service, there, "d/moved") == (before[0], before[1], before[2] - 1)
    assert result(service.at(here, "a/b/c/h"), 200)["state"] == "deleted"
    again = result(service.move(here, "a", "d/moved", key, targetBackendMountId=there.id), 200)
    assert again["journalEntryId"] == data["journalEntryId"]
    result(service.restore(here, path="a"), 200)
    assert here.on_disk() == at("a") and there.on_disk() == {"d": None} | at("d/moved")
    assert total(service, here) == before


def test_its_name_is_free_once_it_has_gone(service: Service, two: Two) -> None:
    here, there = two
    result(service.move(here, "a", "a", targetBackendMountId=there.id), 200)
    result(service.mkdir(here, "a"), 201)
    result(service.upload(here, "a/f", b"another"), 201)
    assert here.on_disk() == {"a": None, "a/f": b"another"} and there.on_disk() == {"d": None} | at("a")


def test_what_was_changed_behind_our_back_stops_all_of_it(
    service: Service, s3_server: S3Server, tmp_path: Path
) -> None:
    here, there = make_mount(service, tmp_path / "here"), make_bucket_mount(service, s3_server)
    for name, content in at("a").items():
        result(service.mkdir(here, name) if content is None else service.upload(here, name, content), 201)
    (here.root / "a/f").write_bytes(b"edited by somebody")
    refused(service.move(here, "a", "a", targetBackendMountId=there.id), 412, "VERSION_CONFLICT")
    assert until(lambda: there.on_disk() == {}) and here.on_disk() == at("a") | {"a/f": b"edited by somebody"}
    check_mount(service, there)
