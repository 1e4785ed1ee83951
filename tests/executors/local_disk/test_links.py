"""Names that lead elsewhere: links, pipes, depths."""

import errno
import itertools
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from activities.executors import syscalls
from activities.executors.contract.stage import Draft, Stage
from activities.executors.contract.task import Step, Task
from schema.errors import NodeNotFound, NotADirectory
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.conftest import Bench, refused
from tests.executors.local_disk.helpers import read_or_refused


@pytest.fixture(params=["openat2", "ENOSYS", "EPERM"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel with openat2, one without it, and a container profile that forbids it."""
    how: str = request.param
    if how != "openat2":

        def refuse(folder: int, path: bytes, flags: int) -> int:
            raise OSError(getattr(errno, how), "no openat2 here")

        monkeypatch.setattr(syscalls, "openat2", refuse)
    return how


@pytest.mark.parametrize("target", ["inside", "../outside", "/", ".", "..", "nowhere", "link"])
def test_a_link_is_never_followed(disk: Bench, root: Path, kernel: str, target: str) -> None:
    (root / "inside").mkdir()
    (root.parent / "outside").mkdir()
    known = disk.has(b"inside/file", b"old")
    (root.parent / "outside" / "file").write_bytes(b"secret")
    (root / "link").symlink_to(target)
    assert refused(disk.executor.act(disk.create(b"link/new", b"x"))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.create(b"link/below/new", b"x"))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.replace(b"link/file", b"x", known))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.delete(b"link/file", known))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.move(b"link/file", b"moved", known))) == "NOT_A_DIRECTORY"
    assert refused(disk.executor.act(disk.move(b"inside/file", b"link/moved", known))) == "NOT_A_DIRECTORY"
    (root / ".filestore" / "trash" / "link").symlink_to(root / "inside")
    assert refused(disk.executor.act(disk.restore(b"link/file", b"back", known))) == "CONTENT_EXPIRED"
    (root / ".filestore" / "trash" / "link").unlink()
    with pytest.raises(NodeNotFound):
        disk.executor.open(NodePath(b"link/file"))
    with pytest.raises(NotADirectory):
        disk.executor.open(NodePath(b"link"))
    assert {entry.path.raw for entry in disk.executor.walk()} == {b"inside", b"inside/file", b"link"}
    assert (root / "inside" / "file").read_bytes() == b"old"


def test_a_link_can_be_deleted_as_what_it_is(disk: Bench, root: Path) -> None:
    (root / "file").write_bytes(b"content")
    (root / "link").symlink_to("file")
    entries = {entry.path.raw: entry for entry in disk.executor.walk()}
    assert entries[b"link"].kind == "symlink"
    disk.done(disk.delete(b"link", entries[b"link"].identity))
    assert (root / "file").read_bytes() == b"content"
    assert not (root / "link").is_symlink()


def test_deep_paths_work_without_openat2(disk: Bench, kernel: str) -> None:
    path = b""
    for depth in range(40):
        path = path + b"/deeper %d" % depth if path else b"top"
        disk.has(path, None)
    disk.has(path + b"/file", b"deep")
    content = disk.executor.open(NodePath(path + b"/file"))
    assert content.read(0, 9) == b"deep"
    content.close()


def test_a_tree_deeper_than_any_path_is_walked_to_its_end(disk: Bench, root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(b"d" * 200, dir_fd=here)
        here, before = os.open(b"d" * 200, os.O_RDONLY, dir_fd=here), here
        os.close(before)
    os.close(here)
    assert max(len(entry.path.raw) for entry in disk.executor.walk()) == 30 * 201 - 1
    subprocess.run(["rm", "-rf", root / ("d" * 200)], check=True)


def test_no_step_escapes_while_a_folder_and_a_link_are_swapped(disk: Bench, root: Path, kernel: str) -> None:
    secret = root.parent / "secret"
    secret.mkdir()
    (secret / "file").write_bytes(b"SECRET")
    disk.has(b"folder", None)
    disk.has(b"folder/file", b"ours")
    (root / "link").symlink_to(secret)
    home = os.open(root, os.O_RDONLY)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            syscalls.renameat2(home, b"folder", home, b"link", syscalls.RENAME_EXCHANGE)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen: set[bytes] = set()
    try:
        end = time.monotonic() + (2.5 if kernel == "openat2" else 0.7)
        for _ in itertools.takewhile(lambda _: time.monotonic() < end, range(20_000)):
            seen.add(read_or_refused(disk, b"folder/file"))
        for n in range(300):
            stage = disk.executor.seal([Draft(new_command_id(), None)])[0]
            assert isinstance(stage, Stage)
            disk.executor.act(Task(stage.id, Step.CREATE, NodePath(b"folder/%d" % n), stage.id, stage.identity))
    finally:
        stop.set()
        swapping.join()
        os.close(home)
    assert seen == {b"ours", b"refused"}
    assert [file.name for file in secret.iterdir()] == ["file"]


def test_a_pipe_is_told_and_never_opened(disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "pipe")
    (entry,) = disk.executor.walk()
    assert entry.kind == "special"
    opened: list[object] = []
    real = os.open

    def watched(path: bytes, *rest: int, **more: int) -> int:
        opened.append(path)
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", watched)
    with pytest.raises(NotADirectory):
        disk.executor.open(NodePath(b"pipe"))
    assert b"pipe" not in opened
    disk.done(disk.delete(b"pipe", entry.identity))


def test_a_file_swapped_for_a_pipe_while_it_is_opened_does_not_hang(
    disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.has(b"file", b"x")
    real = os.open

    def swapping(path: bytes, *rest: int, **more: int) -> int:
        if path == b"file":
            (root / "file").unlink()
            os.mkfifo(root / "file")
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(NotADirectory):
        disk.executor.open(NodePath(b"file"))
