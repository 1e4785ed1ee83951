"""What each call of the SDK does, in both manners."""

import os
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from filestore_sdk import errors

from tests.fix_service import MountOfTest, Service, until

LARGE = os.urandom(20 * 1024 * 1024 + 7)


def paths_of(nodes: Any) -> list[str]:
    return [node.path for node in nodes]


def test_directories_and_files_come_and_go(client: Any, mount: MountOfTest) -> None:
    client.mkdir(mount.key, "a/b", parents=True)
    client.mkdir(mount.key, "a/b", exist_ok=True)
    with pytest.raises(errors.NodeExists):
        client.mkdir(mount.key, "a/b")
    done = client.put(mount.key, "a/f", b"one", metadata={"of": 1, "text": "é"})
    assert (done.node.path, done.node.size_bytes, done.idempotent) == ("a/f", 3, False)
    assert client.stat(mount.key, "a/f").metadata == {"of": 1, "text": "é"}
    assert client.read(mount.id, PurePosixPath("a/f")) == b"one"
    assert client.move(mount.key, "a/f", "a/g").node.path == "a/g"
    client.copy(mount.key, "a", "c")
    assert sorted(paths_of(client.walk(mount.key))) == ["a", "a/b", "a/g", "c", "c/b", "c/g"]
    assert sorted(paths_of(client.tree(mount.key))) == ["a", "a/b", "a/g", "c", "c/b", "c/g"]
    assert paths_of(client.children(mount.key, "c")) == ["c/b", "c/g"]
    assert paths_of(client.search(mount.key, "G", kinds=["file"])) == ["a/g", "c/g"]
    with pytest.raises(errors.ChildrenExist):
        client.delete(mount.key, "c")
    client.delete(mount.key, "c", recursive=True)
    assert not client.exists(mount.key, "c")
    with pytest.raises(errors.NodeNotFound) as gone:
        client.stat(mount.key, "c/g")
    assert gone.value.code == "NODE_NOT_FOUND" and gone.value.next_step
    client.restore(mount.key, "c")
    client.describe(mount.key, "c/g", set={"k": [1]}, unset=["of"])
    assert client.stat(mount.key, "c/g").metadata == {"k": [1], "text": "é"}
    assert mount.on_disk() == {"a": None, "a/b": None, "a/g": b"one", "c": None, "c/b": None, "c/g": b"one"}


def test_contents_are_replaced_kept_and_read_in_parts(client: Any, mount: MountOfTest, tmp_path: Path) -> None:
    client.put(mount.key, "f", b"old content")
    with pytest.raises(errors.NodeExists):
        client.put(mount.key, "f", b"no", overwrite=False)
    before = client.stat(mount.key, "f")
    client.put(mount.key, "f", b"new", if_match=before.version)
    with pytest.raises(errors.VersionConflict):
        client.put(mount.key, "f", b"late", if_match=before.version)
    assert [one.size_bytes for one in client.versions(mount.key, "f")] == [3, 11]
    assert client.read(mount.key, "f", version=before.version) == b"old content"
    assert client.read(mount.key, "f", start=1) == b"ew"
    assert client.read(mount.key, "f", start=1, end=2) == b"e"
    assert client.read(mount.key, "f", start=9) == b""
    client.restore(mount.key, "f", version=before.version)
    target = tmp_path / "copy"
    target.write_bytes(b"was here")
    client.get(mount.key, "f", target)
    assert target.read_bytes() == b"old content"
    client.put(mount.key, "empty", b"")
    client.get(mount.key, "empty", target)
    assert target.read_bytes() == b"" and sorted(os.listdir(tmp_path)) == ["copy", "mount"], "nothing half written"
    with pytest.raises(errors.NotADirectory):
        client.read(mount.key, "")


def test_large_content_goes_in_steps_and_comes_in_ranges(client: Any, mount: MountOfTest, tmp_path: Path) -> None:
    source, told = tmp_path / "large", []
    source.write_bytes(LARGE)
    client.put(mount.key, "d/large", source, parents=True, progress=lambda done, whole: told.append((done, whole)))
    assert told[-1] == (len(LARGE), len(LARGE))
    back = tmp_path / "back"
    client.get(mount.key, "d/large", back, progress=lambda done, whole: told.append((done, whole)))
    assert back.read_bytes() == LARGE and told[-1] == (len(LARGE), len(LARGE))
    with open(source, "rb") as opened:
        opened.seek(len(LARGE) - 5)
        client.put(mount.key, "end", opened)
    assert client.read(mount.key, "end") == LARGE[-5:]


def test_a_list_of_commands_answers_for_each(client: Any, mount: MountOfTest) -> None:
    client.put(mount.key, "f", b"1")
    made = {"command": "createDirectory", "backendMountId": mount.id, "path": b"d\xff"}
    moved = {"command": "moveNode", "backendMountId": mount.id, "path": "none", "targetPath": "x"}
    first, second = client.batch([made, moved])
    assert first.outcome.node.path == "d\udcff" and first.error is None
    assert isinstance(second.error, errors.NodeNotFound)
    failed = client.batch([made | {"path": "e"}, moved], mode="atomic")
    assert [type(one.error) for one in failed] == [errors.NotAttempted, errors.NodeNotFound]
    assert sorted(os.listdir(os.fsencode(mount.root))) == [b".filestore", b"d\xff", b"f"]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", [b"\xff\xfe", b"new\nline", b"'\"", b"-leading", b" ", b"x" * 255, "Ünïcode".encode()])
def test_any_name_survives_a_round_trip(client: Any, mount: MountOfTest, name: bytes, tmp_path: Path) -> None:
    client.put(mount.key, name, b"odd")
    [node] = client.children(mount.key)
    assert os.fsencode(node.name) == name and client.read(mount.key, node.path) == b"odd"
    client.move(mount.key, name, b"to" + name[:250])
    assert client.read(mount.key, b"to" + name[:250]) == b"odd"


def test_what_happened_is_told(client: Any, mount: MountOfTest) -> None:
    since = datetime.now(UTC)
    client.put(mount.key, "f", b"1")
    told = client.events(after=0, mount=mount.key)
    next(told)  # an event has its position a moment after its answer
    told.close()
    position = [*client.events(after=0, mount=mount.key, follow=False)][-1].position
    client.move(mount.key, "f", "g")
    followed = client.events(after=position, mount=mount.key, types=["filestore.node.moved"])
    moved = next(followed)
    assert moved.data["path"] == "g" and int(moved.position) > int(position)
    followed.close()
    commands = [entry.command for entry in client.journal(mount.key, correlation_id="tests/clients")]
    assert commands == ["moveNode", "uploadFile"]
    assert [entry.path for entry in client.journal(mount.key, "g")] == ["f", "f"], "under its old name"

    def settled() -> bool:
        told = [entry.command for entry in client.journal(mount.key, "g", oldest_first=True)]
        return told == ["uploadFile", "moveNode"]

    assert until(settled), "an entry is told oldest first once no open transaction can precede it"
    assert [one["change"] for one in client.diff(mount.key, since=since)] == ["added"]


def test_an_operation_is_planned_applied_and_undone(client: Any, mount: MountOfTest) -> None:
    for name in ("a/f", "a/g"):
        client.put(mount.key, name, b"1", parents=True)
    plan = client.operations.wait(client.operations.start("delete", mount.key, "a", plan_only=True).id, planned=True)
    assert plan.state == "planned" and len([*client.operations.items(plan.id)]) >= 1
    client.operations.apply(plan.id)
    assert client.operations.wait(plan.id).state == "succeeded"
    assert not client.exists(mount.key, "a/f")
    undone = client.operations.wait(client.operations.undo(plan.id).id)
    assert undone.state == "succeeded" and client.read(mount.key, "a/g") == b"1"
    assert plan.id in [one.id for one in client.operations.list(mount=mount.key)]
    with pytest.raises(errors.WrongState):
        client.operations.pause(plan.id)


def test_refusals_say_what_to_do(client: Any, service: Service, mount: MountOfTest) -> None:
    with pytest.raises(errors.BackendNotFound) as missing:
        client.stat("no-such-mount", "f")
    assert "no-such-mount" in str(missing.value) and missing.value.next_step
    with pytest.raises(errors.InvalidPath):
        client.put(mount.key, "a/../b", b"")
    with pytest.raises(errors.ParentNotFound):
        client.put(mount.key, "none/f", b"")
    with pytest.raises(errors.NotOffered):
        client.request("GET", "/v1/no-such-route")
    key = f"own {mount.id} {type(client).__name__}"
    client.put(mount.key, "k", b"1", key=key)
    assert client.put(mount.key, "k", b"1", key=key).idempotent
    with pytest.raises(errors.IdempotencyConflict):
        client.put(mount.key, "k", b"2", key=key)
