"""Whole directories on a mount in a bucket, which knows none: they go item by item, and are one command all the same."""

import base64

import pytest

from tests.e2e.test_commands import refused, result
from tests.e2e.test_trees import total
from tests.fix_s3 import S3Server
from tests.fix_s3_proxy import Fault, S3Proxy
from tests.fix_s3_service import MountInBucket, make_bucket_mount
from tests.fix_service import Service, check_mount, until

# Of the kinds of bucket and the pairs of mounts, each run draws one a test; `make test-slow` has them all.
pytestmark = pytest.mark.sampled(1)

FILES = {"a/f": b"one", "a/b/g": b"two", "a/b/c/h": b"three", "a/b/é ö": b"", "y": b"four"}
BELOW_A = {"": None, "/b": None, "/b/c": None, "/b/c/h": b"three", "/b/g": b"two", "/b/é ö": b"", "/f": b"one"}
REST = {"y": b"four", "z": None}


def fill(service: Service, mount: MountInBucket) -> MountInBucket:
    for path in ("a", "a/b", "a/b/c", "z"):
        result(service.mkdir(mount, path), 201)
    for path, content in FILES.items():
        result(service.upload(mount, path, content, metadata={"of": path}), 201)
    return mount


def content_of(service: Service, mount: MountInBucket, path: str) -> bytes:
    return service.call("GET", result(service.at(mount, path), 200)["download"]["streamUrl"]).content


def below(path: str) -> dict[str, bytes | None]:
    return {path + name: content for name, content in BELOW_A.items()}


@pytest.fixture
def tree(service: Service, each_s3: MountInBucket) -> MountInBucket:
    return fill(service, each_s3)


def test_a_directory_moves_with_all_below_it(service: Service, tree: MountInBucket) -> None:
    before, node = total(service, tree), result(service.at(tree, "a/b/c/h"), 200)
    data = result(service.move(tree, "a", "z/new", key := f"move-{tree.id}"), 200)
    assert data["result"]["movedFrom"] == "a"
    assert until(lambda: tree.on_disk() == REST | below("z/new"))
    after = result(service.at(tree, "z/new/b/c/h"), 200)
    assert (after["id"], after["version"], after["metadata"]) == (node["id"], node["version"], {"of": "a/b/c/h"})
    assert content_of(service, tree, "z/new/b/c/h") == b"three"
    assert total(service, tree) == before and total(service, tree, "z") == (11, 4, 3)
    refused(service.at(tree, "a/b"), 404, "NODE_NOT_FOUND")
    assert result(service.move(tree, "a", "z/new", key), 200)["journalEntryId"] == data["journalEntryId"]
    result(service.mkdir(tree, "a"), 201)  # waits until the old one is gone
    result(service.upload(tree, "z/new/f", b"newer", overwrite="true"), 200)
    result(service.move(tree, "z/new/b/g", "a/g"), 200)
    assert until(lambda: tree.on_disk().get("a/g") == b"two" and "z/new/b/g" not in tree.on_disk())


def test_a_directory_is_copied_whole(service: Service, tree: MountInBucket) -> None:
    data = result(service.copy(tree, "a", "z/copy", key := f"copy-{tree.id}"), 201)
    assert (data["node"]["rollup"]["fileCount"], data["node"]["rollup"]["directoryCount"]) == (4, 2)
    assert tree.on_disk() == REST | below("a") | below("z/copy")
    assert result(service.at(tree, "z/copy/b/g"), 200)["metadata"] == {"of": "a/b/g"}
    assert total(service, tree, "z/copy") == (11, 4, 2) and total(service, tree, "z") == (11, 4, 3)
    assert result(service.copy(tree, "a", "z/copy", key), 200)["idempotent"] is True
    refused(service.copy(tree, "a", "z/copy"), 409, "NODE_EXISTS")
    result(service.upload(tree, "z/copy/b/g", b"again", overwrite="true"), 200)
    assert content_of(service, tree, "a/b/g") == b"two"


def test_a_full_directory_is_deleted_and_comes_back(service: Service, tree: MountInBucket) -> None:
    before, node = tree.on_disk(), result(service.at(tree, "a"), 200)["id"]
    refused(service.delete(tree, "a"), 409, "CHILDREN_EXIST")
    assert result(service.delete(tree, "a", recursive=True), 200)["node"]["state"] == "deleted"
    assert until(lambda: tree.on_disk() == REST) and total(service, tree) == (4, 1, 1)
    assert sorted(tree.in_trash()) == sorted(content for content in BELOW_A.values() if content is not None)
    back = result(service.restore(tree, path="a"), 200)
    assert back["node"]["id"] == node and back["node"]["state"] == "active"
    assert tree.on_disk() == before and total(service, tree) == (15, 5, 4)
    assert until(lambda: tree.in_trash() == [])
    assert content_of(service, tree, "a/b/g") == b"two"
    result(service.upload(tree, "a/b/g", b"newer", overwrite="true"), 200)


