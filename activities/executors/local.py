"""The local-disk executor: a mount is a directory, and everything of ours is in its reserved folder.

    .filestore/mount.json                       which mount this disk is; without it the mount is offline
    .filestore/lock                             an empty file: a command's lock is one byte of it
    .filestore/stage/<command>                  what will appear; after a replace, what was there before
    .filestore/trash/<day>/<command>.<item>     what was deleted or replaced
    .filestore/trash/<day>/<command>.kept[.n]   strangers' bytes for which there was no other place

What it guarantees, and why that holds:

- No path leads out of the mount: each is opened below the root's descriptor, and a link on the way is refused.
- No byte is overwritten or removed that we did not stage ourselves: renames never replace (NOREPLACE, EXCHANGE), and
  only a staged file that is still exactly what was sealed is ever unlinked.
- A step happens once: what lies under the command's own name (stage, trash) tells whether it did. A stranger can change
  the target at any moment, but has no business with our own names.
- What came out of a step is looked at, because the look before it can be out of date; if it is not what the record
  knows, it goes back.
- A disk that went away is never taken for an empty one: the root and the sentinel are compared before anything is said
  to be missing.
"""

import errno
import functools
import hashlib
import itertools
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from activities.executors import syscalls
from activities.executors.base import Done, Draft, Entry, Identity, Refused, Result, Stage, Step, Task, Unclear
from activities.executors.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, open_beneath, renameat2
from schema import faults
from schema.errors import (
    FilestoreError,
    InvalidRequest,
    MountOffline,
    MountReadOnly,
    NodeNotFound,
    NotADirectory,
    StorageFull,
)
from schema.ids import CommandId, lock_offset
from schema.paths import RESERVED, ROOT, NodePath

FILE_MODE, FOLDER_MODE = 0o644, 0o755
KEPT = b"kept"
"""The day folder in the trash for strangers' bytes of commands that have no trash of their own."""
ROUNDS = 8
"""How often a step looks again when names vanish between the look and the step. A stranger has to win every time."""
WRITEBACK = 8 << 20
"""Bytes after which a stream is sent on to the disk, so that the fsync at its end finds little to do."""

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = _ROOT | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_FULL = (errno.ENOSPC, errno.EDQUOT)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN)
_NOT_A_FOLDER = (errno.ENOTDIR, errno.ELOOP)

_DENIED = Refused("FORBIDDEN", "The disk does not permit this to Filestore. Look at owner, mode and attributes there.")
_BUSY = Refused(
    "PATH_BUSY", "The path changed on disk each time it was looked at. Try again shortly with the same key."
)
_NO_PARENT = Refused(
    "PARENT_NOT_FOUND", "The parent directory is not there on disk, whatever the record says. Reconcile the mount."
)
_NO_FOLDER = Refused(
    "NOT_A_DIRECTORY", "A parent directory is a file or a link on disk; links are never followed. Reconcile the mount."
)
_TAKEN = Refused(
    "NODE_EXISTS", "The name is taken on disk by something Filestore does not know; it was not touched. Reconcile it."
)
_VANISHED = Refused("NODE_NOT_FOUND", "It is no longer there on disk: somebody removed it behind Filestore's back.")
_CHANGED = Refused(
    "VERSION_CONFLICT",
    "It was changed on disk behind Filestore's back, and is untouched. Reconcile it, then decide anew.",
)
_LOST = Refused("STAGE_LOST", "The staged content is gone or was changed on disk. Send the same key and content again.")
_REFUSALS = {
    errno.ENOSPC: Refused("STORAGE_FULL", StorageFull().message),
    errno.EDQUOT: Refused("STORAGE_FULL", "The quota of this disk is used up. Free some space and send the key again."),
    errno.EROFS: Refused("MOUNT_READ_ONLY", "The disk is mounted read-only. Nothing was changed."),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EXDEV: Refused("NOT_SUPPORTED", "The directory lies on another file system, mounted inside of this mount."),
    errno.EBUSY: Refused("NOT_SUPPORTED", "Another file system is mounted at this very name."),
    errno.ENAMETOOLONG: Refused("INVALID_PATH", "This file system does not take so long a name."),
}


