"""A bench for one executor: short words for what a command does, and a stranger that works behind its back."""

import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

import pytest

from activities.executors.contract.executor import Executor
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Draft, Source, Stage
from activities.executors.contract.task import Done, Refused, Result, Step, Task
from activities.executors.contract.trees import TreesByItem
from activities.executors.kinds import KINDS, Kind, open_executor, prepare_storage
from activities.executors.local.executor import LocalExecutor
from activities.executors.memory.executor import MemoryExecutor
from activities.executors.memory.tree import MemoryNode
from schema import faults
from schema.ids import CommandId, MountId, new_command_id
from schema.mounts import Mount
from schema.paths import NodePath
from tests.executors import bench_s3
from tests.executors.toy import ToyExecutor, ToyKind

DAY = "2026-01-02"
MOUNT = "0190a1b2-0000-7000-8000-000000000001"


class Outside(Protocol):
    """Everything another program can do to the storage without us, and a look at it that does not go through the
    executor."""

    def put(self, path: bytes, content: bytes) -> None:
        """A new file at this name; whatever was there is gone."""
        ...

    def edit(self, path: bytes, content: bytes) -> None: ...
    def make_folder(self, path: bytes) -> None: ...
    def remove(self, path: bytes) -> None: ...
    def read(self, path: bytes) -> bytes | None: ...
    def is_folder(self, path: bytes) -> bool: ...
    def put_stage(self, stage: CommandId, content: bytes) -> None: ...
    def edit_stage(self, stage: CommandId, content: bytes) -> None: ...
    def drop_stage(self, stage: CommandId) -> None: ...
    def stages(self) -> dict[str, bytes | None]: ...
    def trash(self) -> dict[str, bytes | None]: ...
    def put_trash(self, name: str, content: bytes) -> None: ...
    def drop_trash(self, name: str) -> None:
        """A file, or a directory with everything below it."""
        ...


class OutsideDisk:
    def __init__(self, root: Path) -> None:
        self.root = os.fsencode(root)
        self._fresh = itertools.count()

    def at(self, path: bytes) -> bytes:
        return self.root + b"/" + path

    def put(self, path: bytes, content: bytes) -> None:
        fresh = self.root + b"/.filestore/stranger.%d" % next(self._fresh)
        Path(os.fsdecode(fresh)).write_bytes(content)
        os.rename(fresh, self.at(path))

    def edit(self, path: bytes, content: bytes) -> None:
        with open(self.at(path), "r+b") as file:
            file.truncate()
            file.write(content)

    def make_folder(self, path: bytes) -> None:
        os.mkdir(self.at(path))

    def remove(self, path: bytes) -> None:
        os.rmdir(self.at(path)) if self.is_folder(path) else os.unlink(self.at(path))

    def read(self, path: bytes) -> bytes | None:
        if not os.path.isfile(self.at(path)):
            return None
        with open(self.at(path), "rb") as file:
            return file.read()

    def is_folder(self, path: bytes) -> bool:
        return os.path.isdir(self.at(path))

    def put_stage(self, stage: CommandId, content: bytes) -> None:
        self.put(b".filestore/stage/" + stage.encode(), content)

    def edit_stage(self, stage: CommandId, content: bytes) -> None:
        self.edit(b".filestore/stage/" + stage.encode(), content)

    def drop_stage(self, stage: CommandId) -> None:
        self.remove(b".filestore/stage/" + stage.encode())

    def stages(self) -> dict[str, bytes | None]:
        names = os.listdir(self.at(b".filestore/stage"))
        return {os.fsdecode(name): self.read(b".filestore/stage/" + name) for name in names}

    def trash(self) -> dict[str, bytes | None]:
        trash = b".filestore/trash/"
        days = os.listdir(self.at(trash))
        names = [day + b"/" + name for day in days for name in os.listdir(self.at(trash + day))]
        return {os.fsdecode(name): self.read(trash + name) for name in names}

    def put_trash(self, name: str, content: bytes) -> None:
        path = b".filestore/trash/" + name.encode()
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        self.put(path, content)

    def drop_trash(self, name: str) -> None:
        path = b".filestore/trash/" + name.encode()
        shutil.rmtree(self.at(path)) if self.is_folder(path) else self.remove(path)


class OutsideMemory:
    def __init__(self, executor: MemoryExecutor) -> None:
        self.tree, self.stage, self.bin = executor.tree, executor.stage, executor.trash

    def put(self, path: bytes, content: bytes) -> None:
        self.tree[path] = MemoryNode(content)

    def edit(self, path: bytes, content: bytes) -> None:
        self.tree[path].write(content)

    def make_folder(self, path: bytes) -> None:
        self.tree[path] = MemoryNode(None)

    def remove(self, path: bytes) -> None:
        del self.tree[path]

    def read(self, path: bytes) -> bytes | None:
        return self.tree[path].content if path in self.tree else None

    def is_folder(self, path: bytes) -> bool:
        return path in self.tree and self.tree[path].content is None

    def put_stage(self, stage: CommandId, content: bytes) -> None:
        self.stage[stage.encode()] = MemoryNode(content)

    def edit_stage(self, stage: CommandId, content: bytes) -> None:
        self.stage[stage.encode()].write(content)

    def drop_stage(self, stage: CommandId) -> None:
        del self.stage[stage.encode()]

    def stages(self) -> dict[str, bytes | None]:
        return {name.decode(): node.content for name, node in self.stage.items() if b"/" not in name}

    def trash(self) -> dict[str, bytes | None]:
        return {name.decode(): node.content for name, node in self.bin.items() if name.count(b"/") == 1}

    def put_trash(self, name: str, content: bytes) -> None:
        self.bin[name.encode()] = MemoryNode(content)

    def drop_trash(self, name: str) -> None:
        for path in [path for path in self.bin if path == name.encode() or path.startswith(name.encode() + b"/")]:
            del self.bin[path]


@dataclass
class Bench:
    executor: Executor
    outside: Outside

    def staged(self, content: bytes | None) -> Stage:
        """A sealed stage: a streamed file, or a directory."""
        stage = new_command_id()
        if content is None:
            return self.drafted(stage, None)
        writer = self.executor.open_stage(stage)
        writer.write(content)
        sealed = writer.close()
        assert self.executor.seal([], [stage]) == []
        return sealed

    def drafted(self, stage: CommandId, content: bytes | None) -> Stage:
        (sealed,) = self.executor.seal([Draft(stage, content)])
        assert isinstance(sealed, Stage)
        return sealed

    def create(self, path: bytes, content: bytes | None) -> Task:
        stage = self.staged(content)
        return Task(stage.id, Step.CREATE, NodePath(path), stage.id, stage.identity)

    def replace(self, path: bytes, content: bytes, expected: Identity) -> Task:
        stage = self.staged(content)
        trash = f"{DAY}/{stage.id}.0"
        return Task(stage.id, Step.REPLACE, NodePath(path), stage.id, stage.identity, expected, trash)

    def delete(self, path: bytes, expected: Identity, tree: bool = False) -> Task:
        command = new_command_id()
        return Task(command, Step.DELETE, NodePath(path), expected=expected, trash=f"{DAY}/{command}.0", tree=tree)

    def move(self, path: bytes, target: bytes, expected: Identity, replaced: Identity | None = None) -> Task:
        command, to = new_command_id(), NodePath(target)
        trash = f"{DAY}/{command}.0" if replaced else None
        return Task(
            command, Step.MOVE, NodePath(path), expected=expected, trash=trash, target=to, replaced=replaced, tree=True
        )

    def restore(self, place: str | bytes, path: bytes, expected: Identity) -> Task:
        place = place.encode() if isinstance(place, str) else place
        return Task(new_command_id(), Step.RESTORE, NodePath(path), expected=expected, place=place, tree=True)

    def deleted(self, path: bytes, content: bytes | None) -> tuple[str, Identity]:
        """Something of ours in the trash: its place, and what the record knows of it."""
        known = self.has(path, content)
        task = self.delete(path, known)
        self.done(task)
        assert task.trash
        return task.trash, known

    def sources(self, path: bytes) -> list[Source]:
        """What a copy of this node takes, as a walk finds it: parents before children."""
        entries = [entry for entry in self.executor.walk() if (entry.path.raw + b"/").startswith(path + b"/")]
        return [Source(entry.path.raw[len(path) + 1 :], entry.kind, entry.identity, entry.path) for entry in entries]

    def copy(self, sources: list[Source], target: bytes) -> Task:
        """The command that makes a copy of these visible: staged and sealed."""
        stage = new_command_id()
        copied = {one.relative: one for one in self.executor.stage_copy(stage, sources)}
        assert list(copied) and set(copied) == {source.relative for source in sources}
        assert self.executor.seal([], [stage]) == []
        return Task(stage, Step.CREATE, NodePath(target), stage, copied[b""].identity, tree=len(sources) > 1)

    def done(self, task: Task) -> Done:
        """Act, flush and finish, as a command that succeeds does."""
        result = self.executor.act(task)
        assert isinstance(result, Done), result
        self.executor.flush([task])
        self.executor.finish(task, True)
        return result

    def has(self, path: bytes, content: bytes | None) -> Identity:
        """A file or directory of ours at this path."""
        identity = self.done(self.create(path, content)).identity
        assert identity is not None
        return identity


