"""Every command on a mount in a bucket, and between mounts, on the real stack. Each test ends with the consistency check."""

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.e2e.test_commands import refused, result
from tests.fix_s3 import S3Server
from tests.fix_s3_proxy import S3Proxy
from tests.fix_s3_service import MountInBucket, make_bucket_mount
from tests.fix_service import MountOfTest, Service, check_mount, make_mount, until

# Of the kinds of bucket and the pairs of mounts, each run draws one a test; `make test-slow` has them all.
pytestmark = pytest.mark.sampled(1)

LARGE = os.urandom(1 << 20) * 40


def test_directories_and_files_appear_and_are_read(service: Service, each_s3: MountInBucket) -> None:
    s3 = each_s3
    result(service.mkdir(s3, "d"), 201)
    result(service.mkdir(s3, "d/e"), 201)
    small = result(service.upload(s3, "d/small", b"small", metadata={"n": 1}), 201)["node"]
    large = result(service.upload(s3, "d/e/large", LARGE), 201)["node"]
    assert small["metadata"] == {"n": 1} and large["sizeBytes"] == len(LARGE)
    assert s3.on_disk() == {"d": None, "d/e": None, "d/e/large": LARGE, "d/small": b"small"}
    assert service.call("GET", small["download"]["streamUrl"]).content == b"small"
    assert service.call("GET", large["download"]["streamUrl"]).content == LARGE
    part = service.call("GET", large["download"]["streamUrl"], headers={"Range": "bytes=20000000-20999999"})
    assert part.status_code == 206 and part.content == LARGE[20_000_000:21_000_000]


@pytest.mark.parametrize("content", [b"newer", LARGE], ids=["small", "large"])
def test_an_overwritten_file_keeps_its_old_content(service: Service, each_s3: MountInBucket, content: bytes) -> None:
    s3 = each_s3
    node = result(service.upload(s3, "f", b"old"), 201)["node"]["id"]
    refused(service.upload(s3, "f", content), 409, "NODE_EXISTS")
    data = result(service.upload(s3, "f", content, overwrite="true"), 200)
    assert data["node"]["id"] == node and data["node"]["version"] == 2
    assert s3.get("f") == content and s3.in_trash() == [b"old"]
    old = service.call("GET", f"/v1/files/{node}/content", params={"version": 1})
    assert (old.status_code, old.content) == (200, b"old")


def test_what_is_recorded_leaves_nothing_in_the_spool(service: Service, s3: MountInBucket) -> None:
    """Neither content nor marks, without waiting for a sweep; and nothing that `finish` has to be called for."""
    spools = Path(service.env["FILESTORE_SPOOL_PATH"])
    before = set(spools.glob("*"))
    result(service.mkdir(s3, "d"), 201)
    for number in range(3):
        result(service.upload(s3, f"d/{number}", b"content"), 201)
    result(service.upload(s3, "d/0", b"newer", overwrite="true"), 200)
    result(service.upload(s3, "d/1", LARGE, overwrite="true"), 200)
    result(service.delete(s3, "d/2"), 200)
    [spool] = [folder for folder in set(spools.glob("*")) - before if (folder / "done").exists()]
    assert until(lambda: [*spool.glob("stage/*"), *spool.glob("done/*"), *spool.glob("parts/*")] == [])


def test_what_a_crash_left_of_an_ended_command_goes_with_the_next_sweep(service: Service, s3: MountInBucket) -> None:
    """However young it is: the record knows that no command needs it. A stage that no command knows stays until it is
    old."""
    spools = Path(service.env["FILESTORE_SPOOL_PATH"])
    before = set(spools.glob("*"))
    ended, stranger = result(service.upload(s3, "f", b"content"), 201)["commandId"], str(uuid.uuid4())
    [done] = [folder / "done" for folder in set(spools.glob("*")) - before if (folder / "done").exists()]
    assert until(lambda: list(done.iterdir()) == [])
    for name in (ended, stranger):
        (done / name).symlink_to("[]")
    assert until(lambda: not os.path.lexists(done / ended))
    assert os.path.lexists(done / stranger)
    (done / stranger).unlink()


def test_deleted_things_are_gone_and_come_back(service: Service, each_s3: MountInBucket) -> None:
    s3 = each_s3
    result(service.mkdir(s3, "d"), 201)
    node = result(service.upload(s3, "d/f", b"content"), 201)["node"]["id"]
    refused(service.delete(s3, "d"), 409, "CHILDREN_EXIST")
    result(service.delete(s3, "d/f"), 200)
    assert s3.on_disk() == {"d": None} and s3.in_trash() == [b"content"]
    assert result(service.delete(s3, "d/f"), 200)["idempotent"] is True
    back = result(service.restore(s3, path="d/f"), 200)["node"]
    assert back["id"] == node and s3.on_disk() == {"d": None, "d/f": b"content"}
    assert until(lambda: s3.in_trash() == [])
    result(service.delete(s3, "d/f"), 200)
    result(service.delete(s3, "d"), 200)
    assert s3.on_disk() == {}
    result(service.restore(s3, path="d"), 200)
    result(service.restore(s3, nodeId=node), 200)
    assert s3.on_disk() == {"d": None, "d/f": b"content"}


def test_a_file_moves_and_stays_the_same_node(service: Service, each_s3: MountInBucket) -> None:
    s3 = each_s3
    for path in ("d", "e"):
        result(service.mkdir(s3, path), 201)
    node = result(service.upload(s3, "d/f", b"one"), 201)["node"]["id"]
    result(service.upload(s3, "taken", b"two"), 201)
    moved = result(service.move(s3, "d/f", "e/g"), 200)["node"]
    assert (moved["id"], moved["version"]) == (node, 2)
    assert until(lambda: s3.on_disk() == {"d": None, "e": None, "e/g": b"one", "taken": b"two"})
    refused(service.move(s3, "e/g", "taken"), 409, "NODE_EXISTS")
    assert result(service.move(s3, "e/g", "taken", overwrite=True), 200)["node"]["id"] == node
    assert until(lambda: s3.on_disk() == {"d": None, "e": None, "taken": b"one"}) and s3.in_trash() == [b"two"]
    result(service.move(s3, "d", "e/d"), 200)
    assert until(lambda: s3.on_disk() == {"e": None, "e/d": None, "taken": b"one"})


def test_a_file_is_copied_by_the_store(service: Service, each_s3: MountInBucket) -> None:
    s3 = each_s3
    result(service.upload(s3, "f", LARGE, metadata={"of": "f"}), 201)
    copy = result(service.copy(s3, "f", "g"), 201)["node"]
    assert copy["metadata"] == {"of": "f"} and s3.get("g") == LARGE
    result(service.upload(s3, "h", b"small"), 201)
    assert result(service.copy(s3, "h", "g", overwrite=True), 200)["node"]["version"] == 2
    assert s3.get("g") == b"small" and s3.in_trash() == [LARGE]


def test_older_content_becomes_the_newest(service: Service, each_s3: MountInBucket) -> None:
    s3 = each_s3
    node = result(service.upload(s3, "f", b"one"), 201)["node"]["id"]
    result(service.upload(s3, "f", b"second", overwrite="true"), 200)
    data = result(service.restore(s3, nodeId=node, version=1), 200)
    assert data["node"]["version"] == 3 and s3.get("f") == b"one"
    assert sorted(s3.in_trash()) == [b"one", b"second"]
    described = result(service.describe(s3, node, set={"k": [1, None]}), 200)
    assert described["node"]["metadata"] == {"k": [1, None]} and described["node"]["version"] == 4


def test_a_link_reads_the_file_without_a_token(service: Service, each_s3: MountInBucket) -> None:
    node = result(service.upload(each_s3, "f", b"content"), 201)["node"]["id"]
    link = result(service.call("GET", f"/v1/files/{node}/presign"), 200)
    with urlopen(link["url"], timeout=10) as answer:
        assert answer.read() == b"content" and "f" in answer.headers["content-disposition"]
    each_s3.put("f", b"strange")
    refused(service.call("GET", f"/v1/files/{node}/presign"), 412, "VERSION_CONFLICT")
    refused(service.upload(each_s3, "f", b"new", overwrite="true"), 412, "VERSION_CONFLICT")
    assert each_s3.get("f") == b"strange"
    each_s3.remove("f")
    refused(service.call("GET", f"/v1/files/{node}/presign"), 404, "NODE_NOT_FOUND")
    each_s3.put("f", b"content")  # for the check: what the record knows is there again


def test_the_same_key_twice_is_one_command(service: Service, s3: MountInBucket) -> None:
    first = result(service.upload(s3, "f", b"content", f"key-1-{s3.id}"), 201)
    again = result(service.upload(s3, "f", b"content", f"key-1-{s3.id}"), 200)
    assert again["idempotent"] is True and again["journalEntryId"] == first["journalEntryId"]
    refused(service.upload(s3, "f", b"other", f"key-1-{s3.id}"), 409, "IDEMPOTENCY_CONFLICT")
    result(service.delete(s3, "f", f"key-2-{s3.id}"), 200)
    assert result(service.delete(s3, "f", f"key-2-{s3.id}"), 200)["idempotent"] is True


def test_a_strangers_object_is_never_touched(service: Service, s3: MountInBucket) -> None:
    s3.put("f", b"strange")
    s3.put("d/inside", b"strange")
    refused(service.upload(s3, "f", b"ours"), 409, "NODE_EXISTS")
    refused(service.upload(s3, "f", LARGE), 409, "NODE_EXISTS")
    refused(service.mkdir(s3, "f"), 409, "NODE_EXISTS")
    refused(service.mkdir(s3, "d"), 409, "NODE_EXISTS")
    result(service.upload(s3, "mine", b"ours"), 201)
    refused(service.move(s3, "mine", "f"), 409, "NODE_EXISTS")
    refused(service.copy(s3, "mine", "f"), 409, "NODE_EXISTS")
    assert s3.on_disk() == {"d": None, "d/inside": b"strange", "f": b"strange", "mine": b"ours"}