def _refusal(error: OSError) -> Refused:
    """The refusal for a rename that did not happen. What we do not understand stays an error."""
    refused = _REFUSALS.get(error.errno or 0)
    if refused is None:
        raise error
    return refused


def _own_name(command: str) -> bytes:
    """A command's name in our folders, which is never a path."""
    name = command.encode("utf-8", "surrogateescape")
    if not name or b"/" in name or name in (b".", b".."):
        raise InvalidRequest(f"{command!r} can not name a stage.")
    return name


def _trash_name(task: Task) -> tuple[bytes, bytes]:
    """The day folder and the name in it, as the intent fixed them."""
    day, slash, name = (task.trash or "").partition("/")
    if not slash:
        raise InvalidRequest(f"{task.trash!r} is not a place in the trash: <day>/<command>.<item>.")
    return _own_name(day), _own_name(name)


class _Disk:
    """The open folders of one mount, shared by all threads.

    A healed mount gets a new one of these; the old one closes with its last user, so that no thread ever finds another
    file behind a descriptor it holds.
    """

    def __init__(self, root: str, mount_uuid: str) -> None:
        self._held: list[int] = []
        self.root = self._hold(os.open(root, _ROOT))
        self.place = os.fstat(self.root)
        reserved = self._hold(os.open(RESERVED, _FOLDER, dir_fd=self.root))
        if _read_sentinel(reserved) != mount_uuid:
            raise MountOffline("Another disk stands in the place of this mount. Nothing was changed.")
        self.reserved = reserved
        self.stage = self._hold(os.open(b"stage", _FOLDER, dir_fd=reserved))
        self.trash = self._hold(os.open(b"trash", _FOLDER, dir_fd=reserved))
        names = [b"%b/%b" % (RESERVED, name) for name in (b"mount.json", b"lock", b"stage", b"trash")]
        self._ours = {name: self.look(self.root, name) for name in names}
        self._days: set[bytes] = set()
        self._broken: OSError | None = None

    def _hold(self, descriptor: int) -> int:
        self._held.append(descriptor)
        return descriptor

    def __del__(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)

    def is_at(self, root: str) -> bool:
        try:
            return os.path.samestat(os.stat(root), self.place)
        except OSError:
            return False

    def is_intact(self) -> bool:
        """Our folders and the sentinel are those that were opened."""
        try:
            return all(was and was.same_content(self.look(self.root, name)) for name, was in self._ours.items())
        except OSError:
            return False

    def look(self, folder: int, name: bytes) -> Identity | None:
        return syscalls.identity(folder, name, self.place.st_dev)

    def parent_of(self, path: NodePath) -> int:
        return open_beneath(self.root, path.parent.raw or b".", _FOLDER)

    def day(self, name: bytes) -> int:
        """A day folder of the trash, made when it is missing, and durable before anything is put into it."""
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=self.trash)
        except FileNotFoundError:
            self._days.discard(name)
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.trash)
            descriptor = os.open(name, _FOLDER, dir_fd=self.trash)
        if name not in self._days:
            self.sync(self.trash)
            self._days.add(name)
        return descriptor

    def sync(self, folder: int) -> None:
        """Make the names in a folder durable.

        Linux tells each lost write once: after a failure a second fsync succeeds, and means nothing. So a failure stays
        until the mount is opened anew.
        """
        if self._broken is not None:
            raise OSError(self._broken.errno, "an earlier flush failed; check the disk and mount it anew")
        try:
            os.fsync(folder)
        except OSError as error:
            self._broken = error
            raise

    def sync_beneath(self, path: bytes) -> None:
        """The same by path. A folder that was moved meanwhile is flushed with its whole file system."""
        try:
            descriptor = open_beneath(self.root, path or b".", _FOLDER)
        except OSError as error:
            if error.errno not in (errno.ENOENT, *_NOT_A_FOLDER):
                raise
            return syscalls.syncfs(self.root)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def sync_day(self, name: bytes) -> None:
        descriptor = self.day(name)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def to_trash(self, source: int, name: bytes, day: bytes, new: bytes) -> None:
        """Move into the trash, durably. Raises FileExistsError."""
        folder = self.day(day)
        try:
            renameat2(source, name, folder, new, RENAME_NOREPLACE)
            self.sync(folder)
            self.sync(source)
        finally:
            os.close(folder)

    def keep(self, source: int, name: bytes, task: Task) -> None:
        """Strangers' bytes under our own name, and no place to put them back: they wait in the trash for a person."""
        day = _trash_name(task)[0] if task.trash else KEPT
        for n in itertools.count():
            with suppress(FileExistsError):
                new = f"{task.command}.kept.{n}" if n else f"{task.command}.kept"
                return self.to_trash(source, name, day, _own_name(new))

    def remove(self, folder: int, name: bytes, directory: bool) -> bool:
        """Unlink what was just looked at. False: a directory with something in it, which stays."""
        try:
            (os.rmdir if directory else os.unlink)(name, dir_fd=folder)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        return True


