"""Which paths of a folder may have changed: by inotify, as a set that rests. A doubt is noted for the smallest tree that has it;
rescans are the truth.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Container
from contextlib import suppress

from activities.executors.local.watch import inotify
from activities.executors.local.watch.queue import KernelQueue
from activities.threads import loop_thread
from schema.sync.trees import below

_TICK_SECONDS = 0.05
_OPEN_SECONDS = 1.0
"""A file that is written to and not closed rests after so long"""
_OF_NAMES = inotify.CREATE | inotify.DELETE | inotify.MOVED_FROM | inotify.MOVED_TO


class FolderWatch:
    """`wake` is called from a thread of our own when there may be something due."""

    def __init__(
        self, root: bytes, left_out: Callable[[bytes, bool], bool], quiet: float, wake: Callable[[], None]
    ) -> None:
        self._root, self._left_out, self._quiet, self._wake = root, left_out, quiet, wake
        self._queue = KernelQueue()
        self._paths: dict[int, bytes] = {}
        self._watches: dict[bytes, int] = {}
        self._due: dict[bytes, float] = {}
        self._trees: set[bytes] = {b""}
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._thread = loop_thread("sync-watch", self._run)

    def start(self) -> FolderWatch:
        self._queue.start()
        self._watch(b"")
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self._queue.close()

    def doubt(self, path: bytes = b"") -> None:
        """From any thread: look at this tree again."""
        with self._guard:
            self._trees.add(path)

    def again(self, path: bytes, seconds: float) -> None:
        """From any thread: look at this path later."""
        with self._guard:
            self._due[path] = max(self._due.get(path, 0.0), time.monotonic() + seconds)

    def take(self) -> tuple[set[bytes], set[bytes], float]:
        """Paths that rest, trees to be looked at, and in how many seconds the next path does."""
        now = time.monotonic()
        with self._guard:
            rest = {path for path, due in self._due.items() if due <= now}
            for path in rest:
                del self._due[path]
            trees, self._trees = self._trees, set()
            following = min(self._due.values(), default=now + 60.0) - now
        return rest, trees, max(following, 0.0)

    def presses(self, ours: Container[bytes]) -> bool:
        """Whether a path rests that was not looked at yet, and is none of ours, which only hear of themselves."""
        now = time.monotonic()
        with self._guard:
            return any(due <= now and path not in ours for path, due in self._due.items())

    @property
    def waiting(self) -> int:
        return len(self._due)

    def _run(self) -> None:
        while not self._stop.is_set():
            read = self._queue.take(_TICK_SECONDS)
            if read is None:
                continue
            for event in inotify.events(read.buffer):
                self._handle(event)
            self._wake()

    def _handle(self, event: inotify.Event) -> None:
        watch, mask, _, name = event
        if mask & inotify.OVERFLOW:
            self._watch(b"")
            self.doubt()
            return
        directory = self._paths.get(watch)
        if directory is None:
            return
        if mask & (inotify.IGNORED | inotify.UNMOUNT):
            self._paths.pop(watch, None)
            return
        path = (directory + b"/" + name if directory else name) if name else directory
        if not path or self._left_out(path, bool(mask & inotify.IS_DIRECTORY)):
            return
        if mask & inotify.IS_DIRECTORY and mask & _OF_NAMES:
            self._of_directory(path, mask)
        else:
            self._note(path, _OPEN_SECONDS if mask & (inotify.MODIFY | inotify.CREATE) else self._quiet)

    def _of_directory(self, path: bytes, mask: int) -> None:
        if mask & (inotify.MOVED_FROM | inotify.DELETE):
            self._forget(path, empty=not mask & inotify.MOVED_FROM)
        else:
            self._watch(path)
        self.doubt(path)
        self._note(path, self._quiet)

    def _note(self, path: bytes, seconds: float) -> None:
        with self._guard:
            self._due[path] = time.monotonic() + seconds

    def _watch(self, top: bytes) -> None:
        """A directory is watched first and listed afterwards: what comes between the two is in the list."""
        waiting = [top]
        while waiting:
            path = waiting.pop()
            if not self._add(path):
                continue
            with suppress(OSError), os.scandir(self._root + b"/" + path if path else self._root) as entries:
                for entry in entries:
                    below = path + b"/" + entry.name if path else entry.name
                    if entry.is_dir(follow_symlinks=False) and not self._left_out(below, True):
                        waiting.append(below)

    def _add(self, path: bytes) -> bool:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._root + b"/" + path if path else self._root, flags)
        except OSError:
            return False
        try:
            watch = self._queue.add(descriptor)
        except OSError:
            return False  # beyond the limit of watches: rescans see it
        finally:
            os.close(descriptor)
        self._paths[watch], self._watches[path] = path, watch
        return True

    def _forget(self, path: bytes, *, empty: bool) -> None:
        """`empty`: it was deleted, and what was in it before."""
        inside = set() if empty else below(self._watches, [path])
        for one in [path, *inside] if path in self._watches else inside:
            watch = self._watches.pop(one)
            if self._paths.get(watch) == one:
                del self._paths[watch]
                self._queue.remove(watch)
