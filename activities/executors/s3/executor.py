"""The S3 executor: a mount is a prefix of a bucket, and everything of ours is below `<prefix>.filestore/`.

What it guarantees, and why that holds:

- Nothing is visible before its visible step, one conditional request: a put, the completion of an upload, a copy or a
  delete. The store refuses a step whose condition does not hold any more, so no stranger's bytes are overwritten.
- A step happens once: the command's id is in the metadata of all it writes, so that a later execution recognises it.
- Nothing is lost: what leaves its place lies in the trash, copied by the store and verified, before it leaves. A crash
  leaves two objects, never none. The source of a move goes after the record is committed.
- No request is trusted before its answer, and no answer before its checksum, size and ETag are what they must be. An error
  inside of a good answer is an error.
- A bucket that went away is never taken for an empty one: the sentinel is read before anything is said to be missing.

Until the step, content waits in a spool on this host (spool.py) or as parts of an upload (upload.py). Numbers of an
identity are 0: `tag` is the ETag, `edition` the version id. Of a directory both are empty: it is a name and nothing more.
"""

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from activities import budgets
from activities.executors.byte_locks import ByteLocks
from activities.executors.contract.executor import SCAN_MOST, Executor, Fetch
from activities.executors.contract.identity import Identity
from activities.executors.contract.listing import Entry, ScanPage
from activities.executors.contract.stage import Copied, Draft, Source, Stage, UploadLink
from activities.executors.contract.task import Result, Step, Task
from activities.executors.s3 import staging
from activities.executors.s3.bucket import COMMAND, Bucket
from activities.executors.s3.cold import S3Cold
from activities.executors.s3.content import S3Content
from activities.executors.s3.errors import ConditionFailed, Contended, Missing, PastTheEnd, UploadGone
from activities.executors.s3.keys import Keys
from activities.executors.s3.listing import ListedObject
from activities.executors.s3.locks import S3Locks
from activities.executors.s3.mount import Store
from activities.executors.s3.presign import LINK_MAX, Uploads
from activities.executors.s3.scan import scan
from activities.executors.s3.spool import BucketSpool
from activities.executors.s3.steps.attempt import FOLDER, S3Attempt
from activities.executors.s3.steps.reversal import Reversal
from activities.executors.s3.steps.trees import Items
from activities.executors.s3.upload import S3Writer
from activities.executors.s3.wire.account import account_of, wired
from schema.errors import (
    ContentExpired,
    InvalidPath,
    NodeNotFound,
    NotADirectory,
    NotSupported,
    PayloadTooLarge,
    VersionConflict,
)
from schema.ids import CommandId
from schema.paths import ROOT, NodePath

OBJECT_MAX = 5 << 40
"""Bytes of an object, everywhere."""
WIDTH = 16


