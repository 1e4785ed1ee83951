"""A file of a bucket opened for reading: ranges of one object, read ahead while a client reads on and on.

Every range is asked for by version, or with If-Match on the ETag: a reader never gets bytes of two different contents.
Where the bucket keeps no versions, an object that is replaced while it is read breaks the reader off (VersionConflict);
one up to FIRST bytes was read when it was opened, and stays readable.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from activities.executors.contract.identity import Identity
from activities.executors.s3.bucket import Bucket
from activities.executors.s3.errors import ConditionFailed, Missing, PastTheEnd
from schema.errors import NodeNotFound, VersionConflict

FIRST = 256 << 10
"""Read with the very request that opens."""
BLOCK = 4 << 20
AHEAD = 3
"""Blocks on their way while one is read: with it, 16 MiB per reader."""


class S3Content:
    def __init__(self, bucket: Bucket, key: str, threads: ThreadPoolExecutor) -> None:
        """Raises Missing."""
        self._bucket, self._key, self._threads = bucket, key, threads
        try:
            self._first, self._found = bucket.read(key, 0, FIRST)
        except PastTheEnd as error:  # so says a store of an empty object
            found = bucket.head(key)
            if found is None or found.size:
                raise Missing(key) from error
            self._first, self._found = b"", found
        self.identity: Identity = self._found.identity
        self._blocks: dict[int, Future[bytes]] = {}
        self._next = 0

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self._found.size)
        if offset >= end:
            return b""
        if end <= len(self._first):
            data = self._first[offset:end]
        elif offset == self._next and offset > 0:
            data = self._read_on(offset, end)
        else:
            self._drop()
            data = self._fetch(offset, end)
        self._next = end
        return data

    def unchanged(self) -> bool:
        """Each range was asked for under a condition: what came is of one content."""
        return True

    def close(self) -> None:
        self._drop()
        self._first = b""

    def _read_on(self, offset: int, end: int) -> bytes:
        """From blocks at fixed places. The next ones are ordered before a reader waits for this one."""
        first, last = offset // BLOCK, (end - 1) // BLOCK
        self._drop(first)
        for number in range(first, min(last + AHEAD, (self._found.size - 1) // BLOCK) + 1):
            if number not in self._blocks:
                start = number * BLOCK
                until = min(start + BLOCK, self._found.size)
                self._blocks[number] = self._threads.submit(self._fetch, max(start, offset), until)
        pieces = []
        for number in range(first, last + 1):
            block = self._block(number)
            start = min(number * BLOCK + BLOCK, self._found.size) - len(block)
            pieces.append(block[max(offset - start, 0) : end - start])
        return b"".join(pieces)

    def _block(self, number: int) -> bytes:
        try:
            return self._blocks[number].result()
        except BaseException:
            self._drop()
            raise

    def _drop(self, before: int | None = None) -> None:
        """Blocks that were read, or all of them."""
        for number in [number for number in self._blocks if before is None or number < before]:
            self._blocks.pop(number).cancel()

    def _fetch(self, start: int, end: int) -> bytes:
        try:
            return self._bucket.read(self._key, start, end, self._found)[0]
        except ConditionFailed as error:
            raise VersionConflict("The file was replaced while it was read. Open it again.") from error
        except Missing as error:
            raise NodeNotFound("The file was removed while it was read.") from error
