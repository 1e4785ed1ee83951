"""The steps into and out of the trash of a local disk: delete, and restore."""

from activities.executors.contract.task import Done, Result, Unclear
from activities.executors.local.errors import CHANGED, EXPIRED, NO_FOLDER, NO_PARENT, TAKEN
from activities.executors.local.steps.ends import Ends
from activities.executors.syscalls import RENAME_NOREPLACE


class LocalDelete:
    """From its name to our own place in the trash; with `tree` everything below goes along, strangers' files too."""

    def __init__(self, ends: Ends) -> None:
        self.ends, self.task = ends, ends.task

    def act(self) -> Result:
        ends = self.ends
        out = ends.look(ends.trash)
        recognised = out is not None
        if not recognised:
            refused = ends.unexpected(ends.path, ends.expected) or ends.not_empty(ends.path, ends.expected)
            refused = refused or ends.take(ends.path, ends.trash, RENAME_NOREPLACE, None)
            if refused:
                return refused
            out = ends.look(ends.trash)
        if out is None:
            return Unclear("What was deleted was taken out of the trash before it could be looked at.")
        if not ends.is_expected(ends.trash, out):
            return ends.undo(self._put_back, CHANGED)
        if refused := ends.not_empty(ends.trash, ends.expected):
            return ends.undo(self._put_back, refused)
        taken = recognised and ends.look(ends.path) is not None
        return Done(None, recognised, drift="Another program has put something at this name since." if taken else None)

    def _put_back(self) -> None:
        ends = self.ends
        if ends.path.folder is not None and ends.look(ends.path) is None:
            ends.rename(ends.trash, ends.path)
        else:
            ends.disk.keep(*ends.trash.place, self.task)

    def is_before(self) -> bool:
        ends = self.ends
        return ends.look(ends.trash) is None and ends.expected.same_content(ends.look(ends.path))

    def is_after(self) -> bool:
        ends = self.ends
        return ends.expected.same_content(ends.look(ends.trash)) and ends.look(ends.path) is None

    def back(self) -> None:
        self.ends.rename(self.ends.trash, self.ends.path)

    def forth(self) -> None:
        self.ends.rename(self.ends.path, self.ends.trash)


class LocalRestore:
    """From its place in the trash to a free name. The place is told by the record; it may lie deep in a deleted tree."""

    def __init__(self, ends: Ends) -> None:
        self.ends, self.task = ends, ends.task

    def act(self) -> Result:
        ends = self.ends
        kept = ends.look(ends.kept)
        if kept is None:
            ends.sure()
            if ends.kept.missing not in (None, NO_PARENT, NO_FOLDER):
                return ends.kept.missing
            ours = ends.expected.same_inode(ends.look(ends.path))
            return ends.arrived(ends.path, ends.expected, recognised=True) if ours else EXPIRED
        if not ends.expected.same_content(kept):
            return CHANGED
        if refused := ends.take(ends.kept, ends.path, RENAME_NOREPLACE, TAKEN):
            return refused
        if ends.expected.same_inode(ends.look(ends.path)):
            return ends.arrived(ends.path, ends.expected, recognised=False)
        if ends.look(ends.path) is None:
            return Unclear("What was restored was taken away before it could be looked at.")
        return ends.undo(self.back, CHANGED)

    def is_before(self) -> bool:
        return self.ends.expected.same_content(self.ends.look(self.ends.kept))

    def is_after(self) -> bool:
        ends = self.ends
        return ends.look(ends.kept) is None and ends.expected.same_content(ends.look(ends.path))

    def back(self) -> None:
        self.ends.rename(self.ends.path, self.ends.kept)

    def forth(self) -> None:
        self.ends.rename(self.ends.kept, self.ends.path)
