"""Trees in a bucket, which knows none: what a directory holds is laid where it goes, and its originals leave after the record.

Every object is copied by the store itself, on a condition, with the command's id in its metadata: done again, it is found to
be ours. Until the record nothing has left its place; whatever fails, what was laid is taken away and nothing is lost.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from activities import budgets
from activities.executors.contract.executor import Fetch
from activities.executors.contract.stage import Copied, Source, Stage
from activities.executors.contract.task import Refused, Step, Task
from activities.executors.drafts import pour
from activities.executors.s3.bucket import COMMAND, FREE, SHA256, TAG, WAS, FoundObject
from activities.executors.s3.errors import HAUNTED, ConditionFailed, Missing
from activities.executors.s3.mount import Store
from activities.executors.s3.staging import drop_local, is_source
from activities.executors.s3.steps.attempt import FOLDER, NothingStaged, S3Attempt
from activities.executors.s3.upload import PART_MIN, S3Writer
from schema import errors
from schema.ids import CommandId
from schema.paths import NodePath

R = TypeVar("R")
HELD_MAX = 1 << 20
"""The largest content that is held in memory from where it lies to the request that puts it; of these sixteen at a time"""


class Items:
    """The items of one command's tree."""

    def __init__(self, store: Store, task: Task, fetch: Fetch | None = None, origin: Store | None = None) -> None:
        """`fetch`: the originals lie on another mount. `origin`: they do, in the same bucket."""
        self.store, self.task, self.fetch, self.origin = store, task, fetch, origin or store
        self.bucket, self.keys = store.bucket, store.keys

    # -- where things are ----------------------------------------------------------------------------------------------

    @property
    def _target(self) -> NodePath:
        return self.task.target or self.task.path

    def _laid_at(self, relative: bytes) -> str:
        """The key where a file will be: below the target, or in the trash. Raises InvalidPath."""
        if self.task.step is Step.DELETE:
            return self.keys.in_trash(self._place(relative))
        return self.keys.of(NodePath(self._target.raw + _below(relative)))

    def _folder_laid_at(self, relative: bytes) -> str:
        """The same for a directory."""
        if self.task.step is Step.DELETE:
            return self.keys.trash_folder(self._place(relative))
        return self.keys.folder(NodePath(self._target.raw + _below(relative)))

    def _place(self, relative: bytes) -> bytes:
        return (self.task.trash or "").encode() + _below(relative)

    def _came_from(self, source: Source) -> str:
        keys = self.origin.keys
        return keys.of(source.path) if source.path is not None else keys.in_trash(source.place)

    def _folder_came_from(self, source: Source) -> str:
        return self.keys.folder(source.path) if source.path is not None else self.keys.trash_folder(source.place)

    def _is_ours(self, found: FoundObject | None) -> bool:
        return found is not None and found.command == self.task.command

    # -- before the record ---------------------------------------------------------------------------------------------

    def check_names(self, page: Sequence[Source]) -> None:
        """Raises InvalidPath where the bucket can not hold the directory itself, or one of these where it goes."""
        self._folder_laid_at(b"")
        for source in page:
            (self._folder_laid_at if source.kind == "directory" else self._laid_at)(source.relative)

    def begin(self) -> None:
        """The directory itself, first: from here on the name is taken. Raises NodeExists, ParentNotFound, NotADirectory."""
        if self.task.step is Step.DELETE:
            self.store.put_our_folder(self._folder_laid_at(b""), self.task.command)
        else:
            result = S3Attempt(self.store, self.task).create_folder(self._target)
            if isinstance(result, Refused):
                raise errors.from_code(result.code, result.message)
        if self.task.step in (Step.DELETE, Step.MOVE):
            self.store.keep_folder(self.task.path.parent)

    def lay(self, page: Sequence[Source]) -> list[Copied]:
        return _at_once(self._lay_one, page)

    def _lay_one(self, source: Source) -> Copied:
        if source.kind == "directory":
            self._lay_folder(self._folder_laid_at(source.relative))
            return Copied(source.relative, source.kind, FOLDER)
        if source.kind != "file":
            raise errors.NotSupported(f"A {source.kind} can not be copied.")
        key, lay = self._laid_at(source.relative), self._bring_file if self.fetch else self._lay_file
        made = lay(source, key) or lay(source, key, again=True)
        if made is None:
            raise errors.from_code(HAUNTED.code, HAUNTED.message)
        return Copied(source.relative, source.kind, made.identity, made.size, source.sha256)

    def _lay_folder(self, key: str) -> None:
        try:
            self.bucket.put_folder(key, self.task.command, FREE)
        except ConditionFailed:
            if not self._is_ours(self.bucket.head(key)):
                self.store.put_our_folder(key, self.task.command)

    def _lay_file(self, source: Source, key: str, *, again: bool = False) -> FoundObject | None:
        """None, once: the store refused a name at which it shows nothing, and what it may remember there is cleared."""
        found = self.bucket.head(self._came_from(source))
        there = self.bucket.head(key) if found is None or again else None
        if there is not None and self._is_ours(there) and there.size == source.identity.size:
            return there
        if found is None:
            self.origin.sure()
            raise _gone(source)
        if not is_source(found, source):
            raise _changed(source)
        known = source.sha256.hex() if source.sha256 else found.metadata.get(SHA256)
        metadata = {COMMAND: str(self.task.command)} | ({SHA256: known} if known else {})
        if self.task.step is Step.DELETE:
            metadata |= {TAG: found.etag, WAS: found.command}
        try:
            return self.bucket.copy(found, key, metadata, FREE)
        except Missing as error:
            raise _gone(source) from error
        except ConditionFailed as error:
            if there := self._in_the_way(key, found.size):
                return there
            if not is_source(self.bucket.head(found.key) or _NOTHING, source):
                raise _changed(source) from error
            self.store.clear_ghost(key + "/")
            return None

    def _bring_file(self, source: Source, key: str, *, again: bool = False) -> FoundObject | None:
        """The same from another mount: read, hashed, and put, by way of the spool where it is large. What one request puts is put
        at once: its condition finds what an earlier execution has put there."""
        size = source.identity.size
        there = self.bucket.head(key) if again or size > PART_MIN else None
        if there is not None and self._is_ours(there) and _has_content_of(there, source):
            return there
        try:
            return self._put_small(source, key) if size <= HELD_MAX else self._put_by_the_spool(source, key)
        except ConditionFailed as error:
            there = self._in_the_way(key, source.identity.size)
            if there is not None and not _has_content_of(there, source):
                raise _changed(source) from error
            if there is not None:
                return there
            self.store.clear_ghost(key + "/")
            return None
        except NothingStaged as error:
            raise errors.StageLost() from error

    def _put_small(self, source: Source, key: str) -> FoundObject:
        """Held in memory, and never on the disk of this host."""
        assert self.fetch is not None
        content, held, size = self.fetch(source), b"", source.identity.size
        try:
            while len(held) < size and (piece := content.read(len(held), size - len(held))):
                held += piece
            whole = len(held) == size and content.unchanged()
        finally:
            content.close()
        sha256 = hashlib.sha256(held).digest()
        if not whole or source.sha256 not in (None, sha256):
            raise _changed(source)
        return self.bucket.put(key, held, sha256, {COMMAND: str(self.task.command), SHA256: sha256.hex()}, FREE)

    def _put_by_the_spool(self, source: Source, key: str) -> FoundObject:
        stage = _stage_of(self.task.command, source.relative)
        drop_local(self.store, stage)
        try:
            staged = self._spool(source, stage)
            task = replace(self.task, step=Step.CREATE, stage=stage, staged=staged.identity)
            return S3Attempt(self.store, task).put_staged(key, FREE)
        finally:
            drop_local(self.store, stage)

    def _spool(self, source: Source, stage: CommandId) -> Stage:
        assert self.fetch is not None
        content = self.fetch(source)
        try:
            staged = pour(content, S3Writer(self.bucket, self.store.spool, stage, None))
            if not content.unchanged():
                raise _changed(source)
        finally:
            content.close()
        if source.sha256 not in (None, staged.sha256):
            raise _changed(source)
        return staged

    def _in_the_way(self, key: str, size: int) -> FoundObject | None:
        """What lies at a name that was to be free: ours from before, or nothing. Raises NodeExists for a stranger's."""
        there = self.bucket.head(key)
        if there is None or (self._is_ours(there) and there.size == size):
            return there
        raise errors.NodeExists(
            "A name in the tree is taken in the bucket by something Filestore does not know. Reconcile the mount.",
            path=self._target.text,
        )

    def end(self, files: int) -> None:
        """Nothing else may lie below the directory that is to leave: strangers' objects would be left without it."""
        if self.task.step not in (Step.DELETE, Step.MOVE):
            return
        there = sum(not one.key.endswith("/") for one in self.bucket.every(self.keys.folder(self.task.path)))
        if there > files:
            raise errors.VersionConflict(
                f"{there - files} objects lie below the directory that Filestore does not know. Reconcile it first; nothing "
                "was changed.",
                path=self.task.path.text,
            )

    # -- after the record ----------------------------------------------------------------------------------------------

    def clear(self, page: Iterable[Source], succeeded: bool) -> None:
        """Children come before their parents. Of a command that succeeded the originals go, else what was laid. At a name that
        the bucket can not hold nothing was laid."""
        page = list(page)
        if succeeded and self.task.step is Step.CREATE:
            return  # a copy leaves its originals
        clear_file = self._clear_original if succeeded else self._clear_laid
        _at_once(clear_file, [source for source in page if source.kind != "directory"])
        for source in page:
            if source.kind == "directory":
                with suppress(errors.InvalidPath):
                    key = self._folder_came_from(source) if succeeded else self._folder_laid_at(source.relative)
                    self._clear_folder(key, ours=not succeeded)

    def clear_root(self, succeeded: bool) -> None:
        if not succeeded:
            with suppress(errors.InvalidPath):
                self._clear_folder(self._folder_laid_at(b""), ours=True)
            return
        match self.task.step:
            case Step.DELETE | Step.MOVE:
                self._clear_folder(self.keys.folder(self.task.path), ours=False)
            case Step.RESTORE:
                self._clear_folder(self.keys.trash_folder(self.task.place), ours=False)

    def _clear_original(self, source: Source) -> None:
        """Remove exactly what was laid elsewhere. If it changed meanwhile it stays: that is drift."""
        found = self.bucket.head(self._came_from(source))
        if found is not None and is_source(found, source):
            self._delete(found)

    def _clear_laid(self, source: Source) -> None:
        try:
            found = self.bucket.head(self._laid_at(source.relative))
        except errors.InvalidPath:
            return
        if found is None or not self._is_ours(found):
            return
        if self.task.step is not Step.CREATE:
            original = self.bucket.head(self._came_from(source))
            if original is None or not is_source(original, source):
                return  # ours may be the last one of it
        self._delete(found)

    def _clear_folder(self, key: str, *, ours: bool) -> None:
        there = self.bucket.first(key, 2)
        if [one.key for one in there] == [key] and not (ours and not self._is_ours(self.bucket.head(key))):
            self.store.delete_folder(key)
        elif not there:
            self.store.clear_ghost(key)

    def _delete(self, found: FoundObject) -> None:
        try:
            self.bucket.delete(found.key, found.etag)
        except (ConditionFailed, Missing):
            return


