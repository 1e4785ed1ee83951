"""A process swaps a folder for a link that leads out of the mount, as fast as it can, while every kind of step goes there."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Source
from activities.executors.contract.task import Done, Refused, Result, Task
from schema.errors import NodeNotFound, VersionConflict
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.conftest import Bench

PROJECT = Path(__file__).parents[2]
SWAPPER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from activities.executors.syscalls import RENAME_EXCHANGE, renameat2
home = os.open(sys.argv[2], os.O_RDONLY)
print(flush=True)
while True:
    renameat2(home, b"folder", home, b"link", RENAME_EXCHANGE)
"""
SECRET = b"SECRET"
NAMES = ("file", "moving", "onto", "back", "new")
"""In the folder and outside lie files of the same names, so that whatever escapes finds something to take."""


@contextmanager
def swapping(root: Path) -> Iterator[None]:
    command = [sys.executable, "-c", SWAPPER, str(PROJECT), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout and swapper.stdout.readline()
        try:
            yield
            assert swapper.poll() is None, "the swapper died"
        finally:
            swapper.kill()


class Race:
    """Files of ours, each of which is somewhere; every try goes through the folder that is swapped."""

    def __init__(self, disk: Bench, root: Path) -> None:
        self.disk, self.root, self.secret = disk, root, root.parent / "secret"
        self.secret.mkdir()
        for name in NAMES:
            (self.secret / name).write_bytes(SECRET)
        (root / "link").symlink_to(self.secret)
        disk.has(b"folder", None)
        self.file = disk.has(b"folder/file", b"ours")
        self.moving, self.at = disk.has(b"moving", b"moving"), b"moving"
        self.counts: Counter[str] = Counter()

    def run(self, tries: int, seed: int = 0) -> "Counter[str]":
        kinds = [self.read, self.move, self.copy, self.create_and_delete, self.restore, self.move_onto]
        chance = random.Random(seed)
        with swapping(self.root):
            while self.counts.total() < tries:
                chance.choice(kinds)()
        assert {file.name: file.read_bytes() for file in self.secret.iterdir()} == dict.fromkeys(NAMES, SECRET)
        assert not [file for file in self.root.rglob("*") if file.is_file() and file.read_bytes() == SECRET]
        return self.counts

    def act(self, kind: str, task: Task) -> Identity | Refused | None:
        """What lies there now; or the refusal, which says that the way was a link."""
        result: Result = self.disk.executor.act(task)
        assert isinstance(result, (Done, Refused)), result
        assert isinstance(result, Refused) or result.drift is None, result
        assert isinstance(result, Done) or result.code == "NOT_A_DIRECTORY", result
        self.counts[f"{kind} {'done' if isinstance(result, Done) else 'refused'}"] += 1
        return result.identity if isinstance(result, Done) else result

    def read(self) -> None:
        try:
            content = self.disk.executor.open(NodePath(b"folder/file"))
        except NodeNotFound:
            self.counts["read refused"] += 1
            return
        assert content.read(0, 99) == b"ours"
        content.close()
        self.counts["read done"] += 1

    def move(self) -> None:
        target = b"moving" if self.at == b"folder/moving" else b"folder/moving"
        if isinstance(moved := self.act("move", self.disk.move(self.at, target, self.moving)), Identity):
            self.moving, self.at = moved, target

    def copy(self) -> None:
        stage = new_command_id()
        source = Source(b"", "file", self.file, NodePath(b"folder/file"))
        try:
            (copied,) = self.disk.executor.stage_copy(stage, [source])
        except VersionConflict:
            self.counts["copy refused"] += 1
            return
        assert self.disk.outside.stages()[stage] == b"ours"
        assert self.disk.executor.discard_stage(stage, copied.identity)
        self.counts["copy done"] += 1

    def create_and_delete(self) -> None:
        task = self.disk.create(b"folder/new", b"new")
        made = self.act("create", task)
        self.disk.executor.finish(task, isinstance(made, Identity))
        if isinstance(made, Identity):
            self.gone(b"folder/new", made)

    def restore(self) -> None:
        made = self.disk.executor.act(self.disk.create(b"back", b"back"))
        assert isinstance(made, Done) and made.identity
        trash = self.gone(b"back", made.identity)
        restored = self.act("restore", task := self.disk.restore(trash, b"folder/back", made.identity))
        if isinstance(restored, Identity):
            self.gone(b"folder/back", restored)
        else:
            self.disk.outside.drop_trash((task.place or b"").decode())

    def move_onto(self) -> None:
        made = self.disk.executor.act(self.disk.create(b"over", b"over"))
        old = self.disk.executor.act(self.disk.create(b"onto", b"onto"))
        assert isinstance(made, Done) and isinstance(old, Done) and made.identity and old.identity
        at, replaced = b"onto", old.identity
        if isinstance(moved := self.act("move", self.disk.move(at, b"folder/onto", replaced)), Identity):
            at, replaced = b"folder/onto", moved
        over = self.act("onto", task := self.disk.move(b"over", at, made.identity, replaced))
        if isinstance(over, Identity):
            self.disk.outside.drop_trash(task.trash or "")
            self.gone(at, over)
        else:
            self.gone(b"over", made.identity)
            self.gone(at, replaced)

    def gone(self, path: bytes, known: Identity) -> str:
        """Deleted, however often the link is in the way. What is restored stays in the trash; the rest is cleared."""
        while True:
            deleted = self.act("delete", task := self.disk.delete(path, known))
            if not isinstance(deleted, Refused):
                break
        assert task.trash
        if path != b"back":
            self.disk.outside.drop_trash(task.trash)
        return task.trash
