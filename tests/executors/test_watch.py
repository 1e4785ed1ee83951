"""A watch of a local mount on a real disk: every change has a hint that covers it, and a doubt has one that is wide enough."""

import os
import random
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from activities.executors.local.registration import make_mount
from activities.executors.local.watch import mount
from activities.executors.local.watch.limit import WatchLimit
from activities.executors.local.watch.mount import Delivered, MountWatch, WatchPhase
from activities.executors.local.watch.queue import EventQueue, EventRead, KernelQueue
from activities.executors.local.watch.seen import SeenName
from schema.drift.fold import Breadth, fold
from schema.drift.gather import Pace
from schema.drift.hints import Hint
from tests.sampling import SEED

PATIENCE = 30.0
PACE = Pace(quiet=0.1, rest=0.5, longest=5.0, storm=0.5)


@dataclass
class Watching:
    """A watch, and the hints that it has passed on."""

    root: Path
    mount_uuid: str
    watch: MountWatch = field(init=False)
    hints: list[Hint] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)
    failing: bool = False

    def start(self, limit: int = 0, open_queue: Callable[[], EventQueue] = lambda: KernelQueue().start()) -> "Watching":
        pace = replace(PACE, unwatched=1.0)
        self.watch = MountWatch(
            str(self.root), self.mount_uuid, self.deliver, pace, WatchLimit(limit), open_queue
        ).start()
        self.until(lambda: any(hint.reason == "started" for hint in self.hints))
        self.hints.clear()
        return self

    def deliver(self, seen: Sequence[SeenName], breadth: Breadth) -> "Future[Delivered]":
        future: Future[Delivered] = Future()
        if self.failing:
            future.set_exception(ConnectionError("no database"))
            return future
        hints = fold([one.rested.hint for one in seen], breadth)
        self.hints += hints
        future.set_result(Delivered(len(hints), 0, []))
        return future

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, (self.hints[-20:], self.watch.status())
            time.sleep(0.01)

    def covered(self, *paths: str) -> None:
        """Each has a hint, and once all rest nothing else waits."""
        self.until(lambda: all(any(hint.covers(path.encode()) for hint in list(self.hints)) for path in paths))

    def rests(self) -> None:
        self.until(lambda: self.watch.status().waiting == 0 and self.watch.status().lag_seconds == 0)

    def trees(self) -> set[bytes]:
        return {hint.path for hint in self.hints if hint.subtree}


@pytest.fixture
def watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watching]:
    for pause in ("_AGAIN_SECONDS", "_ROOT_SECONDS"):
        monkeypatch.setattr(mount, pause, 0.2)
    root, mount_uuid = tmp_path / "mount", str(uuid.uuid4())
    root.mkdir()
    make_mount(str(root), mount_uuid)
    one = Watching(root, mount_uuid)
    yield one
    one.watch.stop()


def test_each_kind_of_change_has_a_hint(watching: Watching) -> None:
    root = watching.root
    for name in ("written", "touched", "removed", "linked", "moved", "mode"):
        (root / name).write_bytes(b"old")
    (root / "folder").mkdir()
    raw = os.fsencode(root) + b"/\xff\\ name"
    watching.start()

    (root / "new").write_bytes(b"new")
    (root / "written").write_bytes(b"other")
    os.utime(root / "touched")
    (root / "removed").unlink()
    os.link(root / "linked", root / "link")
    os.symlink("written", root / "symlink")
    os.mkfifo(root / "fifo")
    (root / "moved").rename(root / "folder" / "arrived")
    (root / "mode").chmod(0o600)
    os.close(os.open(raw, os.O_CREAT | os.O_WRONLY))

    watching.covered(
        "new", "written", "touched", "removed", "link", "symlink", "fifo", "moved", "folder/arrived", "mode"
    )
    watching.until(lambda: any(hint.path == b"\xff\\ name" for hint in watching.hints))
    assert watching.trees() == set()
    assert all(not hint.path.startswith(b".filestore") for hint in watching.hints)
    reasons = {hint.path: hint.reason for hint in watching.hints}
    assert (reasons[b"moved"], reasons[b"folder/arrived"], reasons[b"removed"]) == ("left", "arrived", "gone")


