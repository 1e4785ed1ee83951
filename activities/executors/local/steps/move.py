"""The step by which something gets another name on a local disk: a free one, or that of a file that goes to the trash."""

import errno
from contextlib import suppress

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Refused, Result, Unclear
from activities.executors.local.errors import CHANGED, INTO_ITSELF, NO_PARENT, NO_TARGET, TAKEN
from activities.executors.local.steps.ends import ROUNDS, Ends, LookAgain
from activities.executors.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE
from schema.errors import InvalidRequest

_NOWHERE = Unclear("A resumed move finds the node neither at its old nor at its new name.")


class LocalMove:
    """From one name to a free one. A move has no name of its own, so the node itself tells: at the target means done,
    whatever lies at the source meanwhile. What arrived wrongly is not moved back: no fact tells where it belongs."""

    def __init__(self, ends: Ends) -> None:
        self.ends, self.task = ends, ends.task

    def act(self) -> Result:
        ends = self.ends
        if ends.expected.same_inode(ends.look(ends.target)) and not self._is_twin():
            return self._recognised()
        refused = ends.unexpected(ends.path, ends.expected)
        if refused and self.task.attempt > 1 and not ends.expected.same_inode(ends.look(ends.path)):
            return _NOWHERE
        if refused := refused or _take(ends, RENAME_NOREPLACE):
            return refused
        if ends.expected.same_inode(ends.look(ends.target)):
            return ends.arrived(ends.target, ends.expected, recognised=False)
        return Unclear("What arrived at the new name is not what was to be moved. It was left there.")

    def _is_twin(self) -> bool:
        """A hard link that another program made at the target is no effect of ours while no attempt has acted."""
        return self.task.attempt == 1 and self.ends.expected.same_inode(self.ends.look(self.ends.path))

    def _recognised(self) -> Done:
        done = self.ends.arrived(self.ends.target, self.ends.expected, recognised=True)
        if done.drift is None and self.ends.look(self.ends.path) is not None:
            return Done(done.identity, True, drift="Another program has put something at the old name since.")
        return done

    def is_before(self) -> bool:
        ends = self.ends
        at_target = ends.expected.same_inode(ends.look(ends.target))
        return ends.expected.same_content(ends.look(ends.path)) and not at_target

    def is_after(self) -> bool:
        ends = self.ends
        return ends.expected.same_content(ends.look(ends.target)) and ends.look(ends.path) is None

    def back(self) -> None:
        self.ends.rename(self.ends.target, self.ends.path)

    def forth(self) -> None:
        self.ends.rename(self.ends.path, self.ends.target)


