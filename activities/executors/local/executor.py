"""The local-disk executor: a mount is a directory, and everything of ours is in its reserved folder.

    .filestore/mount.json                       which mount this disk is; without it the mount is offline
    .filestore/lock                             an empty file: a command's lock is one byte of it
    .filestore/stage/<command>                  what will appear, a whole tree too; after a replace, what was there before
    .filestore/trash/<day>/<command>.<item>     what was deleted or replaced, a directory with everything below it
    .filestore/trash/<day>/<command>.kept[.n]   strangers' bytes for which there was no other place

What it guarantees, and why that holds:

- No path leads out of the mount: each is opened below the root's descriptor, and a link on the way is refused.
- No byte is overwritten or removed that we did not stage ourselves: renames never replace (NOREPLACE, EXCHANGE), and
  only a staged file that is still exactly what was sealed is ever unlinked, and a staged tree only while all of it is.
- A step happens once: what lies under the command's own name (stage, trash) tells whether it did. A stranger can change
  the target at any moment, but has no business with our own names. A move has no such name: there the node itself tells.
- What came out of a step is looked at, because the look before it can be out of date; if it is not what the record
  knows, it goes back.
- A disk that went away is never taken for an empty one: the root and the sentinel are compared before anything is said
  to be missing.
"""

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from activities.executors.byte_locks import ByteLocks
from activities.executors.contract.executor import SCAN_MOST, Fetch
from activities.executors.contract.folders import FolderPage, SieveApart, SievedPage
from activities.executors.contract.identity import Identity
from activities.executors.contract.listing import Entry, ScanPage
from activities.executors.contract.stage import Copied, Draft, Source, Stage
from activities.executors.contract.task import Result, Task
from activities.executors.drafts import staged
from activities.executors.local import copy as local_copy
from activities.executors.local.cold import LocalCold
from activities.executors.local.content import LocalContent, list_folder, list_names, open_file
from activities.executors.local.disk import Disk, own_name, split_place
from activities.executors.local.errors import GONE, NOT_A_FOLDER, mount_error
from activities.executors.local.registration import make_mount
from activities.executors.local.scan import folders_now, scan
from activities.executors.local.sieve import Sieve, knows_this_system
from activities.executors.local.steps import attempt as local_attempt
from activities.executors.local.tree import discard
from activities.executors.local.writer import LocalWriter, clear_stage, make_folder, make_link, make_pipe
from schema.errors import ContentExpired, MountOffline, NodeNotFound, NotADirectory
from schema.ids import CommandId
from schema.paths import ROOT, NodePath