def test_files_in_directories_that_come_into_being_at_the_same_moment_are_covered(watching: Watching) -> None:
    watching.start()
    paths = []
    for n in range(200):
        folder = watching.root / f"t{n % 5}" / f"d{n}" / "e"
        folder.mkdir(parents=True)
        (folder / "f").write_bytes(b"x")
        paths.append(f"t{n % 5}/d{n}/e/f")

    watching.covered(*paths)
    watching.rests()
    (watching.root / "t3/d3/e/later").write_bytes(b"x")
    watching.hints.clear()
    watching.covered("t3/d3/e/later")
    assert watching.watch.status().directories == 1 + 5 + 2 * 200


def test_a_moved_tree_keeps_its_watches_under_its_new_name(watching: Watching) -> None:
    (watching.root / "a/b/c").mkdir(parents=True)
    (watching.root / "x").mkdir()
    watching.start()
    (watching.root / "a").rename(watching.root / "x/y")
    watching.covered("a", "x/y")
    watching.hints.clear()
    (watching.root / "x/y/b/c/f").write_bytes(b"x")

    watching.covered("x/y/b/c/f")
    assert watching.trees() == set()


def test_a_tree_that_leaves_the_mount_is_not_watched_any_more_and_one_that_comes_is(
    watching: Watching, tmp_path: Path
) -> None:
    (watching.root / "a/b").mkdir(parents=True)
    (tmp_path / "outside/deep").mkdir(parents=True)
    (tmp_path / "outside/deep/f").write_bytes(b"x")
    watching.start()
    (watching.root / "a").rename(tmp_path / "gone")
    (tmp_path / "outside").rename(watching.root / "came")
    watching.covered("a", "came", "came/deep/f")
    watching.until(lambda: watching.watch.status().directories == 3)
    watching.hints.clear()
    (tmp_path / "gone/b/f").write_bytes(b"x")
    (watching.root / "came/deep/g").write_bytes(b"x")

    watching.covered("came/deep/g")
    assert {hint.path for hint in watching.hints} == {b"came/deep/g"}


def test_directories_that_change_their_names_in_a_circle_are_followed(watching: Watching) -> None:
    for name in "abc":
        (watching.root / name / "in").mkdir(parents=True)
    watching.start()
    for _ in range(100):
        for source, target in ("at", "ba", "cb", "tc"):
            (watching.root / source).rename(watching.root / target)
    watching.rests()
    watching.hints.clear()
    for name in "abc":
        (watching.root / name / "in" / name).write_bytes(b"x")

    watching.covered("a/in/a", "b/in/b", "c/in/c")


@dataclass
class DirectoryNemesis:
    """Makes, moves, removes, takes out and brings back directories at random."""

    root: Path
    outside: Path
    random: random.Random

    def run(self, steps: int) -> None:
        for _ in range(steps):
            with suppress(OSError, IndexError):
                self.step(self.somewhere(), self.random.choice("abcdef"), self.random.random())

    def somewhere(self) -> Path:
        here = self.root
        for _ in range(self.random.randrange(4)):
            below = [entry for entry in here.iterdir() if entry.is_dir() and entry.name != ".filestore"]
            here = self.random.choice(below) if below else here
        return here

    def step(self, here: Path, name: str, chance: float) -> None:
        if chance < 0.5:
            (here / name / self.random.choice("abc")).mkdir(parents=True)
        elif chance < 0.93 and here == self.root:
            (self.outside / self.random.choice(os.listdir(self.outside))).rename(here / name)
        elif chance < 0.75:
            here.rename(self.somewhere() / name)
        elif chance < 0.85:
            here.rename(self.outside / uuid.uuid4().hex)
        elif chance < 0.93:
            (self.outside / self.random.choice(os.listdir(self.outside))).rename(here / name)
        else:
            shutil.rmtree(here) if here != self.root else (here / name).mkdir()


