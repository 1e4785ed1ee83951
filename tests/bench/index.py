"""The first index of a mount full of files beside `find -printf` piped into COPY.

    python -m tests.bench.index [--files 100000] [--rounds 3] [--quick] [--with-commands]

In turns, in one run, of the same tree with warm caches: `find -printf` into a table with a primary key and a unique path, on the
same Postgres; and an import of a new mount, from the request to its end. Prints rates, their ratio, what a name takes in Postgres,
and peak memory. With `--with-commands` it also makes directories elsewhere on the mount, alone and while an import runs.
"""

import argparse
import os
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx2
import psycopg

from tests.bench.figures import Figures, figures, in_turns, median, show
from tests.bench.memory import MemoryOfProcess
from tests.bench.operations import carried_out, database_bytes
from tests.bench.running import BenchService, servers, service, stack

IN_DIRECTORY = 100
TABLE = (
    'CREATE TABLE IF NOT EXISTS public.found (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path text COLLATE "C" UNIQUE,'
    " kind text, size bigint, mtime double precision, inode bigint)"
)


def fill(top: Path, files: int) -> int:
    """How many names there are."""
    folders = -(-files // IN_DIRECTORY)
    for folder in range(folders):
        below = top / f"{folder // 100:04}" / f"{folder % 100:02}"
        below.mkdir(parents=True)
        for number in range(min(IN_DIRECTORY, files - folder * IN_DIRECTORY)):
            (below / f"file {number:03}.txt").write_bytes(b"x" * (number % 7))
    return files + folders + -(-folders // 100)


def piped(url: str, top: Path) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE.encode())
        connection.execute("TRUNCATE public.found")
        find = subprocess.Popen(
            ["find", os.fspath(top), "-printf", "%P\\t%y\\t%s\\t%T@\\t%i\\n"], stdout=subprocess.PIPE
        )
        assert find.stdout is not None
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY public.found (path, kind, size, mtime, inode) FROM STDIN") as copy,
        ):
            while chunk := find.stdout.read(1 << 16):
                copy.write(chunk)
        find.wait()


def timed(work: Callable[[], object], count: int) -> Figures:
    began = time.perf_counter()
    work()
    return {"per_s": count / (time.perf_counter() - began)}


def latencies(ours: BenchService, mount: str, stop: Callable[[], bool]) -> Figures:
    """Of small commands, one after the other; and how many were not taken, which count with their time."""
    taken, began, refused = list[float](), time.perf_counter(), 0
    with httpx2.Client(headers={"Authorization": f"Bearer {ours.token}"}, timeout=60) as client:
        while not stop():
            at = time.perf_counter()
            body = {"backendMountId": int(mount), "path": f"small-{uuid.uuid4().hex}"}
            answer = client.post(ours.url + "/v1/directories", json=body)
            if answer.status_code == 503:
                refused += 1
            else:
                answer.raise_for_status()
            taken.append(time.perf_counter() - at)
    return figures(taken, time.perf_counter() - began) | {"refused": refused}


def beside(ours: BenchService, mount: str) -> dict[str, Figures]:
    end = time.perf_counter() + 5
    idle = latencies(ours, mount, lambda: time.perf_counter() > end)
    over = threading.Event()

    def run() -> None:
        carried_out(ours, "/v1/operations", kind="import", backendMountId=int(mount), path="")
        over.set()

    thread = threading.Thread(target=run)
    thread.start()
    busy = latencies(ours, mount, over.is_set)
    thread.join()
    return {"beside the import": busy, "alone": idle}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="one round with 2,000 files: to see that it works")
    parser.add_argument("--with-commands", action="store_true", help="small commands, alone and beside an import")
    given = parser.parse_args()
    files, rounds = given.files or (2000 if given.quick else 100_000), given.rounds or (1 if given.quick else 3)
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
    ):
        tree, mounts = Path(folder) / "tree", list[tuple[Path, str]]()
        names = fill(tree, files)

        def new_mount() -> str:
            root = Path(folder) / f"mount-{len(mounts)}"
            mount = ours.local_mount(root)
            mounts.append((root, mount))
            return mount

        def find() -> Figures:
            return timed(lambda: piped(ours.database, tree), names)

        def index() -> Figures:
            mount = new_mount()
            tree.rename(mounts[-1][0] / "tree")
            body = {"kind": "import", "backendMountId": int(mount), "path": ""}
            taken = timed(lambda: carried_out(ours, "/v1/operations", **body), names)
            (mounts[-1][0] / "tree").rename(tree)
            return taken

        with MemoryOfProcess({**ours.pids, **servers(running)}) as memory:
            before = database_bytes(ours.database)
            taken = in_turns({"find | COPY": find, "import": index}, rounds)
            kept = database_bytes(ours.database) - before
            show(f"{names} names, per second", {name: taken[name] for name in ("import", "find | COPY")})
            slower = median(taken["find | COPY"], "per_s") / median(taken["import"], "per_s")
            print(f"    the import takes {slower:.2f} times as long")
            print(f"Postgres keeps {kept / (names * rounds):.0f} bytes for each name, the table of `find` among them")
            if given.with_commands:
                mount = new_mount()
                tree.rename(mounts[-1][0] / "tree")
                show("small commands, one after the other", {name: [row] for name, row in beside(ours, mount).items()})
        print(memory.shown())


if __name__ == "__main__":
    main()
