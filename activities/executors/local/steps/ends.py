"""The names one visible step works on: opened below the root, looked at, renamed, put back, made durable."""

import errno
import hashlib
import itertools
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Refused, Result, Task, Unclear
from activities.executors.local.content import open_file
from activities.executors.local.disk import OPEN_FOLDER, Disk, own_name, split_place, trash_name
from activities.executors.local.errors import CHANGED, FULL, NO_FOLDER, NO_PARENT, NOT_A_FOLDER, VANISHED, refusal
from activities.executors.syscalls import RENAME_NOREPLACE, renameat2
from schema import faults
from schema.errors import InvalidRequest, MountOffline, NotADirectory

ROUNDS = 8
"""How often a step looks again when names vanish between the look and the step. A stranger has to win every time."""


_PIECE = 1 << 20


class LookAgain(Exception):
    """A name vanished or appeared between the look and the step."""


@dataclass(frozen=True, slots=True)
class End:
    """A name in an open folder. Where the folder can not be opened there is no such name, and `missing` says why."""

    folder: int | None
    name: bytes
    missing: Refused | None = None

    @property
    def place(self) -> tuple[int, bytes]:
        if self.folder is None:
            raise FileNotFoundError(errno.ENOENT, "the folder is not there", self.name)
        return self.folder, self.name


