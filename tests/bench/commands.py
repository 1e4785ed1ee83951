"""Commands with 1, 16, 64 and 128 clients, beside the floor of the same shape, in turn, in one run.

    python -m tests.bench.commands [--rounds 3] [--clients 1,16,64,128] [--kinds mkdir,upload,move,copy,metadata,delete]

A copy, a change of metadata and a delete have no floor of their own: they stand beside the floor's move, which is one rename
and two flushes.

Everything (load, servers, Postgres, Temporal) shares this machine. Prints min and median over the rounds, and ratios.
"""

import argparse
import json
import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg

from schema.migrate import migrate
from tests.fix_service import free_port
from tests.fix_stack import REPOSITORY, Stack, dev

REQUESTS = {1: 150, 16: 1200, 64: 2500, 128: 3000}


@contextmanager
def stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        dev("up", "--background", "--dir", folder, "--only", "postgres,redis,temporal")
        try:
            yield Stack(Path(folder))
        finally:
            dev("stop", "--dir", folder)


@contextmanager
def process(*command: str, env: dict[str, str], ready: str) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen([sys.executable, *command], cwd=REPOSITORY, env={**os.environ, **env})
    try:
        for _ in range(400):
            try:
                if httpx2.get(ready, timeout=2).status_code == 200:
                    break
            except httpx2.HTTPError:
                time.sleep(0.05)
        yield running
    finally:
        running.terminate()
        running.wait()


@contextmanager
def filestore(running: Stack, root: Path) -> Iterator[tuple[str, str, str]]:
    """url, mount id and token of a service on an empty database, with its worker."""
    server = running.env["FILESTORE_DATABASE_URL"]
    name = f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = server.rsplit("/", 1)[0] + "/" + name
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"ALTER SEQUENCE filestore.backend_mounts_id_seq RESTART WITH {random.randrange(1000, 2**30)}".encode()
        )
    port, token = free_port(), f"fst_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    env = {
        **running.env,
        "FILESTORE_DATABASE_URL": url,
        "FILESTORE_PORT": str(port),
        "FILESTORE_BOOTSTRAP_TOKEN": token,
    }
    base = f"http://127.0.0.1:{port}"
    with (
        process("-m", "workers.api", env=env, ready=f"{base}/ready"),
        process("-m", "workers.main", env=env, ready=f"{base}/ready"),
    ):
        root.mkdir()
        for _ in range(100):
            answer = httpx2.post(
                f"{base}/v1/backend-mounts", headers={"Authorization": f"Bearer {token}"},
                json={"mountKey": "bench", "backendKind": "local", "rootPath": str(root)},
            )  # fmt: skip
            if answer.status_code == 201:
                break
            time.sleep(0.1)
        mount = str(answer.json()["data"]["id"])
        time.sleep(2)
        yield base, mount, token


def load(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", default="1,16,64,128")
    parser.add_argument("--kinds", default="mkdir,upload,move,copy,metadata,delete")
    given = parser.parse_args()
    clients = [int(c) for c in given.clients.split(",")]
    with stack() as running, tempfile.TemporaryDirectory(prefix="bench-root-") as folder:
        port, root = free_port(), Path(folder)
        (root / "floor").mkdir()
        floor_env = dict(running.env)
        floor_url = f"http://127.0.0.1:{port}"
        with (
            filestore(running, root / "filestore") as (url, mount, token),
            process(
                "-m", "tests.bench.floor", str(port), str(root / "floor"), env=floor_env, ready=f"{floor_url}/docs"
            ),
        ):
            for kind in given.kinds.split(","):
                load(kind, url, "16", "400", mount, token)
                load(floor_of(kind), floor_url, "16", "400")
                for count in clients:
                    show(kind, count, given.rounds, url, mount, token, floor_url)


def floor_of(kind: str) -> str:
    return f"floor-{kind}" if kind in ("mkdir", "upload") else "floor-move"


def show(kind: str, count: int, rounds: int, url: str, mount: str, token: str, floor_url: str) -> None:
    requests = str(REQUESTS.get(count, 2000))
    ours, floor = [], []
    for _ in range(rounds):
        ours.append(load(kind, url, str(count), requests, mount, token))
        floor.append(load(floor_of(kind), floor_url, str(count), requests))
    ratio = statistics.median(o["per_s"] / f["per_s"] for o, f in zip(ours, floor, strict=True))
    p50 = _median(ours, "p50_ms") / _median(floor, "p50_ms")
    print(f"{kind:7s} {count:4d} clients  ratio of rates {ratio:.2f}  ratio of p50 {p50:.2f}")
    for name, rows in (("filestore", ours), ("floor", floor)):
        shown = "  ".join(
            f"{label} min {min(r[label] for r in rows):8.1f} median {_median(rows, label):8.1f}"
            for label in ("per_s", "p50_ms", "p99_ms")
        )
        print(f"    {name:10s} {shown}", flush=True)


def _median(rows: list[dict[str, float]], label: str) -> float:
    return statistics.median(row[label] for row in rows)


if __name__ == "__main__":
    main()