def test_one_file_of_a_deleted_directory_is_restored_elsewhere_and_the_rest_follows(
    service: Service, tree: MountInBucket
) -> None:
    file = result(service.at(tree, "a/b/c/h"), 200)["id"]
    result(service.delete(tree, "a", recursive=True), 200)
    data = result(service.restore(tree, nodeId=file, targetPath="z/saved"), 200)
    assert data["node"]["id"] == file and tree.on_disk()["z/saved"] == b"three"
    result(service.restore(tree, path="a", targetPath="z/back"), 200)
    disk = tree.on_disk()
    assert "z/back/b/c/h" not in disk and disk["z/back/b/g"] == b"two" and total(service, tree) == (15, 5, 4)


def test_strangers_in_a_directory_are_neither_lost_nor_taken_along(service: Service, s3: MountInBucket) -> None:
    before = fill(service, s3).on_disk()
    s3.put("a/b/stranger", b"not ours")
    for answer in (service.move(s3, "a", "moved"), service.delete(s3, "a", recursive=True)):
        assert refused(answer, 412, "VERSION_CONFLICT")
    assert until(lambda: s3.on_disk() == before | {"a/b/stranger": b"not ours"})
    assert until(lambda: s3.in_trash() == [])
    result(service.copy(s3, "a", "copy"), 201)
    assert "copy/b/stranger" not in s3.on_disk()
    s3.remove("a/b/stranger")
    result(service.delete(s3, "a", recursive=True), 200)
    assert until(lambda: "a" not in s3.on_disk())


def test_what_was_changed_in_the_bucket_stops_its_tree(service: Service, s3_server: S3Server) -> None:
    drifting = fill(service, make_bucket_mount(service, s3_server))
    drifting.put("a/b/g", b"edited by somebody")
    before = drifting.on_disk()
    for answer in (
        service.move(drifting, "a", "z/moved"),
        service.copy(drifting, "a", "copied"),
        service.delete(drifting, "a", recursive=True),
    ):
        refused(answer, 412, "VERSION_CONFLICT")
    assert until(lambda: drifting.on_disk() == before and drifting.in_trash() == [])
    drifting.put("free/b/g", b"a stranger's")
    refused(service.copy(drifting, "z", "free"), 409, "NODE_EXISTS")


def test_a_store_that_breaks_in_the_middle_leaves_nothing_behind(
    service: Service, s3_server: S3Server, s3_proxy: S3Proxy
) -> None:
    behind = fill(service, make_bucket_mount(service, s3_server, endpoint=s3_proxy.endpoint))
    before = behind.on_disk()
    s3_proxy.on(Fault("PUT", "b/g", status=503, code="SlowDown", times=1, only_copies=True))
    key = f"broken-{behind.id}"
    answer = service.move(behind, "a", "z/moved", key)
    assert answer.status_code == 503 and "retry-after" in answer.headers, answer.text
    assert until(lambda: behind.on_disk() == before)
    result(service.move(behind, "a", "z/moved", key), 200)
    assert until(lambda: behind.on_disk() == REST | below("z/moved"))
    check_mount(service, behind)


def test_a_tree_of_many_items(service: Service, s3: MountInBucket) -> None:
    result(service.mkdir(s3, "many"), 201)
    uploads = [service.upload(s3, f"many/{number:04}", b"%d" % number).status_code for number in range(60)]
    assert set(uploads) == {201}
    result(service.copy(s3, "many", "twice"), 201)
    result(service.move(s3, "twice", "once"), 200)
    result(service.delete(s3, "many", recursive=True), 200)
    assert until(lambda: len(s3.on_disk()) == 61 and s3.on_disk()["once/0042"] == b"42")


def long_tree(service: Service, mount: MountInBucket) -> tuple[str, dict[str, bytes | None]]:
    """A directory whose deepest file has a key of exactly 1,024 bytes: the path of that file, and what is there."""
    path = "d"
    result(service.mkdir(mount, path), 201)
    for _ in range(4):
        path += "/" + "n" * 190
        result(service.mkdir(mount, path), 201)
    path += "/" + "f" * (1024 - len(f"{mount.prefix}/{path}/"))
    result(service.upload(mount, path, b"deep"), 201)
    return path, mount.on_disk()


def test_a_tree_that_no_key_can_hold_at_its_new_name_is_refused_whole_and_nothing_stays_busy(
    service: Service, s3: MountInBucket
) -> None:
    path, before = long_tree(service, s3)
    beyond = base64.b64encode(b"d\xff").decode()
    for way in ("move", "copy"):
        for target in ({"targetPath": "longer"}, {"targetPathB64": beyond}):
            body = {"backendMountId": s3.id, "path": "d", **target}
            refused(service.call("POST", f"/v1/nodes/{way}", json=body), 400, "INVALID_PATH")
    assert s3.on_disk() == before
    result(service.upload(s3, path, b"newer", overwrite="true"), 200)  # no claim is left on it
    result(service.move(s3, "d", "e"), 200)
    assert until(lambda: s3.on_disk().get("e" + path[1:]) == b"newer" and "d" not in s3.on_disk())


def test_a_tree_with_the_longest_keys_can_be_deleted_and_restored(service: Service, each_s3: MountInBucket) -> None:
    path, before = long_tree(service, each_s3)
    result(service.delete(each_s3, "d", recursive=True), 200)
    assert until(lambda: each_s3.on_disk() == {})
    assert each_s3.in_trash() == [b"deep"]
    result(service.restore(each_s3, path="d"), 200)
    assert until(lambda: each_s3.on_disk() == before and each_s3.in_trash() == [])
    assert content_of(service, each_s3, path) == b"deep"
