"""Two trees compared directory by directory: what has to travel. Memory depends on the largest directory, not on the tree."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import filterfalse
from typing import Any

from filestore_sdk.half_written import is_half_written

CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Side:
    """One entry of a directory on one side. `digest` is asked for only where sizes are equal."""

    kind: str
    size: int
    digest: Callable[[], str | None]
    node: Any = None
    """Of the remote side"""


@dataclass(frozen=True)
class Step:
    """`send`, `mkdir`, `skip`, `delete` or `fail`; `name` within its directory."""

    action: str
    name: str
    size: int | None = None
    reason: str | None = None
    node: Any = None


def compare(source: Mapping[str, Side], target: Mapping[str, Side], *, delete: bool) -> Iterator[Step]:
    """What makes one directory of the target like the source's, in the order of names."""
    for name in sorted(source):
        yield _step(name, source[name], target.get(name))
    if delete:
        for name in sorted(filterfalse(is_half_written, target.keys() - source.keys())):
            yield Step("delete", name, target[name].size, "not there any more")


def _step(name: str, here: Side, there: Side | None) -> Step:
    if is_half_written(name):
        return Step("skip", name, None, "half of a file, that a `get` which was killed has left")
    if here.kind not in ("file", "directory"):
        return Step("skip", name, None, f"a {here.kind}: only files and directories travel")
    if there is None:
        return Step("mkdir" if here.kind == "directory" else "send", name, here.size, "new", here.node)
    if there.kind != here.kind:
        return Step("fail", name, here.size, f"a {here.kind} here, a {there.kind} there")
    if here.kind == "directory":
        return Step("skip", name, None, "there already")
    if here.size != there.size:
        return Step("send", name, here.size, "another size", here.node)
    if _equal(here, there):
        return Step("skip", name, here.size, "the same")
    return Step("send", name, here.size, "other content", here.node)


def _equal(here: Side, there: Side) -> bool:
    known = there.digest()
    return known is not None and known == here.digest()


def local_entries(folder: str) -> dict[str, Side]:
    """What is in a local directory. Raises OSError."""
    found: dict[str, Side] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            told = entry.stat(follow_symlinks=False)
            found[entry.name] = Side(_kind(told.st_mode), told.st_size, _digest_of(entry.path))
    return found


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "symbolic link"))
    return next((kind for test, kind in kinds if test(mode)), "special file")


def _digest_of(path: str) -> Callable[[], str]:
    return lambda: digest(path)


def digest(path: str) -> str:
    """SHA-256 of a local file."""
    made = hashlib.sha256()
    with open(path, "rb") as opened:
        while piece := opened.read(CHUNK):
            made.update(piece)
    return made.hexdigest()
