"""Outcomes of commands in the exact forms that existing clients compare or parse."""

import hashlib
from pathlib import Path

import pytest

from tests.clients.apphub import AppHub, AppHubError
from tests.fix_service import MountOfTest, Service, check_mount, make_mount


def test_where_a_node_came_from_is_a_path(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    client.create_directory(mount.id, "a")
    client.upload_file(mount.id, "a/f", b"abc")
    moved = client.move_node(mount.id, "a/f", "g")
    assert (moved.result.moved_from, moved.result.path, moved.result.command_type) == ("a/f", "g", "moveNode")
    copied = client.copy_node(mount.id, "g", "a/h")
    assert (copied.result.copied_from, copied.result.path, copied.result.command_type) == ("g", "a/h", "copyNode")
    assert copied.result.content_hash == copied.result.checksum == hashlib.sha256(b"abc").hexdigest()


def test_another_mount_is_told_in_a_field_of_its_own(service: Service, mount: MountOfTest, tmp_path: Path) -> None:
    other = make_mount(service, tmp_path / "other")
    service.upload(mount, "f", b"abc")
    here = service.copy(mount, "f", "g").json()["data"]["result"]
    there = service.copy(mount, "f", "f", targetBackendMountId=other.id).json()["data"]["result"]
    assert (here["copiedFrom"], "copiedFromBackendMountId" in here) == ("f", False)
    assert (there["copiedFrom"], there["copiedFromBackendMountId"]) == ("f", mount.id)
    assert (there["backendMountId"], there["path"]) == (other.id, "f")
    gone = service.move(mount, "g", "g", targetBackendMountId=other.id).json()["data"]["result"]
    assert (gone["movedFrom"], gone["movedFromBackendMountId"]) == ("g", mount.id)
    check_mount(service, other)


def test_a_key_gives_the_same_outcome_again(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    first = client.create_directory(mount.id, "a", key="one-key")
    again = client.create_directory(mount.id, "a", key="one-key")
    assert (first.idempotent, again.idempotent) == (False, True)
    assert again.journal_entry_id == first.journal_entry_id
    with pytest.raises(AppHubError, match="409 IDEMPOTENCY_CONFLICT"):
        client.create_directory(mount.id, "b", key="one-key")


def test_deleting_again_is_no_error(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    client.create_directory(mount.id, "a")
    client.create_directory(mount.id, "a/b")
    with pytest.raises(AppHubError, match="409 CHILDREN_EXIST"):
        client.delete_node(mount.id, "a")
    deleted = client.delete_node(mount.id, "a", recursive=True)
    assert deleted.node is not None and (deleted.node.state, deleted.result.state) == ("deleted", "deleted")
    assert client.delete_node(mount.id, "a").idempotent


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/v1/nodes/move", "OPTIONS, POST"), ("GET", "/v1/nodes/copy", "OPTIONS, POST"),
     ("DELETE", "/v1/directories", "OPTIONS, POST"), ("PUT", "/v1/nodes", "DELETE, GET, HEAD, OPTIONS")],
)  # fmt: skip
def test_another_method_is_405_and_says_which_there_are(service: Service, method: str, path: str, allow: str) -> None:
    answer = service.call(method, path)
    assert (answer.status_code, ", ".join(sorted(answer.headers["allow"].split(", ")))) == (405, allow)
