"""Restores and verifications as operations on the real stack."""

from datetime import UTC, datetime

from tests.e2e.test_commands import refused, result
from tests.e2e.test_operations import asked, ended, items, reached, steered, tree
from tests.fix_s3_service import MountInBucket
from tests.fix_service import MountOfTest, Service

__all__ = ["tree"]


def test_what_was_deleted_and_overwritten_comes_back_and_goes_again(service: Service, tree: MountOfTest) -> None:
    before = tree.on_disk()
    result(service.upload(tree, "a/f", b"newer", overwrite=True), 200)
    result(service.delete(tree, "a/b/g"), 200)
    result(service.delete(tree, "a/b", recursive=True), 200)
    result(service.delete(tree, "a/empty"), 200)
    changed = tree.on_disk()
    plan = reached(service, asked(service, tree, "restore", path="a", planOnly=True), "planned")
    shown = [(one["kind"], one["path"], one["code"]) for one in items(service, plan)]
    assert sorted(shown) == [
        ("restore", "a/b", None), ("restore", "a/b/g", None), ("restore", "a/empty", None), ("restore", "a/f", "NODE_EXISTS"),
    ]  # fmt: skip
    assert tree.on_disk() == changed
    restored = asked(service, tree, "restore", path="a", options={"onConflict": "overwrite"})
    assert ended(service, restored)["progress"]["itemsDone"] == 4
    assert tree.on_disk() == before
    undo = ended(service, steered(service, restored, "undo"))
    assert tree.on_disk() == changed
    ended(service, steered(service, undo, "undo"))
    assert tree.on_disk() == before


def test_parts_of_a_deleted_directory_come_back_into_new_ones(service: Service, tree: MountOfTest) -> None:
    before = tree.on_disk()
    result(service.delete(tree, "a", recursive=True), 200)
    gone = tree.on_disk()
    part = asked(service, tree, "restore", path="a", selection={"include": ["*.csv"]})
    ended(service, part)
    assert tree.on_disk() == gone | {
        "a": None, "a/b": None, "a/b/c": None, "a/b/c/h.csv": b"three", "a/b/c/i.csv": b"four",
    }  # fmt: skip
    ended(service, steered(service, part, "undo"))
    assert tree.on_disk() == gone
    ended(service, asked(service, tree, "restore", path="a"))
    assert tree.on_disk() == before, "what was deleted in parts and what was deleted at once are one tree again"


def test_a_subtree_goes_back_to_a_time_and_forward_again(service: Service, tree: MountOfTest) -> None:
    before, at = tree.on_disk(), datetime.now(UTC).isoformat()
    result(service.upload(tree, "a/f", b"newer", overwrite=True), 200)
    result(service.move(tree, "a/b/g", "z/g"), 200)
    result(service.delete(tree, "a/b", recursive=True), 200)
    result(service.mkdir(tree, "a/new"), 201)
    result(service.upload(tree, "a/new/x", b"new"), 201)
    result(service.move(tree, "a/empty", "a/new/empty"), 200)
    changed = tree.on_disk()
    kept = asked(service, tree, "restore", path="a", asOf=at, planOnly=True)
    listed = items(service, reached(service, kept, "planned"), state="skipped")
    assert [(one["path"], one["code"]) for one in listed] == [("a/new", "NEW_SINCE")]
    assert tree.on_disk() == changed
    back = ended(service, asked(service, tree, "restore", path="a", asOf=at, options={"removeNew": True}))
    assert tree.on_disk() == before and back["asOf"] is not None
    ended(service, steered(service, back, "undo"))
    assert tree.on_disk() == changed
    early = asked(service, tree, "restore", path="a", asOf="2020-01-01T00:00:00Z")
    assert ended(service, early, "failed")["errors"][0]["code"] == "NODE_NOT_FOUND"
    body = {"kind": "delete", "backendMountId": tree.id, "path": "a", "asOf": at}
    refused(service.call("POST", "/v1/operations", json=body), 400, "INVALID_REQUEST")


def test_files_are_verified_on_a_disk_and_in_a_bucket(service: Service, tree: MountOfTest, s3: MountInBucket) -> None:
    result(service.upload(s3, "one", b"one"), 201)
    disk = asked(service, tree, "verify", path="a", options={"bytesPerSecond": 1000})
    bucket = asked(service, s3, "verify")
    refused(service.call("POST", f"/v1/operations/{disk['id']}/cancel", json={"rollback": True}), 409, "WRONG_STATE")
    assert ended(service, disk)["progress"]["bytesDone"] == 15 and ended(service, bucket)["progress"]["itemsDone"] == 1
    refused(service.call("POST", f"/v1/operations/{disk['id']}/undo", json={}), 409, "WRONG_STATE")


def test_the_trash_is_purged_on_a_disk_and_in_a_bucket(service: Service, tree: MountOfTest, s3: MountInBucket) -> None:
    result(service.mkdir(s3, "a"), 201)
    for path in ("a/f", "a/g"):
        result(service.upload(s3, path, b"one"), 201)
    for mount in (tree, s3):
        result(service.upload(mount, "a/f", b"newer", overwrite=True), 200)
        result(service.delete(mount, "a", recursive=True), 200)
    service.settle()
    assert list((tree.root / ".filestore/trash").rglob("*.0")) and s3.every_key(".filestore/trash/")
    for mount, count in ((tree, 2), (s3, 2)):
        purge = asked(service, mount, "purge", options={"olderThan": 0})
        assert ended(service, purge)["progress"]["itemsDone"] == count
    assert [path for path in (tree.root / ".filestore/trash").rglob("*") if path.parent.name != "trash"] == []
    assert s3.every_key(".filestore/trash/") == []
    back = asked(service, tree, "restore", path="a")
    assert ended(service, back, "failed")["errors"][0]["code"] == "CONTENT_EXPIRED"