def _read_sentinel(reserved: int) -> str | None:
    """The mount this disk says it is; None without a sentinel, an empty text for one that can not be read."""
    try:
        descriptor = os.open(b"mount.json", _READ, dir_fd=reserved)
    except FileNotFoundError:
        return None
    try:
        told = json.loads(os.read(descriptor, 4096))
        return str(told["mount"])
    except (ValueError, KeyError, TypeError):
        return ""
    finally:
        os.close(descriptor)


class _LookAgain(Exception):
    """A name vanished or appeared between the look and the step."""


class _Attempt:
    """One execution of one visible step: what it finds, what it does, what it takes back.

    `own` is the name only this command uses (its stage, or its place in the trash), `there` is the target; each is a
    folder's descriptor and a name.
    """

    def __init__(self, disk: _Disk, task: Task) -> None:
        self.disk, self.task = disk, task
        self._opened: list[int] = []
        self.own: tuple[int, bytes] | None = None
        self.there: tuple[int, bytes] | None = None
        self.missing: Refused | None = None

    def __enter__(self) -> "_Attempt":
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
            self.own = self.disk.stage, _own_name(self.task.stage or "")
        else:
            day, name = _trash_name(self.task)
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
        if error.errno in (errno.ENOENT, *_NOT_A_FOLDER):
            self.sure()
            return _NO_PARENT if error.errno == errno.ENOENT else _NO_FOLDER
        return _refusal(error)

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
            except _LookAgain:
                self.enter()
        return _BUSY

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
            return _LOST
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
        return self.replaced_before(staged) if own is None else self.undo(_CHANGED)

    def replaced_before(self, staged: Identity) -> Result:
        """Neither the new nor the old content lies under our own name: the target alone can tell."""
        self.sure()
        found = self.look(self.there)
        if staged.same_inode(found):
            return Done(found, recognised=True, drift="The replaced content was removed from the stage by somebody.")
        return _LOST

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
            return self.undo(_CHANGED)
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
        return None if self.staged().same_content(own) else _LOST

    def unexpected(self) -> Refused | None:
        """What lies at the target is not what the record knows. The change time is compared only before the first
        attempt, because our own renames move it."""
        expected, found = self.expected(), self.look(self.there)
        if found is None:
            self.sure()
            return self.missing or _VANISHED
        same = expected.same_content(found)
        untouched = found.directory or self.task.attempt > 1 or found.ctime == expected.ctime
        return self.missing if same and untouched else _CHANGED

    def not_empty(self, end: tuple[int, bytes] | None, known: Identity) -> Refused | None:
        """A directory that we made or delete holds something. (It has no content to compare but this.)"""
        if end is None or not known.directory:
            return None
        try:
            names = _first_names(*end)
        except OSError as error:
            if error.errno in (errno.ENOENT, *_NOT_A_FOLDER):
                raise _LookAgain from error
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
            raise _LookAgain from error
        except FileExistsError as error:
            if self.task.step is Step.DELETE:
                raise _LookAgain from error
            return _TAKEN
        except OSError as error:
            return _refusal(error)
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
    descriptor = os.open(name, _FOLDER, dir_fd=folder)
    try:
        with os.scandir(descriptor) as entries:
            return [os.fsencode(entry.name) for entry in itertools.islice(entries, most)]
    finally:
        os.close(descriptor)


