"""Loaded by every Python process that has this folder on its PYTHONPATH: system calls fail as a file tells them to.

$FAILING_CALLS names a folder. While it has a file named after a call (write, pwrite, pread, fsync, mkdir), that call fails
with the error number in it, for descriptors below the path that stands beside the number.
"""

import os
from collections.abc import Callable
from typing import Any

_FOLDER = os.environ.get("FAILING_CALLS", "")


def _failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    instruction = os.path.join(_FOLDER, name)

    def call(*arguments: Any, **options: Any) -> Any:
        if os.path.exists(instruction):
            with open(instruction, encoding="utf-8") as file:
                number, _, below = file.read().partition(" ")
            descriptor = options.get("dir_fd", arguments[0])
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith(below):
                raise OSError(int(number), os.strerror(int(number)))
        return real(*arguments, **options)

    return call


if _FOLDER:
    for _name in ("write", "pwrite", "pread", "fsync", "mkdir"):
        setattr(os, _name, _failing(_name, getattr(os, _name)))
