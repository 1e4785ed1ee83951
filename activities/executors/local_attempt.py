"""One visible step on a local disk: look, act, look at what came out, put back what was not expected, take it back."""

import errno
import functools
import itertools
import os
from contextlib import suppress

from activities.executors.base import Done, Identity, Refused, Result, Step, Task, Unclear
from activities.executors.local_disk import OPEN_FOLDER, Disk, own_name, trash_name
from activities.executors.local_errors import (
    BUSY,
    CHANGED,
    LOST,
    NO_FOLDER,
    NO_PARENT,
    NOT_A_FOLDER,
    TAKEN,
    VANISHED,
    refusal,
)
from activities.executors.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2
from schema import faults
from schema.errors import InvalidRequest, MountOffline

ROUNDS = 8
"""How often a step looks again when names vanish between the look and the step. A stranger has to win every time."""


class LookAgain(Exception):
    """A name vanished or appeared between the look and the step."""


class Attempt:
    """One execution of one visible step: what it finds, what it does, what it takes back.

    `own` is the name only this command uses (its stage, or its place in the trash), `there` is the target; each is a
    folder's descriptor and a name.
    """

    def __init__(self, disk: Disk, task: Task) -> None:
        self.disk, self.task = disk, task
        self._opened: list[int] = []
        self.own: tuple[int, bytes] | None = None
        self.there: tuple[int, bytes] | None = None
        self.missing: Refused | None = None

    def __enter__(self) -> "Attempt":
        try:
            self.enter()
        except BaseException:
            self.leave()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Open the folders of both names anew. `missing` says why a folder can not be opened."""
        self.leave()
        self.missing = None
        if self.task.step is not Step.DELETE:
            self.own = self.disk.stage, own_name(self.task.stage or "")
        else:
            day, name = trash_name(self.task)
            self.own = self._enter(functools.partial(self.disk.day, day), name)
        self.there = self._enter(functools.partial(self.disk.parent_of, self.task.path), self.task.path.name)

    def _enter(self, opens: functools.partial[int], name: bytes) -> tuple[int, bytes] | None:
        try:
            self._opened.append(opens())
        except OSError as error:
            self.missing = self._closed(error)
            return None
        return self._opened[-1], name

    def _closed(self, error: OSError) -> Refused:
        if error.errno in (errno.ENOENT, *NOT_A_FOLDER):
            self.sure()
            return NO_PARENT if error.errno == errno.ENOENT else NO_FOLDER
        return refusal(error)

    def leave(self) -> None:
        while self._opened:
            os.close(self._opened.pop())

    def sure(self) -> None:
        """Before anything is called missing: it is missing on this mount, and not with it."""
        if not self.disk.is_intact():
            raise MountOffline("The mount went away, or its reserved folder was replaced. Nothing was changed.")

    def look(self, end: tuple[int, bytes] | None) -> Identity | None:
        return self.disk.look(*end) if end else None

    def run(self) -> Result:
        steps = {Step.CREATE: self.create, Step.REPLACE: self.replace, Step.DELETE: self.delete}
        for _ in range(ROUNDS):
            try:
                return steps[self.task.step]()
            except LookAgain:
                self.enter()
        return BUSY

    def create(self) -> Result:
        staged, own = self.staged(), self.look(self.own)
        if not staged.same_inode(own):
            return self.created_before(staged, own)
        return self.spoiled(own) or self.missing or self.take(RENAME_NOREPLACE) or self.arrived(recognised=False)

    def created_before(self, staged: Identity, own: Identity | None) -> Result:
        """The stage has left its name: by our own earlier step, since nobody else has business there."""
        self.sure()
        if staged.same_inode(self.look(self.there)):
            return self.arrived(recognised=True)
        if self.task.attempt == 1:
            return LOST
        if own is None:
            return self.arrived(recognised=True)
        return Unclear(
            "Something unknown lies under the name of the stage; whether the file ever appeared is not known."
        )

    def replace(self) -> Result:
        staged, own = self.staged(), self.look(self.own)
        recognised = not staged.same_inode(own)
        if not recognised:
            refused = self.spoiled(own) or self.unexpected() or self.take(RENAME_EXCHANGE)
            if refused:
                return refused
            own = self.look(self.own)
        if self.expected().same_content(own):
            return self.arrived(recognised)
        return self.replaced_before(staged) if own is None else self.undo(CHANGED)

    def replaced_before(self, staged: Identity) -> Result:
        """Neither the new nor the old content lies under our own name: the target alone can tell."""
        self.sure()
        found = self.look(self.there)
        if staged.same_inode(found):
            return Done(found, recognised=True, drift="The replaced content was removed from the stage by somebody.")
        return LOST

    def delete(self) -> Result:
        out = self.look(self.own)
        recognised = out is not None
        if not recognised:
            refused = self.unexpected() or self.not_empty(self.there, self.expected()) or self.take(RENAME_NOREPLACE)
            if refused:
                return refused
            out = self.look(self.own)
        if out is None:
            return Unclear("What was deleted was taken out of the trash before it could be looked at.")
        if not self.expected().same_content(out):
            return self.undo(CHANGED)
        if refused := self.not_empty(self.own, self.expected()):
            return self.undo(refused)
        taken = recognised and self.look(self.there) is not None
        return Done(None, recognised, drift="Somebody has put something at this name since." if taken else None)

    def staged(self) -> Identity:
        if self.task.staged is None:
            raise InvalidRequest("The intent does not say what was staged.")
        return self.task.staged

    def expected(self) -> Identity:
        if self.task.expected is None:
            raise InvalidRequest("The intent does not say what is expected at the path.")
        return self.task.expected

    def spoiled(self, own: Identity | None) -> Refused | None:
        """Somebody wrote into the stage: its checksum is no longer that of the intent."""
        return None if self.staged().same_content(own) else LOST

    def unexpected(self) -> Refused | None:
        """What lies at the target is not what the record knows. The change time is compared only before the first
        attempt, because our own renames move it."""
        expected, found = self.expected(), self.look(self.there)
        if found is None:
            self.sure()
            return self.missing or VANISHED
        same = expected.same_content(found)
        untouched = found.directory or self.task.attempt > 1 or found.ctime == expected.ctime
        return self.missing if same and untouched else CHANGED

    def not_empty(self, end: tuple[int, bytes] | None, known: Identity) -> Refused | None:
        """A directory that we made or delete holds something. (It has no content to compare but this.)"""
        if end is None or not known.directory:
            return None
        try:
            names = _first_names(*end)
        except OSError as error:
            if error.errno in (errno.ENOENT, *NOT_A_FOLDER):
                raise LookAgain from error
            raise
        if not names:
            return None
        shown = ", ".join(repr(name.decode("utf-8", "replace")) for name in names[:3]) + ", ..." * (len(names) > 3)
        return Refused("CHILDREN_EXIST", f"The directory is not empty on disk: {shown}. It is untouched; reconcile it.")

    def take(self, flags: int) -> Refused | None:
        """The visible step. None: taken."""
        assert self.own and self.there
        source, target = (self.there, self.own) if self.task.step is Step.DELETE else (self.own, self.there)
        faults.reach("apply.act", self.task.path.text)
        try:
            renameat2(*source, *target, flags)
        except FileNotFoundError as error:
            raise LookAgain from error
        except FileExistsError as error:
            if self.task.step is Step.DELETE:
                raise LookAgain from error
            return TAKEN
        except OSError as error:
            return refusal(error)
        faults.reach("apply.acted", self.task.path.text)
        return None

    def arrived(self, recognised: bool) -> Done:
        """Our file is at the target. What somebody made of it since is drift, and never recorded as ours."""
        staged, found = self.staged(), self.look(self.there)
        if found is not None and staged.same_content(found):
            return Done(found, recognised)
        if found is None:
            return Done(staged, recognised, drift="Somebody has removed it since.")
        since = "written into it" if staged.same_inode(found) else "put something else in its place"
        return Done(staged, recognised, drift=f"Somebody has {since} since.")

    def undo(self, refused: Refused) -> Result:
        """Strangers' bytes lie under our own name: back to their place, or kept in the trash. Durable at once, since
        the command may end right after it."""
        for _ in range(ROUNDS):
            try:
                self.put_back()
            except (FileNotFoundError, FileExistsError):
                self.enter()
                continue
            self.settle()
            return refused
        return Unclear(
            "Strangers' bytes lie under the command's own name and could not be put back: the path kept changing."
        )

    def put_back(self) -> None:
        assert self.own
        found = self.look(self.there)
        if self.there and self.task.step is Step.REPLACE and self.staged().same_inode(found):
            return renameat2(*self.own, *self.there, RENAME_EXCHANGE)
        if self.there and found is None:
            return renameat2(*self.own, *self.there, RENAME_NOREPLACE)
        return self.disk.keep(*self.own, self.task)

    def reverse(self) -> Result:
        """The step taken back. Like the step itself it looks first, and looks at what came out."""
        if self.is_before():
            return self.settled(recognised=True)
        if not self.is_after():
            return Unclear("Somebody has been there since, so the step was not taken back.")
        with suppress(FileNotFoundError, FileExistsError):
            self.turn()
            if self.is_before():
                return self.settled(recognised=False)
            self.turn()
        return Unclear("Somebody was there while the step was taken back, so it stands.")

    def is_before(self) -> bool:
        """Everything lies as it did before the step."""
        own, found = self.look(self.own), self.look(self.there)
        match self.task.step:
            case Step.CREATE:
                return self.staged().same_content(own) and not self.not_empty(self.own, self.staged())
            case Step.REPLACE:
                return self.staged().same_content(own) and self.expected().same_content(found)
            case Step.DELETE:
                return own is None and self.expected().same_content(found)

    def is_after(self) -> bool:
        """Everything lies as the step left it."""
        own, found = self.look(self.own), self.look(self.there)
        match self.task.step:
            case Step.CREATE:
                ours = self.staged().same_content(found) and not self.not_empty(self.there, self.staged())
                return own is None and ours
            case Step.REPLACE:
                return self.expected().same_content(own) and self.staged().same_content(found)
            case Step.DELETE:
                return self.expected().same_content(own) and found is None

    def turn(self) -> None:
        """Back; and done again, forth: whatever one end holds goes to the other."""
        assert self.own and self.there
        if self.task.step is Step.REPLACE:
            return renameat2(*self.own, *self.there, RENAME_EXCHANGE)
        if self.look(self.own) is None:
            return renameat2(*self.there, *self.own, RENAME_NOREPLACE)
        return renameat2(*self.own, *self.there, RENAME_NOREPLACE)

    def settle(self) -> None:
        for end in filter(None, (self.own, self.there)):
            self.disk.sync(end[0])

    def settled(self, recognised: bool) -> Done:
        self.settle()
        return Done(self.look(self.there), recognised)


def _first_names(folder: int, name: bytes, most: int = 4) -> list[bytes]:
    descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
    try:
        with os.scandir(descriptor) as entries:
            return [os.fsencode(entry.name) for entry in itertools.islice(entries, most)]
    finally:
        os.close(descriptor)
