"""Moves, copies, restores and metadata as a client sees them, on the real stack. Each test ends with the consistency check."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_commands import refused, result
from tests.fix_service import MountOfTest, Service, check_mount, make_mount, until


@pytest.fixture
def tree(service: Service, mount: MountOfTest) -> MountOfTest:
    for path in ("a", "a/b", "a/b/c", "z"):
        result(service.mkdir(mount, path), 201)
    for path, content in {"a/f": b"one", "a/b/g": b"two", "a/b/c/h": b"three", "y": b"four"}.items():
        result(service.upload(mount, path, content, metadata={"of": path}), 201)
    return mount


@pytest.fixture
def other(service: Service, tmp_path: Path) -> Iterator[MountOfTest]:
    fresh = make_mount(service, tmp_path / "other")
    yield fresh
    check_mount(service, fresh)


def total(service: Service, mount: MountOfTest, path: str = "") -> tuple[int, int, int]:
    rollup = result(service.at(mount, path), 200)["rollup"]
    return rollup["sizeBytes"], rollup["fileCount"], rollup["directoryCount"]


def test_a_directory_moves_with_all_below_it(service: Service, tree: MountOfTest) -> None:
    before, node = total(service, tree), result(service.at(tree, "a/b/c/h"), 200)
    data = result(service.move(tree, "a/b", "z/new"), 200)
    assert data["result"]["movedFrom"] == "a/b"
    assert data["node"]["path"] == "z/new" and data["node"]["version"] == 2
    assert tree.on_disk() == {
        "a": None, "a/f": b"one", "y": b"four", "z": None, "z/new": None, "z/new/c": None, "z/new/c/h": b"three",
        "z/new/g": b"two",
    }  # fmt: skip
    after = result(service.at(tree, "z/new/c/h"), 200)
    assert (after["id"], after["depth"]) == (node["id"], 4)
    assert total(service, tree) == before and total(service, tree, "z") == (8, 2, 2)
    refused(service.at(tree, "a/b"), 404, "NODE_NOT_FOUND")


def test_a_move_onto_a_file_replaces_it_when_asked_to(service: Service, tree: MountOfTest) -> None:
    key = f"move-{tree.id}"
    refused(service.move(tree, "y", "a/f"), 409, "NODE_EXISTS")
    data = result(service.move(tree, "y", "a/f", key, overwrite=True), 200)
    assert tree.on_disk()["a/f"] == b"four" and "y" not in tree.on_disk()
    again = result(service.move(tree, "y", "a/f", key, overwrite=True), 200)
    assert again["idempotent"] is True and again["journalEntryId"] == data["journalEntryId"]


def test_moves_that_can_not_be(service: Service, tree: MountOfTest) -> None:
    for path, target, status, code in (
        ("a", "a/b/a", 400, "INVALID_REQUEST"),
        ("a", "a", 400, "INVALID_REQUEST"),
        ("nothing", "n", 404, "NODE_NOT_FOUND"),
        ("y", "no/where", 404, "PARENT_NOT_FOUND"),
        ("y", "z", 409, "NODE_EXISTS"),
        ("y", "../out", 400, "INVALID_PATH"),
    ):
        refused(service.move(tree, path, target), status, code)
    (tree.root / "taken").write_bytes(b"foreign")
    refused(service.move(tree, "y", "taken"), 409, "NODE_EXISTS")
    assert (tree.root / "taken").read_bytes() == b"foreign" and tree.on_disk()["y"] == b"four"


def test_what_was_changed_behind_our_back_is_neither_moved_nor_copied(service: Service, tmp_path: Path) -> None:
    drifting = make_mount(service, tmp_path / "drifting")
    result(service.upload(drifting, "y", b"ours"), 201)
    (drifting.root / "y").write_bytes(b"edited by somebody")
    refused(service.move(drifting, "y", "moved"), 412, "VERSION_CONFLICT")
    refused(service.copy(drifting, "y", "copied"), 412, "VERSION_CONFLICT")
    refused(service.copy(drifting, "y", "copied", overwrite=True), 412, "VERSION_CONFLICT")
    assert drifting.on_disk() == {"y": b"edited by somebody"}


def test_a_file_is_copied_with_its_metadata(service: Service, tree: MountOfTest) -> None:
    os.chmod(tree.root / "a/f", 0o640)
    result(service.copy(tree, "a/f", "z/of another mode"), 201)
    assert stat.S_IMODE(os.stat(tree.root / "z/of another mode").st_mode) == 0o640
    data = result(service.copy(tree, "y", "z/copy"), 201)
    assert data["result"]["copiedFrom"] == "y"
    assert data["node"]["metadata"] == {"of": "y"} and data["node"]["id"] != result(service.at(tree, "y"), 200)["id"]
    assert tree.on_disk()["z/copy"] == tree.on_disk()["y"] == b"four"
    refused(service.copy(tree, "a/b/g", "z/copy"), 409, "NODE_EXISTS")
    replaced = result(service.copy(tree, "a/b/g", "z/copy", overwrite=True), 200)
    assert replaced["node"]["version"] == 2 and tree.on_disk()["z/copy"] == b"two"


def test_a_directory_is_copied_whole(service: Service, tree: MountOfTest) -> None:
    key = f"copy-{tree.id}"
    (tree.root / "a" / "stranger").write_bytes(b"not in the record")
    data = result(service.copy(tree, "a", "z/copy", key), 201)
    assert data["node"]["rollup"]["fileCount"] == 3 and data["node"]["rollup"]["directoryCount"] == 2
    disk = tree.on_disk()
    assert {path: disk[path] for path in disk if path.startswith("z/")} == {
        "z/copy": None, "z/copy/b": None, "z/copy/b/c": None, "z/copy/b/c/h": b"three", "z/copy/b/g": b"two",
        "z/copy/f": b"one",
    }  # fmt: skip
    assert result(service.at(tree, "z/copy/b/g"), 200)["metadata"] == {"of": "a/b/g"}
    assert total(service, tree, "z/copy") == (11, 3, 2) and total(service, tree, "z") == (11, 3, 3)
    assert result(service.copy(tree, "a", "z/copy", key), 200)["idempotent"] is True


def test_what_came_with_a_copied_directory_is_a_node_like_any_other(service: Service, tree: MountOfTest) -> None:
    result(service.copy(tree, "a/b", "one"), 201)
    result(service.upload(tree, "one/g", b"again", overwrite="true"), 200)
    result(service.move(tree, "one/g", "moved"), 200)
    result(service.delete(tree, "one/c/h"), 200)
    result(service.copy(tree, "one", "two"), 201)
    assert total(service, tree, "two") == (0, 0, 1) and tree.on_disk()["moved"] == b"again"


def test_a_full_directory_is_deleted_and_comes_back(service: Service, tree: MountOfTest) -> None:
    before, node = tree.on_disk(), result(service.at(tree, "a"), 200)["id"]
    refused(service.delete(tree, "a"), 409, "CHILDREN_EXIST")
    data = result(service.delete(tree, "a", recursive=True), 200)
    assert data["node"]["state"] == "deleted"
    assert tree.on_disk() == {"y": b"four", "z": None} and total(service, tree) == (4, 1, 1)
    for path in ("a", "a/f", "a/b/c/h"):
        assert result(service.at(tree, path), 200)["state"] == "deleted"
    back = result(service.restore(tree, path="a"), 200)
    assert back["node"]["id"] == node and back["node"]["state"] == "active"
    assert tree.on_disk() == before and total(service, tree) == (15, 4, 4)


def test_one_file_of_a_deleted_directory_is_restored_elsewhere(service: Service, tree: MountOfTest) -> None:
    file = result(service.at(tree, "a/b/c/h"), 200)["id"]
    result(service.delete(tree, "a", recursive=True), 200)
    refused(service.restore(tree, nodeId=file), 404, "PARENT_NOT_FOUND")
    data = result(service.restore(tree, nodeId=file, targetPath="z/saved"), 200)
    assert data["node"]["id"] == file and tree.on_disk()["z/saved"] == b"three"


def test_a_deleted_directory_comes_back_without_what_was_restored_before(service: Service, tree: MountOfTest) -> None:
    result(service.delete(tree, "a", recursive=True), 200)
    result(service.restore(tree, path="a/b", targetPath="z/b"), 200)
    assert total(service, tree) == (12, 3, 3) and total(service, tree, "z") == (8, 2, 2)
    result(service.restore(tree, path="a"), 200)
    assert total(service, tree) == (15, 4, 4) and total(service, tree, "a") == (3, 1, 0)


def test_an_older_version_becomes_the_newest(service: Service, tree: MountOfTest) -> None:
    result(service.upload(tree, "y", b"second", overwrite="true"), 200)
    node = result(service.upload(tree, "y", b"third!", overwrite="true"), 200)["node"]["id"]
    assert until(lambda: len(list((tree.root / ".filestore/trash").rglob("*.0"))) == 2)
    data = result(service.restore(tree, nodeId=node, version=1), 200)
    assert data["node"]["version"] == 4 and tree.on_disk()["y"] == b"four"
    refused(service.restore(tree, nodeId=node, version=9), 404, "NOT_FOUND")
    assert result(service.restore(tree, nodeId=node, version=4), 200)["idempotent"] is True


def test_a_version_in_which_the_file_was_deleted_has_no_content(service: Service, tree: MountOfTest) -> None:
    node = result(service.delete(tree, "y"), 200)["node"]
    assert node["version"] == 2
    result(service.restore(tree, nodeId=node["id"]), 200)
    result(service.upload(tree, "y", b"newer", overwrite="true"), 200)
    refused(service.restore(tree, nodeId=node["id"], version=2), 404, "NOT_FOUND")
    assert tree.on_disk()["y"] == b"newer"


def test_a_restore_by_path_is_told_again_when_nothing_lies_there_any_more(service: Service, tree: MountOfTest) -> None:
    key = f"restore-{tree.id}"
    result(service.delete(tree, "y"), 200)
    first = result(service.restore(tree, key, path="y"), 200)
    result(service.move(tree, "y", "elsewhere"), 200)
    again = result(service.restore(tree, key, path="y"), 200)
    assert again["idempotent"] is True and again["journalEntryId"] == first["journalEntryId"]
    refused(service.restore(tree, path="y"), 404, "NODE_NOT_FOUND")
    refused(service.restore(tree, f"{key}-other", path="y"), 404, "NODE_NOT_FOUND")


def test_a_restore_may_name_the_very_place_where_it_was(service: Service, tree: MountOfTest) -> None:
    result(service.delete(tree, "y"), 200)
    assert result(service.restore(tree, path="y", targetPath="y"), 200)["node"]["path"] == "y"


def test_what_was_deleted_goes_with_its_directory(service: Service, tree: MountOfTest) -> None:
    """Its path, the one it is found at, and the one it comes back to are the same, wherever its directory went."""
    node = result(service.at(tree, "a/b/c/h"), 200)["id"]
    result(service.delete(tree, "a/b/c", recursive=True), 200)
    result(service.move(tree, "a", "z/a"), 200)
    refused(service.delete(tree, "a/b/c/h"), 404, "NODE_NOT_FOUND")
    found = result(service.at(tree, "z/a/b/c/h"), 200)
    assert (found["id"], found["path"], found["state"]) == (node, "z/a/b/c/h", "deleted")
    assert result(service.delete(tree, "z/a/b/c/h"), 200)["idempotent"] is True
    result(service.delete(tree, "z/a", recursive=True), 200)
    result(service.restore(tree, path="z/a", targetPath="back"), 200)
    assert result(service.at(tree, "back/b/c/h"), 200)["path"] == "back/b/c/h"
    result(service.restore(tree, path="back/b/c"), 200)
    assert tree.on_disk()["back/b/c/h"] == b"three"


def test_metadata_keeps_its_types(service: Service, tree: MountOfTest) -> None:
    node = result(service.at(tree, "y"), 200)["id"]
    data = result(service.describe(tree, node, set={"n": 1, "t": True, "s": "1", "deep": {"x": [1.5, None]}}), 200)
    assert data["node"]["metadata"] == {"of": "y", "n": 1, "t": True, "s": "1", "deep": {"x": [1.5, None]}}
    data = result(service.describe(tree, node, unset=["of", "t", "never"], set={"n": 2}), 200)
    assert data["node"]["metadata"] == {"n": 2, "s": "1", "deep": {"x": [1.5, None]}} and data["node"]["version"] == 3
    filtered = service.call("GET", "/v1/nodes", params={
        "backendMountId": tree.id, "filters": '{"metadata":[{"key":"n","value":2}]}'})  # fmt: skip
    assert [found["id"] for found in filtered.json()["data"]["nodes"]] == [node]


def test_a_file_goes_to_another_mount(service: Service, tree: MountOfTest, other: MountOfTest) -> None:
    key = f"move-{tree.id}"
    copied = result(service.copy(tree, "y", "copy", targetBackendMountId=other.id), 201)
    assert copied["node"]["backendMountId"] == other.id and other.on_disk() == {"copy": b"four"}
    moved = result(service.move(tree, "y", "moved", key, targetBackendMountId=other.id), 200)
    assert moved["result"]["movedFrom"] == "y"
    assert other.on_disk() == {"copy": b"four", "moved": b"four"}
    assert result(service.at(tree, "y"), 200)["state"] == "deleted" and total(service, tree) == (11, 3, 4)
    assert until(lambda: "y" not in tree.on_disk())
    assert until(lambda: service.upload(tree, "y", b"new").status_code == 201), "its name is free"
    again = result(service.move(tree, "y", "moved", key, targetBackendMountId=other.id), 200)
    assert again["idempotent"] is True and tree.on_disk()["y"] == b"new"
