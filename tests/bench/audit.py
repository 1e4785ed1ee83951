"""An audit of a mount on which nothing has changed, beside a raw walk of the same tree.

    python -m tests.bench.audit [--files 200000] [--rounds 3] [--quick] [--flat]

In turns, in one run, of the same tree with warm caches: two processes that only call `scandir` and `stat`, and share the
directories between them; and a reconciliation of the whole mount by hand, from its request to its end. Before, the mount is
imported and reconciled once. Prints names per second, their ratio, the processor time of each, and peak memory. With `--flat` all
files lie in one directory.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2

from tests.bench.figures import Figures, in_turns, show
from tests.bench.index import fill
from tests.bench.memory import MemoryOfProcess, children
from tests.bench.operations import carried_out
from tests.bench.running import BenchService, servers, service, stack


def walked(top: str) -> tuple[int, float]:
    """How many names lie below, and the processor time that it took."""
    names, began, waiting = 0, time.process_time(), [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                names += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return names, time.process_time() - began


def reconciled(ours: BenchService, mount: str) -> tuple[float, int]:
    """Seconds of a reconciliation, and how many places it found to differ."""
    began = time.perf_counter()
    body = {"backendMountId": int(mount), "path": "", "detectChildren": True}
    with httpx2.Client(headers={"Authorization": f"Bearer {ours.token}"}, timeout=60, base_url=ours.url) as client:
        asked = client.post("/v1/reconciliation", json=body).raise_for_status().json()["data"]
        while (job := _job(client, asked["id"]))["completedAt"] is None:
            time.sleep(0.05)
    if job["status"] != "succeeded":
        raise SystemExit(f"the reconciliation ended so: {job}")
    return time.perf_counter() - began, sum(job["result"]["counts"].values())


def _job(client: httpx2.Client, job: int) -> dict[str, Any]:
    return dict(client.get(f"/v1/reconciliation/jobs/{job}").raise_for_status().json()["data"])


def spent(pids: Mapping[str, int]) -> dict[str, float]:
    """Processor seconds of these processes, each with all that it has started."""
    return {name: processor_seconds(pid) for name, pid in pids.items()}


def processor_seconds(pid: int) -> float:
    ticks, below, waiting = 0, children(), [pid]
    while waiting:
        pid = waiting.pop()
        waiting += below.get(pid, [])
        with suppress(OSError):
            told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, told[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="one round with 2,000 files: to see that it works")
    parser.add_argument("--flat", action="store_true", help="all files in one directory")
    given = parser.parse_args()
    files, rounds = given.files or (2000 if given.quick else 200_000), given.rounds or (1 if given.quick else 3)
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
        multiprocessing.get_context("spawn").Pool(2) as pool,
    ):
        root = Path(folder) / "mount"
        mount = ours.local_mount(root)
        names = flat(root, files) if given.flat else fill(root, files)
        carried_out(ours, "/v1/operations", kind="import", backendMountId=int(mount), path="")
        with MemoryOfProcess({**ours.pids, **servers(running)}) as memory:
            first, differed = reconciled(ours, mount)
            print(
                f"the first reconciliation took {first:.1f} s, and found {differed} places that differ; load {load()}"
            )
            tops = [os.fspath(root)] if given.flat else [os.fspath(p) for p in root.iterdir() if p.name != ".filestore"]

            all_of_it = {**ours.pids, **servers(running)}

            def raw() -> Figures:
                began = time.perf_counter()
                told = pool.map(walked, tops, chunksize=1)
                seconds = time.perf_counter() - began
                walk = sum(count for count, _ in told)
                return {"per_s": walk / seconds, "cpu_s": sum(seconds for _, seconds in told)}

            def audit() -> Figures:
                before = spent(all_of_it)
                seconds, differing = reconciled(ours, mount)
                if differing:
                    raise SystemExit(f"{differing} places differ, and none should")
                each = {name: after - before[name] for name, after in spent(all_of_it).items()}
                return {"per_s": names / seconds, "cpu_s": sum(each.values())} | {f"{n}_s": s for n, s in each.items()}

            raw()
            taken = in_turns({"audit": audit, "raw walk": raw}, rounds)
            show(f"{names} names, per second; processor seconds; load {load()}", taken)
        print(memory.shown())


def flat(top: Path, files: int) -> int:
    below = top / "flat"
    below.mkdir()
    for number in range(files):
        (below / f"file {number:06}.txt").write_bytes(b"")
    return files + 1


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