class LocalExecutor:
    """The contract of `activities.executors.contract`, on a directory of this host."""

    width = 1
    """One flush takes a whole list, so more threads would only wait for the same disk."""

    def __init__(self, root: str, mount_uuid: str) -> None:
        """Opens nothing: a mount that is offline now heals by itself when it is back."""
        self._root, self._uuid = root, mount_uuid
        self._disk: Disk | None = None
        self._opening = threading.Lock()

    @classmethod
    def register(cls, root: str, mount_uuid: str) -> "LocalExecutor":
        """Make a directory a mount: our folders, the lock, and last the sentinel, durably. Doing it again repairs it.

        Raises InvalidRequest when it belongs to another mount, lies inside of one, or its file system can not do what
        the protocol needs.
        """
        make_mount(root, mount_uuid)
        return cls(root, mount_uuid)

    # -- the mount -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        disk = self._disk
        if disk is None or not (disk.is_at(self._root) and disk.is_intact()):
            self._reopen(disk)

    def cold(self) -> LocalCold:
        return LocalCold(self._here())

    def root_identity(self) -> Identity:
        """Which directory the root is. No step names it, but its node in the record has an identity too."""
        disk = self._here()
        found = disk.look(disk.root, b"")
        assert found is not None, "an open descriptor is always there"
        return found

    def _here(self) -> Disk:
        """The open mount, after one system call that finds a disk that was unmounted or mounted over."""
        disk = self._disk
        return disk if disk is not None and disk.is_at(self._root) else self._reopen(disk)

    def _reopen(self, stale: Disk | None) -> Disk:
        with self._opening:
            if self._disk is not None and self._disk is not stale:
                return self._disk  # another thread was first
            self._disk = None  # a descriptor kept open would keep the disk from being unmounted
            try:
                self._disk = Disk(self._root, self._uuid)
            except OSError as error:
                raise mount_error(error) or MountOffline(
                    f"The mount is not there: {error.strerror}. Nothing was changed."
                ) from error
            return self._disk

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Errors of the whole mount as its own errors; every other OSError as it is."""
        try:
            yield
        except OSError as error:
            if error.errno in GONE:
                self.check()
            if ours := mount_error(error):
                raise ours from error
            raise

    def locks(self) -> ByteLocks:
        disk = self._here()
        with self._explaining():
            return ByteLocks(os.open(b"lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=disk.reserved))

    # -- stages --------------------------------------------------------------------------------------------------------

    def open_stage(self, stage: CommandId, path: NodePath | None = None) -> LocalWriter:
        return LocalWriter(self._here(), stage, self._explaining)

    def stage_copy(
        self, stage: CommandId, sources: Iterable[Source], fetch: Fetch | None = None, *, goes_on: bool = False
    ) -> Iterator[Copied]:
        yield from local_copy.stage_copy(self._here(), stage, sources, self._explaining, fetch, goes_on=goes_on)

    def seal(self, drafts: Sequence[Draft], written: Sequence[CommandId] = ()) -> list[Stage | Exception]:
        disk = self._here()
        answers = staged(
            drafts,
            lambda draft: make_folder(disk, draft, self._explaining),
            lambda draft: LocalWriter(disk, draft, self._explaining),
        )
        if written or any(isinstance(answer, Stage) for answer in answers):
            with self._explaining():
                disk.sync(disk.stage)
        return answers

    def stage_link(self, stage: CommandId, target: bytes) -> Stage:
        return make_link(self._here(), stage, self._explaining, target)

    def stage_pipe(self, stage: CommandId, mode: int) -> Stage:
        return make_pipe(self._here(), stage, self._explaining, mode)

    def find_stage(self, stage: CommandId) -> Identity | None:
        disk = self._here()
        found = disk.look(disk.stage, own_name(stage))
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
            return discard(disk, own_name(stage), found, staged)

    # -- the visible step ----------------------------------------------------------------------------------------------

    def act(self, task: Task) -> Result:
        disk = self._here()
        with self._explaining():
            return local_attempt.act(disk, task)

    def flush(self, tasks: Sequence[Task]) -> None:
        disk = self._here()
        with self._explaining():
            local_attempt.flush(disk, tasks)

    def reverse(self, task: Task) -> Result:
        disk = self._here()
        with self._explaining():
            return local_attempt.reverse(disk, task)

    def finish(self, task: Task, succeeded: bool) -> None:
        if task.stage is None:
            return
        disk, name = self._here(), own_name(task.stage)
        with self._explaining():
            own = disk.look(disk.stage, name)
            if own is None:
                return
            try:
                clear_stage(disk, name, own, task, succeeded)
            except FileNotFoundError:
                if disk.look(disk.stage, name) is not None:
                    raise  # it is the trash that is missing

    def make_day(self, day: str) -> None:
        disk = self._here()
        with self._explaining():
            os.close(disk.day(own_name(day)))

    def purge(self, place: bytes) -> None:
        folder, name = split_place(place)
        disk = self._here()
        with self._explaining():
            try:
                holds = disk.kept(folder)
            except OSError as error:
                if error.errno not in (errno.ENOENT, *NOT_A_FOLDER):
                    raise
                return
            try:
                disk.remove_tree(holds, name)
            finally:
                os.close(holds)
        self._same(disk)

    # -- reading -------------------------------------------------------------------------------------------------------

    def open(self, path: NodePath) -> LocalContent:
        return self._open(lambda disk: disk.parent_of(path), path.name)

    def open_kept(self, place: bytes) -> LocalContent:
        folder, name = split_place(place)
        try:
            return self._open(lambda disk: disk.kept(folder), name)
        except (NodeNotFound, NotADirectory) as error:
            raise ContentExpired() from error

    def _open(self, enter: Callable[[Disk], int], name: bytes) -> LocalContent:
        disk = self._here()
        with self._explaining():
            try:
                folder = enter(disk)
                try:
                    return open_file(disk, folder, name)
                finally:
                    os.close(folder)
            except OSError as error:
                if error.errno not in (errno.ENOENT, *NOT_A_FOLDER):
                    raise
        self.check()
        raise NodeNotFound()

    def stages(self) -> Iterator[tuple[CommandId, float]]:
        """The age counts from the last change of any kind, so that what a replace took out starts anew."""
        disk, now = self._here(), time.time_ns()
        with self._explaining():
            names = list_names(disk.stage, b".")
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
                for entry in list_folder(disk, folders.pop()):
                    yield entry
                    if entry.identity.directory:
                        below.append(entry.path)
                folders.extend(reversed(below))
        self.check()
        if self._disk is not disk:
            raise MountOffline("The mount was away while it was listed. List it again.")

    def scan(self, path: NodePath, after: bytes = b"", most: int = SCAN_MOST) -> Iterator[ScanPage]:
        disk = self._here()
        with self._explaining():
            try:
                for page in scan(disk, path.raw, after, most):
                    self._same(disk)
                    yield page
            except NodeNotFound:
                self._same(disk)
                raise
        self.check()
        self._same(disk)

    def names(self) -> int | None:
        """The inodes in use, where the mount is a file system of its own."""
        disk = self._here()
        with self._explaining():
            above, counts = os.stat("..", dir_fd=disk.root), os.fstatvfs(disk.root)
        if above.st_dev == disk.place.st_dev or counts.f_files <= counts.f_ffree:
            return None
        return counts.f_files - counts.f_ffree

    def folders_now(self, paths: Sequence[bytes]) -> list[tuple[int | str, ...] | None]:
        disk = self._here()
        with self._explaining():
            found = folders_now(disk, paths)
        self._same(disk)
        return found

    def sieve(self, page: FolderPage) -> SievedPage:
        disk = self._here()
        with self._explaining():
            found = Sieve(disk.root).take(page)
        self._same(disk)
        return found

    def sieve_apart(self) -> SieveApart | None:
        if not knows_this_system():
            return None
        disk = self._here()
        command = (sys.executable, "-m", "activities.executors.local.sieve")
        return SieveApart(os.dup(disk.root), command, lambda: self._same(disk))

    def _same(self, disk: Disk) -> None:
        """What was read is thrown away when another disk stands there now: it says nothing of this mount."""
        if self._here() is not disk:
            raise MountOffline("The mount was away while it was scanned. Scan it again.")
