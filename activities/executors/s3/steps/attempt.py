"""One visible step on a bucket: look, act on a condition, verify. The command in an object's metadata says that it is
ours.

A step is one conditional request on the object it is about. What a step takes away lies in the trash before that request,
so a crash leaves two objects, never none. A copy in the trash is taken away again only by an execution that knows that its
own request did not happen.

Directories are names: an empty object `<path>/` marks one, and anything below it makes one too. One is as good as another.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Refused, Result, Step, Task
from activities.executors.s3.bucket import COMMAND, FREE, SHA256, STAGED, TAG, WAS, Condition, FoundObject, only
from activities.executors.s3.errors import (
    BUSY,
    CHANGED,
    EXPIRED,
    HAUNTED,
    ITEM_BY_ITEM,
    LOST,
    NO_FOLDER,
    NO_PARENT,
    RETAINED,
    TAKEN,
    VANISHED,
    ConditionFailed,
    Contended,
    Missing,
    StoreRefuses,
    UploadGone,
    refusal_of,
)
from activities.executors.s3.mount import Store
from activities.executors.s3.spool import folder_identity
from activities.executors.s3.upload import PART, send_spooled
from schema import faults
from schema.errors import FilestoreError, InvalidRequest, MountOffline
from schema.paths import NodePath

ROUNDS = 8
"""How often a step looks again when the object changes between the look and the step."""
FOLDER = folder_identity("")
"""Every directory that is visible."""


class NothingStaged(Exception):
    """What was staged is not there any more, or is something else now."""


class BucketChanged(Exception):
    """Something changed between the look and the step."""


class S3Attempt:
    def __init__(self, store: Store, task: Task) -> None:
        self.store, self.task = store, task
        self.bucket, self.keys, self.spool = store.bucket, store.keys, store.spool
        self.tried_to_clear = self.asked = False

    def run(self) -> Result:
        result = self._run()
        if not isinstance(result, Done):
            return result
        return replace(result, leaves=self._leaves(), holds=self.task.step is Step.MOVE)

    def _leaves(self) -> bool:
        """Content that was put from the spool of this host left it with the step. What waited in the bucket is still there,
        and so is what was moved, or restored: it goes once the record is committed."""
        if self.task.step in (Step.CREATE, Step.REPLACE):
            return self.task.staged is None or not self.task.staged.tag.startswith("spool:")
        return self.task.step in (Step.MOVE, Step.RESTORE)

    def _run(self) -> Result:
        steps = {
            Step.CREATE: self.create,
            Step.REPLACE: self.replace,
            Step.DELETE: self.delete,
            Step.MOVE: self.move,
            Step.RESTORE: self.restore,
        }
        try:
            for _ in range(ROUNDS):
                try:
                    return steps[self.task.step]()
                except (BucketChanged, Contended):
                    continue
        except MountOffline as error:
            if self.asked or self.task.attempt > 1:
                raise  # it may have happened: a later execution looks
            return Refused(error.code, error.message)
        except FilestoreError as error:
            if (refused := refusal_of(error)) is None:
                raise
            return refused
        return BUSY

    # -- what every step is made of ------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        return self.keys.of(self.task.path)

    @property
    def trash_key(self) -> str:
        return self.keys.in_trash(self.task.trash)

    @property
    def expected(self) -> Identity:
        if self.task.expected is None:
            raise InvalidRequest("The intent does not say what is expected at the path.")
        return self.task.expected

    @property
    def staged(self) -> Identity:
        if self.task.staged is None or self.task.stage is None:
            raise InvalidRequest("The intent does not say what was staged.")
        return self.task.staged

    def is_ours(self, found: FoundObject | None) -> bool:
        return found is not None and found.command != "" and found.command in (self.task.command, self.task.stage)

    def ours(self, found: FoundObject | None) -> dict[str, str]:
        """Our metadata for a copy of this object."""
        known = found.metadata.get(SHA256) if found else None
        return {COMMAND: self.task.command} | ({SHA256: known} if known else {})

    def made(self, identity: Identity) -> Done:
        """The step is taken and verified. The mark helps a later execution if another program changes the object."""
        self.spool.mark(self.task.command, identity)
        return Done(identity)

    def recognised(self, identity: Identity) -> Done:
        """An earlier request's effect. Its process may have died before the mark; without a mark its stage would stay."""
        self.spool.mark(self.task.command, identity)
        return Done(identity, recognised=True)

    @contextmanager
    def visible_step(self) -> Iterator[None]:
        """Around the one request whose effect all readers can see."""
        faults.reach("apply.act", self.task.path.text)
        self.asked = True
        yield
        faults.reach("apply.acted", self.task.path.text)

    def seen_before(self, key: str) -> FoundObject | None:
        """What lies where something is to appear. A first execution does not ask: the condition of its step does."""
        return self.bucket.head(key) if self.task.attempt > 1 else None

    def made_before(self, found: FoundObject | None) -> Result | None:
        """An earlier execution's effect, as it lies there or as its mark says."""
        if found is not None and self.is_ours(found):
            return self.recognised(found.identity)
        if self.task.attempt == 1:
            return None
        made = self.spool.marked(self.task.command)
        if made is None:
            return None
        since = "removed it" if found is None else "put something else in its place"
        return Done(made, recognised=True, drift=f"Another program has {since} since.")

    def no_parent(self, path: NodePath) -> Refused | None:
        if path.depth < 2 or self.store.has_folder(path.parent, anew=self.task.attempt > 1):
            return None
        if any(self.bucket.head(self.keys.of(folder)) for folder in path.ancestors()[1:]):
            return NO_FOLDER
        self.store.sure()
        return NO_PARENT

    def is_folder(self, path: NodePath) -> bool:
        return self.store.is_folder(path)

    def not_free(self, path: NodePath, found: FoundObject | None) -> Refused | None:
        if found is not None or self.is_folder(path):
            return TAKEN
        return self.no_parent(path)

    def publish(self, path: NodePath, condition: Condition, source: FoundObject | None = None) -> Done | Refused | None:
        """The visible step of everything that appears: a copy of `source`, or what is staged. None: another
        writer was faster; the caller looks which."""
        key = self.keys.of(path)
        try:
            with self.visible_step():
                if source is not None:
                    made = self.bucket.copy(source, key, self.ours(source), condition)
                else:
                    made = self.put_staged(key, condition)
        except NothingStaged:
            return LOST
        except ConditionFailed:
            found = self.bucket.head(key)
            if found is not None and self.is_ours(found):
                return self.recognised(found.identity)
            if condition == FREE and found is None and not self.is_folder(path):
                return self.haunted(f"{self.keys.of(path)}/")
            return None
        return self.made(made.identity)

    def haunted(self, key: str) -> Refused:
        """The store refuses a name at which it shows nothing. The first time this may be the rest of a directory, or it
        passes."""
        if self.tried_to_clear:
            return HAUNTED
        self.tried_to_clear = True
        self.store.clear_ghost(key)
        raise BucketChanged

    def put_staged(self, key: str, condition: Condition) -> FoundObject:
        """Raises NothingStaged."""
        stage, staged = self.task.stage or self.task.command, self.staged
        kind, _, which = staged.tag.partition(":")
        metadata = {COMMAND: self.task.command}
        upload = self.spool.upload(stage) if kind == "multipart" else None
        if upload is not None and (upload.id, upload.key) == (which, key) and upload.sha256:
            try:
                return self.bucket.end_parts(key, upload.id, upload.parts, {COMMAND: stage}, condition)
            except UploadGone:
                found = self.bucket.head(key)
                if found is None or not self.is_ours(found):
                    raise NothingStaged from None
                return found
        descriptor = self.spool.open(stage) if kind == "spool" else None
        if descriptor is not None:
            try:
                return self.put_spooled(key, condition, descriptor, which)
            finally:
                os.close(descriptor)
        source = self.bucket.head(self.keys.stage(stage))
        if source is None or staged.tag not in (f"object:{source.etag}", source.metadata.get(STAGED)):
            raise NothingStaged
        try:
            return self.bucket.copy(source, key, self.ours(source) | metadata, condition)
        except Missing as error:
            raise NothingStaged from error

    def put_spooled(self, key: str, condition: Condition, descriptor: int, sha256: str) -> FoundObject:
        stage, size = self.task.stage or self.task.command, self.staged.size
        metadata = {COMMAND: self.task.command, SHA256: sha256}
        if size <= PART:
            content = os.pread(descriptor, size + 1, 0)
            digest = hashlib.sha256(content)
            if len(content) != size or digest.hexdigest() != sha256:
                raise NothingStaged
            return self.bucket.put(key, content, digest.digest(), metadata, condition)
        if os.fstat(descriptor).st_size != size:
            raise NothingStaged
        try:
            upload = send_spooled(self.bucket, self.spool, stage, key, descriptor, sha256, self.task.command)
            if upload is None:
                raise NothingStaged
            found = self.bucket.end_parts(key, upload.id, upload.parts, metadata, condition)
        except UploadGone as error:
            self.spool.forget_upload(stage)
            raise BucketChanged from error
        self.spool.forget_upload(stage)
        return found

    # -- the trash -----------------------------------------------------------------------------------------------------

    def in_trash(self) -> FoundObject | None:
        """Our copy of the expected object, put into the trash by this or an earlier execution."""
        found = self.bucket.head(self.trash_key) if self.task.trash else None
        expected = self.task.replaced or self.expected
        same = found is not None and found.metadata.get(TAG) == expected.tag and found.size == expected.size
        return found if same and self.is_ours(found) else None

    def to_trash(self, found: FoundObject) -> Refused | None:
        """Copy what will be taken away. The copy is not visible, so it may be made as often as it takes."""
        if self.task.attempt > 1 and self.in_trash() is not None:
            return None
        metadata = {**self.ours(found), TAG: found.etag, WAS: found.command}
        try:
            self.bucket.copy(found, self.trash_key, metadata, FREE)
        except Missing:
            return VANISHED
        except ConditionFailed:
            there = self.bucket.head(self.trash_key)
            return None if self.is_ours(there) and there and there.metadata.get(TAG) == found.etag else CHANGED
        return None

    def back_from_trash(self) -> None:
        """Our request did not happen, and this execution knows it: the copy for it is not needed."""
        if self.task.trash and self.task.attempt == 1 and (kept := self.in_trash()):
            self.bucket.delete(kept.key, kept.etag)

    # -- the steps -----------------------------------------------------------------------------------------------------

    def create(self) -> Result:
        if self.staged.directory:
            return self.create_folder(self.task.path)
        found = self.seen_before(self.key)
        before = self.made_before(found)
        if before is not None:
            return before
        if refused := self.not_free(self.task.path, found):
            return refused
        return self.publish(self.task.path, FREE) or TAKEN

    def create_folder(self, path: NodePath) -> Result:
        key = self.keys.folder(path)
        there = self.bucket.first(key, 1)
        if there and self.is_ours(self.bucket.head(key)):
            return self.recognised(FOLDER)
        if not there and (before := self.made_before(None)):
            return before
        if there or self.bucket.head(self.keys.of(path)):
            return TAKEN
        if refused := self.no_parent(path):
            return refused
        try:
            with self.visible_step():
                self.bucket.put_folder(key, self.task.command, FREE)
        except ConditionFailed:
            if self.is_ours(self.bucket.head(key)):
                return self.recognised(FOLDER)
            if self.bucket.first(key, 1) or self.bucket.head(self.keys.of(path)):
                return TAKEN
            # SeaweedFS keeps directories of which it lists nothing. An empty object there overwrites nothing.
            self.bucket.put_folder(key, self.task.command, {})
        return self.made(FOLDER)

    def replace(self) -> Result:
        found = self.bucket.head(self.key)
        if before := self.made_before(found):
            return before
        if found is None or not found.is_expected(self.expected):
            return self.unexpected(self.task.path, found)
        if refused := self.to_trash(found):
            return refused
        done = self.publish(self.task.path, only(found.etag))
        if isinstance(done, Done):
            return done
        self.back_from_trash()
        return done or self.unexpected(self.task.path, self.bucket.head(self.key))

    def unexpected(self, path: NodePath, found: FoundObject | None) -> Refused:
        if found is not None:
            return CHANGED
        self.store.sure()
        return CHANGED if self.is_folder(path) else self.no_parent(path) or VANISHED

    def delete(self) -> Result:
        if self.expected.directory:
            return self.delete_folder()
        found = self.bucket.head(self.key)
        if found is None or not found.is_expected(self.expected):
            return self.deleted_before(found) or self.unexpected(self.task.path, found)
        if refused := self.to_trash(found):
            return refused
        self.store.keep_folder(self.task.path.parent)
        try:
            with self.visible_step():
                self.bucket.delete(self.key, found.etag)
        except (ConditionFailed, Missing) as error:
            now = self.bucket.head(self.key)
            if now is not None and now.is_expected(self.expected):
                raise BucketChanged from error
            if before := self.deleted_before(now):
                return before
            self.back_from_trash()
            return self.unexpected(self.task.path, now)
        self.spool.mark(self.task.command, FOLDER)
        return Done(None)

    def deleted_before(self, found: FoundObject | None) -> Done | None:
        """What was expected lies in the trash, and not at the path: an earlier execution put it there. Another program
        may have overwritten it before or after: the path holds its object, and ours is kept."""
        if self.task.attempt == 1 and self.spool.marked(self.task.command) is None:
            return None
        if self.in_trash() is None:
            return None
        return Done(None, True, None if found is None else "Another program has put something at this name since.")

    def delete_folder(self) -> Result:
        key, trash = self.keys.folder(self.task.path), self.trash_key + "/"
        if self.task.items:  # what it holds lies in the trash already, and leaves its place after the record
            return Done(None) if self.is_ours(self.bucket.head(trash)) else ITEM_BY_ITEM
        there = self.bucket.first(key, 2)
        others = [one.key[len(key) :] for one in there if one.key != key]
        if not there or others:
            if self.task.attempt > 1 and self.is_ours(self.bucket.head(trash)):
                taken = bool(others) or self.bucket.head(self.keys.of(self.task.path)) is not None
                return Done(None, True, "Another program has put something at this name since." if taken else None)
            if others:
                return _not_empty(others)
            self.store.sure()
            return (
                CHANGED
                if self.bucket.head(self.keys.of(self.task.path))
                else self.no_parent(self.task.path) or VANISHED
            )
        if there[0].size:
            return CHANGED
        self.store.put_our_folder(trash, self.task.command)
        self.store.keep_folder(self.task.path.parent)
        try:
            with self.visible_step():
                self.store.delete_folder(key)
        except StoreRefuses:
            if not self.bucket.first(key, 1):
                raise
            with suppress(StoreRefuses):
                self.bucket.delete(trash)
            return RETAINED
        if others := [one.key[len(key) :] for one in self.bucket.first(key, 2)]:
            # Filled in the last moment. It is a directory still, by what lies in it; now it is marked as one again.
            self.store.keep_folder(self.task.path)
            self.bucket.delete(trash)
            return _not_empty(others)
        return Done(None)

    def move(self) -> Result:
        target = self.task.target
        if target is None:
            raise InvalidRequest("The intent does not say where it moves to.")
        if self.expected.directory:
            return self.move_folder(target)
        key = self.keys.of(target)
        there = self.bucket.head(key) if self.task.replaced else self.seen_before(key)
        if before := self.made_before(there):
            return before
        source = self.bucket.head(self.key)
        if source is None or not source.is_expected(self.expected):
            return self.unexpected(self.task.path, source)
        return self.move_onto(source, target, there) if self.task.replaced else self.move_free(source, target, there)

    def move_free(self, source: FoundObject, target: NodePath, there: FoundObject | None) -> Result:
        if refused := self.not_free(target, there):
            return refused
        try:
            return self.publish(target, FREE, source) or self.lost_race(target)
        except Missing as error:
            raise BucketChanged from error

    def move_onto(self, source: FoundObject, target: NodePath, there: FoundObject | None) -> Result:
        assert self.task.replaced
        if there is None or not there.is_expected(self.task.replaced):
            return self.unexpected(target, there)
        if refused := self.to_trash(there):
            return refused
        try:
            done = self.publish(target, only(there.etag), source)
        except Missing as error:
            raise BucketChanged from error
        if isinstance(done, Done):
            return done
        self.back_from_trash()
        return done or self.lost_race(target)

    def lost_race(self, target: NodePath) -> Refused:
        """A copy has two conditions, and the store does not say which one failed."""
        source = self.bucket.head(self.key)
        if source is None or not source.is_expected(self.expected):
            return self.unexpected(self.task.path, source)
        there = self.bucket.head(self.keys.of(target))
        return self.unexpected(target, there) if self.task.replaced else TAKEN

    def move_folder(self, target: NodePath) -> Result:
        key = self.keys.folder(self.task.path)
        there = self.bucket.first(key, 2)
        if not there and self.task.attempt == 1:
            return self.unexpected(self.task.path, self.bucket.head(self.key))
        filled = self.task.tree and any(one.key != key for one in there)
        if filled and not (self.task.items and self.is_ours(self.bucket.head(self.keys.folder(target)))):
            return ITEM_BY_ITEM
        return self.create_folder(target)

    def restore(self) -> Result:
        if self.expected.directory:
            return self.restore_folder(self.keys.trash_folder(self.task.place))
        there = self.seen_before(self.key)
        if before := self.made_before(there):
            return before
        source = self.bucket.head(self.keys.in_trash(self.task.place))
        if source is None or not self.is_kept(source):
            self.store.sure()
            return EXPIRED if source is None else CHANGED
        if refused := self.not_free(self.task.path, there):
            return refused
        try:
            return self.publish(self.task.path, FREE, source) or TAKEN
        except Missing:
            return EXPIRED

    def restore_folder(self, kept: str) -> Result:
        there = self.bucket.first(kept, 2)
        if self.task.attempt == 1 and not there:
            self.store.sure()
            return EXPIRED
        filled = self.task.tree and any(one.key != kept for one in there)
        if filled and not (self.task.items and self.is_ours(self.bucket.head(self.keys.folder(self.task.path)))):
            return ITEM_BY_ITEM
        return self.create_folder(self.task.path)

    def is_kept(self, source: FoundObject) -> bool:
        """The object that went to the trash then. It was copied, so its ETag may be another one, but its metadata notes
        the old one."""
        known = self.expected.tag in (source.etag, source.metadata.get(TAG))
        return known and source.size == self.expected.size


def _not_empty(names: list[str]) -> Refused:
    shown = ", ".join(map(repr, names[:3])) + ", ..." * (len(names) > 3)
    return Refused(
        "CHILDREN_EXIST", f"The directory is not empty in the bucket: {shown}. It is untouched; reconcile it."
    )
