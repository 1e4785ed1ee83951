"""One execution of one visible step: look, act, look at what came out. It is the shortest place to read the decisions."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Refused, Result, Step, Task, Unclear
from activities.executors.memory.tree import Folder, MemoryNode, Place
from schema import faults
from schema.paths import NodePath

ROUNDS = 8

_BUSY = Refused("PATH_BUSY", "The path changed each time it was looked at. Try again shortly with the same key.")
NO_PARENT = Refused("PARENT_NOT_FOUND", "The parent directory is not there, whatever the record says. Reconcile it.")
NO_FOLDER = Refused("NOT_A_DIRECTORY", "A parent directory is a file. Reconcile it.")
_TAKEN = Refused("NODE_EXISTS", "The name is taken by something Filestore does not know; it was not touched.")
_VANISHED = Refused("NODE_NOT_FOUND", "It is no longer there: another program removed it behind Filestore's back.")
_CHANGED = Refused("VERSION_CONFLICT", "It was changed behind Filestore's back, and is untouched. Reconcile it.")
_NOT_EMPTY = Refused("CHILDREN_EXIST", "The directory is not empty. It is untouched; reconcile it.")
_EXPIRED = Refused("CONTENT_EXPIRED", "It is no longer in the trash, so it can not be restored.")
_INTO_ITSELF = Refused("INVALID_REQUEST", "A directory can not be moved into itself. Nothing was changed.")
_LOST = Refused("STAGE_LOST", "The staged content is gone or was changed. Send the same key and content again.")


class Holder(Protocol):
    """The executor, as a step sees it."""

    tree: Folder
    stage: Folder
    trash: Folder

    def look(self, place: Place) -> Identity | None: ...

    def move(self, source: Place, target: Place, exchange: bool = False) -> None: ...

    def no_parent(self, path: NodePath) -> Refused | None: ...

    def below(self, place: Place) -> list[MemoryNode]: ...

    def keep(self, source: Place, task: Task) -> None: ...


class MemoryAttempt:
    """One execution of one visible step. `own` is the name only this command uses (its stage, or its place in the trash),
    or a restore takes from; `there` is the path, or the new name of what is moved from it."""

    def __init__(self, executor: Holder, task: Task) -> None:
        self.executor, self.task = executor, task
        self.look, self.move = executor.look, executor.move
        self.path: Place = (executor.tree, task.path.raw)
        self.there, self.appears = self.path, task.path
        match task.step:
            case Step.CREATE | Step.REPLACE:
                self.own: Place = (executor.stage, (task.stage or "").encode())
            case Step.RESTORE:
                self.own = (executor.trash, task.place or b"")
            case Step.DELETE:
                self.own = (executor.trash, _trash(task))
            case Step.MOVE:
                assert task.target, "the intent says where to"
                self.there, self.appears = (executor.tree, task.target.raw), task.target
                self.own = (executor.trash, _trash(task)) if task.replaced else self.path

    def run(self) -> Result:
        steps: dict[Step, Callable[[], Result]] = {
            Step.CREATE: self.create,
            Step.REPLACE: self.replace,
            Step.DELETE: self.delete,
            Step.MOVE: self.move_onto if self.task.replaced else self.move_away,
            Step.RESTORE: self.restore,
        }
        for _ in range(ROUNDS):
            with suppress(FileNotFoundError):
                return steps[self.task.step]()
        return _BUSY

    @property
    def staged(self) -> Identity:
        assert self.task.staged, "the intent says what was staged"
        return self.task.staged

    @property
    def expected(self) -> Identity:
        assert self.task.expected, "the intent says what is expected"
        return self.task.expected

    @property
    def replaced(self) -> Identity:
        assert self.task.replaced, "the intent says what is replaced"
        return self.task.replaced

    def create(self) -> Result:
        own = self.look(self.own)
        if self.staged.same_inode(own):
            return self.spoiled(own) or self.take(self.own, self.there) or self.arrived(self.staged, recognised=False)
        if self.staged.same_inode(self.look(self.there)) or (own is None and self.task.attempt > 1):
            return self.arrived(self.staged, recognised=True)
        return _LOST if self.task.attempt == 1 else Unclear("Something unknown lies under the name of the stage.")

    def replace(self) -> Result:
        own = self.look(self.own)
        recognised = not self.staged.same_inode(own)
        if not recognised:
            refused = self.spoiled(own) or self.unexpected(self.task.path, self.expected)
            if refused := refused or self.take(self.own, self.there, exchange=True):
                return refused
            own = self.look(self.own)
        if self.expected.same_content(own):
            return self.arrived(self.staged, recognised)
        if own is not None:
            return self.undo(_CHANGED)
        found = self.look(self.there)
        drift = "The replaced content was removed from the stage by another program."
        return Done(found, recognised=True, drift=drift) if self.staged.same_inode(found) else _LOST

    def delete(self) -> Result:
        out = self.look(self.own)
        recognised = out is not None
        if not recognised:
            refused = self.unexpected(self.task.path, self.expected) or self.not_empty(self.there)
            if refused := refused or self.take(self.there, self.own, taken=None):
                return refused
            out = self.look(self.own)
        if out is None:
            return Unclear("What was deleted was taken out of the trash before it could be looked at.")
        if refused := self.not_empty(self.own) if self.expected.same_content(out) else _CHANGED:
            return self.undo(refused)
        taken = recognised and self.look(self.there) is not None
        return Done(None, recognised, drift="Another program has put something at this name since." if taken else None)

    def restore(self) -> Result:
        own = self.look(self.own)
        if own is None:
            ours = self.expected.same_inode(self.look(self.there))
            return self.arrived(self.expected, recognised=True) if ours else _EXPIRED
        if not self.expected.same_content(own):
            return _CHANGED
        if refused := self.take(self.own, self.there):
            return refused
        found = self.look(self.there)
        if found is None or self.expected.same_inode(found):
            gone = Unclear("What was restored was taken away before it could be looked at.")
            return self.arrived(self.expected, recognised=False) if found else gone
        self.move(self.there, self.own)
        return _CHANGED

    def move_away(self) -> Result:
        """A move has no name of its own: the node itself tells, wherever it is."""
        found, source = self.look(self.there), self.look(self.path)
        here = self.expected.same_inode(source)
        if self.expected.same_inode(found) and not (here and self.task.attempt == 1):
            return self.moved(recognised=True)
        if self.task.attempt > 1 and not here:
            return Unclear("A resumed move finds the node neither at its old nor at its new name.")
        refused = self.unexpected(self.task.path, self.expected) or self.take(self.path, self.there)
        if refused:
            return refused
        if self.expected.same_inode(self.look(self.there)):
            return self.arrived(self.expected, recognised=False)
        return Unclear("What arrived at the new name is not what was to be moved. It was left there.")

    def moved(self, recognised: bool) -> Done:
        done = self.arrived(self.expected, recognised)
        if done.drift is None and recognised and self.look(self.path) is not None:
            return Done(done.identity, True, drift="Another program has put something at the old name since.")
        return done

    def move_onto(self) -> Result:
        """In two steps: both swap their names, then the replaced one goes from the old name to the trash."""
        kept = self.look(self.own)
        if self.replaced.same_inode(kept) or self.expected.same_inode(self.look(self.there)):
            return self.go_on(recognised=True)
        if kept is not None:
            self.executor.keep(self.own, self.task)
        if self.task.attempt > 1 and not self.expected.same_inode(self.look(self.path)):
            return Unclear("A resumed move finds the node neither at its old nor at its new name.")
        refused = self.unexpected(self.task.path, self.expected) or self.unexpected(self.appears, self.replaced)
        if refused := refused or self.take(self.path, self.there, exchange=True):
            return refused
        out, found = self.look(self.path), self.look(self.there)
        if not self.replaced.same_content(out) or not self.expected.same_inode(found):
            return self.swap_back(_CHANGED)
        return self.go_on(recognised=False)

    def go_on(self, recognised: bool) -> Result:
        for _ in range(ROUNDS):
            kept, out = self.look(self.own), self.look(self.path)
            with suppress(FileNotFoundError, FileExistsError):
                if kept is not None and not self.replaced.same_inode(kept):
                    self.put_back(self.path)
                elif kept is not None or not self.replaced.same_inode(out):
                    done = self.moved(recognised)
                    drift = None if self.replaced.same_content(kept) else "What was replaced is not kept as it was."
                    return Done(done.identity, recognised, done.drift or drift)
                elif recognised and not self.replaced.same_content(out):
                    return self.swap_back(_CHANGED)
                else:
                    self.take(self.path, self.own, taken=None)
        return Unclear("The file was moved, but what it replaces could not be kept: the old name kept changing.")

    def swap_back(self, refused: Refused) -> Result:
        out, found = self.look(self.path), self.look(self.there)
        if not self.replaced.same_inode(out) and not self.expected.same_inode(found):
            return Unclear(
                "Another program was there while the files swapped their names, and it could not be taken back."
            )
        if out and found:
            self.move(self.path, self.there, exchange=True)
        else:
            self.move(*((self.path, self.there) if out else (self.there, self.path)))
        return refused

    def spoiled(self, own: Identity | None) -> Refused | None:
        return None if self.staged.same_content(own) else _LOST

    def unexpected(self, path: NodePath, known: Identity) -> Refused | None:
        found = self.look((self.executor.tree, path.raw))
        if found is None:
            return self.executor.no_parent(path) or _VANISHED
        untouched = found.directory or self.task.attempt > 1 or found.ctime == known.ctime
        if not untouched:
            wanted = self.task.expected_sha256 if known is self.task.expected else self.task.replaced_sha256
            content = self.executor.tree[path.raw].content or b""
            untouched = wanted is not None and hashlib.sha256(content).digest() == wanted
        return None if known.same_content(found) and untouched else _CHANGED

    def not_empty(self, place: Place) -> Refused | None:
        filled = self.expected.directory and not self.task.tree and self.executor.below(place)
        return _NOT_EMPTY if filled else None

    def take(
        self, source: Place, target: Place, exchange: bool = False, taken: Refused | None = _TAKEN
    ) -> Refused | None:
        """The visible step, or one of two. None: taken."""
        if target is self.there and (refused := self.executor.no_parent(self.appears)):
            return refused
        if source[0] is target[0] and target[1].startswith(source[1] + b"/"):
            return _INTO_ITSELF
        faults.reach("apply.act", self.task.path.text)
        try:
            self.move(source, target, exchange)
        except FileExistsError as error:
            if taken is None:
                raise FileNotFoundError("the trash has it meanwhile: look again") from error
            return taken
        faults.reach("apply.acted", self.task.path.text)
        return None

    def arrived(self, ours: Identity, recognised: bool) -> Done:
        """Ours is there. What another program made of it since is drift, and never recorded as ours."""
        found = self.look(self.there)
        if found is not None and ours.same_content(found):
            return Done(found, recognised)
        return Done(ours, recognised, drift="Another program has changed or removed it since.")

    def undo(self, refused: Refused) -> Result:
        """Strangers' bytes lie under our own name: back to their place, or kept in the trash."""
        for _ in range(ROUNDS):
            with suppress(FileNotFoundError, FileExistsError):
                self.put_back(self.there)
                return refused
        return Unclear("Another program's bytes could not be put back: the path kept changing.")

    def put_back(self, place: Place) -> None:
        found = self.look(place)
        if found is None and not self.executor.no_parent(NodePath(place[1])):
            self.move(self.own, place)
        elif self.task.step is Step.REPLACE and self.staged.same_inode(found):
            self.move(self.own, place, exchange=True)
        else:
            self.executor.keep(self.own, self.task)


def _trash(task: Task) -> bytes:
    assert task.trash, "the intent says where in the trash"
    return task.trash.encode()
