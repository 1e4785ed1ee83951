"""Peak resident memory of processes and their children, sampled five times a second."""

import os
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryOfProcess:
    """While it is entered it looks. A family counts its own pages, and once the most that one of it shares: Postgres'
    backends all map the same buffers."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self.peak: dict[str, int] = {}
        self._roots = dict(roots)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryOfProcess":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def watch(self, name: str, pid: int) -> None:
        self._roots[name] = pid

    def shown(self) -> str:
        return ", ".join(f"{name} {peak >> 20} MiB" for name, peak in sorted(self.peak.items()))

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            below = children()
            for name, pid in list(self._roots.items()):
                self.peak[name] = max(self.peak.get(name, 0), _resident(pid, below))


def children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue  # it ended
        found[parent].append(int(stat.parent.name))
    return found


def _resident(root: int, children: Mapping[int, list[int]]) -> int:
    own, shared, waiting = 0, 0, [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        try:
            resident, mapped = map(int, Path(f"/proc/{pid}/statm").read_text().split()[1:3])
        except (OSError, ValueError):
            continue
        own, shared = own + resident - mapped, max(shared, mapped)
    return (own + shared) * _PAGE
