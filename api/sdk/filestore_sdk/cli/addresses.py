"""`mount:path`, as rclone and scp write it. What has no colon, or begins with `.` or `/`, is a local path."""

from __future__ import annotations

import os
from dataclasses import dataclass

from filestore_sdk import paths


@dataclass(frozen=True)
class Remote:
    """`mount` is a key or an id; `path` keeps every byte of the command line. `contents`: written with a slash at its end."""

    mount: str | int
    path: str
    contents: bool = False

    def at(self, *names: str) -> Remote:
        return Remote(self.mount, paths.join(self.path, *names))

    @property
    def name(self) -> str:
        return paths.name(self.path)

    def __str__(self) -> str:
        return f"{self.mount}:{paths.shown(self.path)}"


class NotAnAddress(Exception):
    """The argument is no address of a mount."""


def remote(argument: str) -> Remote:
    mount, colon, path = argument.partition(":")
    if not colon or not mount or mount.startswith((".", "/")):
        raise NotAnAddress(f"{argument!r} is no address of a mount. Write mount:path, as in `docs:reports/a.csv`.")
    return Remote(int(mount) if mount.isdigit() else mount, paths.text(path), path.endswith("/"))


def is_remote(argument: str) -> bool:
    """A local file whose name has a colon in it is written with `./` before it."""
    mount, colon, _ = argument.partition(":")
    return bool(colon) and bool(mount) and not argument.startswith((".", "/")) and "/" not in mount


def local(argument: str) -> str:
    return os.path.expanduser(argument)
