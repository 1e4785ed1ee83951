"""Imports on the real stack: what lies on the storage becomes known. Each test ends with the consistency check."""

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_commands import refused, result
from tests.e2e.test_operations import asked, ended, items, reached, shown, steered
from tests.fix_s3_service import MountInBucket
from tests.fix_service import PATIENCE, MountOfTest, Service


def fill(root: Path, folders: int = 3, files: int = 4) -> dict[str, bytes]:
    """A tree that another program made."""
    made: dict[str, bytes] = {}
    for folder in range(folders):
        for number in range(files):
            path = f"old/{folder}/below/{number}.txt"
            made[path] = f"content of {path}".encode()
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(made[path])
    return made


def by_path(service: Service, mount: MountOfTest, path: str) -> dict[str, Any]:
    params = {"backendMountId": mount.id, "path": path}
    return result(service.call("GET", "/v1/nodes/by-path", params=params), 200)


def test_what_lies_on_a_disk_becomes_known_and_is_used_like_all_else(service: Service, mount: MountOfTest) -> None:
    result(service.mkdir(mount, "ours"), 201)
    made = fill(mount.root)
    strange = {b"old/back\\slash": b"1", b"old/\xff\xfe": b"2", b"old/line\nfeed": b"3", b"old/" + b"n" * 255: b"4"}
    for name, content in strange.items():
        Path(os.fsdecode(os.fsencode(mount.root) + b"/" + name)).write_bytes(content)
    os.symlink("/etc/passwd", mount.root / "old" / "link")
    os.mkfifo(mount.root / "old" / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(mount.root / "old" / "socket"))
    done = ended(service, asked(service, mount, "import", path=""))
    assert done["progress"]["itemsDone"] == len(made) + 7 + len(strange) + 3 and done["progress"]["itemsKnown"] == 1
    assert done["progress"]["bytesDone"] == sum(map(len, [*made.values(), *strange.values()]))
    node = by_path(service, mount, "old/1/below/2.txt")
    assert (node["kind"], node["sizeBytes"], node["contentHash"]) == ("file", len(made["old/1/below/2.txt"]), None)
    assert [by_path(service, mount, f"old/{name}")["kind"] for name in ("link", "pipe", "socket")] == [
        "symlink", "special", "special",
    ]  # fmt: skip
    again = ended(service, asked(service, mount, "import", path="old"))
    assert again["progress"]["itemsDone"] == 0 and again["progress"]["itemsKnown"] == done["progress"]["itemsDone"]
    read = service.call("GET", f"/v1/files/{node['id']}/content")
    assert read.content == made["old/1/below/2.txt"]
    result(service.upload(mount, "old/1/below/2.txt", b"newer", overwrite=True), 200)
    ended(service, asked(service, mount, "copy", path="old/0", targetPath="ours/copy"))
    ended(service, asked(service, mount, "move", path="old/1", targetPath="ours/moved"))
    gone = ended(service, asked(service, mount, "delete", path="old/2"))
    ended(service, steered(service, gone, "undo"))
    hashed = ended(service, asked(service, mount, "import", path="", options={"hashes": "now"}))
    assert hashed["progress"]["itemsDone"] == 0 and hashed["progress"]["itemsHashed"] >= len(strange)
    assert by_path(service, mount, "old/line\nfeed")["contentHash"] is not None


def test_an_import_is_steered_and_what_it_can_not_do_has_a_code(service: Service, mount: MountOfTest) -> None:
    made = fill(mount.root, files=10)
    result(service.mkdir(mount, "taken"), 201)
    (mount.root / "taken").rename(mount.root.with_name("taken away"))
    (mount.root / "taken").write_bytes(b"a file where the record has a directory")
    operation = asked(service, mount, "import", path="", options={"filesPerSecond": 10})
    reached(service, operation, "running", lambda now: now["progress"]["itemsDone"] > 0)
    steered(service, operation, "pause")
    paused = reached(service, operation, "paused")
    assert paused["progress"]["itemsDone"] < len(made)
    result(service.mkdir(mount, "meanwhile"), 201)
    rollback = service.call("POST", f"/v1/operations/{operation['id']}/cancel", json={"rollback": True})
    refused(rollback, 400, "NOT_SUPPORTED")
    body = {"options": {"filesPerSecond": None}}
    result(service.call("PATCH", f"/v1/operations/{operation['id']}", json=body), 200)
    steered(service, operation, "resume")
    done = ended(service, operation, "partial")
    assert done["progress"]["itemsDone"] == len(made) + 7
    assert [(one["path"], one["state"], one["code"]) for one in items(service, operation)] == [
        ("taken", "skipped", "VERSION_CONFLICT")
    ]
    (mount.root / "taken").unlink()
    mount.root.with_name("taken away").rename(mount.root / "taken")
    lies = mount.on_disk()
    undo = ended(service, steered(service, operation, "undo"))
    assert undo["progress"]["itemsDone"] == len(made) + 7 and mount.on_disk() == lies
    refused(service.call("POST", f"/v1/operations/{undo['id']}/undo", json={}), 400, "NOT_SUPPORTED")
    again = ended(service, asked(service, mount, "import", path=""))
    assert again["progress"]["itemsDone"] == len(made) + 7
    nothing = asked(service, mount, "import", path="not/there")
    assert shown(service, ended(service, nothing, "failed"))["errors"][0]["code"] == "NODE_NOT_FOUND"


