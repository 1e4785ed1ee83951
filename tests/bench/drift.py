"""Drift from a change on the disk to the record: `python -m tests.bench.drift [--files 10000] [--part change,many,new] [--quick]`.

The service, its worker and its watcher, a mount whose policy lets the record follow. change: one file written by hand at a time,
until the record has it; beside it raw inotify, in a process that does nothing else. many: so many files are written one after the
other; for each, the time from its change to the transaction that recorded it. new: five times as many files in new directories, by
two processes: which of them the record does not have. Prints memory and processor time of all processes, too.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from tests.bench.audit import load, reconciled, spent
from tests.bench.memory import MemoryOfProcess
from tests.bench.operations import carried_out
from tests.bench.running import BenchService, process, servers, service, stack
from tests.bench.watch import _raw, _show, _until_watched, created

POLICY = {"phase": "enforce", "brake": {"share": 1, "count": 10**9}}
LATE = """SELECT extract(epoch FROM last_reconciled_at) - observed_mtime_ns / 1e9 AS late FROM filestore.nodes
           WHERE mount_id = %s AND kind = 'file' AND observed_mtime_ns >= %s ORDER BY late"""
GRAIN_NS = 20_000_000
"""A file's time can be older than the clock says by the grain of the kernel's"""
COUNT = "SELECT count(*) FROM filestore.nodes WHERE mount_id = %s AND kind = 'file' AND state = 'active'"


def client(ours: BenchService) -> httpx2.Client:
    return httpx2.Client(headers={"Authorization": f"Bearer {ours.token}"}, timeout=60, base_url=ours.url)


def change(ours: BenchService, mount: str, root: Path, rounds: int, folder: Path) -> None:
    took = []
    with psycopg.connect(ours.database, autocommit=True) as record:
        for n in range(rounds):
            began = time.time_ns()
            (root / f"by hand {n}").write_bytes(b"changed by hand")
            while not record.execute(LATE.encode(), (mount, began - GRAIN_NS)).fetchall():
                time.sleep(0.005)
            took.append((time.time_ns() - began) / 1e9)
            time.sleep(2 * GRAIN_NS / 1e9)
    _show("change to record", took)
    _show("change to raw inotify", _raw(folder / "raw", rounds))


def many(ours: BenchService, mount: str, root: Path, files: int, pids: dict[str, int]) -> None:
    before, began = spent(pids), time.time_ns()
    for n in range(files):
        (root / "many" / f"{n // 100:03}" / f"{n}").write_bytes(b"changed")
    wrote = (time.time_ns() - began) / 1e9
    with psycopg.connect(ours.database, autocommit=True) as record:
        while len(late := [float(row[0]) for row in record.execute(LATE.encode(), (mount, began - GRAIN_NS))]) < files:
            time.sleep(0.2)
    whole = (time.time_ns() - began) / 1e9
    p50, p99 = late[files // 2], late[int(files * 0.99)]
    print(
        f"many: {files} files changed in {wrote:.1f} s and recorded after {whole:.1f} s, {files / whole:.0f} files/s; from the "
        f"change to the record p50 {p50:.2f} s, p99 {p99:.2f} s; {_cost(pids, before)}; load {load()}"
    )


def new(ours: BenchService, mount: str, root: Path, files: int, pids: dict[str, int]) -> None:
    top = root / "new"
    top.mkdir()
    with psycopg.connect(ours.database, autocommit=True) as record:
        there, before, began = _counted(record, mount), spent(pids), time.monotonic()
        with ProcessPoolExecutor(2) as writers:
            wrote = max(writers.map(created, [os.fspath(top)] * 2, [0, 1], [files // 2] * 2))
        rested, found = time.monotonic(), -1
        while found < files and time.monotonic() < rested + 60:
            if (now := _counted(record, mount) - there) != found:
                found, rested = now, time.monotonic()
            time.sleep(0.2)
    print(
        f"new: {files} files in new directories in {wrote:.1f} s: {files - found} without a node; recorded after "
        f"{rested - began:.1f} s, {found / (rested - began):.0f} files/s; {_cost(pids, before)}; load {load()}"
    )


def _counted(record: Any, mount: str) -> int:
    return int(record.execute(COUNT, (mount,)).fetchone()[0])


def _cost(pids: dict[str, int], before: dict[str, float]) -> str:
    return "processor " + ", ".join(f"{name} {after - before[name]:.1f} s" for name, after in spent(pids).items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="change,many,new")
    parser.add_argument("--files", type=int)
    parser.add_argument("--quick", action="store_true", help="few files: to see that it works")
    given = parser.parse_args()
    files, parts = given.files or (200 if given.quick else 10_000), given.part.split(",")
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as name,
        service(running, Path(name)) as ours,
    ):
        root, env = Path(name) / "mount", {**running.env, "FILESTORE_DATABASE_URL": ours.database}
        mount = ours.local_mount(root)
        with client(ours) as calls:
            calls.put(f"/v1/backend-mounts/{mount}/policy", json=POLICY).raise_for_status()
        for n in range(files):
            place = root / "many" / f"{n // 100:03}" / f"{n}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"")
        carried_out(ours, "/v1/operations", kind="import", backendMountId=int(mount), path="")
        reconciled(ours, mount)
        with process("-m", "workers.watcher", env=env, ready=f"{ours.url}/ready") as watcher:
            _until_watched(ours, mount)
            pids = {**ours.pids, "watcher": watcher.pid, **servers(running)}
            with MemoryOfProcess(pids) as memory:
                if "change" in parts:
                    change(ours, mount, root, 3 if given.quick else 20, Path(name))
                if "many" in parts:
                    many(ours, mount, root, files, pids)
                if "new" in parts:
                    new(ours, mount, root, 5 * files, pids)
            print(memory.shown())


if __name__ == "__main__":
    main()
