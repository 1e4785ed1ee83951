"""A watch of a local mount: `python -m tests.bench.watch [--part change,storm,size,own] [--files 1000000] [--quick]`.

change: a file changed by hand, until its hint; beside raw inotify in a process that does nothing else, and beside the rest that a
name is given. storm: 50,000 creations in new directories, by two processes: which of them have no hint. size: memory and
processor time over a tree. own: uploads at full rate through the service, and how much of it the watcher takes for work.
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from activities.executors.local.watch import inotify
from schema.drift.hints import Hint
from tests.bench.running import BenchService, measure, process, service, stack
from tests.fix_stack import REPOSITORY


class WatchedFolder:
    """`tests.bench.watched`, spoken to."""

    def __init__(self, folder: Path, quiet: float) -> None:
        words = [sys.executable, "-m", "tests.bench.watched", str(folder), "--quiet", str(quiet)]
        self._process = subprocess.Popen(
            words, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.start = self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def _ask(self, word: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._answer()

    def cost(self) -> dict[str, float]:
        return dict(self._ask("cost"))

    def hints(self) -> list[tuple[float, Hint]]:
        return [(at, Hint(base64.b64decode(path), subtree)) for at, path, subtree in self._ask("hints")]

    def end(self) -> None:
        self._process.communicate("end\n")


@contextmanager
def watched(folder: Path, quiet: float = 0.5) -> Iterator[WatchedFolder]:
    one = WatchedFolder(folder, quiet)
    try:
        yield one
    finally:
        one.end()


def settled(watch: WatchedFolder) -> dict[str, float]:
    """The cost once nothing waits any more."""
    events = -1.0
    while True:
        cost = watch.cost()
        if cost["events"] == events and cost["waiting"] == 0 and cost["lag_s"] == 0:
            return cost
        events = cost["events"]
        time.sleep(1)


# A change by hand


def changes(folder: Path, rounds: int) -> None:
    for quiet in (0.5, 0.05):
        root = folder / f"change-{quiet}"
        root.mkdir()
        with watched(root, quiet) as watch:
            settled(watch)  # the hint for the start covers what happens at once
            begun = [_changed(root / f"f{n}", quiet) for n in range(rounds)]
            settled(watch)
            found = {hint.path: at for at, hint in watch.hints()}
        took = [found[b"f%d" % n] - at for n, at in enumerate(begun)]
        _show(f"change to hint, rest of {quiet:g} s", took)
    _show("change to raw inotify", _raw(folder / "raw", rounds))


def _changed(file: Path, pause: float) -> float:
    began = time.monotonic()
    file.write_bytes(b"changed by hand")
    time.sleep(pause)
    return began


def _raw(root: Path, rounds: int) -> list[float]:
    root.mkdir()
    queue, folder = inotify.open_queue(), os.open(root, os.O_RDONLY)
    inotify.add_watch(queue, folder)
    os.set_blocking(queue, True)
    took = []
    for n in range(rounds):
        writer = os.fork()
        if writer == 0:
            time.sleep(0.01)
            at = time.monotonic()
            (root / f"f{n}").write_bytes(b"%f" % at)
            os._exit(0)
        while not any(mask & inotify.CLOSE_WRITE for _, mask, _, _ in inotify.events(os.read(queue, 4096))):
            pass
        seen = time.monotonic()
        os.waitpid(writer, 0)
        took.append(seen - float((root / f"f{n}").read_bytes()))
    return took


def _show(name: str, took: Sequence[float]) -> None:
    ordered = sorted(1e3 * one for one in took)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"{name:32s} min {ordered[0]:8.1f} ms  median {statistics.median(ordered):8.1f} ms  p99 {p99:8.1f} ms")


# 50,000 creations in new directories


def created(root: str, writer: int, count: int) -> float:
    began = time.monotonic()
    for n in range(count):
        folder = f"{root}/w{writer}/{n // 500}/{n // 50}"
        if n % 50 == 0:
            os.makedirs(folder)
        os.close(os.open(f"{folder}/{n}", os.O_CREAT | os.O_WRONLY))
    return time.monotonic() - began


def storm(folder: Path, count: int) -> None:
    root = folder / "storm"
    root.mkdir()
    with watched(root) as watch:
        before = settled(watch)
        with ProcessPoolExecutor(2) as writers:
            took = max(writers.map(created, [str(root)] * 2, [0, 1], [count // 2] * 2))
        after = settled(watch)
        hints = [hint for _, hint in watch.hints()]
    single = {hint.path for hint in hints}
    trees = {hint.path for hint in hints[1:] if hint.subtree}  # the first one is for the start
    files = [f"w{w}/{n // 500}/{n // 50}/{n}".encode() for w in range(2) for n in range(count // 2)]
    missing = [file for file in files if file not in single and not _below(file, trees)]
    cpu = after["cpu_s"] - before["cpu_s"]
    print(
        f"storm: {count} creations in {count // 50} new directories at {count / took:.0f}/s: {len(missing)} without a hint, "
        f"{len(hints) - 1} hints ({len(trees)} trees), {after['events']:.0f} events, {after['lost']:.0f} losses, {cpu:.1f} s of "
        f"processor, {after['rss_mib']:.0f} MiB"
    )


def _below(file: bytes, trees: set[bytes]) -> bool:
    names = file.split(b"/")
    return any(b"/".join(names[:n]) in trees for n in range(len(names) + 1))


# A large tree


def filled(root: str, part: int, count: int) -> None:
    for n in range(count):
        if n % 100 == 0:
            folder = f"{root}/{part}/{n // 10_000}/{n // 100}"
            os.makedirs(folder)
        os.close(os.open(f"{folder}/{n}", os.O_CREAT | os.O_WRONLY))


def size(folder: Path, files: int) -> None:
    root = folder / "size"
    root.mkdir()
    with ProcessPoolExecutor(2) as writers:
        list(writers.map(filled, [str(root)] * 2, [0, 1], [files // 2] * 2))
    empty = folder / "empty"
    empty.mkdir()
    with watched(empty) as watch:
        base = watch.cost()
    with watched(root) as watch:
        start = watch.cost()
        time.sleep(20)
        idle = watch.cost()
        walk = watch.start
    more, cpu = start["rss_mib"] - base["rss_mib"], start["cpu_s"] - base["cpu_s"]
    rate, rest = files / walk["walk_s"], (idle["cpu_s"] - start["cpu_s"]) / 20
    print(f"size: {files} files in {walk['directories']} directories")
    print(f"    walked in {walk['walk_s']:.1f} s ({rate:.0f} files/s), {cpu:.1f} s of processor")
    print(
        f"    memory {start['rss_mib']:.0f} MiB, {more:.0f} more than over an empty folder; idle {rest:.1%} of a processor"
    )


# Our own commands


def own(folder: Path, requests: int) -> None:
    with stack() as running, service(running, folder) as filestore:
        env = {**running.env, "FILESTORE_DATABASE_URL": filestore.database}
        mount = filestore.local_mount(folder / "own")
        with process("-m", "workers.watcher", env=env, ready=f"{filestore.url}/ready") as watcher:
            _until_watched(filestore, mount)
            before, used = _row(filestore, mount), _processor(watcher.pid)
            rate = measure("load", "upload", filestore.url, 64, requests, *filestore.arguments(mount))["per_s"]
            _until_rest(filestore, mount)
            after, cpu = _row(filestore, mount), _processor(watcher.pid) - used
    names, hints = after["own"] - before["own"], after["hints"] - before["hints"]
    print(f"own: {requests} uploads at {rate:.0f}/s: {names} names recognised, {hints} hints ({hints / requests:.2%})")
    print(
        f"    {cpu:.1f} s of processor, {1e3 * cpu / requests:.2f} ms a command, {cpu * rate / requests:.0%} of one meanwhile"
    )


def _row(filestore: BenchService, mount: str) -> dict[str, Any]:
    with psycopg.connect(filestore.database, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM filestore.watchers WHERE mount_id = %s", (mount,)).fetchone() or {}


def _until_watched(filestore: BenchService, mount: str) -> None:
    while _row(filestore, mount).get("phase") != "watching":
        time.sleep(0.2)
    _until_rest(filestore, mount)


def _until_rest(filestore: BenchService, mount: str) -> None:
    events = -1
    while (now := _row(filestore, mount)["events"]) != events:
        events = now
        time.sleep(6)


def _processor(pid: int) -> float:
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="change,storm,size,own")
    parser.add_argument("--files", type=int)
    parser.add_argument("--quick", action="store_true", help="small: to see that it works")
    given = parser.parse_args()
    parts, quick = given.part.split(","), given.quick
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as name:
        folder = Path(name)
        if "change" in parts:
            changes(folder, 5 if quick else 50)
        if "storm" in parts:
            storm(folder, 2_000 if quick else 50_000)
        if "size" in parts:
            size(folder, given.files or (10_000 if quick else 1_000_000))
        if "own" in parts:
            own(folder, 500 if quick else 5_000)


if __name__ == "__main__":
    main()