_NOTHING = FoundObject("", "", -1)


def _stage_of(command: CommandId, relative: bytes) -> CommandId:
    """The id under which an item from another mount waits in the spool: the same for every execution."""
    return CommandId(str(uuid.uuid5(uuid.UUID(command), relative.hex())))


def _below(relative: bytes) -> bytes:
    return b"/" + relative if relative else b""


def _at_once(work: Callable[[Source], R], items: Sequence[Source]) -> list[R]:
    with budgets.S3_ITEMS.build() as threads:
        return list(threads.map(work, items))


def _has_content_of(there: FoundObject, source: Source) -> bool:
    """Of what this command has put there before. A content without a hash is known by the file that it is in."""
    if source.sha256 is None:
        return there.size == source.identity.size
    return there.metadata.get(SHA256) == source.sha256.hex()


def _gone(source: Source) -> errors.FilestoreError:
    if source.place is not None:
        return errors.ContentExpired(path=_shown(source))
    return errors.VersionConflict(
        f"{_shown(source)} is not in the bucket any more. Reconcile it first; nothing was changed.", path=_shown(source)
    )


def _changed(source: Source) -> errors.FilestoreError:
    return errors.VersionConflict(
        f"{_shown(source)} was changed in the bucket behind Filestore's back. Reconcile it first; nothing was changed.",
        path=_shown(source),
    )


def _shown(source: Source) -> str:
    return (source.path.raw if source.path is not None else source.relative).decode("utf-8", "replace")
