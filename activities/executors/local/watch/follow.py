"""What the kernel's events mean for a mount. What is noted is a reason to look, so a doubt is never argued away: it is noted for
the smallest tree that has it.

- A moved directory keeps its watches, and gets its new place by the cookie of the two events. One that left the mount is not
  watched any more.
- A directory that is not where it should be leads to a listing of its parent. Where that is not there either, or where events
  were lost, the whole tree is walked again.
- Beyond the limit of watches the tree is watched from the top. What lies below is noted from time to time.
"""

from dataclasses import dataclass

from activities.executors.local.watch import inotify
from activities.executors.local.watch.directories import Directories, RootInDoubt
from activities.executors.local.watch.queue import EventQueue
from activities.executors.local.watch.tree import Watched, names_of
from schema.drift.gather import Gathering, Names
from schema.drift.hints import Reason
from schema.paths import RESERVED

_PAIR_SECONDS = 1.0
"""The second event of a move follows the first at once; a move out of the mount has no second one"""
_CALM_SECONDS = 10.0
"""After events were lost the tree is walked again as soon as none wait, and no later than this"""
_AGAIN_SECONDS = 600.0
"""How often a tree that is watched in part is walked, where there is room for more"""

_OF_ITSELF = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT | inotify.IGNORED
_OF_NAMES = inotify.CREATE | inotify.DELETE | inotify.MOVED_FROM | inotify.MOVED_TO


@dataclass(slots=True)
class MovingAway:
    """What lies between the two events of its move. `directory`: where it is a watched one."""

    directory: Watched | None
    names: Names
    at: float


class Follower:
    """It belongs to one thread."""

    def __init__(self, directories: Directories, queue: EventQueue, gathering: Gathering) -> None:
        self._directories, self._queue, self._gathering = directories, queue, gathering
        self.events = self.lost = 0
        self._leaving: dict[int, MovingAway] = {}
        self._doubt: float | None = None
        self._walked = self._noted_left_out = 0.0

    def walk(self, reason: Reason, now: float) -> None:
        """Watch the whole tree. The hint comes after it: what happens from here on has events. Raises RootInDoubt."""
        self._leaving.clear()
        self._directories.watch_anew()
        self._gathering.note((), reason, now, subtree=True)
        self._doubt, self._walked, self._noted_left_out = None, now, now

    def handle(self, event: inotify.Event, now: float) -> None:
        """Raises RootInDoubt."""
        watch, mask, cookie, name = event
        self.events += 1
        directory = self._directories.tree.of(watch)
        if mask & inotify.OVERFLOW:
            self._lose(now)
        elif directory is None:
            return  # of a directory that was given up meanwhile
        elif mask & _OF_ITSELF:
            self._of_itself(directory, mask, now)
        elif not name:
            self._gathering.note(names_of(directory), Reason.CHANGED, now)
        elif directory.parent is None and name == RESERVED:
            if mask & _OF_NAMES:
                raise RootInDoubt
        elif mask & inotify.IS_DIRECTORY:
            self._of_directory(directory, mask, cookie, name, now)
        else:
            self._of_file((*names_of(directory), name), mask, cookie, now)

    def rest(self, now: float) -> None:
        """From time to time: what can only be known after a while. Raises RootInDoubt."""
        calm = self._queue.waits_since() is None
        if calm:
            self._end_moves(now)
            self._directories.list_again(now)
        if self._directories.in_doubt:
            self._lose(now)
        if self._doubt is not None and (calm or now - self._doubt > _CALM_SECONDS):
            self.walk(Reason.LOST, now)
        elif self._directories.beyond and now - self._walked > _AGAIN_SECONDS and self._directories.has_room():
            self.walk(Reason.STARTED, now)
        if now - self._noted_left_out > self._gathering.pace.unwatched:
            self._directories.note_left_out(now)
            self._noted_left_out = now

    def _lose(self, now: float) -> None:
        """The tree is walked again; until then more of it is no further loss."""
        if self._doubt is None:
            self.lost += 1
            self._doubt = now

    def _end_moves(self, now: float) -> None:
        """Of directories that left the mount."""
        for cookie in [cookie for cookie, one in self._leaving.items() if now - one.at > _PAIR_SECONDS]:
            self._directories.give_up(self._leaving.pop(cookie).directory)

    def _of_itself(self, directory: Watched, mask: int, now: float) -> None:
        if directory.parent is None:
            raise RootInDoubt
        if mask & inotify.MOVE_SELF:
            return  # the events of its parents say where
        names = names_of(directory)
        self._directories.give_up(directory)
        if mask & inotify.DELETE_SELF:
            self._gathering.note(names, Reason.GONE, now)
        else:
            self._gathering.note(names, Reason.LOST, now, subtree=True)
            self._directories.list_later(directory.parent)  # what an unmounted disk had covered is there again

    def _of_file(self, names: Names, mask: int, cookie: int, now: float) -> None:
        note = self._gathering.note
        if mask & inotify.MOVED_TO:
            left = self._leaving.pop(cookie, None)
            if left is None:
                note(names, Reason.ARRIVED, now, writing=False)
            else:
                self._gathering.moved(left.names, names, now)
        elif mask & inotify.MOVED_FROM:
            self._leaving[cookie] = MovingAway(None, names, now)
            note(names, Reason.GONE, now)
        elif mask & inotify.DELETE:
            note(names, Reason.GONE, now, writing=False)
        elif mask & inotify.MODIFY:
            note(names, Reason.CHANGED, now, writing=True)
        else:
            note(names, Reason.CHANGED, now, writing=False if mask & inotify.CLOSE_WRITE else None)

    def _of_directory(self, parent: Watched, mask: int, cookie: int, name: bytes, now: float) -> None:
        names, known = (*names_of(parent), name), parent.directories.get(name)
        if mask & inotify.MOVED_TO:
            self._arrive(parent, name, cookie, now)
        elif mask & inotify.MOVED_FROM:
            if known is not None:
                self._directories.tree.detach(known)
            self._leaving[cookie] = MovingAway(known, names, now)
            self._gathering.note(names, Reason.GONE, now)
        elif mask & inotify.DELETE:
            self._directories.give_up(known)
            self._gathering.note(names, Reason.GONE, now)
        else:
            self._gathering.note(names, Reason.CHANGED, now)
            if mask & inotify.CREATE or known is None:
                self._directories.watch([(parent, name)], now)

    def _arrive(self, parent: Watched, name: bytes, cookie: int, now: float) -> None:
        self._directories.give_up(parent.directories.get(name))
        left, names = self._leaving.pop(cookie, None), (*names_of(parent), name)
        if left is None:
            self._gathering.note(names, Reason.ARRIVED, now)
        else:
            self._gathering.moved(left.names, names, now)
        came, tree = left.directory if left else None, self._directories.tree
        if came is None or came.watch is None:
            self._directories.watch([(parent, name)], now)
        elif tree.is_in(parent, came):
            self._directories.in_doubt = True  # into itself: earlier events found it where it is by now
        else:
            tree.move(came, parent, name)
