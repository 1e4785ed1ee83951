"""A nemesis: a thread that writes, renames, deletes, truncates, swaps files for links and replaces trees on a mount, as fast as it
can. It knows what it has destroyed itself: it looks through the descriptor that it writes to, and swaps names instead of replacing
what lies there. All else that was ever written has to be somewhere.
"""

import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from activities.executors.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2

NAMES = ("a", "b", "c", "d", "e")
_BASE = os.open("/", os.O_PATH)


class NemesisContents:
    """Contents that no other file has, all of one length, so that one is written over another whole. What was written, and what the
    nemesis itself has destroyed."""

    def __init__(self, word: bytes = b"content") -> None:
        self._word = word
        self._number, self._lock = count(), threading.Lock()
        self.written: set[bytes] = set()
        self.destroyed: set[bytes] = set()

    def new(self) -> bytes:
        token = b"%s %08d" % (self._word, next(self._number))
        with self._lock:
            self.written.add(token)
        return token

    def destroy(self, content: bytes) -> None:
        with self._lock:
            self.destroyed.add(content)

    @property
    def left(self) -> set[bytes]:
        return self.written - self.destroyed


@dataclass
class Nemesis:
    root: Path
    bag: Path
    """Outside of the mount, on the same disk"""
    dice: random.Random
    tokens: NemesisContents
    steps: int = 0
    _number: "count[int]" = field(default_factory=count)

    def step(self) -> None:
        self.steps += 1
        ways: list[Callable[[], None]] = [
            self.creates, self.creates, self.writes, self.truncates, self.renames, self.renames, self.takes, self.swaps,
            self.links, self.brings_back, self.replaces_a_tree, self.makes_a_directory,
        ]  # fmt: skip
        with suppress(OSError):
            self.dice.choice(ways)()

    # Places

    def anywhere(self) -> Path:
        depth = self.dice.choice((1, 1, 2, 2, 3))
        return self.root.joinpath(*(self.dice.choice(NAMES) for _ in range(depth)))

    def aside(self) -> Path:
        return self.bag / f"{next(self._number)}"

    def _file(self) -> Path:
        made = self.aside()
        made.write_bytes(self.tokens.new())
        return made

    def _swapped(self, ours: Path, place: Path) -> None:
        """What lay there is ours from now on."""
        try:
            renameat2(_BASE, os.fsencode(ours)[1:], _BASE, os.fsencode(place)[1:], RENAME_EXCHANGE)
        finally:
            self.forget(ours)

    def forget(self, place: Path) -> None:
        """It lies in the bag: nothing else can reach it."""
        if place.is_symlink():
            place.unlink()
        elif place.is_dir():
            for below in place.iterdir():
                self.forget(below)
            place.rmdir()
        else:
            self.tokens.destroy(place.read_bytes())
            place.unlink()

    # What it does

    def creates(self) -> None:
        """The file appears whole: a name without content would be lost as well, and says nothing."""
        made = self._file()
        try:
            self._moves(made, self.anywhere())
        except OSError:
            self.forget(made)

    def writes(self) -> None:
        self._rewritten(self.tokens.new())

    def truncates(self) -> None:
        self._rewritten(b"")

    def _rewritten(self, content: bytes) -> None:
        try:
            descriptor = os.open(self.anywhere(), os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            self.tokens.destroy(content)
            raise
        try:
            self.tokens.destroy(os.pread(descriptor, 1000, 0))
            os.pwrite(descriptor, content, 0) if content else os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def renames(self) -> None:
        self._moves(self.anywhere(), self.anywhere())

    def _moves(self, source: Path, target: Path) -> None:
        renameat2(_BASE, os.fsencode(source)[1:], _BASE, os.fsencode(target)[1:], RENAME_NOREPLACE)

    def takes(self) -> None:
        """Deletes, or carries away for a while."""
        kept = self.aside()
        self._moves(self.anywhere(), kept)
        if self.dice.random() < 0.7:
            self.forget(kept)

    def swaps(self) -> None:
        """As a program that saves by rename."""
        self._swapped(self._file(), self.anywhere())

    def links(self) -> None:
        link = self.aside()
        link.symlink_to(self.bag.parent / "outside")
        self._swapped(link, self.anywhere())

    def brings_back(self) -> None:
        kept = [one for one in self.bag.iterdir()]
        if kept:
            self._moves(self.dice.choice(kept), self.anywhere())

    def replaces_a_tree(self) -> None:
        tree = self.aside()
        (tree / self.dice.choice(NAMES)).mkdir(parents=True)
        (tree / "f").write_bytes(self.tokens.new())
        self._swapped(tree, self.anywhere())

    def makes_a_directory(self) -> None:
        self.anywhere().mkdir()

    # At the end

    def leave(self) -> None:
        """What it still carries is its own."""
        for kept in self.bag.iterdir():
            self.forget(kept)
