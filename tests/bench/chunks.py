"""How long a large tree or file holds up its neighbours, in their list and in a workflow of its own.

    python -m tests.bench.chunks [--nodes 1000,10000,50000] [--mib 1,4,16,64] [--rounds 3] [--neighbours 8] [--quick]

What justifies TREE_INLINE_NODES and COPY_INLINE_BYTES (schema/commands/decisions/parts.py). A local mount, twice: once with both
limits lifted (everything stays in its list) and once with both at nothing. Each command runs alone, for its own time and
that of its transaction in `commit`, then among clients that make directories: the longest of their waits while it runs is
what it costs others, beside the longest of the second before. (A copy of a tree has a workflow of its own in both.)
"""

import argparse
import asyncio
import statistics
import tempfile
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.running import BenchService, measure, service, stack

SEED = 100
"""Nodes of the smallest tree: a directory and its files. Larger ones are grown of copies of it."""
BOUNDLESS = 2**62


@dataclass
class ChunkMount:
    ours: BenchService
    id: str
    notes: Path
    session: aiohttp.ClientSession

    async def send(self, method: str, route: str, /, **body: Any) -> Any:
        asked = {"backendMountId": int(self.id), **body}
        async with self.session.request(method, self.ours.url + route, json=asked) as answer:
            data = await answer.json()
            if answer.status not in (200, 201):
                raise SystemExit(f"{method} {route} {body} answered {answer.status}: {data}")
            return data["data"]

    async def mkdir(self, path: str) -> None:
        await self.send("POST", "/v1/directories", path=path)

    async def upload(self, path: str, size: int) -> None:
        form = aiohttp.FormData({"backendMountId": self.id, "path": path})
        form.add_field("file", bytes(size), filename="f")
        async with self.session.post(f"{self.ours.url}/v1/files", data=form) as answer:
            if answer.status != 201:
                raise SystemExit(f"the upload of {path} answered {answer.status}: {await answer.text()}")

    def longest_transaction(self, since: float) -> float:
        """Milliseconds, of those that ended since then."""
        lines = [line.split() for line in self.notes.read_text().splitlines()]
        return max((float(took) for ended, took in lines if float(ended) >= since), default=0.0)


