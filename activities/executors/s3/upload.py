"""Content on its way into the bucket: a stream that is staged, and a staged file that goes up part by part.

A short stream, and one that does not know yet where it will appear, waits as a file in the spool. A longer one whose path
is known goes up while it arrives, as a multipart upload on its final key: nothing is visible before the upload is
completed, and that is the visible step.
"""

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from activities import budgets
from activities.executors import syscalls
from activities.executors.contract.stage import Stage
from activities.executors.s3.bucket import COMMAND, SHA256, Bucket, UploadedPart
from activities.executors.s3.errors import UploadGone
from activities.executors.s3.spool import BucketSpool, SpooledUpload, content_identity, upload_identity
from schema.errors import StorageFull
from schema.ids import CommandId

PART = 8 << 20
"""Content up to this size waits in the spool and is put in one request; larger content goes up in parts of it."""
PART_MIN = 5 << 20
"""No store takes smaller parts but the last one."""
SAME_SIZE = 1000
"""After so many parts the next ones are twice as large: a store takes 10,000."""


def part_size(number: int) -> int:
    return PART << ((number - 1) // SAME_SIZE)


class S3Writer:
    """A stage that takes a stream."""

    def __init__(self, bucket: Bucket, spool: BucketSpool, stage: CommandId, key: str | None) -> None:
        """`key`: where the content will appear, if that is known."""
        self._bucket, self._spool, self._id, self._key = bucket, spool, stage, key
        self._hash, self._size, self._held = hashlib.sha256(), 0, bytearray()
        self._descriptor: int | None = spool.create(stage)
        self._parts: _Parts | None = None

    def write(self, chunk: bytes) -> None:
        assert self._descriptor is not None, "the stage is closed"
        try:
            self._hash.update(chunk)
            self._size += len(chunk)
            if self._key is None:
                _write_all(self._descriptor, chunk)
            else:
                self._gather(chunk)
        except BaseException:
            self.abort()
            raise

    def ready(self) -> None:
        """All of it is written, and on its way to the disk. A list makes all its drafts so before it waits for the first:
        then one commit of the disk's journal takes them all."""
        assert self._descriptor is not None and self._parts is None, "the stage is closed, or in the bucket"
        try:
            _write_all(self._descriptor, self._held)
            self._held.clear()
            syscalls.sync_file_range(self._descriptor, 0)
        except BaseException:
            self.abort()
            raise

    def close(self) -> Stage:
        assert self._descriptor is not None, "the stage is closed"
        try:
            stage = self._in_the_bucket() if self._parts is not None else self._in_the_spool(self._descriptor)
        except BaseException:
            self.abort()
            raise
        os.close(self._descriptor)
        self._descriptor = None
        return stage

    def abort(self) -> None:
        if self._descriptor is None:
            return
        os.close(self._descriptor)
        self._descriptor = None
        with suppress(Exception):
            if self._parts is not None:
                self._parts.abort()
        with suppress(OSError):
            self._spool.drop(self._id)

    def _gather(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            full = part_size(self._parts.next if self._parts else 1)
            if len(self._held) == full:  # one more byte than a part: only now it is clear that there are several
                self._send()
                continue
            room = full - len(self._held)
            self._held += rest[:room]
            rest = rest[room:]

    def _send(self) -> None:
        if self._parts is None:
            assert self._key is not None
            metadata = {COMMAND: self._id}
            upload = SpooledUpload(self._bucket.begin_parts(self._key, metadata), self._key)
            self._parts = _Parts(self._bucket, self._spool, self._id, upload)
        content, self._held = self._held, bytearray()
        self._parts.send(content)

    def _in_the_bucket(self) -> Stage:
        assert self._parts is not None
        if self._held:
            self._send()
        upload = self._parts.close(self._hash.hexdigest())
        return Stage(self._id, upload_identity(upload), self._hash.digest())

    def _in_the_spool(self, descriptor: int) -> Stage:
        _write_all(descriptor, self._held)
        os.fsync(descriptor)
        return Stage(self._id, content_identity(self._size, self._hash.hexdigest()), self._hash.digest())


class _Parts:
    """Parts going up at once, each noted in the spool when it has arrived."""

    def __init__(self, bucket: Bucket, spool: BucketSpool, stage: CommandId, upload: SpooledUpload) -> None:
        self._bucket, self._spool, self._stage = bucket, spool, stage
        self._upload, self._guard = upload, threading.Lock()
        self._threads = budgets.S3_PARTS.build()
        self._room = threading.Semaphore(budgets.S3_PARTS.size)
        self._sent: list[Future[None]] = []
        self.next = 1
        spool.keep_upload(stage, upload)

    def send(self, content: bytearray) -> None:
        """Send a part. The buffer is given away, and not copied. Waits while too many parts are on their way. Raises
        the error of an earlier part."""
        self._room.acquire()
        try:
            for sent in [sent for sent in self._sent if sent.done()]:
                self._sent.remove(sent)
                sent.result()
            self._sent.append(self._threads.submit(self._put, self.next, content))
        except BaseException:
            self._room.release()
            raise
        self.next += 1

    def _put(self, number: int, content: bytearray) -> None:
        try:
            sha256 = hashlib.sha256(content).digest()
            part = self._bucket.put_part(self._upload.key, self._upload.id, number, content, sha256)
            with self._guard:
                self._upload = self._upload.with_part(part)
                self._spool.keep_upload(self._stage, self._upload)
        finally:
            self._room.release()

    def close(self, sha256: str) -> SpooledUpload:
        for sent in self._sent:
            sent.result()
        self._threads.shutdown()
        self._upload = SpooledUpload(self._upload.id, self._upload.key, self._upload.parts, sha256)
        self._spool.keep_upload(self._stage, self._upload)
        return self._upload

    def abort(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._bucket.abort_parts(self._upload.key, self._upload.id)
        self._spool.forget_upload(self._stage)


def send_spooled(
    bucket: Bucket, spool: BucketSpool, stage: CommandId, key: str, descriptor: int, sha256: str, command: CommandId
) -> SpooledUpload | None:
    """A large spooled file as a multipart upload that waits for its end; parts that arrived before are not sent again.

    None: the file is not what was staged. Raises UploadGone when an earlier upload was removed; it is forgotten then.
    """
    upload = spool.upload(stage)
    if upload is None or upload.key != key:
        upload = SpooledUpload(bucket.begin_parts(key, {COMMAND: command, SHA256: sha256}), key)
        spool.keep_upload(stage, upload)
    known = {part.number: part for part in upload.parts}
    whole, guard = hashlib.sha256(), threading.Lock()

    def put(number: int, content: bytes) -> None:
        nonlocal upload
        assert upload is not None
        part = bucket.put_part(key, upload.id, number, content, hashlib.sha256(content).digest())
        with guard:
            upload = upload.with_part(part)
            spool.keep_upload(stage, upload)

    try:
        with budgets.S3_PARTS.build() as threads:
            _each_part(descriptor, known, whole.update, lambda number, content: threads.submit(put, number, content))
    except UploadGone:
        spool.forget_upload(stage)
        raise
    return upload if whole.hexdigest() == sha256 else None


def _each_part(
    descriptor: int,
    known: dict[int, UploadedPart],
    update: Callable[[bytes], None],
    send: Callable[[int, bytes], "Future[None]"],
) -> None:
    """Reads the file once, and sends what is not known; never more than a few parts ahead of the store."""
    number, sent = 1, list[Future[None]]()
    offset = 0
    while content := os.pread(descriptor, part_size(number), offset):
        update(content)
        offset += len(content)
        if number not in known:
            sent.append(send(number, content))
            if len(sent) >= budgets.S3_PARTS.size:
                sent.pop(0).result()
        number += 1
    for one in sent:
        one.result()


def _write_all(descriptor: int, content: bytes | bytearray) -> None:
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("The spool folder of this host is full. Nothing was changed; free some space.") from error
        raise
