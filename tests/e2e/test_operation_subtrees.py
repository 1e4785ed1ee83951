"""Directories that a copy takes as one item, on the real stack."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from activities.commands.stage import _BEAT_SECONDS
from tests.e2e.test_commands import result
from tests.e2e.test_operations import asked, ended, items, reached, steered
from tests.fix_s3 import S3Server
from tests.fix_s3_service import make_bucket_mount
from tests.fix_service import MountOfTest, Service, check_mount, until


def test_a_directory_of_moderate_size_is_one_item_and_its_copy_is_undone(service: Service, mount: MountOfTest) -> None:
    for path in ("a", "a/many", "a/few"):
        result(service.mkdir(mount, path), 201)
    for number in range(100):
        result(service.upload(mount, f"a/many/{number:02}", b"%d" % number), 201)
    result(service.upload(mount, "a/few/f", b"few"), 201)
    before = mount.on_disk()
    copied = ended(service, asked(service, mount, "copy", path="a", targetPath="copy"))
    expected = {"copy" + path[1:]: content for path, content in before.items()}
    assert mount.on_disk() == before | expected
    assert copied["plan"]["items"] == 1 and copied["progress"]["nodesDone"] == 104
    assert copied["progress"]["bytesDone"] == 190 + 3
    undo = ended(service, steered(service, copied, "undo"))
    assert mount.on_disk() == before and [one["kind"] for one in items(service, undo)] == ["delete"]
    result(service.mkdir(mount, "copy"), 201)
    again = ended(service, asked(service, mount, "copy", path="a", targetPath="copy"))
    assert [(one["kind"], one["targetPath"] or one["path"], one["nodes"]) for one in items(service, again)] == [
        ("mkdir", "copy/few", 1), ("copy", "copy/few/f", 1), ("copy", "copy/many", 101),
    ]  # fmt: skip
    result(service.upload(mount, "copy/many/05", b"mine", overwrite=True), 200)
    left = ended(service, steered(service, again, "undo"), "partial")
    assert [one["code"] for one in left["errors"]] == ["VERSION_CONFLICT"] and mount.on_disk()[
        "copy/many/05"
    ] == b"mine"


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["resume", "cancel"])
def test_in_a_bucket_a_directory_gives_way_to_a_pause_and_nothing_of_it_stays_until_it_goes_on(
    service: Service, s3_server: S3Server, tmp_path: Path, ends: str
) -> None:
    mount = make_bucket_mount(service, s3_server)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: mount.put(f"a/{number:04}", b"%d" % number), range(1100)))
    ended(service, asked(service, mount, "import", path=""))
    gate = tmp_path / "stage.laid.hold"
    gate.touch()
    service.settle()
    service.kill("worker")
    service.start("worker", fault=f"stage.laid=hold:{tmp_path}")
    operation = asked(service, mount, "copy", path="a", targetPath="copy")
    assert until(lambda: any(tmp_path.glob("stage.laid.*.reached"))) and len(mount.every_key("copy/")) > 900
    steered(service, operation, "pause")
    time.sleep(2 * _BEAT_SECONDS)  # it asks so often, however fast this machine is
    gate.unlink()
    paused = reached(service, operation, "paused")
    assert (paused["progress"]["itemsRunning"], paused["progress"]["itemsDone"], paused["errors"]) == (0, 0, [])
    assert until(lambda: mount.every_key("copy/") == [])
    steered(service, operation, ends)
    done = ended(service, operation, "succeeded" if ends == "resume" else "cancelled")
    assert done["progress"]["itemsDone"] == (1 if ends == "resume" else 0)
    there = {key.removeprefix("copy/") for key in mount.every_key("copy/")} - {""}
    assert there == ({f"{number:04}" for number in range(1100)} if ends == "resume" else set())
    check_mount(service, mount)