class S3Executor:
    """The contract of `activities.executors.contract`, on a prefix of a bucket."""

    width = WIDTH

    def __init__(
        self,
        bucket: str,
        prefix: str,
        mount_uuid: str,
        config: Mapping[str, Any],
        secrets: Mapping[str, str],
        spool: Path,
    ) -> None:
        """Sends no request: a mount that is offline now heals by itself when it is back."""
        self.reached_as = (account_of(config, secrets), bucket)
        client, wire = wired(self.reached_as[0], bucket, WIDTH + budgets.S3_READS.size + 16, spool / mount_uuid)
        waiting = BucketSpool(spool, mount_uuid)
        self.store = Store(Bucket(client, wire, bucket, waiting.noting), Keys(prefix), waiting, mount_uuid)
        self._uploads = Uploads(self.store)
        self._readers = budgets.S3_READS.build()

    def register(self) -> None:
        """Make the prefix a mount: the sentinel and nothing else. Doing it again is harmless. Raises InvalidRequest."""
        with _understood():
            self.store.register()

    # -- the mount -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        with _understood():
            self.store.check()

    def cold(self) -> S3Cold:
        self.check()
        return S3Cold(self.store.bucket, self.store.keys, self._uploads)

    def object_locks(self) -> S3Locks:
        return S3Locks(self.store.bucket, self.store.keys)

    def put_canary(self) -> None:
        with _understood():
            self.store.put_canary()

    def sentinel(self) -> str | None:
        """The mount that the prefix says it belongs to, if it says so."""
        with _understood():
            return self.store.sentinel()

    def locks(self) -> ByteLocks:
        return self.store.spool.locks()

    # -- stages --------------------------------------------------------------------------------------------------------

    def open_stage(self, stage: CommandId, path: NodePath | None = None) -> S3Writer:
        key = self.store.keys.of(path) if path is not None else None
        with _understood():
            return S3Writer(self.store.bucket, self.store.spool, stage, key)

    def check_upload(self, path: NodePath, size: int | None) -> None:
        self.store.keys.of(path)
        if size is not None and size > OBJECT_MAX:
            raise PayloadTooLarge(f"An object has {OBJECT_MAX} bytes at most. Send less, or use a local mount.")

    def stage_copy(
        self, stage: CommandId, sources: Iterable[Source], fetch: Fetch | None = None, *, goes_on: bool = False
    ) -> Iterator[Copied]:
        with _understood():
            yield from staging.copy(self.store, stage, sources)

    def seal(self, drafts: Sequence[Draft], written: Sequence[CommandId] = ()) -> list[Stage | Exception]:
        with _understood():
            return staging.seal(self.store, drafts, written)

    def find_stage(self, stage: CommandId) -> Identity | None:
        with _understood():
            return staging.find(self.store, stage)

    def discard_stage(self, stage: CommandId, staged: Identity | None) -> bool:
        with _understood():
            return staging.discard(self.store, stage, staged)

    def stages(self) -> Iterator[tuple[CommandId, float]]:
        with _understood():
            yield from staging.stages(self.store)

    def sweep_uploads(self) -> int:
        """How many multipart uploads were aborted: those of copies whose process has died."""
        with _understood():
            return staging.sweep_uploads(self.store)

    # -- the visible step ----------------------------------------------------------------------------------------------

    def act(self, task: Task) -> Result:
        with _understood():
            return S3Attempt(self.store, task).run()

    # -- trees ---------------------------------------------------------------------------------------------------------

    def check_names(self, task: Task, page: Sequence[Source]) -> None:
        Items(self.store, task).check_names(page)

    def begin_tree(self, task: Task) -> None:
        with _understood():
            Items(self.store, task).begin()

    def reaches(self, origin: Executor) -> bool:
        """Another prefix of the same bucket, with the same credentials."""
        return isinstance(origin, S3Executor) and origin.reached_as == self.reached_as

    def lay(
        self, task: Task, page: Sequence[Source], fetch: Fetch | None = None, origin: Executor | None = None
    ) -> list[Copied]:
        assert origin is None or isinstance(origin, S3Executor), "it is reached"
        with _understood():
            return Items(self.store, task, fetch, origin.store if origin else None).lay(page)

    def end_tree(self, task: Task, files: int) -> None:
        with _understood():
            Items(self.store, task).end(files)

    def clear_tree(self, task: Task, page: Sequence[Source], succeeded: bool) -> None:
        with _understood():
            Items(self.store, task).clear(page, succeeded)

    # -- after the step ------------------------------------------------------------------------------------------------

    def flush(self, tasks: Sequence[Task]) -> None:
        staging.flush(self.store, tasks)

    def reverse(self, task: Task) -> Result:
        with _understood():
            return Reversal(self.store, task).run()

    def forget(self, commands: Sequence[CommandId]) -> None:
        for command in commands:
            self.store.spool.unmark(command)

    def finish(self, task: Task, succeeded: bool) -> None:
        with _understood():
            if task.stage and (succeeded or not task.borrowed):
                staging.clear(self.store, task, succeeded)
            match task.step:
                case _ if task.items:
                    Items(self.store, task).clear_root(succeeded)
                case Step.MOVE if succeeded:
                    self._remove_source(task)
                case Step.RESTORE if succeeded:
                    self._remove_restored(task)
                case Step.REPLACE | Step.DELETE | Step.MOVE if not succeeded and task.trash:
                    with suppress(InvalidPath):  # what no key can name was never there
                        self._clear_trash(task)
            self.store.spool.unmark(task.command)

    def purge(self, place: bytes) -> None:
        with _understood():
            keys, bucket = self.store.keys, self.store.bucket
            bucket.delete(keys.in_trash(place))
            folder = keys.trash_folder(place)
            for one in bucket.every(folder):
                bucket.delete(one.key)

    def _remove_source(self, task: Task) -> None:
        """Remove what was moved from its old place, and nothing else. If it changed meanwhile it stays: that is
        drift."""
        assert task.expected
        self.store.keep_folder(task.path.parent)
        if task.expected.directory:
            self.store.delete_folder(self.store.keys.folder(task.path))
            return
        found = self.store.bucket.head(self.store.keys.of(task.path))
        if found is not None and found.is_expected(task.expected):
            self._delete_exactly(found.key, found.etag)

    def _remove_restored(self, task: Task) -> None:
        assert task.expected
        if task.expected.directory:
            self.store.bucket.delete(self.store.keys.trash_folder(task.place))
        elif found := self.store.bucket.head(self.store.keys.in_trash(task.place)):
            self._delete_exactly(found.key, found.etag)

    def _clear_trash(self, task: Task) -> None:
        """Remove a failed command's copy only while its original is still at its place."""
        before, path = (task.replaced, task.target) if task.step is Step.MOVE else (task.expected, task.path)
        if before is None or path is None:
            return
        if before.directory:
            if self.store.is_folder(path):
                self.store.bucket.delete(self.store.keys.trash_folder(task.trash))
            return
        kept = self.store.bucket.head(self.store.keys.in_trash(task.trash))
        there = self.store.bucket.head(self.store.keys.of(path))
        if there and kept and there.is_expected(before) and kept.metadata.get(COMMAND) == task.command:
            self._delete_exactly(kept.key, kept.etag)

    def _delete_exactly(self, key: str, etag: str) -> None:
        try:
            self.store.bucket.delete(key, etag)
        except (ConditionFailed, Missing):
            return

    # -- reading -------------------------------------------------------------------------------------------------------

    def open(self, path: NodePath) -> S3Content:
        with _understood():
            try:
                return S3Content(self.store.bucket, self.store.keys.of(path), self._readers)
            except Missing:
                if self.store.is_folder(path):
                    raise NotADirectory("This is not a regular file, so it has no content to read.") from None
                self.store.sure()
                raise NodeNotFound() from None

    def open_kept(self, place: bytes) -> S3Content:
        with _understood():
            try:
                return S3Content(self.store.bucket, self.store.keys.in_trash(place), self._readers)
            except Missing:
                self.store.sure()
                raise ContentExpired() from None

    def presign(self, path: NodePath, identity: Identity, seconds: int, disposition: str, media: str) -> str:
        """Where the bucket keeps versions the URL names one. Elsewhere the content was looked at now, and the URL reads
        whatever lies there later: each reader would have to send a condition that is in the signature."""
        if identity.directory:
            raise NotSupported("A directory has no content to read.")
        with _understood():
            found = self.store.bucket.head(self.store.keys.of(path))
            if found is None:
                self.store.sure()
                raise NodeNotFound()
            if not found.is_expected(identity):
                raise VersionConflict("The object was changed in the bucket behind Filestore's back. Reconcile it.")
            which = {"VersionId": found.version} if found.version else {}
            wanted = {
                "Bucket": self.store.bucket.name,
                "Key": found.key,
                "ResponseContentDisposition": disposition,
                "ResponseContentType": media,
                **which,
            }
            return self.store.bucket.client.generate_presigned_url(
                "get_object", Params=wanted, ExpiresIn=max(1, min(seconds, LINK_MAX))
            )

    def presign_stage(self, stage: CommandId, size: int, sha256: bytes, seconds: int) -> UploadLink:
        return self._uploads.link(stage, size, sha256, seconds)

    def find_uploaded(self, stage: CommandId, size: int, sha256: bytes) -> Stage | None:
        with _understood():
            return self._uploads.find(stage, size, sha256)

    def walk(self) -> Iterator[Entry]:
        """In the order of the store. A directory comes before the first entry below it, marked or not. Keys that are no
        paths of a mount (`a//b`) are left out."""
        with _understood():
            listed = {ROOT}
            for one in self.store.bucket.every(self.store.keys.prefix):
                if not one.key.startswith(self.store.keys.reserved):
                    yield from self._entries(one, listed)
            self.store.sure()

    def scan(self, path: NodePath, after: bytes = b"", most: int = SCAN_MOST) -> Iterator[ScanPage]:
        with _understood():
            self.store.check()
            yield from scan(self.store, path, after, most)
            self.store.sure()

    def kinds_at(self, path: NodePath) -> Sequence[str]:
        keys, bucket, kinds = self.store.keys, self.store.bucket, list[str]()
        with _understood(), suppress(InvalidPath):  # what no key can name was never there
            if bucket.head(keys.of(path)) is not None:
                kinds.append("file")
            if bucket.first(keys.folder(path), 1):
                kinds.append("directory")
        return kinds

    def _entries(self, one: ListedObject, listed: set[NodePath]) -> Iterator[Entry]:
        path = self.store.keys.path_of(one.key) if one.key != self.store.keys.prefix else None
        if path is None:
            return
        is_folder = one.key.endswith("/")
        for folder in [*path.ancestors(), *([path] if is_folder else [])]:
            if folder not in listed:
                listed.add(folder)
                yield Entry(folder, FOLDER, "directory")
        if not is_folder:
            yield Entry(path, self._identity(one), "file")

    def _identity(self, one: ListedObject) -> Identity:
        return Identity(0, 0, 0, one.size, 0, 0, False, tag=one.etag)


@contextmanager
def _understood() -> Iterator[None]:
    """An unexpected answer of the store leaves this executor as an OSError."""
    try:
        yield
    except (Missing, ConditionFailed, Contended, UploadGone, PastTheEnd) as error:
        raise OSError(errno.EIO, f"the store gave an unexpected answer: {error!r}") from error