class Ends:
    """The ends of one execution of one step. Each folder is opened when it is first asked for, and closed on leaving."""

    def __init__(self, disk: Disk, task: Task) -> None:
        self.disk, self.task = disk, task
        self._opened: dict[str, End] = {}
        self._descriptors: list[int] = []

    def __enter__(self) -> "Ends":
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close all folders. The next look opens them anew: they may have been moved."""
        self._opened.clear()
        while self._descriptors:
            os.close(self._descriptors.pop())

    # -- which names there are -----------------------------------------------------------------------------------------

    @property
    def path(self) -> End:
        path = self.task.path
        return self._end("path", lambda: self.disk.parent_of(path), path.name)

    @property
    def target(self) -> End:
        target = self.task.target
        if target is None:
            raise InvalidRequest("The intent does not say where the node is moved to.")
        return self._end("target", lambda: self.disk.parent_of(target), target.name)

    @property
    def stage(self) -> End:
        return self._end("stage", lambda: os.dup(self.disk.stage), own_name(self.task.stage or ""))

    @property
    def trash(self) -> End:
        day, name = trash_name(self.task)
        return self._end("trash", lambda: self.disk.day(day), name)

    @property
    def kept(self) -> End:
        folder, name = split_place(self.task.place or b"")
        return self._end("kept", lambda: self.disk.kept(folder), name)

    def _end(self, which: str, opens: Callable[[], int], name: bytes) -> End:
        if which not in self._opened:
            try:
                self._descriptors.append(opens())
                self._opened[which] = End(self._descriptors[-1], name)
            except OSError as error:
                self._opened[which] = End(None, name, self._closed(error))
        return self._opened[which]

    def _closed(self, error: OSError) -> Refused:
        if error.errno in (errno.ENOENT, *NOT_A_FOLDER):
            self.sure()
            return NO_PARENT if error.errno == errno.ENOENT else NO_FOLDER
        return refusal(error)

    # -- looking -------------------------------------------------------------------------------------------------------

    def look(self, end: End) -> Identity | None:
        return None if end.folder is None else self.disk.look(end.folder, end.name)

    def sure(self) -> None:
        """Check the mount before anything is called missing, because the mount itself may be gone."""
        if not self.disk.is_intact():
            raise MountOffline("The mount went away, or its reserved folder was replaced. Nothing was changed.")

    @property
    def staged(self) -> Identity:
        if self.task.staged is None:
            raise InvalidRequest("The intent does not say what was staged.")
        return self.task.staged

    @property
    def expected(self) -> Identity:
        if self.task.expected is None:
            raise InvalidRequest("The intent does not say what is expected at the path.")
        return self.task.expected

    def unexpected(self, end: End, known: Identity) -> Refused | None:
        """What lies there is not what the record knows. The change time says something only before the first attempt, because
        our own renames move it; where it alone differs, the content is read: a new mode or link changes none."""
        found = self.look(end)
        if found is None:
            self.sure()
            return end.missing or VANISHED
        if not known.same_content(found):
            return CHANGED
        untouched = not _has_bytes(found) or self.task.attempt > 1 or found.ctime == known.ctime
        return None if untouched or self._has_content(end, known) else CHANGED

    def _has_content(self, end: End, known: Identity) -> bool:
        """The bytes that the record knows, and no program wrote while they were read."""
        wanted = self.task.expected_sha256 if known is self.task.expected else self.task.replaced_sha256
        if wanted is None:
            return False
        try:
            content = open_file(self.disk, *end.place)
        except (FileNotFoundError, NotADirectory) as error:
            raise LookAgain from error
        try:
            digest = hashlib.sha256()
            while piece := os.read(content.fileno(), _PIECE):
                digest.update(piece)
            return digest.digest() == wanted and known.same_content(self.disk.look(content.fileno(), b""))
        finally:
            content.close()

    def is_expected(self, end: End, out: Identity | None) -> bool:
        """What came out is what was expected there; of a heal, its bytes too."""
        if not self.expected.same_content(out):
            return False
        return not self.task.proven or not _has_bytes(self.expected) or self._has_content(end, self.expected)

    def not_empty(self, end: End, known: Identity) -> Refused | None:
        """A directory that we made or delete holds something. (It has no content to compare but this.) Where whole
        trees go, everything may."""
        if end.folder is None or not known.directory or self.task.tree:
            return None
        try:
            names = _first_names(end.folder, end.name)
        except OSError as error:
            if error.errno in (errno.ENOENT, *NOT_A_FOLDER):
                raise LookAgain from error
            raise
        if not names:
            return None
        shown = ", ".join(repr(name.decode("utf-8", "replace")) for name in names[:3]) + ", ..." * (len(names) > 3)
        return Refused("CHILDREN_EXIST", f"The directory is not empty on disk: {shown}. It is untouched; reconcile it.")

    def arrived(self, end: End, ours: Identity, recognised: bool) -> Done:
        """Ours is there. What another program made of it since is drift, and never recorded as ours."""
        found = self.look(end)
        if found is not None and ours.same_content(found):
            return Done(found, recognised)
        if found is None:
            return Done(ours, recognised, drift="Another program has removed it since.")
        since = "written into it" if ours.same_inode(found) else "put something else in its place"
        return Done(ours, recognised, drift=f"Another program has {since} since.")

    # -- renaming ------------------------------------------------------------------------------------------------------

    def take(self, source: End, target: End, flags: int, taken: Refused | None) -> Refused | None:
        """The visible step, or one of two. None: taken. `taken` is the answer when the target's name is (None: look
        again)."""
        if refused := source.missing or target.missing:
            return refused
        faults.reach("apply.act", self.task.path.text)
        try:
            self.rename(source, target, flags)
        except FileNotFoundError as error:
            raise LookAgain from error
        except FileExistsError as error:
            if taken is None:
                raise LookAgain from error
            return taken
        except OSError as error:
            return refusal(error)
        faults.reach("apply.acted", self.task.path.text)
        return None

    def rename(self, source: End, target: End, flags: int = RENAME_NOREPLACE) -> None:
        renameat2(*source.place, *target.place, flags)

    def undo(self, put_back: Callable[[], object], refused: Refused) -> Result:
        """Strangers' bytes lie where they should not: back to their place, or kept in the trash. Durable at once, since
        the command may end right after it."""
        for _ in range(ROUNDS):
            try:
                put_back()
            except (FileNotFoundError, FileExistsError):
                self.leave()
                continue
            except OSError as error:
                if error.errno not in FULL:
                    raise
                return Unclear(
                    "Another program's bytes lie under the command's own name: the disk is too full to keep them elsewhere."
                )
            self.settle()
            return refused
        return Unclear(
            "Another program's bytes lie under the command's own name and could not be put back: the path kept changing."
        )

    def settle(self) -> None:
        """Make what happened in every folder that was looked at durable."""
        for descriptor in self._descriptors:
            self.disk.sync(descriptor)


def _has_bytes(found: Identity) -> bool:
    """Which file it is says all of a directory, a link or a special file: a link can not be made to lead elsewhere."""
    return not found.directory and stat.S_IFMT(found.mode) in (0, stat.S_IFREG)


def _first_names(folder: int, name: bytes, most: int = 4) -> list[bytes]:
    descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
    try:
        with os.scandir(descriptor) as entries:
            return [os.fsencode(entry.name) for entry in itertools.islice(entries, most)]
    finally:
        os.close(descriptor)
