"""One visible step on a bucket taken back: only where no other program has been since, and as carefully as it was taken."""

from activities.executors.contract.task import Done, Result, Step, Unclear
from activities.executors.s3.bucket import COMMAND, FREE, SHA256, STAGED, WAS, Condition, FoundObject, only
from activities.executors.s3.errors import ConditionFailed, Contended, Missing
from activities.executors.s3.steps.attempt import FOLDER, S3Attempt
from schema.paths import NodePath


class Reversal(S3Attempt):
    """A step of ours taken back. Unclear, and nothing touched, where another program has been since."""

    def run(self) -> Result:
        if self.task.items:
            # Nothing has left its place yet, and what was laid goes with the leftovers of a command that failed.
            return Done(None if self.task.step in (Step.CREATE, Step.RESTORE) else self.expected, recognised=True)
        try:
            match self.task.step:
                case Step.CREATE | Step.RESTORE:
                    return self.take_back(self.task.path)
                case Step.MOVE:
                    return self.take_back_move()
                case Step.REPLACE:
                    return self.take_back(self.task.path, replaced=True)
                case Step.DELETE:
                    return self.put_back()
        except (ConditionFailed, Missing, Contended):
            return Unclear("Another program was there while the step was taken back, so it stands.")

    def take_back_move(self) -> Result:
        if self.expected.directory:
            if not self.is_folder(self.task.path):
                return _STANDS
        elif not self.has_expected(self.key):
            return _STANDS
        assert self.task.target
        result = self.take_back(self.task.target, replaced=self.task.replaced is not None)
        if isinstance(result, Unclear):
            return result
        back = FOLDER if self.expected.directory else self.expected
        return Done(back, recognised=isinstance(result, Done) and result.recognised)

    def has_expected(self, key: str) -> bool:
        found = self.bucket.head(key)
        return found is not None and found.is_expected(self.expected)

    def take_back(self, path: NodePath, replaced: bool = False) -> Result:
        if (self.task.staged if self.task.step is Step.CREATE else self.expected).directory:  # type: ignore[union-attr]
            return self.take_back_folder(path)
        key = self.keys.of(path)
        found = self.bucket.head(key)
        before = self.task.replaced or self.task.expected
        if replaced and found is not None and before is not None and not self.is_ours(found):
            # Put back already, in a bucket with versions as a newer one.
            same = (found.etag, found.size) == (before.tag, before.size)
            return Done(found.identity, recognised=True) if same else _STANDS
        if not replaced and found is None:
            return Done(None, recognised=True)
        if found is None or not self.is_ours(found):
            return _STANDS
        kept = self.in_trash() if replaced else None
        if replaced and kept is None:
            return _STANDS
        if self.task.step in (Step.CREATE, Step.REPLACE):
            self.keep_staged(found)
        if kept is None:
            self.bucket.delete(key, found.etag)
            self.spool.unmark(self.task.command)
            return Done(None)
        return self.lay_back(kept, key, only(found.etag))

    def lay_back(self, kept: FoundObject, key: str, condition: Condition) -> Result:
        """Return what the trash holds to its place, with the command it had before."""
        before = {COMMAND: kept.metadata.get(WAS), SHA256: kept.metadata.get(SHA256)}
        metadata = {name: value for name, value in before.items() if value}
        found = self.bucket.copy(kept, key, metadata, condition)
        self.bucket.delete(kept.key, kept.etag)
        self.spool.unmark(self.task.command)
        return Done(found.identity)

    def keep_staged(self, found: FoundObject) -> None:
        """Return it to the stage. Content that still waits in the spool needs nothing; the store copies all else."""
        stage = self.task.stage or self.task.command
        here = self.spool.find(stage)
        if here is not None and self.staged.same_content(here) and here.tag.startswith("spool:"):
            return
        self.spool.drop(stage)
        self.spool.forget_upload(stage)
        staged_key = self.keys.stage(stage)
        if self.bucket.head(staged_key) is None:
            self.bucket.copy(found, staged_key, self.ours(found) | {STAGED: self.staged.tag}, FREE)

    def take_back_folder(self, path: NodePath) -> Result:
        key = self.keys.folder(path)
        there = self.bucket.first(key, 2)
        if not there:
            return Done(None, recognised=True)
        if [one.key for one in there] != [key] or not self.is_ours(self.bucket.head(key)):
            return _STANDS
        if self.task.stage and self.spool.find(self.task.stage) is None:
            self.spool.create_folder(self.task.stage)
        self.store.delete_folder(key)
        self.spool.unmark(self.task.command)
        return Done(None)

    def put_back(self) -> Result:
        if self.expected.directory:
            if self.is_folder(self.task.path):
                gone = not self.bucket.first(self.trash_key + "/", 1)
                return Done(FOLDER, recognised=True) if gone else _STANDS
            if not self.is_ours(self.bucket.head(self.trash_key + "/")):
                return _STANDS
            self.store.put_our_folder(self.keys.folder(self.task.path), "")
            self.bucket.delete(self.trash_key + "/")
            return Done(FOLDER)
        found, kept = self.bucket.head(self.key), self.in_trash()
        if found is not None:
            same = (found.etag, found.size) == (self.expected.tag, self.expected.size)
            return Done(found.identity, recognised=True) if kept is None and same else _STANDS
        return self.lay_back(kept, self.key, FREE) if kept is not None else _STANDS


_STANDS = Unclear("Another program has been there since, so the step was not taken back.")
