"""What lies at the names that rest: their identities, one open directory at a time."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from activities.executors.contract.identity import Identity
from activities.executors.local.disk import OPEN_FOLDER, Disk
from activities.executors.local.errors import GONE, NOT_A_FOLDER
from activities.executors.syscalls import open_beneath
from schema.drift.gather import Rested


@dataclass(frozen=True, slots=True)
class SeenName:
    """`sure`: it was looked at. Then no identity means that nothing is there."""

    rested: Rested
    identity: Identity | None = None
    sure: bool = False


def look_at(disk: Disk | None, rested: Sequence[Rested]) -> list[SeenName]:
    """Nothing is sure of trees, and of what can not be looked at."""
    seen = [SeenName(one) for one in rested if disk is None or one.hint.subtree or not one.hint.path]
    if disk is None:
        return seen
    by_folder: dict[bytes, list[Rested]] = defaultdict(list)
    for one in rested:
        if one.hint.path and not one.hint.subtree:
            by_folder[one.hint.path.rpartition(b"/")[0]].append(one)
    for path, names in by_folder.items():
        seen += _in_folder(disk, path, names)
    return seen


def _in_folder(disk: Disk, path: bytes, names: Sequence[Rested]) -> Iterator[SeenName]:
    try:
        folder = open_beneath(disk.root, path or b".", OPEN_FOLDER)
    except OSError as error:
        yield from (SeenName(one, sure=error.errno in (*GONE, *NOT_A_FOLDER)) for one in names)
        return
    try:
        for one in names:
            yield _at(disk, folder, one)
    finally:
        os.close(folder)


def _at(disk: Disk, folder: int, one: Rested) -> SeenName:
    try:
        return SeenName(one, disk.look(folder, one.hint.path.rpartition(b"/")[2]), sure=True)
    except OSError:
        return SeenName(one)