class LocalExecutor:
    """The contract of `activities.executors.base`, on a directory of this host."""

    def __init__(self, root: str, mount_uuid: str) -> None:
        """Opens nothing: a mount that is offline now heals by itself when it is back."""
        self._root, self._uuid = root, mount_uuid
        self._disk: _Disk | None = None
        self._opening = threading.Lock()

    @classmethod
    def register(cls, root: str, mount_uuid: str) -> "LocalExecutor":
        """Make a directory a mount: our folders, the lock, and last the sentinel, durably. Doing it again repairs it.

        Raises InvalidRequest when it belongs to another mount, lies inside of one, or its file system can not do what
        the protocol needs.
        """
        if not os.path.isabs(root):
            raise InvalidRequest("The root is not an absolute path.")
        _refuse_nested(root)
        try:
            home = os.open(root, _ROOT)
        except OSError as error:
            raise InvalidRequest(f"The root can not be opened as a directory: {error.strerror}.") from error
        try:
            _furnish(home, mount_uuid)
        except PermissionError as error:
            raise InvalidRequest("Filestore may not write into the root. Look at its owner and mode.") from error
        except OSError as error:
            raise _ours(error) or error from None
        finally:
            os.close(home)
        return cls(root, mount_uuid)

    # -- the mount -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        disk = self._disk
        if disk is None or not (disk.is_at(self._root) and disk.is_intact()):
            self._reopen(disk)

    def root_identity(self) -> Identity:
        """Which directory the root is. No step names it, but its node in the record has an identity too."""
        disk = self._here()
        found = disk.look(disk.root, b"")
        assert found is not None, "an open descriptor is always there"
        return found

    def _here(self) -> _Disk:
        """The open mount, after one system call that finds a disk that was unmounted or mounted over."""
        disk = self._disk
        return disk if disk is not None and disk.is_at(self._root) else self._reopen(disk)

    def _reopen(self, stale: _Disk | None) -> _Disk:
        with self._opening:
            if self._disk is not None and self._disk is not stale:
                return self._disk  # another thread was first
            self._disk = None  # a descriptor kept open would keep the disk from being unmounted
            try:
                self._disk = _Disk(self._root, self._uuid)
            except OSError as error:
                raise MountOffline(f"The mount is not there: {error.strerror}. Nothing was changed.") from error
            return self._disk

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Errors of the whole mount as its own errors; every other OSError as it is."""
        try:
            yield
        except OSError as error:
            if error.errno in _GONE:
                self.check()
            if ours := _ours(error):
                raise ours from error
            raise

    def locks(self) -> "_Locks":
        disk = self._here()
        with self._explaining():
            return _Locks(os.open(b"lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=disk.reserved))

    # -- stages --------------------------------------------------------------------------------------------------------

    def open_stage(self, stage: CommandId) -> "_Writer":
        return _Writer(self._here(), stage, self._explaining)

    def seal(self, drafts: Sequence[Draft], written: Sequence[CommandId] = ()) -> list[Stage | Exception]:
        disk, begun = self._here(), list[_Writer | Stage | Exception]()
        try:
            for draft in drafts:
                begun.append(self._begin(disk, draft))
            answers = [_end(one) for one in begun]
        finally:
            for one in begun:
                if isinstance(one, _Writer):
                    one.abort()  # nothing, for one that was closed
        if written or any(isinstance(answer, Stage) for answer in answers):
            with self._explaining():
                disk.sync(disk.stage)
        return answers

    def _begin(self, disk: _Disk, draft: Draft) -> "_Writer | Stage | Exception":
        """Make the draft, flush nothing yet. An error is the answer for this draft, unless the mount is gone."""
        try:
            if draft.content is None:
                with self._explaining():
                    return Stage(draft.id, _make_folder(disk, _own_name(draft.id)))
            writer = _Writer(disk, draft.id, self._explaining)
            writer.write(draft.content)
            writer.ready()
            return writer
        except MountOffline:
            raise
        except (FilestoreError, OSError) as error:
            return error

    def find_stage(self, stage: CommandId) -> Identity | None:
        disk = self._here()
        found = disk.look(disk.stage, _own_name(stage))
        if found is None:
            self.check()
        return found

    def discard_stage(self, stage: CommandId, staged: Identity | None) -> bool:
        found = self.find_stage(stage)
        if found is None:
            return True
        if staged is not None and not staged.same_content(found):
            return False
        disk = self._here()
        with self._explaining():
            return disk.remove(disk.stage, _own_name(stage), found.directory)

    # -- the visible step ----------------------------------------------------------------------------------------------

    def act(self, task: Task) -> Result:
        with self._explaining(), _Attempt(self._here(), task) as attempt:
            return attempt.run()

    def flush(self, tasks: Sequence[Task]) -> None:
        disk = self._here()
        with self._explaining():
            for parent in dict.fromkeys(task.path.parent.raw for task in tasks):
                disk.sync_beneath(parent)
            if any(task.step is not Step.DELETE for task in tasks):
                disk.sync(disk.stage)
            for day in dict.fromkeys(_trash_name(task)[0] for task in tasks if task.step is Step.DELETE):
                disk.sync_day(day)

    def reverse(self, task: Task) -> Result:
        with self._explaining(), _Attempt(self._here(), task) as attempt:
            try:
                return attempt.reverse()
            except _LookAgain:
                return Unclear("The path changed while it was looked at, so the step was not taken back.")

    def finish(self, task: Task, succeeded: bool) -> None:
        if task.stage is None:
            return
        disk, name = self._here(), _own_name(task.stage)
        with self._explaining():
            own = disk.look(disk.stage, name)
            if own is None:
                return
            try:
                _clear(disk, name, own, task, succeeded)
            except FileNotFoundError:
                if disk.look(disk.stage, name) is not None:
                    raise  # it is the trash that is missing

    # -- reading -------------------------------------------------------------------------------------------------------

    def open(self, path: NodePath) -> "_Content":
        disk = self._here()
        with self._explaining():
            try:
                folder = disk.parent_of(path)
                try:
                    return _open_file(disk, folder, path.name)
                finally:
                    os.close(folder)
            except OSError as error:
                if error.errno not in (errno.ENOENT, *_NOT_A_FOLDER):
                    raise
        self.check()
        raise NodeNotFound()

    def stages(self) -> Iterator[tuple[CommandId, float]]:
        """The age counts from the last change of any kind, so that what a replace took out starts anew."""
        disk, now = self._here(), time.time_ns()
        with self._explaining():
            names = _names(disk.stage, b".")
        for name in names:
            if found := disk.look(disk.stage, name):
                command = CommandId(name.decode("utf-8", "surrogateescape"))
                yield command, max(0.0, (now - found.ctime) / 1e9)
        self.check()

    def walk(self) -> Iterator[Entry]:
        """Ends without an error only when the mount was there from start to end: what it did not tell is not there."""
        disk, folders = self._here(), [ROOT]
        with self._explaining():
            while folders:
                below = []
                for entry in self._list(disk, folders.pop()):
                    yield entry
                    if entry.identity.directory:
                        below.append(entry.path)
                folders.extend(reversed(below))
        self.check()
        if self._disk is not disk:
            raise MountOffline("The mount was away while it was listed. List it again.")

    def _list(self, disk: _Disk, path: NodePath) -> Iterator[Entry]:
        try:
            folder = open_beneath(disk.root, path.raw or b".", _FOLDER)
        except OSError as error:
            if error.errno not in (errno.ENOENT, *_NOT_A_FOLDER):
                raise  # a folder we may not read is not an empty folder
            return
        try:
            for name in sorted(_names(folder, b".")):
                found = None if path == ROOT and name == RESERVED else disk.look(folder, name)
                if found is not None:
                    yield Entry(path.child(name), found, _kind(found))
        finally:
            os.close(folder)


def _kind(found: Identity) -> str:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
    return kinds.get(stat.S_IFMT(found.mode), "special")


def _names(folder: int, name: bytes) -> list[bytes]:
    """All names in a folder, opened afresh: threads that share a descriptor would share its place in the listing."""
    descriptor = os.open(name, _FOLDER, dir_fd=folder)
    try:
        return [os.fsencode(entry) for entry in os.listdir(descriptor)]
    finally:
        os.close(descriptor)


def _ours(error: OSError) -> FilestoreError | None:
    if error.errno in _FULL:
        return StorageFull()
    return MountReadOnly("The disk is mounted read-only.") if error.errno == errno.EROFS else None


def _clear(disk: _Disk, name: bytes, own: Identity, task: Task, succeeded: bool) -> None:
    """What is left in the stage after the record is committed. Unlinked is only what we staged and nobody ever saw."""
    if not succeeded and task.staged and task.staged.same_content(own) and disk.remove(disk.stage, name, own.directory):
        return
    if succeeded and task.trash and task.expected and task.expected.same_inode(own):
        with suppress(FileExistsError):
            return disk.to_trash(disk.stage, name, *_trash_name(task))
    disk.keep(disk.stage, name, task)


def _make_folder(disk: _Disk, name: bytes) -> Identity:
    os.mkdir(name, FOLDER_MODE, dir_fd=disk.stage)
    made = disk.look(disk.stage, name)
    if made is not None and made.mode & 0o777 != FOLDER_MODE:  # the umask took something
        os.chmod(name, FOLDER_MODE, dir_fd=disk.stage)
        made = disk.look(disk.stage, name)
    if made is None:
        raise FileNotFoundError(errno.ENOENT, "the staged directory vanished")
    return made


class _Writer:
    """A staged file that takes a stream. Nobody but us may open it before it is whole."""

    def __init__(self, disk: _Disk, stage: CommandId, explaining: Callable[[], AbstractContextManager[None]]) -> None:
        self._disk, self._id, self._name, self._explaining = disk, stage, _own_name(stage), explaining
        self._hash, self._size, self._started, self._ready = hashlib.sha256(), 0, 0, False
        with explaining():
            self._descriptor: int | None = os.open(self._name, _MAKE, 0o600, dir_fd=disk.stage)

    def write(self, chunk: bytes) -> None:
        assert self._descriptor is not None, "the stage is closed"
        with self._aborting():
            self._hash.update(chunk)
            rest = memoryview(chunk)
            while rest:  # a disk that fills up takes a part first
                rest = rest[os.write(self._descriptor, rest) :]
            self._size += len(chunk)
            if self._size - self._started >= WRITEBACK:
                self.start()

    def start(self) -> None:
        """Let the disk begin, so that the fsync waits less."""
        assert self._descriptor is not None, "the stage is closed"
        syscalls.sync_file_range(self._descriptor, self._started)
        self._started = self._size

    def ready(self) -> None:
        """The last changes before the fsync. A list makes them all first: one commit of the disk's journal takes them
        all, where a change after the first fsync would ask for another."""
        if self._descriptor is None or self._ready:
            return
        with self._aborting():
            os.fchmod(self._descriptor, FILE_MODE)
        self.start()
        self._ready = True

    def close(self) -> Stage:
        assert self._descriptor is not None, "the stage is closed"
        self.ready()
        with self._aborting():
            os.fsync(self._descriptor)
            sealed = self._disk.look(self._descriptor, b"")
        assert sealed is not None
        os.close(self._descriptor)
        self._descriptor = None
        return Stage(self._id, sealed, self._hash.digest())

    @contextmanager
    def _aborting(self) -> Iterator[None]:
        """A stage that failed once is gone: a write that was lost can not be asked for again."""
        try:
            with self._explaining():
                yield
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        if self._descriptor is None:
            return
        with suppress(OSError):
            ours = self._disk.look(self._descriptor, b"")
            if ours and ours.same_inode(self._disk.look(self._disk.stage, self._name)):
                os.unlink(self._name, dir_fd=self._disk.stage)
        with suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = None


def _end(begun: "_Writer | Stage | Exception") -> Stage | Exception:
    if not isinstance(begun, _Writer):
        return begun
    try:
        return begun.close()
    except MountOffline:
        raise
    except (FilestoreError, OSError) as error:
        return error


class _Locks:
    """One opening of the lock file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def take(self, command: CommandId) -> bool:
        assert self._descriptor is not None, "the locks are closed"
        return syscalls.lock_byte(self._descriptor, lock_offset(command))

    def release(self, command: CommandId) -> None:
        assert self._descriptor is not None, "the locks are closed"
        syscalls.unlock_byte(self._descriptor, lock_offset(command))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class _Content:
    """An open file. It has no name any more, so renames and deletes do not concern it."""

    def __init__(self, descriptor: int, found: Identity) -> None:
        self.identity = found
        self._descriptor: int | None = descriptor

    def fileno(self) -> int:
        assert self._descriptor is not None, "the content is closed"
        return self._descriptor

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self.fileno(), length, offset)
        while 0 < len(data) < length and (more := os.pread(self.fileno(), length - len(data), offset + len(data))):
            data += more
        return data

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open_file(disk: _Disk, folder: int, name: bytes) -> _Content:
    """Looked at before it is opened, because opening a pipe or a device is an effect; and after, because it may have
    been swapped."""
    found = disk.look(folder, name)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no such file")
    _regular(found)
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotADirectory("This is not a regular file.") from error
        raise
    try:
        return _Content(descriptor, _regular(disk.look(descriptor, b"")))
    except BaseException:
        os.close(descriptor)
        raise


