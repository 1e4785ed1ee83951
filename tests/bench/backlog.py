"""Commands while a consumer catches up: `python -m tests.bench.backlog [--events 1000000] [--requests 1000]`.

So many events, of as many files on another mount, wait for the Metastore, and then for the Timestore. A client that makes one
directory after the other is timed alone, while each of them catches up, and alone again; so are 16 clients beside the Metastore.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.bench.consumers import FILL
from tests.bench.figures import Figures, show
from tests.bench.index import latencies
from tests.bench.running import BenchService, measure, process, service, stack
from tests.fix_service import free_port

ALONE_SECONDS = 15


def plant(database: str, events: int) -> None:
    """Before the service makes a node."""
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in FILL:
            connection.execute(statement.encode(), {"events": events})
        connection.execute("SELECT setval('filestore.nodes_id_seq', (SELECT max(id) FROM filestore.nodes))")


@contextmanager
def consumer(ours: BenchService, env: Mapping[str, str], folder: Path, name: str) -> Iterator[None]:
    port = free_port()
    more = {
        "FILESTORE_DATABASE_URL": ours.database,
        "FILESTORE_CONSUMERS_PORT": str(port),
        "FILESTORE_TIMESTORE_PATH": str(folder / "lake"),
    }
    with process("-m", "workers.consumers", name, env={**env, **more}, ready=f"http://127.0.0.1:{port}/ready"):
        yield


def caught_up(ours: BenchService, name: str) -> bool:
    return int(ours.call("GET", f"/v1/{name}")["behind"]) < 1000


def catching_up(ours: BenchService, name: str, work: Callable[[Callable[[], bool]], Figures]) -> tuple[Figures, float]:
    """What `work` measures until the consumer is there, and how long that took."""
    there, began = threading.Event(), time.perf_counter()

    def look() -> None:
        while not caught_up(ours, name):
            time.sleep(1)
        there.set()

    thread = threading.Thread(target=look)
    thread.start()
    taken = work(there.is_set)
    thread.join()
    return taken, time.perf_counter() - began


def run(ours: BenchService, env: Mapping[str, str], folder: Path, events: int, requests: int) -> None:
    mount = ours.local_mount(folder / "root")

    def one(stop: Callable[[], bool]) -> Figures:
        return latencies(ours, mount, stop)

    def alone() -> Figures:
        end = time.perf_counter() + ALONE_SECONDS
        return one(lambda: time.perf_counter() > end)

    def sixteen() -> Figures:
        return measure("load", "mkdir", ours.url, 16, requests, *ours.arguments(mount))

    shown: dict[str, list[Figures]] = {"one client alone": [alone()], "16 clients alone": [sixteen()]}
    for name in ("metastore", "timestore"):
        with consumer(ours, env, folder, name):
            if name == "metastore":
                shown["16 clients beside the Metastore"] = [sixteen()]
            taken, seconds = catching_up(ours, name, one)
            shown[f"one client beside the {name.capitalize()}"] = [taken]
            print(f"{name}, {events} events behind: there after {seconds:.0f} s more (load {os.getloadavg()[0]:.0f})")
    shown["one client alone, at the end"] = [alone()]
    show("small commands", shown)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backlog")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=1000)
    arguments = parser.parse_args()
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
    ):
        plant(ours.database, arguments.events)
        run(ours, running.env, Path(folder), arguments.events, arguments.requests)


if __name__ == "__main__":
    main()
