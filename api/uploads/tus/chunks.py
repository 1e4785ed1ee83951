"""Bytes of an upload on their way to the disk: written while the next ones gather, flushed, and only then acknowledged."""

import asyncio
from dataclasses import replace

from api.http import digests as checksums
from api.http.body import Disconnected, RequestBody
from api.http.digests import Checksum
from api.services import Front, Held
from api.uploads.remembered import UploadLocked
from api.uploads.spool import MEMORY_MAX
from api.uploads.tus.area import WaitingUpload
from api.uploads.tus.protocol import ChunkMismatch, OffsetConflict
from api.uploads.tus.turns import Turn
from schema.errors import ChecksumMismatch, PayloadTooLarge, StorageFull
from schema.ids import MountId
from schema.store import uploads as store
from schema.store.uploads import Upload

SPOOL = MountId(0)
"""The threads for the folder of uploads: it is no mount's, and no mount waits for it."""
PIECE = 1024 * 1024
"""Bytes per write: each costs a change of threads."""
ACKNOWLEDGE = 64 * 1024 * 1024
"""A long chunk is acknowledged along the way: a crash costs no more than this."""


class Chunk:
    """One request's bytes for one upload."""

    def __init__(
        self, front: Front, upload: Upload, file: WaitingUpload, claimed: Checksum | None, whole: bool
    ) -> None:
        """`whole`: all of it or nothing, because only all of it can be compared."""
        self.upload = upload
        self._front, self._file, self._claimed, self._whole = front, file, claimed, whole or claimed is not None
        self._hasher = checksums.hasher(claimed.algorithm) if claimed else None
        self._end = upload.received
        """Where the next piece is written"""
        self._held = bytearray()
        self._lease: Held | None = None
        self._writing: asyncio.Future[None] | None = None

    async def take(self, body: RequestBody, turn: Turn) -> Upload:
        """The upload as it stands then. Raises StorageFull, ChunkMismatch, ChecksumMismatch, PayloadTooLarge, with the
        offset as it was acknowledged last; Disconnected and Locked, with everything that had come."""
        try:
            try:
                async with turn.listening():
                    await self._read(body, turn)
            except (Disconnected, TimeoutError) as error:
                if not self._whole:
                    await self._acknowledge()
                if isinstance(error, TimeoutError):
                    raise UploadLocked() from error
                raise
            body.check_digest()
            await self._acknowledge()
        except (StorageFull, ChecksumMismatch, PayloadTooLarge):
            await self._settle(quietly=True)
            await self._front.threads.run(SPOOL, self._file.cut, self.upload.received)
            raise
        finally:
            # The file is closed next: no thread may still write to it.
            await self._settle(quietly=True)
            if self._lease is not None:
                self._lease.close()
        return self.upload

    async def _read(self, body: RequestBody, turn: Turn) -> None:
        most = self._front.services.settings.upload_max_bytes if self.upload.expected is None else self.upload.expected
        while not body.ended:
            turn.waits = True
            piece = await body.next()
            turn.heard()
            self._held += piece
            if self._end + len(self._held) > most:
                raise PayloadTooLarge(f"This upload has {most} bytes at most.")
            if len(self._held) > MEMORY_MAX and self._lease is None:
                self._lease = await self._front.budget.write(None)
            if len(self._held) >= PIECE:
                await self._write()
                if not self._whole and self._end - self.upload.received >= ACKNOWLEDGE:
                    await self._acknowledge()

    def _compare(self) -> None:
        if self._claimed is None or self._hasher is None:
            return
        try:
            self._claimed.compare(self._hasher.hexdigest())
        except ChecksumMismatch as error:
            details = error.details or {}
            raise ChunkMismatch(expected=details.get("expected"), found=details.get("found")) from error

    async def _acknowledge(self) -> None:
        """Write, flush, then the row."""
        if self._held:
            await self._write()
        await self._settle()
        self._compare()
        if self._end == self.upload.received:
            return
        await self._front.threads.run(SPOOL, self._file.flush)
        keep = self._front.services.settings.upload_keep_seconds
        async with self._front.services.pool.connection() as connection:
            until = await store.advance(connection, self.upload.id, self.upload.received, self._end, keep)
        if until is None:
            raise OffsetConflict()
        self.upload = replace(self.upload, received=self._end, expires_at=until)

    async def _write(self) -> None:
        await self._settle()
        piece, at = bytes(self._held), self._end
        self._held = bytearray()
        self._end += len(piece)
        self._writing = asyncio.ensure_future(self._front.threads.run(SPOOL, self._put, piece, at))

    def _put(self, piece: bytes, at: int) -> None:
        """In a thread; one at a time."""
        if self._hasher:
            self._hasher.update(piece)
        self._file.write(piece, at)

    async def _settle(self, *, quietly: bool = False) -> None:
        """Waits until the piece is written. A cancelled request does not stop the thread."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
            writing, self._writing = self._writing, None
            if not quietly:
                writing.result()
            elif not writing.cancelled():
                writing.exception()
