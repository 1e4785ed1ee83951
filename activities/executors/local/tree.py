"""Trees in the stage of a local disk: is everything in them still ours, and how they are removed, however deep."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from activities.executors.contract.identity import Identity
from activities.executors.local.content import list_names
from activities.executors.local.disk import OPEN_FOLDER, Disk
from activities.executors.syscalls import open_beneath


def discard(disk: Disk, name: bytes, found: Identity, staged: Identity | None) -> bool:
    """Remove a stage: a file, or a directory with everything below it. With `staged`, only while all of it is ours: a
    tree that was visible for a while may hold strangers' bytes. False: something is left."""
    if disk.remove(disk.stage, name, found.directory):
        return True
    if staged is not None and not _is_ours(disk, name, staged):
        return False
    return _remove(disk, name)


def _is_ours(disk: Disk, name: bytes, staged: Identity) -> bool:
    """Nothing in the tree has changed since it was staged. Its root was the last that we touched, and whatever a
    program makes, writes, renames or links changes that file's change time."""
    top = _enter(disk.stage, name)
    try:
        for relative in (folders := [b""]):
            folder = _enter(top, relative or b".")
            try:
                for child in list_names(folder, b"."):
                    found = disk.look(folder, child)
                    if found is not None and found.ctime > staged.ctime:
                        return False
                    if found is not None and found.directory:
                        folders.append(b"/".join(filter(None, (relative, child))))
            finally:
                os.close(folder)
    finally:
        os.close(top)
    return True


def _remove(disk: Disk, name: bytes) -> bool:
    """All files first, from the top down; then the empty folders, from the bottom up. Each folder is opened from the
    top without following a link, so that neither depth nor a link swapped in can lead elsewhere."""
    top = _enter(disk.stage, name)
    try:
        folders = [b""]
        for relative in folders:
            folders += [b"/".join(filter(None, (relative, child))) for child in _emptied(top, relative)]
        for relative in reversed(folders[1:]):
            above, _, child = relative.rpartition(b"/")
            with suppress(FileNotFoundError):
                folder = _enter(top, above or b".")
                try:
                    if not disk.remove(folder, child, directory=True):
                        return False
                finally:
                    os.close(folder)
    finally:
        os.close(top)
    return disk.remove(disk.stage, name, directory=True)


def _emptied(top: int, relative: bytes) -> Iterator[bytes]:
    """Unlink what is in this folder, and name the folders that stay."""
    folder = _enter(top, relative or b".")
    try:
        for child in list_names(folder, b"."):
            try:
                os.unlink(child, dir_fd=folder)
            except IsADirectoryError:
                yield child
            except FileNotFoundError:
                continue
    finally:
        os.close(folder)


def _enter(above: int, path: bytes) -> int:
    """Open one of our folders. A copy has the mode of its source, which may lock us out too."""
    try:
        folder = open_beneath(above, path, OPEN_FOLDER)
    except PermissionError:
        _unlock(open_beneath(above, path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
        return open_beneath(above, path, OPEN_FOLDER)
    if os.fstat(folder).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with suppress(PermissionError):
            os.fchmod(folder, stat.S_IRWXU)
    return folder


def _unlock(descriptor: int) -> None:
    """By its descriptor's own name in /proc: chmod of a path would follow a link."""
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IRWXU)
    finally:
        os.close(descriptor)