def directories_of(root: Path) -> set[bytes]:
    found = {b""}
    for folder, below, _ in os.walk(root):
        below[:] = [name for name in below if name != ".filestore"]
        found |= {os.fsencode(os.path.relpath(os.path.join(folder, name), root)) for name in below}
    return found


def test_whatever_moves_about_every_directory_is_watched_under_its_name_in_the_end(
    watching: Watching, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    watching.start()
    nemeses = [DirectoryNemesis(watching.root, outside, random.Random(SEED + n)) for n in range(3)]
    threads = [threading.Thread(target=nemesis.run, args=(250,)) for nemesis in nemeses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    there = directories_of(watching.root)
    watching.until(lambda: watching.watch.watched() == there)
    watching.rests()
    watching.hints.clear()
    for folder in there:
        (watching.root / os.fsdecode(folder) / "at the end").write_bytes(b"x")
    watching.covered(*(os.path.join(os.fsdecode(folder), "at the end") for folder in there))


def test_a_storm_becomes_few_hints(watching: Watching) -> None:
    watching.start()
    (watching.root / "flat").mkdir()
    for n in range(3_000):
        os.close(os.open(watching.root / "flat" / f"{n}", os.O_CREAT | os.O_WRONLY))
    watching.covered(*(f"flat/{n}" for n in range(3_000)))
    watching.rests()

    assert watching.watch.status().lost == 0
    assert len(watching.hints) < 3_000 / 20, "how few depends on how long the machine takes for the storm"
    watching.hints.clear()
    shutil.rmtree(watching.root / "flat")
    watching.covered("flat", "flat/0", "flat/2999")
    watching.rests()
    assert len(watching.hints) < 3_000 / 20, "how few depends on how long the machine takes for the storm"


class HeldQueue(KernelQueue):
    """Its thread can be held, as if the process were stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    def _keep(self, buffer: bytes) -> None:
        self.go.wait()
        super()._keep(buffer)


def test_after_an_overflow_of_the_queue_the_whole_mount_is_looked_at_and_every_directory_is_watched(
    watching: Watching,
) -> None:
    queue = HeldQueue()
    (watching.root / "before").mkdir()
    (watching.root / "other").mkdir()
    watching.start(open_queue=lambda: queue.start())
    queue.go.clear()
    folders = [os.open(watching.root / name, os.O_RDONLY) for name in ("before", "other")]
    for n in range(17_000):  # more than the kernel keeps, and no two alike in a row
        os.utime(folders[n % 2])
    for folder in folders:
        os.close(folder)
    (watching.root / "before").rename(watching.root / "after")
    (watching.root / "unseen/deep").mkdir(parents=True)
    (watching.root / "unseen/deep/f").write_bytes(b"x")
    queue.go.set()
    watching.until(lambda: any(hint == Hint(b"", True, "lost") for hint in watching.hints))

    assert watching.watch.status().lost >= 1
    watching.rests()
    watching.hints.clear()
    (watching.root / "after/later").write_bytes(b"x")
    (watching.root / "unseen/deep/later").write_bytes(b"x")
    watching.covered("after/later", "unseen/deep/later")
    assert watching.watch.status().phase is WatchPhase.WATCHING


def test_beyond_the_limit_the_tree_is_watched_from_the_top_and_the_status_says_so(watching: Watching) -> None:
    for n in range(150):
        (watching.root / f"d{n}" / "deep").mkdir(parents=True)
    watching.start(limit=100)

    watching.until(lambda: watching.watch.status().phase is WatchPhase.PARTIAL)
    status = watching.watch.status()
    assert (status.directories, status.unwatched) == (100, 51 + 99)
    assert status.cause == "150 directories are beyond the limit of watches, and looked at from time to time."
    (watching.root / "at the top").write_bytes(b"x")
    (watching.root / "new").mkdir()
    (watching.root / "new/f").write_bytes(b"x")
    watching.covered("at the top", "new", "new/f")
    (watching.root / "d149/deep/unseen").write_bytes(b"x")
    watching.covered("d149/deep/unseen", "d3/deep/whatever")


def test_a_root_that_is_moved_away_is_offline_and_watched_again_when_it_is_back(
    watching: Watching, tmp_path: Path
) -> None:
    watching.start()
    watching.root.rename(tmp_path / "elsewhere")
    watching.until(lambda: watching.watch.status().phase is WatchPhase.OFFLINE)
    watching.until(lambda: Hint(b"", True, "mount") in watching.hints)
    watching.root.mkdir()  # empty: no mount of ours
    time.sleep(0.3)
    assert watching.watch.status().phase is WatchPhase.OFFLINE
    watching.root.rmdir()
    (tmp_path / "elsewhere/meanwhile").write_bytes(b"x")
    (tmp_path / "elsewhere").rename(watching.root)
    watching.until(lambda: Hint(b"", True, "started") in watching.hints)
    watching.hints.clear()
    (watching.root / "later").write_bytes(b"x")

    watching.covered("later")


@pytest.fixture
def disk_in_it(watching: Watching) -> Iterator[Path]:
    """A file system of its own below the root."""
    place = watching.root / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def test_a_disk_below_the_root_that_is_unmounted_is_looked_at_and_what_it_covered_is_watched(
    watching: Watching, disk_in_it: Path
) -> None:
    (disk_in_it / "deep").mkdir()
    watching.start()
    assert watching.watch.watched() == {b"", b"disk", b"disk/deep"}
    subprocess.run(["umount", str(disk_in_it)], check=True)
    watching.until(lambda: Hint(b"disk", True, "lost") in watching.hints)
    watching.until(lambda: watching.watch.watched() == {b"", b"disk"})
    watching.rests()
    (disk_in_it / "later").write_bytes(b"x")
    watching.covered("disk/later")


def test_our_own_folder_taken_away_is_a_doubt_of_the_mount(watching: Watching) -> None:
    watching.start()
    (watching.root / ".filestore").rename(watching.root / "stolen")

    watching.until(lambda: watching.watch.status().phase is WatchPhase.OFFLINE)


def test_what_can_not_be_passed_on_waits(watching: Watching) -> None:
    watching.start()
    watching.failing = True
    (watching.root / "f").write_bytes(b"x")
    watching.until(lambda: watching.watch.status().events > 0)
    time.sleep(0.5)
    assert watching.hints == []
    watching.failing = False

    watching.covered("f")


def test_hints_that_may_be_lost_lead_to_a_look_at_the_whole_mount(watching: Watching) -> None:
    watching.start()
    watching.watch.doubt()

    watching.until(lambda: Hint(b"", True, "lost") in watching.hints)


def test_a_file_that_is_written_to_is_left_alone_until_it_rests(watching: Watching) -> None:
    watching.start()
    with open(watching.root / "long", "wb", buffering=0) as file:
        file.write(b"x")
        watching.until(lambda: watching.watch.status().events > 1)
        file.write(b"y")
        written = time.monotonic()
    watching.covered("long")
    assert time.monotonic() - written >= PACE.quiet


def test_a_queue_without_room_says_that_it_lost_events() -> None:
    queue = KernelQueue(most_bytes=100)
    for n in range(5):
        queue._keep(b"%d" % n * 40)

    reads = [read for read in iter(lambda: queue.take(0), None)]
    assert [len(read.buffer) for read in reads] == [40, 40, 16]
    assert isinstance(reads[0], EventRead)
    queue.close()
