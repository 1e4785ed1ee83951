"""What a local disk stages: drafts and streams until they are sealed, and what is left of them after the commit."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from activities.executors import syscalls
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Stage
from activities.executors.contract.task import Task
from activities.executors.local.disk import MAKE_FILE, Disk, own_name, trash_name
from activities.executors.local.tree import discard
from schema.ids import CommandId

FILE_MODE, FOLDER_MODE = 0o644, 0o755
WRITEBACK = 8 << 20
"""Bytes after which a stream is sent on to the disk, so that the fsync at its end finds little to do."""

Explaining = Callable[[], AbstractContextManager[None]]
"""Inside of it, errors of the whole mount become its own errors."""


class LocalWriter:
    """A staged file that takes a stream. No other program may open it before it is whole."""

    def __init__(self, disk: Disk, stage: CommandId, explaining: Explaining) -> None:
        self._disk, self._id, self._name, self._explaining = disk, stage, own_name(stage), explaining
        self._hash, self._size, self._started, self._ready = hashlib.sha256(), 0, 0, False
        with explaining():
            self._descriptor: int | None = os.open(self._name, MAKE_FILE, 0o600, dir_fd=disk.stage)

    def write(self, chunk: bytes) -> None:
        assert self._descriptor is not None, "the stage is closed"
        with self._aborting():
            self._hash.update(chunk)
            rest = memoryview(chunk)
            while rest:  # a disk that fills up takes a part first
                rest = rest[os.write(self._descriptor, rest) :]
            self._size += len(chunk)
            if self._size - self._started >= WRITEBACK:
                self.start()

    def start(self) -> None:
        """Let the disk begin, so that the fsync waits less."""
        assert self._descriptor is not None, "the stage is closed"
        syscalls.sync_file_range(self._descriptor, self._started)
        self._started = self._size

    def ready(self) -> None:
        """The last changes before the fsync. A list makes them all first: one commit of the disk's journal takes them
        all, where a change after the first fsync would ask for another."""
        if self._descriptor is None or self._ready:
            return
        with self._aborting():
            os.fchmod(self._descriptor, FILE_MODE)
        self.start()
        self._ready = True

    def close(self) -> Stage:
        assert self._descriptor is not None, "the stage is closed"
        self.ready()
        with self._aborting():
            os.fsync(self._descriptor)
            sealed = self._disk.look(self._descriptor, b"")
        assert sealed is not None
        os.close(self._descriptor)
        self._descriptor = None
        return Stage(self._id, sealed, self._hash.digest())

    @contextmanager
    def _aborting(self) -> Iterator[None]:
        """A stage that failed once is gone: a write that was lost can not be asked for again."""
        try:
            with self._explaining():
                yield
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        if self._descriptor is None:
            return
        with suppress(OSError):
            ours = self._disk.look(self._descriptor, b"")
            if ours and ours.same_inode(self._disk.look(self._disk.stage, self._name)):
                os.unlink(self._name, dir_fd=self._disk.stage)
        with suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = None


def make_folder(disk: Disk, stage: CommandId, explaining: Explaining) -> Stage:
    name = own_name(stage)
    with explaining():
        os.mkdir(name, FOLDER_MODE, dir_fd=disk.stage)
        made = disk.look(disk.stage, name)
        if made is not None and made.mode & 0o777 != FOLDER_MODE:  # the umask took something
            os.chmod(name, FOLDER_MODE, dir_fd=disk.stage)
            made = disk.look(disk.stage, name)
        if made is None:
            raise FileNotFoundError(errno.ENOENT, "the staged directory vanished")
    return Stage(stage, made)


def make_link(disk: Disk, stage: CommandId, explaining: Explaining, target: bytes) -> Stage:
    name = own_name(stage)
    with explaining():
        os.symlink(target, name, dir_fd=disk.stage)
        return _made(disk, stage, name)


def make_pipe(disk: Disk, stage: CommandId, explaining: Explaining, mode: int) -> Stage:
    name = own_name(stage)
    with explaining():
        os.mkfifo(name, mode, dir_fd=disk.stage)
        os.chmod(name, mode, dir_fd=disk.stage)  # the umask took something
        return _made(disk, stage, name)


def _made(disk: Disk, stage: CommandId, name: bytes) -> Stage:
    disk.sync(disk.stage)
    made = disk.look(disk.stage, name)
    if made is None:
        raise FileNotFoundError(errno.ENOENT, "what was staged vanished")
    return Stage(stage, made)


def clear_stage(disk: Disk, name: bytes, own: Identity, task: Task, succeeded: bool) -> None:
    """What is left in the stage after the record is committed. It unlinks only what we staged and no
    client ever saw."""
    if not succeeded and task.staged and task.staged.same_content(own) and discard(disk, name, own, task.staged):
        return
    if succeeded and task.trash and task.expected and task.expected.same_inode(own):
        with suppress(FileExistsError):
            return disk.to_trash(disk.stage, name, *trash_name(task))
    disk.keep(disk.stage, name, task)