@pytest.fixture
def disk(tmp_path: Path) -> Bench:
    root = tmp_path / "mount"
    root.mkdir()
    return Bench(LocalExecutor.register(str(root), MOUNT), OutsideDisk(root))


@pytest.fixture
def root(disk: Bench) -> Path:
    assert isinstance(disk.outside, OutsideDisk)
    return Path(os.fsdecode(disk.outside.root))


@pytest.fixture
def flushed(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was flushed since it was last cleared, as paths below the root."""
    paths: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        paths.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), root).replace(".filestore/", ""))

    monkeypatch.setattr(os, "fsync", fsync)
    return paths


EXECUTORS = ["local", "memory", "s3", "toy"]


@pytest.fixture
def toy_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that adds an executor."""
    monkeypatch.setitem(cast(dict[str, Kind], KINDS), "toy", ToyKind())


@pytest.fixture(params=EXECUTORS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    if request.param == "s3":
        if (why := bench_s3.DIFFERENT.get(getattr(request.function, "__name__", ""))) is not None:
            pytest.skip(why)
        return Bench(*bench_s3.outside(request.getfixturevalue("s3_mount")))
    if request.param == "memory":
        executor = MemoryExecutor()
        return Bench(executor, OutsideMemory(executor))
    if request.param == "toy":
        request.getfixturevalue("toy_kind")
        mount = Mount(
            MountId(1), "main", "m", MOUNT, "toy", str(tmp_path / "toy"), None, None, "rw", "active", "here", 1
        )
        prepare_storage(mount, str(tmp_path / "spool"))
        toy = open_executor(mount, str(tmp_path / "spool"))
        assert isinstance(toy, ToyExecutor)
        return Bench(toy, OutsideMemory(toy))
    bench: Bench = request.getfixturevalue("disk")
    return bench


@pytest.fixture
def whole(bench: Bench) -> Bench:
    """A bench whose executor moves, deletes, restores and shows whole trees in one step; others are driven item by item."""
    if isinstance(bench.executor, TreesByItem):
        pytest.skip("this executor has no whole trees")
    return bench


When = Callable[[str, Callable[[], object]], None]


@pytest.fixture
def when(monkeypatch: pytest.MonkeyPatch) -> When:
    """`when(point, do)`: do it once, at the moment this fault point is reached for the first time."""
    waiting: dict[str, Callable[[], object]] = {}

    def reach(point: str, subject: str = "") -> None:
        if do := waiting.pop(point, None):
            do()

    monkeypatch.setattr(faults, "reach", reach)
    return waiting.__setitem__


class SimulatedCrash(Exception):
    """The process died here."""


def crash() -> None:
    raise SimulatedCrash


def again(task: Task) -> Task:
    """The next attempt of the same command."""
    return replace(task, attempt=task.attempt + 1)


def refused(result: Result) -> str:
    """The code of a refusal."""
    assert isinstance(result, Refused), result
    assert result.message
    return result.code