def test_commands_in_the_tree_go_on_while_it_is_imported_and_nothing_is_doubled(
    service: Service, mount: MountOfTest
) -> None:
    made = fill(mount.root, folders=20, files=20)
    result(service.mkdir(mount, "busy"), 201)
    stop, uploaded = threading.Event(), list[str]()

    def write() -> None:
        while not stop.is_set():
            path = f"busy/{len(uploaded)}"
            result(service.upload(mount, path, b"by a command"), 201)
            uploaded.append(path)
            if len(uploaded) % 3 == 0:
                result(service.delete(mount, path), 200)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = ended(
            service, asked(service, mount, "import", path="", options={"filesPerSecond": 200, "hashes": "now"})
        )
    finally:
        stop.set()
        writer.join()
    assert uploaded and done["progress"]["itemsDone"] == len(made) + 41
    assert done["progress"]["itemsHashed"] == len(made)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", ["import.written", "import.page", "import.hashed"])
def test_a_worker_that_dies_records_each_name_once(
    service: Service, mount: MountOfTest, point: str, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(mount.root, folders=6, files=6)
    service.settle()
    service.kill("worker")
    service.start("worker", fault=f"{point}=kill@{1 if point == 'import.hashed' else nth}")
    options = {"filesPerSecond": 20, "hashes": "now"}
    operation = asked(service, mount, "import", path="", options=options)
    service.processes.pop("worker").wait(PATIENCE)
    service.start("worker")
    done = ended(service, operation)
    assert done["progress"]["itemsDone"] == len(made) + 13
    assert by_path(service, mount, "old/5/below/5.txt")["contentHash"] is not None


def test_a_bucket_is_imported_and_its_objects_are_used_like_all_else(service: Service, s3: MountInBucket) -> None:
    made = {f"old/{folder}/{number}": f"{folder}{number}".encode() for folder in "ab" for number in range(5)}
    for path, content in made.items():
        s3.put(path, content)
    s3.put("marked/", b"")
    done = ended(service, asked(service, s3, "import", path="", options={"hashes": "now"}))
    assert done["progress"]["itemsDone"] == len(made) + 4 and done["progress"]["itemsHashed"] == len(made)
    node = by_path(service, s3, "old/a/3")
    assert service.call("GET", f"/v1/files/{node['id']}/content").content == made["old/a/3"]
    again = ended(service, asked(service, s3, "import", path=""))
    assert (again["progress"]["itemsDone"], again["progress"]["itemsKnown"]) == (0, len(made) + 4)
    result(service.upload(s3, "old/a/3", b"newer", overwrite=True), 200)
    ended(service, asked(service, s3, "move", path="old/b", targetPath="marked/moved"))
    s3.put("late", b"x")
    assert ended(service, asked(service, s3, "import", path="late"))["progress"]["itemsDone"] == 1


def test_what_has_no_hash_yet_goes_to_another_mount_and_back(
    service: Service, mount: MountOfTest, s3: MountInBucket
) -> None:
    made = fill(mount.root, folders=1)
    ended(service, asked(service, mount, "import", path=""))
    result(service.copy(mount, "old/0/below/0.txt", "one", targetBackendMountId=s3.id), 201)
    result(service.copy(mount, "old/0", "tree", targetBackendMountId=s3.id), 201)
    assert s3.on_disk() == {"one": made["old/0/below/0.txt"], "tree": None, "tree/below": None} | {
        "tree" + path.removeprefix("old/0"): content for path, content in made.items()
    }
    result(service.copy(s3, "tree", "back", targetBackendMountId=mount.id), 201)
    assert mount.on_disk("back/below") == mount.on_disk("old/0/below")