def _regular(found: Identity | None) -> Identity:
    if found is None or not stat.S_ISREG(found.mode):
        raise NotADirectory("This is not a regular file, so it has no content to read.")
    return found


def _refuse_nested(root: str) -> None:
    """Two mounts must not own the same file: their claims do not see each other."""
    folder = os.path.realpath(root)
    while folder != (folder := os.path.dirname(folder)):
        if os.path.lexists(os.path.join(folder, RESERVED.decode(), "mount.json")):
            raise InvalidRequest("The root lies inside of another mount. Choose a directory outside of it.")


def _furnish(home: int, mount_uuid: str) -> None:
    """Our folders below the root; the sentinel last, because it says that everything else is there."""
    with suppress(FileExistsError):
        os.mkdir(RESERVED, 0o700, dir_fd=home)
    try:
        reserved = os.open(RESERVED, _FOLDER, dir_fd=home)
    except OSError as error:
        raise InvalidRequest(f"{RESERVED.decode()} in the root is not a directory we can open.") from error
    try:
        _refuse_other(reserved, mount_uuid)
        for name in (b"stage", b"trash"):
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=reserved)
        os.close(os.open(b"lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=reserved))
        _refuse_poor(reserved)
        _place_sentinel(reserved, mount_uuid)
        os.fsync(reserved)
    finally:
        os.close(reserved)
    os.fsync(home)


def _refuse_other(reserved: int, mount_uuid: str) -> None:
    told = _read_sentinel(reserved)
    if told not in (None, mount_uuid):
        raise InvalidRequest("The root belongs to another mount already. Take that mount, or choose another directory.")


def _refuse_poor(reserved: int) -> None:
    """Try on two names of our own what every replace will need."""
    names = [f"probe.{kind}.{os.getpid()}.{time.time_ns()}".encode() for kind in "ab"]
    try:
        for name in names:
            os.close(os.open(name, _MAKE, 0o600, dir_fd=reserved))
        renameat2(reserved, names[0], reserved, names[1], RENAME_EXCHANGE)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise InvalidRequest("This file system can not exchange two names in one step (renameat2).") from error
        raise
    finally:
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=reserved)


def _place_sentinel(reserved: int, mount_uuid: str) -> None:
    """Whole and durable under another name first: of two who register at once, one wins and the other reads of it."""
    if _read_sentinel(reserved) == mount_uuid:
        return
    draft = f"mount.json.{os.getpid()}.{time.time_ns()}".encode()
    descriptor = os.open(draft, _MAKE, 0o600, dir_fd=reserved)
    try:
        os.write(descriptor, json.dumps({"mount": mount_uuid}).encode() + b"\n")
        os.fsync(descriptor)
        renameat2(reserved, draft, reserved, b"mount.json", RENAME_NOREPLACE)
    except OSError as error:
        os.unlink(draft, dir_fd=reserved)
        if not isinstance(error, FileExistsError):
            raise
        _refuse_other(reserved, mount_uuid)
    finally:
        os.close(descriptor)