@dataclass
class Neighbours:
    """Clients that make one directory after the other, and remember how long each took."""

    mount: ChunkMount
    count: int
    waits: list[tuple[float, float]] = field(default_factory=list)

    async def __aenter__(self) -> "Neighbours":
        self.below = f"neighbours-{uuid.uuid4().hex}"
        await self.mount.mkdir(self.below)
        self.going = True
        self.clients = [asyncio.create_task(self._client()) for _ in range(self.count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.going = False
        await asyncio.gather(*self.clients)

    async def _client(self) -> None:
        while self.going:
            began = time.perf_counter()
            await self.mount.mkdir(f"{self.below}/{uuid.uuid4().hex}")
            self.waits.append((began, time.perf_counter()))

    def longest(self, began: float, ended: float) -> float:
        """Milliseconds, of the waits that overlap this time."""
        return max((b - a for a, b in self.waits if a < ended and b > began), default=0.0) * 1e3


async def grown(mount: ChunkMount, nodes: int, known: dict[int, str]) -> str:
    """The path of a tree with so many nodes (and the directories that hold its copies)."""
    below, tree = max(size for size in known if size < nodes), f"tree-{nodes}"
    await mount.mkdir(tree)
    for number in range(nodes // below):
        await mount.send("POST", "/v1/nodes/copy", path=known[below], targetPath=f"{tree}/{number}")
    known[nodes] = tree
    return tree


@dataclass
class ChunkStep:
    """One request. Without a label it only brings all back to where it was."""

    label: str
    method: str
    path: str
    body: dict[str, Any]

    async def take(self, mount: ChunkMount) -> None:
        await mount.send(self.method, self.path, **self.body)


def of_tree(tree: str) -> list[ChunkStep]:
    return [
        ChunkStep("move", "POST", "/v1/nodes/move", {"path": tree, "targetPath": f"{tree}-moved"}),
        ChunkStep("", "POST", "/v1/nodes/move", {"path": f"{tree}-moved", "targetPath": tree}),
        ChunkStep("delete", "DELETE", "/v1/nodes", {"path": tree, "recursive": True}),
        ChunkStep("restore", "POST", "/v1/nodes/restore", {"path": tree}),
        *copied("copy", tree),
    ]


def copied(label: str, path: str) -> list[ChunkStep]:
    return [
        ChunkStep(label, "POST", "/v1/nodes/copy", {"path": path, "targetPath": f"{path}-copy"}),
        ChunkStep("", "DELETE", "/v1/nodes", {"path": f"{path}-copy", "recursive": True}),
    ]


async def alone(mount: ChunkMount, step: ChunkStep) -> dict[str, float]:
    began, since = time.perf_counter(), time.time()
    await step.take(mount)
    took = (time.perf_counter() - began) * 1e3
    await asyncio.sleep(0.5)  # the client is answered before the transaction's time is noted
    return {"alone": took, "transaction": mount.longest_transaction(since)}


async def among(mount: ChunkMount, step: ChunkStep, count: int) -> dict[str, float]:
    async with Neighbours(mount, count) as others:
        await asyncio.sleep(1.5)  # the first half second is theirs to begin
        began = time.perf_counter()
        await step.take(mount)
        ended = time.perf_counter()
    # Only now are those answered that were under way when it ended.
    return {"before": others.longest(began - 1, began), "neighbours": others.longest(began, ended)}


Rows = dict[tuple[str, str], dict[str, list[float]]]
"""By size and label, then by figure"""


async def measured(ours: BenchService, mount_id: str, notes: Path, given: argparse.Namespace) -> Rows:
    rows: Rows = defaultdict(lambda: defaultdict(list))
    headers = {"Authorization": f"Bearer {ours.token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as session:
        mount = ChunkMount(ours, mount_id, notes, session)
        known = {SEED: "seed"}
        await asyncio.to_thread(
            measure, "load", "upload", ours.url, 16, SEED - 1, "--below", "seed", *ours.arguments(mount_id)
        )
        work = [(f"{nodes} nodes", of_tree(await grown(mount, nodes, known))) for nodes in sorted(given.nodes)]
        for mib in given.mib:
            await mount.upload(f"file-{mib}", mib << 20)
            work.append((f"{mib} MiB", copied("copy a file", f"file-{mib}")))
        for size, steps in work:
            for turn in range(2 * given.rounds):
                for step in steps:
                    if not step.label:
                        await step.take(mount)
                        continue
                    took = await (among(mount, step, given.neighbours) if turn % 2 else alone(mount, step))
                    for name, figure in took.items():
                        rows[size, step.label][name].append(figure)
    return rows


def show(lifted: Rows, apart: Rows) -> None:
    print("milliseconds, medians; in the list | in a workflow of its own; neighbours: the longest wait of one")
    print(f"{'':24s} {'alone':>15s}   {'transaction':>15s}   {'neighbours':>15s}   {'without it':>15s}")
    for (size, label), listed in lifted.items():
        shown = [
            f"{statistics.median(listed[name]):7.0f}|{statistics.median(apart[size, label][name]):7.0f}"
            for name in ("alone", "transaction", "neighbours", "before")
        ]
        print(f"{label:11s} {size:12s} {'   '.join(shown)}")


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=numbers)
    parser.add_argument("--mib", type=numbers)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--neighbours", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="one round with small sizes: to see that it works")
    given = parser.parse_args()
    given.nodes = given.nodes or ([1000] if given.quick else [1000, 10_000, 50_000])
    given.mib = given.mib or ([1, 4] if given.quick else [1, 4, 16, 64])
    given.rounds = given.rounds or (1 if given.quick else 3)
    taken: list[Rows] = []
    with stack() as running, tempfile.TemporaryDirectory(prefix="bench-root-") as folder:
        for limit in (BOUNDLESS, 0):
            notes = Path(folder) / f"transactions-{limit}"
            notes.touch()
            limited = ("-m", "tests.bench.limited")
            more = (str(limit), str(limit), str(notes))
            api, worker = (*limited, "workers.api", *more), (*limited, "workers.worker", *more)
            with service(running, Path(folder), api, worker) as ours:
                mount = ours.local_mount(Path(folder) / f"mount-{limit}")
                taken.append(asyncio.run(measured(ours, mount, notes, given)))
    show(*taken)


if __name__ == "__main__":
    main()
