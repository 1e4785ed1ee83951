"""Two trees compared directory by directory: what has to travel. Memory depends on the largest directory, not on the tree."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Side:
    """One entry of a directory on one side. `digest` is asked for only where sizes are equal."""

    kind: str
    size: int
    digest: Callable[[], str | None]


@dataclass(frozen=True)
class Step:
    """`send`, `mkdir`, `skip`, `delete` or `fail`; `name` within its directory."""

    action: str
    name: str
    size: int | None = None
    reason: str | None = None


def compare(source: Mapping[str, Side], target: Mapping[str, Side], *, delete: bool) -> Iterator[Step]:
    """What makes one directory of the target like the source's, in the order of names."""
    for name in sorted(source):
        yield _step(name, source[name], target.get(name))
    if delete:
        for name in sorted(target.keys() - source.keys()):
            yield Step("delete", name, target[name].size, "not there any more")


def _step(name: str, here: Side, there: Side | None) -> Step:
    if here.kind not in ("file", "directory"):
        return Step("skip", name, None, f"a {here.kind}: only files and directories travel")
    if there is None:
        return Step("mkdir" if here.kind == "directory" else "send", name, here.size, "new")
    if there.kind != here.kind:
        return Step("fail", name, here.size, f"a {here.kind} here, a {there.kind} there")
    if here.kind == "directory":
        return Step("skip", name, None, "there already")
    if here.size != there.size:
        return Step("send", name, here.size, "another size")
    return (
        Step("skip", name, here.size, "the same")
        if _equal(here, there)
        else Step("send", name, here.size, "other content")
    )


def _equal(here: Side, there: Side) -> bool:
    known = there.digest()
    return known is not None and known == here.digest()


def local_entries(folder: str) -> dict[str, Side]:
    """What is in a local directory. Raises OSError."""
    found: dict[str, Side] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".filestore-"):
                continue  # our own, half written
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
