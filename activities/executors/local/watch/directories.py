"""Which directories of a mount are watched, and how they come to be.

A directory is watched first and listed afterwards: what comes into it between the two is in the list. It is reached by a
descriptor from the root and without links, and which directory it is the number of its watch says: the same for the same one.
"""

import errno
import os
from collections import deque
from collections.abc import Iterable

from activities.executors.local.disk import OPEN_FOLDER, Disk
from activities.executors.local.errors import NOT_A_FOLDER
from activities.executors.local.watch.limit import WatchLimit
from activities.executors.local.watch.queue import EventQueue
from activities.executors.local.watch.tree import Watched, WatchedTree, names_of
from activities.executors.syscalls import open_beneath
from schema.drift.gather import Gathering, Names
from schema.drift.hints import Reason
from schema.paths import RESERVED

_TRIES = 3
_LEFT_OUT_MAX = 1000
"""So many unwatched directories are known by name; beyond it the whole mount stands for them"""
_OF_THE_PROCESS = (errno.EMFILE, errno.ENFILE)


class RootInDoubt(Exception):
    """The root of the mount, or our folder in it, is not what was opened: nothing that is seen there says anything."""


class Directories:
    """It belongs to one thread; `tree` alone is read by others."""

    def __init__(self, disk: Disk, queue: EventQueue, gathering: Gathering, limit: WatchLimit) -> None:
        self._disk, self._queue, self._gathering, self._limit = disk, queue, gathering, limit
        self.tree = WatchedTree()
        self.beyond = 0
        """Directories that the limit left unwatched, not counting those below them"""
        self.unreadable = 0
        self._left_out: set[Names] = set()
        self.in_doubt = False
        """A directory is not where it should be, and no listing settles it"""
        self._in_motion: dict[Watched, int] = {}
        """Directories to be listed again, and how often that was tried"""

    def watch_anew(self) -> None:
        """The whole tree, however much of it is watched already. Raises RootInDoubt."""
        before, self.tree = self.tree, WatchedTree()
        self.beyond = self.unreadable = 0
        self._left_out.clear()
        self._in_motion.clear()
        self.in_doubt = False
        self.watch([(None, b"")], None)
        for watch in before.watches() - self.tree.watches():
            self._queue.remove(watch)
        if self.tree.root is None:
            raise RootInDoubt

    def watch(self, places: Iterable[tuple[Watched | None, bytes]], noted: float | None) -> None:
        """Watch these directories and all below them, the upper ones first. `noted`: and note each name in them, at this time."""
        waiting = deque(places)
        while waiting:
            parent, name = waiting.popleft()
            names = (*names_of(parent), name) if parent else ()
            try:
                folder = self._opened(names)
            except OSError as error:
                self._unopened(parent, names, error, noted)
                continue
            try:
                directory = self._place(folder, parent, name, noted)
                below = self._listed(folder, names, noted) if directory else []
            except OSError as error:
                self._unopened(parent, names, error, noted)
            else:
                waiting += [(directory, one) for one in below]
            finally:
                os.close(folder)

    def give_up(self, directory: Watched | None) -> None:
        """It is gone, or not ours any more, with all below it."""
        if directory is not None:
            for watch in self.tree.drop(directory):
                self._queue.remove(watch)

    def list_later(self, directory: Watched) -> None:
        """It may hold directories that are not watched."""
        self._in_motion[directory] = 0

    def list_again(self, now: float) -> None:
        """Watch what is new in directories that were in motion."""
        again, self._in_motion = self._in_motion, {}
        for directory, tries in again.items():
            if not self.tree.is_attached(directory):
                continue  # its own events have said, or will say, where it is
            new = self._new_in(directory)
            if new is not None:
                for name in new:
                    self._gathering.note((*names_of(directory), name), Reason.CHANGED, now)
                self.watch([(directory, name) for name in new], now)
            elif tries < _TRIES:
                self._in_motion[directory] = tries + 1  # its events may just be on their way
            else:
                self.in_doubt = True

    def note_left_out(self, now: float) -> None:
        """What lies in directories that are not watched has no events: it is looked at from time to time."""
        for names in self._left_out:
            self._gathering.note(names, Reason.UNWATCHED, now, subtree=True)

    def has_room(self) -> bool:
        return self._limit.has_room(self, len(self.tree))

    def close(self) -> None:
        self._limit.give_up(self)

    def _opened(self, names: Names) -> int:
        return open_beneath(self._disk.root, b"/".join(names) or b".", OPEN_FOLDER)

    def _unopened(self, parent: Watched | None, names: Names, error: OSError, noted: float | None) -> None:
        if error.errno in _OF_THE_PROCESS:
            raise error
        if parent is None:
            raise RootInDoubt from error
        if error.errno == errno.ENOENT:
            self._in_motion[parent] = 0  # gone, or its parent is elsewhere by now
        elif error.errno not in NOT_A_FOLDER:
            self.unreadable += 1
            self._note_tree(names, noted)

    def _note_tree(self, names: Names, noted: float | None) -> None:
        if noted is not None:
            self._gathering.note(names, Reason.CHANGED, noted, subtree=True)

    def _place(self, folder: int, parent: Watched | None, name: bytes, noted: float | None) -> Watched | None:
        """None: it is watched at this place already, or can not be watched."""
        names = (*names_of(parent), name) if parent else ()
        watch = self._watch_number(folder) if self.has_room() else None
        if watch is None:
            self.beyond += 1
            self._left_out.add(names if len(self._left_out) < _LEFT_OUT_MAX else ())
            self._note_tree(names, noted)
            return None
        before = self.tree.of(watch)
        if before is not None and not self._steps_aside(before, parent, name):
            return None
        if parent is not None and not self.tree.is_attached(parent):
            self.in_doubt = True  # it was found in itself: events of its move are still to come
            return None
        if parent is not None and (other := parent.directories.get(name)):
            self.give_up(other)
        return self.tree.put(parent, name, watch)

    def _watch_number(self, folder: int) -> int | None:
        try:
            return self._queue.add(folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.ENOMEM):
                raise
            return None

    def _steps_aside(self, before: Watched, parent: Watched | None, name: bytes) -> bool:
        """A watched directory was found at this place. False: that is its place, or it can be reached at both (a bind mount)."""
        if before.parent is None:
            return False
        if self.tree.is_attached(before):
            if (before.parent is parent and before.name == name) or self._is_at(before):
                return False
            self._in_motion[before.parent] = 0
        self.tree.drop(before)  # the number of its watch goes on at the new place
        return True

    def _is_at(self, directory: Watched) -> bool:
        try:
            folder = self._opened(names_of(directory))
        except OSError:
            return False
        try:
            return self._watch_number(folder) == directory.watch
        except OSError:
            return False
        finally:
            os.close(folder)

    def _listed(self, folder: int, names: Names, noted: float | None) -> list[bytes]:
        """The directories in an open directory."""
        found: list[bytes] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if not names and name == RESERVED:
                    continue
                if noted is not None:
                    self._gathering.note((*names, name), Reason.CHANGED, noted)
                if entry.is_dir(follow_symlinks=False):
                    found.append(name)
        return found

    def _new_in(self, directory: Watched) -> list[bytes] | None:
        """The directories in it that are not watched; None where it is not at its place."""
        names = names_of(directory)
        try:
            folder = self._opened(names)
        except OSError:
            return None
        try:
            if self._watch_number(folder) != directory.watch:
                return None
            return [name for name in self._listed(folder, names, None) if name not in directory.directories]
        except OSError:
            return None
        finally:
            os.close(folder)
