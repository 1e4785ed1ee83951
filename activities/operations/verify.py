"""`verify`: read files again and compare their hashes with the record's. It changes nothing but when that was, and a hash that was
not known yet."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING

from temporalio import activity

from activities.executors.contract.executor import Executor
from activities.executors.contract.identity import Identity
from activities.executors.drafts import PIECE
from activities.operations.work import Portion
from activities.progress import Progress, beat_once, current
from schema import errors
from schema.faults import areach
from schema.operations.operation import ItemState
from schema.operations.pace import ReadPace
from schema.paths import NodePath
from schema.store import work_items as store
from schema.store.work_items import FileItem, ItemEnd

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool

_AT_ONCE = 4
"""Files that are read at once: half of the threads that long work has on a mount."""
_ENDS_MOST = 64
_ENDS_SECONDS = 0.5
"""So many ends are recorded together, or those of so many seconds."""
_LOOK_SECONDS = 1.0
"""How often it looks whether the operation still goes on, and how fast."""

_Judged = tuple[FileItem, ItemEnd, bytes | None]


class VerifyFiles:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads

    @activity.defn(name="verify")
    async def verify(self, portion: Portion) -> int:
        """How many were read. What an operation that pauses has not read waits for another turn."""
        async with self._pool.connection() as connection:
            files = await store.files(connection, portion.operation, portion.items)
        progress, waiting = current(), iter(files)
        progress.expect(len(files))
        async with self._followed(portion.operation) as pace:
            ends = await asyncio.gather(*(self._some(portion, waiting, pace, progress) for _ in range(_AT_ONCE)))
        return sum(ends)

    async def _some(self, portion: Portion, waiting: Iterator[FileItem], pace: ReadPace, progress: Progress) -> int:
        """One of several that take the next file until there is none. Ends are recorded a few at a time, and before long: what
        was read is not read again after a crash, and small files do not each wait for a transaction."""
        many, ended, since = 0, list[_Judged](), monotonic()
        for file in waiting:
            if file.as_planned and not pace.stopped:
                progress.at(file.path.text)
            ended.append((file, *await self._judged(portion, file, pace)))
            if len(ended) >= _ENDS_MOST or monotonic() - since > _ENDS_SECONDS:
                many += await self._record(portion, ended, progress)
                ended, since = [], monotonic()
        return many + await self._record(portion, ended, progress)

    async def _record(self, portion: Portion, ended: Sequence[_Judged], progress: Progress) -> int:
        """How many of them were read."""
        if not ended:
            return 0
        await areach("operation.worked", ended[-1][0].path.text)
        right = [
            (file.node, file.version, digest)
            for file, end, digest in ended
            if end.state is ItemState.DONE and digest is not None
        ]
        async with self._pool.connection() as connection, connection.transaction():
            await store.verified(connection, right)
            await store.end(connection, portion.operation, [end for _, end, _ in ended])
        progress.done(len(ended), 0)
        return sum(end.state is not ItemState.PENDING for _, end, _ in ended)

    async def _judged(self, portion: Portion, file: FileItem, pace: ReadPace) -> tuple[ItemEnd, bytes | None]:
        if pace.stopped:
            return ItemEnd(file.item, ItemState.PENDING), None
        if not file.as_planned:
            text = "The file is not as the plan saw it. Make a new plan to verify it."
            return ItemEnd(file.item, ItemState.SKIPPED, errors.VersionConflict.code, text), None
        try:
            executor = self._executors.of(portion.mount_id)
            digest, same, _ = await self._threads.run(
                portion.mount_id, read_again, executor, file.path, file.identity, pace
            )
        except errors.FilestoreError as error:
            return ItemEnd(file.item, ItemState.FAILED, error.code, error.message), None
        except OSError as error:
            text = f"It can not be read: {error.strerror or error!r}. Look at the storage, and retry."
            return ItemEnd(file.item, ItemState.FAILED, "UNREADABLE", text), None
        if digest is None:
            return ItemEnd(file.item, ItemState.PENDING), None
        return _compared(file, digest, same), digest

    @asynccontextmanager
    async def _followed(self, operation: str) -> AsyncIterator[ReadPace]:
        """The pace of this operation, as it is set now; stopped when it does not go on."""
        pace = ReadPace()

        async def look() -> None:
            while True:
                async with self._pool.connection() as connection:
                    goes, rate = await store.wanted(connection, operation)
                pace.set(rate)
                if not goes:
                    pace.stop()
                beat_once()
                await asyncio.sleep(_LOOK_SECONDS)

        async with self._pool.connection() as connection:
            goes, rate = await store.wanted(connection, operation)
        pace.set(rate)
        if not goes:
            pace.stop()
        looking = asyncio.create_task(look())
        try:
            yield pace
        finally:
            looking.cancel()
            pace.stop()


def read_again(
    executor: Executor, path: NodePath, identity: Sequence[int | str] | None, pace: ReadPace
) -> tuple[bytes | None, bool, list[int | str]]:
    """In a thread. The hash of what lies there, None when it was stopped; whether it is the very file that the record knows; and
    its identity. Raises FilestoreError, OSError."""
    content = executor.open(path)
    try:
        digest, offset, facts = hashlib.sha256(), 0, content.identity.facts()
        while piece := content.read(offset, PIECE):
            digest.update(piece)
            offset += len(piece)
            if not pace.wait(len(piece)):
                return None, False, facts
        known = identity is not None and Identity.of_facts(identity).same_content(content.identity)
        return digest.digest(), known and content.unchanged(), facts
    finally:
        content.close()


def _compared(file: FileItem, digest: bytes, same: bool) -> ItemEnd:
    """The hash decides; where the record has none, it is of the file that the record knows, or of another."""
    if file.sha256 == digest or (file.sha256 is None and same):
        return ItemEnd(file.item, ItemState.DONE)
    known = "no hash" if file.sha256 is None else f"the hash {file.sha256.hex()}"
    text = (
        f"The bytes are not those of the record: they have the hash {digest.hex()}, and the record has {known}. "
        "Restore an older version, or reconcile the file."
    )
    return ItemEnd(file.item, ItemState.FAILED, "CONTENT_CHANGED", text)
