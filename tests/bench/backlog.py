"""Commands while a consumer catches up: `python -m tests.bench.backlog [--events 1000000] [--requests 1000]`.

So many events, of as many files on another mount, wait for the Metastore, and then for the Timestore. A client that makes one
directory after the other is timed alone, while each of them catches up (for a minute at most), and alone again; so are 16 clients
beside the Metastore.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.bench.consumers import FILL
from tests.bench.figures import Figures, show
from tests.bench.index import latencies
from tests.bench.running import BenchService, measure, process, service, stack
from tests.fix_service import free_port

ALONE_SECONDS, MOST_SECONDS, NEAR = 15, 60, 1000


def plant(database: str, events: int) -> None:
    """Before the service makes a node."""
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in FILL:
            connection.execute(statement.encode(), {"events": events})
        connection.execute("SELECT setval('filestore.nodes_id_seq', (SELECT max(id) FROM filestore.nodes))")


@contextmanager
def lake(folder: Path) -> Iterator[None]:
    """All processes find the Timestore here."""
    os.environ["FILESTORE_TIMESTORE_PATH"] = str(folder)
    yield


@contextmanager
def consumer(ours: BenchService, env: Mapping[str, str], name: str) -> Iterator[None]:
    port = free_port()
    more = {
        "FILESTORE_DATABASE_URL": ours.database,
        "FILESTORE_CONSUMERS_PORT": str(port),
    }
    with process("-m", "workers.consumers", name, env={**env, **more}, ready=f"http://127.0.0.1:{port}/ready"):
        yield


def behind(ours: BenchService, name: str) -> int:
    return int(ours.call("GET", f"/v1/{name}")["behind"])


def catching_up(ours: BenchService, name: str, mount: str) -> Figures:
    """Of one client until the consumer is there, or for a minute."""
    there, began, first = threading.Event(), time.perf_counter(), behind(ours, name)

    def look() -> None:
        try:
            while behind(ours, name) > NEAR and time.perf_counter() < began + MOST_SECONDS:
                time.sleep(1)
        finally:
            there.set()

    thread = threading.Thread(target=look)
    thread.start()
    taken = latencies(ours, mount, there.is_set)
    thread.join()
    rate = (first - behind(ours, name)) / (time.perf_counter() - began)
    print(
        f"{name}: {first} events behind, {rate:.0f} a second taken in beside (load {os.getloadavg()[0]:.0f})",
        flush=True,
    )
    return taken


def run(ours: BenchService, env: Mapping[str, str], folder: Path, requests: int) -> None:
    mount = ours.local_mount(folder / "root")

    def alone() -> Figures:
        end = time.perf_counter() + ALONE_SECONDS
        return latencies(ours, mount, lambda: time.perf_counter() > end)

    def sixteen() -> Figures:
        return measure("load", "mkdir", ours.url, 16, requests, *ours.arguments(mount))

    shown: dict[str, list[Figures]] = {"one client alone": [alone()], "16 clients alone": [sixteen()]}
    for name in ("metastore", "timestore"):
        with consumer(ours, env, name):
            shown[f"one client beside the {name}"] = [catching_up(ours, name, mount)]
            if name == "metastore":
                shown["16 clients beside it"] = [sixteen()]
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
        lake(Path(folder) / "lake"),
        service(running, Path(folder)) as ours,
    ):
        plant(ours.database, arguments.events)
        run(ours, running.env, Path(folder), arguments.requests)


if __name__ == "__main__":
    main()