def test_of_many_clients_one_makes_the_file(service: Service, s3: MountInBucket) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda n=number: statuses.append(service.upload(s3, "one", b"%d" % n).status_code))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 11


def test_a_vanished_bucket_is_offline_and_heals(service: Service, s3_server: S3Server, mount: MountOfTest) -> None:
    client, name = s3_server.client(), f"vanishing-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=name)
    s3 = make_bucket_mount(service, s3_server, name)
    result(service.mkdir(s3, "d"), 201)
    kept = {key: s3.get(key) for key in s3.every_key()}
    for key in kept:
        s3.remove(key)
    client.delete_bucket(Bucket=name)
    assert until(lambda: service.mkdir(s3, "e").status_code == 503), "its sentinel is looked at again"
    refused(service.upload(s3, "f", b"content", f"key-{s3.id}"), 503, "MOUNT_OFFLINE")
    refused(service.delete(s3, "d"), 503, "MOUNT_OFFLINE")
    result(service.mkdir(mount, "meanwhile"), 201)
    client.create_bucket(Bucket=name)
    for key, content in kept.items():
        s3.put(key, content)
    assert until(lambda: service.upload(s3, "f", b"content", f"key-{s3.id}").status_code in (200, 201))
    check_mount(service, s3)


def test_a_stopped_server_is_offline_and_heals(
    service: Service, s3_server: S3Server, s3_proxy: S3Proxy, mount: MountOfTest
) -> None:
    s3 = make_bucket_mount(service, s3_server, endpoint=s3_proxy.endpoint)
    result(service.upload(s3, "f", b"content"), 201)
    with s3_proxy.down():
        assert until(lambda: service.mkdir(s3, "d").status_code == 503)
        refused(service.upload(s3, "g", LARGE, f"key-{s3.id}"), 503, "MOUNT_OFFLINE")
        result(service.mkdir(mount, "meanwhile"), 201)
    assert until(lambda: service.upload(s3, "g", LARGE, f"key-{s3.id}").status_code in (200, 201))
    assert until(lambda: service.mkdir(s3, "e").status_code == 201)
    check_mount(service, s3)


def test_a_read_only_mount_takes_nothing(service: Service, s3: MountInBucket) -> None:
    result(service.upload(s3, "f", b"content"), 201)
    node = result(service.at(s3, "f"), 200)["id"]
    service.call("PATCH", f"/v1/backend-mounts/{s3.id}", json={"accessMode": "ro"})
    refused(service.upload(s3, "g", b"x"), 403, "MOUNT_READ_ONLY")
    refused(service.delete(s3, "f"), 403, "MOUNT_READ_ONLY")
    assert service.call("GET", f"/v1/files/{node}/content").content == b"content"
    assert s3.on_disk() == {"f": b"content"}


# -- between mounts ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["local-s3", "s3-local", "s3-s3"])
def two(
    request: pytest.FixtureRequest, service: Service, s3_server: S3Server, tmp_path: Path
) -> Iterator[tuple[MountOfTest, MountOfTest]]:
    """From one mount to another."""
    made = [
        make_mount(service, tmp_path / str(n)) if kind == "local" else make_bucket_mount(service, s3_server)
        for n, kind in enumerate(request.param.split("-"))
    ]
    yield made[0], made[1]
    for mount in made:
        check_mount(service, mount)


@pytest.mark.parametrize("content", [b"four", LARGE], ids=["small", "large"])
def test_a_file_goes_to_another_mount(service: Service, two: tuple[MountOfTest, MountOfTest], content: bytes) -> None:
    here, there = two
    result(service.mkdir(there, "d"), 201)
    result(service.upload(here, "f", content, metadata={"of": "f"}), 201)
    copied = result(service.copy(here, "f", "d/copy", targetBackendMountId=there.id), 201)["node"]
    assert copied["backendMountId"] == there.id and copied["metadata"] == {"of": "f"}
    assert there.on_disk() == {"d": None, "d/copy": content}
    refused(service.move(here, "f", "d/copy", targetBackendMountId=there.id), 409, "NODE_EXISTS")
    key = f"move-{here.id}"
    result(service.move(here, "f", "moved", key, targetBackendMountId=there.id), 200)
    assert there.on_disk() == {"d": None, "d/copy": content, "moved": content}
    assert until(lambda: here.on_disk() == {})
    assert until(lambda: service.upload(here, "f", b"new").status_code == 201), "its name is free"
    again = result(service.move(here, "f", "moved", key, targetBackendMountId=there.id), 200)
    assert again["idempotent"] is True and here.on_disk() == {"f": b"new"}