class MoveOnto:
    """In two renames: the file and the one it replaces swap their names; then the replaced one, which now lies at the
    old name, goes to the trash. There is always something at the target, and our place in the trash tells the rest."""

    def __init__(self, ends: Ends) -> None:
        self.ends, self.task = ends, ends.task
        if ends.task.replaced is None or ends.task.replaced.directory or ends.expected.directory:
            raise InvalidRequest("Only a file can be moved onto a file.")
        self.replaced: Identity = ends.task.replaced

    def act(self) -> Result:
        ends = self.ends
        kept = ends.look(ends.trash)
        if self.replaced.same_inode(kept) or ends.expected.same_inode(ends.look(ends.target)):
            return self._go_on(recognised=True)
        if kept is not None:
            with suppress(FileNotFoundError):
                ends.disk.keep(*ends.trash.place, self.task)
            raise LookAgain
        if self.task.attempt > 1 and not ends.expected.same_inode(ends.look(ends.path)):
            ends.sure()
            return _NOWHERE
        refused = ends.unexpected(ends.path, ends.expected) or ends.unexpected(ends.target, self.replaced)
        if refused := refused or ends.trash.missing or _take(ends, RENAME_EXCHANGE):
            return refused
        # What came out tells here and now whether the look before was out of date. After a crash it no longer does:
        # then another program may have put its file at the old name since.
        if not self._is_swapped():
            return self._undo(CHANGED)
        return self._go_on(recognised=False)

    def _is_swapped(self) -> bool:
        ends = self.ends
        ours = ends.expected.same_inode(ends.look(ends.target))
        return ours and self.replaced.same_content(ends.look(ends.path))

    def _go_on(self, recognised: bool) -> Result:
        """Both have swapped their names: the replaced file goes to the trash, and nothing else does."""
        ends = self.ends
        for _ in range(ROUNDS):
            try:
                kept, out = ends.look(ends.trash), ends.look(ends.path)
                if kept is not None and not self.replaced.same_inode(kept):
                    self._spare()
                elif kept is not None or not self.replaced.same_inode(out):
                    return self._arrived(recognised, kept)
                elif recognised and not self.replaced.same_content(out):
                    return self._undo(CHANGED)
                elif refused := ends.take(ends.path, ends.trash, RENAME_NOREPLACE, None):
                    return self._undo(refused)
            except (LookAgain, FileNotFoundError, FileExistsError):
                ends.leave()
        return Unclear("The file was moved, but what it replaces could not be kept: the old name kept changing.")

    def _spare(self) -> None:
        """A stranger's file was at the old name when the replaced one was to go: it returns there, or is kept."""
        ends = self.ends
        if ends.path.folder is not None and ends.look(ends.path) is None:
            ends.rename(ends.trash, ends.path)
            ends.settle()
        else:
            ends.disk.keep(*ends.trash.place, self.task)

    def _arrived(self, recognised: bool, kept: Identity | None) -> Done:
        ends = self.ends
        done = ends.arrived(ends.target, ends.expected, recognised)
        drift = done.drift
        if drift is None and kept is None:
            drift = "Another program took away what was replaced before it was kept."
        if drift is None and not self.replaced.same_content(kept):
            drift = "Another program has written into what was replaced before it was kept."
        if drift is None and recognised and ends.look(ends.path) is not None:
            drift = "Another program has put something at the old name since."
        return Done(done.identity, recognised, drift)

    def _undo(self, refused: Refused) -> Result:
        """The exchange is its own inverse. Where neither of the two files is left, no fact tells what belongs where."""
        if not self._is_undone():
            result = self.ends.undo(self._swap_back, refused)
            if self._is_undone():
                return result
        return Unclear("Another program was there while the files swapped their names, and it could not be taken back.")

    def _swap_back(self) -> None:
        ends = self.ends
        out, there = ends.look(ends.path), ends.look(ends.target)
        if out is not None and there is not None and not self._is_undone():
            ends.rename(ends.path, ends.target, RENAME_EXCHANGE)
        elif self.replaced.same_inode(out) and there is None:
            ends.rename(ends.path, ends.target)
        elif ends.expected.same_inode(there) and out is None:
            ends.rename(ends.target, ends.path)

    def _is_undone(self) -> bool:
        """Neither lies under the name of the other any more."""
        ends = self.ends
        swapped = self.replaced.same_inode(ends.look(ends.path)) or ends.expected.same_inode(ends.look(ends.target))
        return not swapped

    def is_before(self) -> bool:
        ends = self.ends
        both = ends.expected.same_content(ends.look(ends.path)) and self.replaced.same_content(ends.look(ends.target))
        return both and ends.look(ends.trash) is None

    def is_after(self) -> bool:
        """Also between the two renames, where a crash left it."""
        ends = self.ends
        out, kept = ends.look(ends.path), ends.look(ends.trash)
        rest = [one for one in (out, kept) if one is not None]
        ours = ends.expected.same_content(ends.look(ends.target))
        return ours and len(rest) == 1 and self.replaced.same_content(rest[0])

    def back(self) -> None:
        ends = self.ends
        if ends.look(ends.trash) is not None:
            ends.rename(ends.trash, ends.path)
        try:
            ends.rename(ends.path, ends.target, RENAME_EXCHANGE)
        except FileNotFoundError:
            ends.rename(ends.path, ends.trash)
            raise

    def forth(self) -> None:
        self.ends.rename(self.ends.path, self.ends.target, RENAME_EXCHANGE)
        self.ends.rename(self.ends.path, self.ends.trash)


def _take(ends: Ends, flags: int) -> Refused | None:
    if ends.target.missing == NO_PARENT:
        return NO_TARGET
    try:
        return ends.take(ends.path, ends.target, flags, TAKEN)
    except OSError as error:
        if error.errno != errno.EINVAL or not ends.expected.directory:
            raise
        return INTO_ITSELF
