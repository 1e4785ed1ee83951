"""Hashes of contents that are in the record already: only what holds still while it is read gets one."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from activities.executors.contract.identity import Identity
from schema import errors
from schema.ids import MountId, NodeId
from schema.operations.imports import ImportItem
from schema.operations.operation import ItemState
from schema.store.imports import Place, Unhashed

if TYPE_CHECKING:
    from activities.executors.contract.executor import Executor
    from activities.threads import MountThreads

_AT_ONCE = 2
"""Hashing takes a processor each"""
_BYTES = 256 << 20
"""After so many bytes what was hashed is written."""
_CHUNK = 1 << 20
_LOOK_SECONDS = 1.0
_CHANGED = "It was changed while it was read, or since it was recorded. It has no hash: reconcile it."


@dataclass(slots=True)
class Hashed:
    hashes: dict[NodeId, tuple[int, bytes]] = field(default_factory=dict)
    items: list[ImportItem] = field(default_factory=list)
    size: int = 0
    place: Place | None = None
    """The last file that is done with"""
    whole: bool = True
    """All files that were asked for"""


async def hash_some(
    threads: MountThreads,
    mount: MountId,
    executor: Executor,
    files: Sequence[Unhashed],
    wanted: Callable[[], Awaitable[bool]],
) -> Hashed:
    """In their order, until there are enough bytes or it is not wanted any more."""
    done, stop = Hashed(), threading.Event()
    watching = asyncio.create_task(_watch(wanted, stop))
    try:
        start = 0
        while start < len(files):
            some = files[start : start + _AT_ONCE]
            answers = await asyncio.gather(
                *(threads.run(mount, _content, executor, one, stop) for one in some if one.lacks)
            )
            if stop.is_set():
                done.whole = False
                return done
            for one, answer in zip((one for one in some if one.lacks), answers, strict=True):
                _take(done, one, answer)
            start += len(some)
            done.place = (some[-1].path.parent.as_directory, some[-1].path.name)
            if done.size >= _BYTES and start < len(files):
                done.whole = False
                return done
        return done
    finally:
        watching.cancel()


def _take(done: Hashed, one: Unhashed, answer: bytes | None) -> None:
    if answer is None:
        item = ImportItem(one.path.raw, "file", ItemState.SKIPPED, "VERSION_CONFLICT", _CHANGED, one.size)
        done.items.append(item)
    else:
        done.hashes[one.id] = (one.version, answer)
        done.size += one.size


async def _watch(wanted: Callable[[], Awaitable[bool]], stop: threading.Event) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if not await wanted():
            return stop.set()


def _content(executor: Executor, one: Unhashed, stop: threading.Event) -> bytes | None:
    """None: it is not what the record says, or did not hold still."""
    try:
        content = executor.open(one.path)
    except (errors.NodeNotFound, errors.NotADirectory):
        return None
    try:
        if one.identity and not Identity.of_facts(one.identity).same_content(content.identity):
            return None
        digest, offset = hashlib.sha256(), 0
        while not stop.is_set() and (chunk := content.read(offset, _CHUNK)):
            digest.update(chunk)
            offset += len(chunk)
        return digest.digest() if offset == one.size and content.unchanged() else None
    except errors.VersionConflict:
        return None
    finally:
        content.close()
