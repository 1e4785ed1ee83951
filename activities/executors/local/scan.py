"""A scan of a local disk: directory by directory in the order of their names, each listed and stat'ed through one descriptor.

It goes into a directory after all names of the directory above were told. So a cursor is the directory that was told last:
what is still to come follows from it and from what lies there now. A directory that was told in part is told again.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from activities.executors import syscalls
from activities.executors.contract.listing import ScanPage, Seen, SeenFolder, Unseen
from activities.executors.local.digest import ListingDigest
from activities.executors.local.disk import OPEN_FOLDER, Disk
from activities.executors.local.errors import NOT_A_FOLDER
from activities.executors.syscalls import open_beneath
from schema.errors import NodeNotFound
from schema.paths import RESERVED

Facts = tuple[int, int, int, int, int, int, int, int, int]

_TYPE = 0o170000
_KINDS = {0o100000: "file", 0o040000: "directory", 0o120000: "symlink"}
_GONE = (errno.ENOENT, *NOT_A_FOLDER)
_UNSEEN = {
    errno.EACCES: ("FORBIDDEN", "The disk does not let Filestore look here. Look at owner and mode, then scan again."),
    errno.EPERM: ("FORBIDDEN", "The disk does not let Filestore look here. Look at its attributes, then scan again."),
    errno.EIO: (
        "UNAVAILABLE",
        "The disk could not read this. Look at the kernel's log and at the disk, then scan again.",
    ),
}


def scan(disk: Disk, top: bytes, after: bytes, most: int) -> Iterator[ScanPage]:
    batch = _Batch(most, after)
    if after:
        waiting = _waiting(disk, top, after[1:])
    else:
        batch.entries.extend(_way(disk, top))
        waiting = [] if batch.entries and batch.entries[-1].kind != "directory" else [(top, 1.0)]
    batch.left = sum(share for _, share in waiting)
    while waiting:
        path, share = waiting.pop()
        below = list[bytes]()
        yield from _tell(disk, path, batch, below)
        batch.cursor = b"/" + path
        each = share / (len(below) + 1)
        batch.left -= each
        waiting.extend((one, each) for one in reversed(below))
    if batch.filled:
        yield batch.take()


@dataclass(slots=True)
class _Batch:
    """What waits for its page."""

    most: int
    cursor: bytes
    entries: list[Seen] = field(default_factory=list)
    folders: list[SeenFolder] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    left: float = 1.0
    """The share of the tree that waits: a directory and each directory in it have equal parts of what it has itself"""

    @property
    def filled(self) -> int:
        return len(self.entries) + len(self.folders) + len(self.unseen)

    def take(self) -> ScanPage:
        page = ScanPage(self.entries, self.cursor, self.folders, self.unseen, min(1.0, max(0.0, 1 - self.left)))
        self.entries, self.folders, self.unseen = [], [], []
        return page


def _tell(disk: Disk, path: bytes, batch: _Batch, below: list[bytes]) -> Iterator[ScanPage]:
    """The names of one directory, and those of them that are directories. One that is gone, or is a file or a link by now, is
    not told; and the listing in which it was seen is not taken for a later one."""
    try:
        folder = open_beneath(disk.root, path or b".", OPEN_FOLDER)
    except OSError as error:
        if error.errno not in _GONE:
            batch.unseen.append(_unseen(path, error))
        return
    try:
        buffer = syscalls.new_buffer()
        before, names = _facts(disk, folder, b"", buffer), _names(folder, path)
        digest = ListingDigest()
        for start in range(0, len(names), batch.most):
            _look(disk, folder, path, names[start : start + batch.most], batch, below, buffer, digest)
            if batch.filled >= batch.most:
                yield batch.take()
        after = _facts(disk, folder, b"", buffer)
        assert before is not None and after is not None, "an open descriptor is always there"
        batch.folders.append(SeenFolder(path, before, before == after, digest.end()))
    except OSError as error:
        batch.unseen.append(_unseen(path, error))
    finally:
        os.close(folder)


def _look(
    disk: Disk, folder: int, path: bytes, names: list[bytes], batch: _Batch, below: list[bytes], buffer: syscalls.Buffer,
    digest: ListingDigest,
) -> None:  # fmt: skip
    above = path + b"/" if path else b""
    for name in names:
        try:
            found = _facts(disk, folder, name, buffer)
        except OSError as error:
            batch.unseen.append(_unseen(above + name, error))
            continue
        if found is None:
            continue
        kind = _KINDS.get(found[7] & _TYPE, "special")
        target = _target(disk, folder, name, found, buffer) if kind == "symlink" else None
        batch.entries.append(Seen(above + name, kind, found, target))
        digest.add(name, found)
        if kind == "directory":
            below.append(above + name)


def _target(disk: Disk, folder: int, name: bytes, found: Facts, buffer: syscalls.Buffer) -> bytes | None:
    """Of this very link: another one could have its name by now."""
    try:
        target = os.readlink(name, dir_fd=folder)
        return target if _facts(disk, folder, name, buffer) == found else None
    except OSError:
        return None


def _facts(disk: Disk, folder: int, name: bytes, buffer: syscalls.Buffer) -> Facts | None:
    return syscalls.facts(folder, name, disk.place.st_dev, buffer)


def _names(folder: int, path: bytes) -> list[bytes]:
    names = sorted(map(os.fsencode, os.listdir(folder)))
    if not path and RESERVED in names:
        names.remove(RESERVED)
    return names


def _unseen(path: bytes, error: OSError) -> Unseen:
    """Raises what concerns the whole mount, or means a defect."""
    known = _UNSEEN.get(error.errno or 0)
    if known is None:
        raise error
    return Unseen(path, *known)


def _way(disk: Disk, top: bytes) -> Iterator[Seen]:
    """The directories that lead to a path, and itself. Nothing leads to the root."""
    names = top.split(b"/") if top else []
    for depth, name in enumerate(names):
        path = b"/".join(names[: depth + 1])
        found = _find(disk, b"/".join(names[:depth]), name, path)
        if found is None:
            raise NodeNotFound(f"Nothing lies at {path.decode('utf-8', 'replace')} on the storage.")
        yield found


def _find(disk: Disk, above: bytes, name: bytes, path: bytes) -> Seen | None:
    try:
        folder = open_beneath(disk.root, above or b".", OPEN_FOLDER)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return None
    try:
        buffer = syscalls.new_buffer()
        found = _facts(disk, folder, name, buffer)
        if found is None:
            return None
        kind = _KINDS.get(found[7] & _TYPE, "special")
        return Seen(path, kind, found, _target(disk, folder, name, found, buffer) if kind == "symlink" else None)
    finally:
        os.close(folder)


def _waiting(disk: Disk, top: bytes, done: bytes) -> list[tuple[bytes, float]]:
    """The directories that come after `done`, the next one last, with their shares: those below it, and those after it and after
    each directory on the way to it."""
    here, share, waiting = top, 1.0, list[tuple[bytes, float]]()
    for name in done[len(top) :].split(b"/"):
        if name:
            beside = _below(disk, here)
            share /= len(beside) + 1
            waiting += [(one, share) for one in reversed(beside) if one.rpartition(b"/")[2] > name]
            here = here + b"/" + name if here else name
    below = _below(disk, here)
    return waiting + [(one, share / (len(below) + 1)) for one in reversed(below)]


def _below(disk: Disk, path: bytes) -> list[bytes]:
    try:
        folder = open_beneath(disk.root, path or b".", OPEN_FOLDER)
    except OSError as error:
        if error.errno not in (*_GONE, *_UNSEEN):
            raise
        return []
    try:
        with os.scandir(folder) as entries:
            names = sorted(os.fsencode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False))
    finally:
        os.close(folder)
    return [path + b"/" + name if path else name for name in names if path or name != RESERVED]


def folders_now(disk: Disk, paths: Sequence[bytes]) -> list[tuple[int | str, ...] | None]:
    buffer, found = syscalls.new_buffer(), list[tuple[int | str, ...] | None]()
    for path in paths:
        try:
            folder = open_beneath(disk.root, path or b".", OPEN_FOLDER)
        except OSError as error:
            if error.errno not in (*_GONE, *_UNSEEN):
                raise
            found.append(None)
            continue
        try:
            found.append(_facts(disk, folder, b"", buffer))
        finally:
            os.close(folder)
    return found
