"""The open mount of the local executor: its folders and locks, what is durable in them, and whether it is still there."""

import errno
import itertools
import json
import os
from collections.abc import Callable
from contextlib import suppress

from activities.executors import syscalls
from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Task
from activities.executors.local.errors import NOT_A_FOLDER
from activities.executors.syscalls import RENAME_NOREPLACE, open_beneath, renameat2
from schema.errors import InvalidRequest, MountOffline
from schema.paths import RESERVED, NodePath

KEPT = b"kept"
"""The day folder in the trash for strangers' bytes of commands that have no trash of their own."""

OPEN_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
OPEN_FOLDER = OPEN_ROOT | os.O_NOFOLLOW
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
MAKE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def own_name(command: str) -> bytes:
    """A command's name in our folders, which is never a path."""
    name = command.encode("utf-8", "surrogateescape")
    if not name or b"/" in name or name in (b".", b".."):
        raise InvalidRequest(f"{command!r} can not name a stage.")
    return name


def trash_name(task: Task) -> tuple[bytes, bytes]:
    """The day folder and the name in it, as the intent fixed them."""
    day, slash, name = (task.trash or "").partition("/")
    if not slash:
        raise InvalidRequest(f"{task.trash!r} is not a place in the trash: <day>/<command>.<item>.")
    return own_name(day), own_name(name)


def split_place(place: bytes) -> tuple[bytes, bytes]:
    """The folder below the trash, and the name in it. No name is one that leads elsewhere."""
    if any(name in (b"", b".", b"..") for name in place.split(b"/")):
        raise InvalidRequest(f"{place!r} is not a place in the trash.")
    folder, _, name = place.rpartition(b"/")
    return folder, name


