"""Local mounts, before one is open: directories of this host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schema.errors import InvalidRequest
from schema.mounts import Mount

if TYPE_CHECKING:
    from activities.executors.contract.executor import Executor


class LocalKind:
    reading = writing = 3 << 20
    direct_reads = False

    def check_place(self, place: Any) -> None:
        root = place.root_path or ""
        if not root.startswith("/"):
            raise InvalidRequest("A local mount needs its rootPath, an absolute path.", field="rootPath")
        if os.path.normpath(root) != (root.rstrip("/") or "/"):
            raise InvalidRequest("Send rootPath without '.', '..' and doubled slashes.", field="rootPath")
        for name in ("bucket", "prefix"):
            if getattr(place, name) is not None:
                raise InvalidRequest(f"A local mount has no {name}; leave it out.", field=name)

    def open(self, mount: Mount, spool: Path) -> Executor:
        from activities.executors.local.executor import LocalExecutor

        return LocalExecutor(mount.root_path or "", mount.mount_uuid)

    def prepare(self, mount: Mount, spool: Path) -> None:
        from activities.executors.local.registration import make_mount

        root = mount.root_path or ""
        if _overlap(root, os.fspath(spool)):
            raise InvalidRequest("The root lies in the service's own data, or contains it. Choose another directory.")
        make_mount(root, mount.mount_uuid)

    def sentinel(self, mount: Mount, spool: Path) -> str | None:
        from activities.executors.local.registration import told_by

        return told_by(mount.root_path or "")

    def meets(self, mount: Mount, other: Mount, spool: Path) -> bool:
        """Directories of another host are not known, and a root that can not be looked at now is compared by its
        name."""
        return mount.host_id == other.host_id and _overlap(mount.root_path or "", other.root_path or "")


def _overlap(one: str, two: str) -> bool:
    """One of the directories contains the other, by whatever names and links they are reached."""
    first, second = os.path.realpath(one), os.path.realpath(two)
    return _within(first, second) or _within(second, first)


def _within(inner: str, outer: str) -> bool:
    """Compares by name; and, for storage that is mounted in two places, by the identities of the directories above."""
    if inner == outer or inner.startswith(outer.rstrip("/") + "/"):
        return True
    wanted = _which(outer)
    while wanted is not None:
        if _which(inner) == wanted:
            return True
        if inner == (inner := os.path.dirname(inner)):
            break
    return False


def _which(folder: str) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino
