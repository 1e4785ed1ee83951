"""Where an upload's bytes go while they arrive: a little stays in memory, more goes into a stage on the mount."""

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import dataclass

from activities.executors.contract.abilities import UploadBounds
from activities.executors.contract.executor import Executor, Locks, StageWriter
from activities.executors.contract.stage import Stage
from activities.threads import MountThreads
from api.http import digests as checksums
from api.http.digests import Checksum
from api.services import Front, Held, Memory
from schema.errors import ChecksumMismatch, MountOffline, MountReadOnly, PathBusy, PayloadTooLarge
from schema.ids import CommandId
from schema.mounts import Mount
from schema.paths import NodePath

MEMORY_MAX = 64 * 1024
"""A body up to this stays in memory: it is staged together with its whole list, in one go."""
PIECE = 1024 * 1024
"""Bytes per write: each costs a change of threads."""


@dataclass(frozen=True, slots=True)
class Received:
    """A whole body. Either its `content`, or where it is staged and the lock on that stage."""

    size: int
    sha256: str
    content: bytes | None = None
    written: Stage | None = None
    locks: Locks | None = None


class Spool:
    """Takes one body. While a piece is written and hashed the next one gathers, and no third: the client waits."""

    def __init__(
        self,
        executor: Executor,
        threads: MountThreads,
        mount: Mount,
        id: CommandId,
        path: NodePath,
        claimed: list[Checksum],
        size_max: int,
        budget: Memory,
    ) -> None:
        self.executor, self.threads, self.mount, self.id, self.path = executor, threads, mount, id, path
        self.claimed, self.size_max, self._budget = claimed, size_max, budget
        self._lease: Held | None = None
        self.size = 0
        self._held = bytearray()
        """One buffer: as pieces of two bytes, as a client may send them, a megabyte would take twenty."""
        self._hashers = checksums.hashers(claimed)
        self._locks: Locks | None = None
        self._writer: StageWriter | None = None
        self._writing: asyncio.Future[None] | None = None

    async def take(self, pieces: list[bytes]) -> None:
        """Raises PayloadTooLarge, Overloaded, and what staging raises: StorageFull, MountOffline, MountReadOnly."""
        for piece in pieces:
            self._held += piece
            self.size += len(piece)
        if self.size > self.size_max:
            raise PayloadTooLarge(f"A file may have {self.size_max} bytes here.")
        if self.size > MEMORY_MAX and self._lease is None:
            self._lease = await self._budget.write(self.mount)
        if len(self._held) >= PIECE:
            await self._write()

    async def close(self) -> Received:
        """The whole body is here. Raises ChecksumMismatch as well."""
        if self.size <= MEMORY_MAX:
            return self._in_memory()
        if self._held:
            await self._write()
        await self._written()
        assert self._writer and self._locks
        stage = await self.threads.run(self.mount.id, self._writer.close)
        assert stage.sha256 is not None
        try:
            self._compare(stage.sha256.hex())
        except ChecksumMismatch:
            await self.threads.run(self.mount.id, self.executor.discard_stage, self.id, stage.identity)
            raise
        locks, self._locks = self._locks, None
        return Received(self.size, stage.sha256.hex(), written=stage, locks=locks)

    async def abort(self) -> None:
        """Leave nothing behind. Harmless after `close`, whose stage has a new owner then."""
        with suppress(Exception):
            await self._written()
        if self._locks is None:
            return
        locks, self._locks = self._locks, None
        try:
            if self._writer is not None:
                await self.threads.run(self.mount.id, self._writer.abort)
        finally:
            await self.threads.run(self.mount.id, locks.close)

    def release(self) -> None:
        """Its part of the memory for content: nothing of it is held any longer."""
        if self._lease is not None:
            self._lease.close()

    def _in_memory(self) -> Received:
        content = bytes(self._held)
        for hasher in self._hashers.values():
            hasher.update(content)
        sha256 = hashlib.sha256(content).hexdigest()
        self._compare(sha256)
        return Received(self.size, sha256, content=content)

    def _compare(self, sha256: str) -> None:
        for one in self.claimed:
            one.compare(sha256 if one.algorithm == "sha256" else self._hashers[one.algorithm].hexdigest())

    async def _write(self) -> None:
        await self._written()
        piece, self._held = bytes(self._held), bytearray()
        self._writing = asyncio.ensure_future(self.threads.run(self.mount.id, self._put, piece))

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    def _put(self, piece: bytes) -> None:
        """In a thread; one at a time."""
        if self._writer is None:
            self._open()
        assert self._writer
        self._writer.write(piece)
        for hasher in self._hashers.values():
            hasher.update(piece)

    def _open(self) -> None:
        """First the lock, then the stage: the sweep removes stages that no process holds."""
        self._locks = self.executor.locks()
        if not self._locks.take(self.id):
            raise PathBusy()
        self._writer = self.executor.open_stage(self.id, self.path)


def refuse_impossible(front: Front, mount: Mount, path: NodePath, size: int | None = None) -> None:
    """What this storage can never hold is refused before its bytes come; so is what is larger than any upload may be. Raises
    InvalidPath, PayloadTooLarge, ExecutorNotFound, and what `refuse_closed` raises."""
    refuse_closed(mount)
    refuse_beyond(front, mount, path, size)


def refuse_beyond(front: Front, mount: Mount, path: NodePath, size: int | None) -> None:
    """The same of a mount that may be closed for a while. Raises InvalidPath, PayloadTooLarge, ExecutorNotFound."""
    check_size(front, size)
    executor = front.services.executors.of(mount)
    if isinstance(executor, UploadBounds):
        executor.check_upload(path, size)


def check_size(front: Front, size: int | None) -> None:
    """Raises PayloadTooLarge."""
    size_max = front.services.settings.upload_max_bytes
    if size is not None and size > size_max:
        raise PayloadTooLarge(f"A file may have {size_max} bytes here.")


def refuse_closed(mount: Mount) -> None:
    """Refuse before the body is read what `begin` would refuse: the body can be large. Raises MountOffline,
    MountReadOnly, Frozen."""
    if not mount.serving:
        raise MountOffline(f"The mount is {mount.state}. Nothing was changed.")
    if mount.access_mode == "ro":
        raise MountReadOnly()
    if mount.freeze is not None:
        raise mount.freeze.refusal()
