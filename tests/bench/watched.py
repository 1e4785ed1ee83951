"""A watch of a folder in a process of its own: `python -m tests.bench.watched <folder> [--quiet SECONDS]`. It prints a JSON line
for each word on its input: `hints` (all that it has passed on, with their times), `cost` (what it took of the machine), `end`."""

import argparse
import base64
import json
import resource
import sys
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from activities.executors.local.registration import make_mount
from activities.executors.local.watch.limit import WatchLimit
from activities.executors.local.watch.mount import Delivered, MountWatch, WatchPhase
from activities.executors.local.watch.seen import SeenName
from schema.drift.fold import Breadth, fold
from schema.drift.gather import Pace
from schema.drift.hints import Hint

_PAGE = resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--quiet", type=float, default=Pace().quiet)
    given = parser.parse_args()
    mount_uuid, taken = str(uuid.uuid4()), list[tuple[float, Hint]]()
    make_mount(given.folder, mount_uuid)

    def deliver(seen: Sequence[SeenName], breadth: Breadth) -> "Future[Delivered]":
        done: Future[Delivered] = Future()
        hints = fold([one.rested.hint for one in seen], breadth)
        taken.extend((time.monotonic(), hint) for hint in hints)
        done.set_result(Delivered(len(hints), 0, []))
        return done

    began = time.monotonic()
    watch = MountWatch(given.folder, mount_uuid, deliver, Pace(quiet=given.quiet), WatchLimit()).start()
    while watch.status().phase is WatchPhase.STARTING:
        time.sleep(0.01)
    print(json.dumps({"walk_s": time.monotonic() - began, "directories": watch.status().directories}), flush=True)
    for word in map(str.strip, sys.stdin):
        if word == "end":
            break
        print(json.dumps(_hints(taken) if word == "hints" else _cost(watch)), flush=True)
    watch.stop()


def _hints(taken: Sequence[tuple[float, Hint]]) -> object:
    return [(at, base64.b64encode(hint.path).decode(), hint.subtree) for at, hint in list(taken)]


def _cost(watch: MountWatch) -> object:
    used, status = resource.getrusage(resource.RUSAGE_SELF), watch.status()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "cpu_s": used.ru_utime + used.ru_stime, "rss_mib": pages * _PAGE / 2**20, "events": status.events,
        "lost": status.lost, "waiting": status.waiting, "lag_s": status.lag_seconds,
    }  # fmt: skip


if __name__ == "__main__":
    main()
