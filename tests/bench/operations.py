"""Operations over a tree of small files beside `cp -a`.

    python -m tests.bench.operations [--files 5000] [--kib 10] [--rounds 3] [--quick]

The tree is uploaded through the service first. In turns, in one run: the copy of the tree as an operation (each file hashed,
journaled, an event, flushed), its undo, and `cp -a` of the same tree with `sha256sum` of the copies and `sync`; and the move of
the whole directory as an operation. Prints rates, ratios, the bytes that an item leaves in Postgres, and peak memory.
"""

import argparse
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from tests.bench.figures import Figures, in_turns, median, show
from tests.bench.memory import MemoryOfProcess
from tests.bench.running import BenchService, measure, servers, service, stack

DONE = ("succeeded", "partial", "failed", "cancelled", "rolled_back")


def carried_out(ours: BenchService, route: str, **body: Any) -> dict[str, Any]:
    """An operation from its request to its end."""
    headers = {"Authorization": f"Bearer {ours.token}"}
    with httpx2.Client(headers=headers, timeout=60) as client:
        operation = client.post(ours.url + route, json=body).json()["data"]
        while operation["state"] not in DONE:
            time.sleep(0.05)
            operation = client.get(f"{ours.url}/v1/operations/{operation['id']}").json()["data"]
    if operation["state"] != "succeeded":
        raise SystemExit(f"{operation['kind']} ended as {operation['state']}: {operation['errors']}")
    return dict(operation)


def timed(work: Callable[[], object], count: int) -> Figures:
    began = time.perf_counter()
    work()
    return {"per_s": count / (time.perf_counter() - began)}


def plainly(source: Path, target: Path) -> None:
    """What a careful person does: copy, hash the copies, and see that they are on the disk."""
    subprocess.run(["cp", "-a", source, target], check=True)
    hashed = f"find {target} -type f -print0 | xargs -0 sha256sum > {target}.sums"
    subprocess.run(["sh", "-c", hashed], check=True)
    subprocess.run(["sync", "-f", target], check=True)


def database_bytes(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int)
    parser.add_argument("--kib", type=int, default=10)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="one round with 300 files: to see that it works")
    given = parser.parse_args()
    files, rounds = given.files or (300 if given.quick else 5000), given.rounds or (1 if given.quick else 3)
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
    ):
        root = Path(folder) / "mount"
        mount = ours.local_mount(root)
        measure(
            "load",
            "upload",
            ours.url,
            32,
            files,
            "--size",
            given.kib << 10,
            "--below",
            "tree",
            *ours.arguments(mount),
        )
        made: list[dict[str, Any]] = []

        def copy() -> Figures:
            target = f"copy-{uuid.uuid4().hex[:8]}"
            body = {"kind": "copy", "backendMountId": int(mount), "path": "tree", "targetPath": target}
            return timed(lambda: made.append(carried_out(ours, "/v1/operations", **body)), files)

        def undo() -> Figures:
            return timed(lambda: carried_out(ours, f"/v1/operations/{made[-1]['id']}/undo"), files)

        def move() -> Figures:
            there, back = ("tree", "moved") if (root / "tree").exists() else ("moved", "tree")
            body = {"kind": "move", "backendMountId": int(mount), "path": there, "targetPath": back}
            return timed(lambda: carried_out(ours, "/v1/operations", **body), 1)

        def plain() -> Figures:
            target = Path(folder) / uuid.uuid4().hex
            source = next(path for path in (root / "tree", root / "moved") if path.exists())
            taken = timed(lambda: plainly(source, target), files)
            shutil.rmtree(target)
            return taken

        with MemoryOfProcess({**ours.pids, **servers(running)}) as memory:
            before = database_bytes(ours.database)
            plain_name = "cp -a, sha256sum, sync"
            taken = in_turns({"copy": copy, "undo": undo, plain_name: plain, "move": move, "back": move}, rounds)
            after = database_bytes(ours.database)
        title = f"{files} files of {given.kib} KiB, items per second"
        show(title, {name: taken[name] for name in ("copy", plain_name)})
        show(title, {name: taken[name] for name in ("undo", plain_name)})
        print(f"    a move of all of them takes {1000 / median(taken['move'], 'per_s'):.0f} ms")
        print(
            f"Postgres keeps {(after - before) / (2 * files * rounds):.0f} bytes for each item of a copy and of its undo"
        )
        print(memory.shown())


if __name__ == "__main__":
    main()
