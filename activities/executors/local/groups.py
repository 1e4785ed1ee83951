"""Folders that give their group to what is made in them (setgid): a rename does not see to that, so we do."""

import os
import stat
from contextlib import suppress


def inherit_group(folder: int, stage: int, name: bytes, *, tree: bool = False) -> None:
    """Before it appears: what is staged under this name gets the group of the folder where it will be, if that gives it; and a
    directory gives it on. `tree`: so does everything below.

    Where we may not give files to that group they keep ours: only the kernel could.
    """
    facts = os.fstat(folder)
    if not facts.st_mode & stat.S_ISGID:
        return
    with suppress(PermissionError):
        _give(stage, name, facts.st_gid)
        if tree and stat.S_ISDIR(os.stat(name, dir_fd=stage, follow_symlinks=False).st_mode):
            for _, folders, files, below in os.fwalk(name, dir_fd=stage, follow_symlinks=False):
                for one in [*folders, *files]:
                    _give(below, one, facts.st_gid)


def _give(folder: int, name: bytes | str, group: int) -> None:
    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if facts.st_gid != group:
        os.chown(name, -1, group, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode) and not facts.st_mode & stat.S_ISGID:
        os.chmod(name, stat.S_IMODE(facts.st_mode) | stat.S_ISGID, dir_fd=folder)
