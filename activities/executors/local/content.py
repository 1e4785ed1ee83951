"""What is read from a local disk: the bytes of one open file, and the names in a folder."""

import errno
import os
import stat
from collections.abc import Iterator

from activities.executors.contract.identity import Identity
from activities.executors.contract.listing import Entry
from activities.executors.local.disk import OPEN_FILE, OPEN_FOLDER, Disk
from activities.executors.local.errors import NOT_A_FOLDER
from activities.executors.syscalls import open_beneath
from schema.errors import NotADirectory
from schema.paths import RESERVED, ROOT, NodePath


class LocalContent:
    """An open file. It has no name any more, so renames and deletes do not concern it."""

    def __init__(self, descriptor: int, found: Identity) -> None:
        self.identity = found
        self._descriptor: int | None = descriptor

    def fileno(self) -> int:
        assert self._descriptor is not None, "the content is closed"
        return self._descriptor

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self.fileno(), length, offset)
        while 0 < len(data) < length and (more := os.pread(self.fileno(), length - len(data), offset + len(data))):
            data += more
        return data

    def unchanged(self) -> bool:
        found = os.fstat(self.fileno())
        return (found.st_size, found.st_mtime_ns) == (self.identity.size, self.identity.mtime)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def open_file(disk: Disk, folder: int, name: bytes) -> LocalContent:
    """Look at the file before it is opened, because opening a pipe or a device is an effect; and after, because it may
    have been swapped."""
    found = disk.look(folder, name)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no such file")
    _regular(found)
    try:
        descriptor = os.open(name, OPEN_FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotADirectory("This is not a regular file.") from error
        raise
    try:
        return LocalContent(descriptor, _regular(disk.look(descriptor, b"")))
    except BaseException:
        os.close(descriptor)
        raise


def _regular(found: Identity | None) -> Identity:
    if found is None or not stat.S_ISREG(found.mode):
        raise NotADirectory("This is not a regular file, so it has no content to read.")
    return found


def list_folder(disk: Disk, path: NodePath) -> Iterator[Entry]:
    try:
        folder = open_beneath(disk.root, path.raw or b".", OPEN_FOLDER)
    except OSError as error:
        if error.errno not in (errno.ENOENT, *NOT_A_FOLDER):
            raise  # a folder we may not read is not an empty folder
        return
    try:
        for name in sorted(list_names(folder, b".")):
            found = None if path == ROOT and name == RESERVED else disk.look(folder, name)
            if found is not None:
                yield Entry(path.child(name), found, _kind(found))
    finally:
        os.close(folder)


def list_names(folder: int, name: bytes) -> list[bytes]:
    """All names in a folder, opened afresh: threads that share a descriptor would share its place in the listing."""
    descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
    try:
        return [os.fsencode(entry) for entry in os.listdir(descriptor)]
    finally:
        os.close(descriptor)


def _kind(found: Identity) -> str:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
    return kinds.get(stat.S_IFMT(found.mode), "special")
