"""The watch of one mount: a thread that follows its events and passes on what rests, for as long as the mount is there.

Where the root is in doubt it says so, and begins anew once the mount is back. It never ends by an error of the disk.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum

from activities.executors.local.disk import Disk
from activities.executors.local.watch import inotify
from activities.executors.local.watch.directories import Directories, RootInDoubt
from activities.executors.local.watch.follow import Follower
from activities.executors.local.watch.limit import WatchLimit
from activities.executors.local.watch.queue import EventQueue, KernelQueue
from activities.executors.local.watch.seen import SeenName, look_at
from activities.threads import loop_thread
from schema.drift.fold import FEW, Breadth
from schema.drift.gather import Gathering, Pace, Rested
from schema.drift.hints import Reason
from schema.errors import FilestoreError

_TICK_SECONDS = 0.1
_ROOT_SECONDS = 1.0
_AGAIN_SECONDS = 2.0


class WatchPhase(StrEnum):
    STARTING = "starting"
    """Its directories are being walked"""
    WATCHING = "watching"
    PARTIAL = "partial"
    """Some directories are not watched: the limit is reached, or they can not be read"""
    OFFLINE = "offline"
    """The mount is not there, or is another disk"""
    FAILED = "failed"
    """It can not be watched at all"""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """How a watch is at the moment, and what it has counted since its process began."""

    phase: WatchPhase
    cause: str
    lag_seconds: float
    """Since the oldest event that was not looked at yet, or since the thread was heard of, if that is longer"""
    directories: int
    unwatched: int
    events: int
    lost: int
    """How often events were lost, or their order left a doubt that only a walk could settle"""
    hints: int
    own: int
    """Names that were dropped, because they are as our own commands left them"""
    waiting: int


@dataclass(frozen=True, slots=True)
class Delivered:
    hints: int
    own: int
    busy: Sequence[Rested]
    """Of commands that have not ended: they wait again"""


Deliver = Callable[[Sequence[SeenName], Breadth], "Future[Delivered]"]
"""Pass on what rests. Called in the thread of the watch; it does not wait for the answer."""


class MountWatch:
    def __init__(
        self, root: str, mount_uuid: str, deliver: Deliver, pace: Pace, limit: WatchLimit,
        open_queue: Callable[[], EventQueue] = lambda: KernelQueue().start(),
    ) -> None:  # fmt: skip
        self._root, self._uuid, self._deliver, self._limit = root, mount_uuid, deliver, limit
        self._open_queue = open_queue
        self._gathering = Gathering(pace)
        self._delivery: tuple[Future[Delivered], Sequence[SeenName]] | None = None
        self._queue: EventQueue | None = None
        self._follower: Follower | None = None
        self._directories: Directories | None = None
        self._phase, self._cause = WatchPhase.STARTING, ""
        self._before = [0, 0]
        self._hints = self._own = 0
        self._again_at = 0.0
        self._heard = time.monotonic()
        self._doubted = threading.Event()
        self._stop = threading.Event()
        self._thread = loop_thread("watch", self._run)

    def start(self) -> "MountWatch":
        self._thread.start()
        return self

    def stop(self, seconds: float = 5.0) -> None:
        """A thread that hangs in its disk is left to it."""
        self._stop.set()
        self._thread.join(seconds)

    def doubt(self) -> None:
        """From any thread: hints that were passed on may be lost. The whole mount is looked at again."""
        self._doubted.set()

    def status(self) -> WatchStatus:
        """From any thread."""
        now, queue, follower, directories = time.monotonic(), self._queue, self._follower, self._directories
        since = queue.waits_since() if queue else None
        events, lost = self._before
        return WatchStatus(
            self._phase, self._cause,
            lag_seconds=max(now - since if since is not None else 0.0, now - self._heard - _ROOT_SECONDS, 0.0),
            directories=len(directories.tree) if directories else 0,
            unwatched=directories.beyond + directories.unreadable if directories else 0,
            events=events + (follower.events if follower else 0),
            lost=lost + (follower.lost if follower else 0),
            hints=self._hints, own=self._own, waiting=len(self._gathering),
        )  # fmt: skip

    def watched(self) -> set[bytes]:
        """From any thread: the paths of the directories that are watched."""
        directories = self._directories
        return directories.tree.paths() if directories else set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._watch()
            except (RootInDoubt, FilestoreError) as error:
                self._lose_root(str(error) or "Its root is not what it was.")
            except OSError as error:
                self._lose_root(f"It can not be watched: {error.strerror}.", WatchPhase.FAILED)
            self._heard = time.monotonic()
            self._stop.wait(_AGAIN_SECONDS)

    def _lose_root(self, cause: str, phase: WatchPhase = WatchPhase.OFFLINE) -> None:
        """The look that this leads to finds out that the mount is not there; it says nothing of any file."""
        if self._phase in (WatchPhase.WATCHING, WatchPhase.PARTIAL):
            self._gathering.note((), Reason.MOUNT, time.monotonic(), subtree=True)
        self._phase, self._cause = phase, cause
        self._pass_on(None)

    def _watch(self) -> None:
        disk, queue = self._opened(), self._open_queue()
        directories = Directories(disk, queue, self._gathering, self._limit)
        follower = Follower(directories, queue, self._gathering)
        self._queue, self._follower, self._directories = queue, follower, directories
        try:
            self._phase, self._cause = WatchPhase.STARTING, ""
            follower.walk(Reason.STARTED, time.monotonic())
            self._follow(disk, queue, follower, directories)
        finally:
            self._before = [self._before[0] + follower.events, self._before[1] + follower.lost]
            self._queue = self._follower = self._directories = None
            directories.close()
            queue.close()

    def _opened(self) -> Disk:
        try:
            return Disk(self._root, self._uuid)
        except OSError as error:
            raise RootInDoubt(f"Its root can not be opened: {error.strerror}.") from error

    def _follow(self, disk: Disk, queue: EventQueue, follower: Follower, directories: Directories) -> None:
        rest_at = look_at_root = 0.0
        while not self._stop.is_set():
            read = queue.take(_TICK_SECONDS)
            for event in inotify.events(read.buffer) if read else ():
                follower.handle(event, read.at if read else 0.0)
            now = self._heard = time.monotonic()
            if now >= rest_at:
                follower.rest(now)
                self._say(directories)
                self._pass_on(disk)
                rest_at = now + _TICK_SECONDS
            if now >= look_at_root:
                if not (disk.is_at(self._root) and disk.is_intact()):
                    raise RootInDoubt("Another directory stands at its root, or none, or our folder in it was changed.")
                look_at_root = now + _ROOT_SECONDS

    def _say(self, directories: Directories) -> None:
        causes = []
        if directories.beyond:
            causes.append(
                f"{directories.beyond} directories are beyond the limit of watches, and looked at from time to time."
            )
        if directories.unreadable:
            causes.append(f"{directories.unreadable} directories can not be read.")
        self._cause = " ".join(causes)
        self._phase = WatchPhase.PARTIAL if causes else WatchPhase.WATCHING

    def _pass_on(self, disk: Disk | None) -> None:
        now = time.monotonic()
        if self._doubted.is_set():
            self._doubted.clear()
            self._gathering.note((), Reason.LOST, now, subtree=True)
        if self._delivery is not None and not self._taken(now):
            return
        if now < self._again_at:
            return
        if seen := look_at(disk, self._gathering.take(now)):
            self._delivery = self._deliver(seen, self._breadth), seen
            self._again_at = now + (self._gathering.pace.storm if len(seen) > FEW else 0.0)

    def _taken(self, now: float) -> bool:
        """The last delivery has ended. What could not be passed on waits again."""
        assert self._delivery is not None
        future, seen = self._delivery
        if not future.done():
            return False
        self._delivery = None
        try:
            delivered = future.result()
        except Exception:  # its own process has logged it
            delivered = Delivered(0, 0, [one.rested for one in seen])
        self._hints += delivered.hints
        self._own += delivered.own
        for one in delivered.busy:
            self._gathering.give_back(one, now)
        return True

    def _breadth(self, names: tuple[bytes, ...], most: int) -> int:
        directories = self._directories
        return directories.tree.breadth(names, most) if directories else 0