class Disk:
    """The open folders of one mount, shared by all threads.

    A healed mount gets a new one of these; the old one closes with its last user, so that no thread ever finds another
    file behind a descriptor it holds.
    """

    def __init__(self, root: str, mount_uuid: str) -> None:
        self._held: list[int] = []
        self.root = self._hold(os.open(root, OPEN_ROOT))
        self.place = os.fstat(self.root)
        reserved = self._hold(os.open(RESERVED, OPEN_FOLDER, dir_fd=self.root))
        if read_sentinel(reserved) != mount_uuid:
            raise MountOffline("Another disk stands in the place of this mount. Nothing was changed.")
        self.reserved = reserved
        self.stage = self._hold(os.open(b"stage", OPEN_FOLDER, dir_fd=reserved))
        self.trash = self._hold(os.open(b"trash", OPEN_FOLDER, dir_fd=reserved))
        names = [b"%b/%b" % (RESERVED, name) for name in (b"mount.json", b"lock", b"stage", b"trash")]
        self._ours = {name: self.look(self.root, name) for name in names}
        self._days: set[bytes] = set()
        self._broken: OSError | None = None

    def _hold(self, descriptor: int) -> int:
        self._held.append(descriptor)
        return descriptor

    def __del__(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)

    def is_at(self, root: str) -> bool:
        try:
            return os.path.samestat(os.stat(root), self.place)
        except OSError:
            return False

    def is_intact(self) -> bool:
        """Our folders and the sentinel are those that were opened."""
        try:
            return all(was and was.same_content(self.look(self.root, name)) for name, was in self._ours.items())
        except OSError:
            return False

    def look(self, folder: int, name: bytes) -> Identity | None:
        return syscalls.identity(folder, name, self.place.st_dev)

    def parent_of(self, path: NodePath) -> int:
        return open_beneath(self.root, path.parent.raw or b".", OPEN_FOLDER)

    def kept(self, folder: bytes) -> int:
        """A folder somewhere below the trash."""
        return open_beneath(self.trash, folder or b".", OPEN_FOLDER)

    def day(self, name: bytes) -> int:
        """A day folder of the trash, made when it is missing, and durable before anything is put into it."""
        try:
            descriptor = os.open(name, OPEN_FOLDER, dir_fd=self.trash)
        except FileNotFoundError:
            self._days.discard(name)
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.trash)
            descriptor = os.open(name, OPEN_FOLDER, dir_fd=self.trash)
        if name not in self._days:
            self.sync(self.trash)
            self._days.add(name)
        return descriptor

    def sync(self, folder: int) -> None:
        """Make the names in a folder durable.

        Linux tells each lost write once: after a failure a second fsync succeeds, and means nothing. So a failure stays
        until the mount is opened anew.
        """
        self._flush(os.fsync, folder)

    def sync_all(self) -> None:
        """Make all that was written to this file system durable."""
        self._flush(syscalls.syncfs, self.root)

    def _flush(self, flush: Callable[[int], None], descriptor: int) -> None:
        if self._broken is not None:
            raise OSError(self._broken.errno, "an earlier flush failed; check the disk and mount it anew")
        try:
            flush(descriptor)
        except OSError as error:
            self._broken = error
            raise

    def sync_beneath(self, path: bytes) -> None:
        """The same by path. A folder that was moved meanwhile is flushed with its whole file system."""
        try:
            descriptor = open_beneath(self.root, path or b".", OPEN_FOLDER)
        except OSError as error:
            if error.errno not in (errno.ENOENT, *NOT_A_FOLDER):
                raise
            return self.sync_all()
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def sync_day(self, name: bytes) -> None:
        """A folder that is not there has taken nothing in: on a full disk it could not be made."""
        try:
            descriptor = os.open(name, OPEN_FOLDER, dir_fd=self.trash)
        except FileNotFoundError:
            return
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def to_trash(self, source: int, name: bytes, day: bytes, new: bytes) -> None:
        """Move into the trash, durably. Raises FileExistsError."""
        folder = self.day(day)
        try:
            renameat2(source, name, folder, new, RENAME_NOREPLACE)
            self.sync(folder)
            self.sync(source)
        finally:
            os.close(folder)

    def keep(self, source: int, name: bytes, task: Task) -> None:
        """Strangers' bytes under our own name, and no place to put them back: they wait in the trash for a person."""
        day = trash_name(task)[0] if task.trash else KEPT
        for n in itertools.count():
            with suppress(FileExistsError):
                new = f"{task.command}.kept.{n}" if n else f"{task.command}.kept"
                return self.to_trash(source, name, day, own_name(new))

    def remove(self, folder: int, name: bytes, directory: bool) -> bool:
        """Unlink what was just looked at. False: a directory with something in it, which stays."""
        try:
            (os.rmdir if directory else os.unlink)(name, dir_fd=folder)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        return True

    def remove_tree(self, folder: int, name: bytes) -> None:
        """Unlink it, with all that it holds where it is a directory, however deep that is. No link is followed."""
        found = self.look(folder, name)
        if found is None or not found.directory:
            self.remove(folder, name, False)
            return
        directories = [name]
        for path in directories:  # it grows while it is read
            opened = open_beneath(folder, path, OPEN_FOLDER)
            try:
                for inside in os.listdir(opened):
                    below, entry = os.fsencode(inside), self.look(opened, os.fsencode(inside))
                    if entry is not None and entry.directory:
                        directories.append(path + b"/" + below)
                    else:
                        self.remove(opened, below, False)
            finally:
                os.close(opened)
        for path in reversed(directories):
            above, _, last = path.rpartition(b"/")
            opened = open_beneath(folder, above or b".", OPEN_FOLDER)
            try:
                self.remove(opened, last, True)
            finally:
                os.close(opened)


def read_sentinel(reserved: int) -> str | None:
    """The mount this disk says it is; None without a sentinel, an empty text for one that can not be read."""
    try:
        descriptor = os.open(b"mount.json", OPEN_FILE, dir_fd=reserved)
    except FileNotFoundError:
        return None
    try:
        sentinel = json.loads(os.read(descriptor, 4096))
        return str(sentinel["mount"])
    except (ValueError, KeyError, TypeError):
        return ""
    finally:
        os.close(descriptor)
