"""Operations over a very large tree: what the processes need, how long histories get, and how small commands fare beside them.

    python -m tests.bench.million [--files 1000000] [--quick]

The files are empty and made on the disk. Then: the import; a plan with one item per file, which is dropped; a verification of
the first 10,000, one item per file; the move of the whole directory; its deletion and the undo of that. Beside each a client makes
directories, one after the other, as it does alone before. Prints rates, latencies with their ratios, peak memory, the bytes that
the record has for each name, and of all workflows the longest history and the largest event.
"""

import argparse
import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.figures import Figures
from tests.bench.index import latencies
from tests.bench.memory import MemoryOfProcess
from tests.bench.operations import carried_out, database_bytes
from tests.bench.running import BenchService, servers, service, stack
from tests.bench.trees import Trees, fill
from workflows.client import connect


def beside(name: str, trees: Trees, running: dict[str, int], idle: Figures, work: Callable[[], Figures]) -> None:
    """Work, with small commands beside it, and the memory that it takes."""
    over, small = threading.Event(), list[Figures]()
    client = threading.Thread(target=lambda: small.append(latencies(trees.ours, trees.mount, over.is_set)))
    with MemoryOfProcess(running) as memory:
        client.start()
        try:
            taken = work()
        finally:
            over.set()
            client.join()
    p50, p99, refused = (small[0][label] for label in ("p50_ms", "p99_ms", "refused"))
    print(
        f"{name}: {taken['per_s']:.0f} per second; small commands p50 {p50:.0f} ms ({p50 / idle['p50_ms']:.2f} of idle),"
        f" p99 {p99:.0f} ms ({p99 / idle['p99_ms']:.2f}), {refused:.0f} not taken; {memory.shown()};"
        f" load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


async def histories(address: str, begun: float) -> tuple[int, int, int]:
    """Of the runs since then: how many, the events of the longest, the bytes of the largest event."""
    client, runs, longest, largest = await connect(address, "default"), 0, 0, 0
    async for run in client.list_workflows("WorkflowType IN ('PlanOperation', 'RunOperation')"):
        if run.start_time.timestamp() < begun:
            continue
        handle, runs = client.get_workflow_handle(run.id, run_id=run.run_id), runs + 1
        events = [event async for event in handle.fetch_history_events()]
        longest = max(longest, len(events))
        largest = max([largest, *(event.ByteSize() for event in events)])
    return runs, longest, largest


def verified(ours: BenchService, mount: str, files: int) -> Figures:
    began = time.perf_counter()
    carried_out(ours, "/v1/operations", kind="verify", backendMountId=int(mount), path="tree/0000")
    return {"per_s": files / (time.perf_counter() - began)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int)
    parser.add_argument("--quick", action="store_true", help="2,000 files: to see that it works")
    given = parser.parse_args()
    files = given.files or (2000 if given.quick else 1_000_000)
    print(f"load {os.getloadavg()[0]:.1f} at the beginning, {time.strftime('%Y-%m-%d %H:%M')}", flush=True)
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
    ):
        root, begun = Path(folder) / "mount", time.time()
        mount = ours.local_mount(root)
        trees = Trees(ours, mount, root, files, fill(root / "tree", files, 0, flat=False, empty=True))
        watched = {**ours.pids, **servers(running)}
        end = time.perf_counter() + 20
        idle = latencies(ours, mount, lambda: time.perf_counter() > end)
        print(f"alone: p50 {idle['p50_ms']:.0f} ms, p99 {idle['p99_ms']:.0f} ms", flush=True)
        before = database_bytes(ours.database)
        beside("import", trees, watched, idle, lambda: trees.operation("import", trees.names, path="tree"))
        print(f"the record has {(database_bytes(ours.database) - before) / trees.names:.0f} bytes for each name")
        before = database_bytes(ours.database)
        beside("plan", trees, watched, idle, trees.plan)
        print(f"a planned item takes {(database_bytes(ours.database) - before) / files:.0f} bytes")
        beside("verify", trees, watched, idle, lambda: verified(ours, mount, min(files, 10_000)))
        beside("move, there and back", trees, watched, idle, trees.move)
        beside("delete", trees, watched, idle, trees.delete)
        beside("undo of it", trees, watched, idle, trees.undo)
        runs, longest, largest = asyncio.run(histories(running.env["TEMPORAL_ADDRESS"], begun))
        print(f"{runs} runs of workflows: at most {longest} events, at most {largest} bytes in one of them")


if __name__ == "__main__":
    main()
