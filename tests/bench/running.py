"""What the measurements stand on: the stack's servers, the service on an empty database, its mounts, processes that measure."""

import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from schema.migrate import migrate
from tests.bench.memory import MemoryOfProcess
from tests.fix_service import free_port
from tests.fix_stack import REPOSITORY, Stack, dev

BUCKET = "filestore-bench"
API, WORKER = ("-m", "workers.api"), ("-m", "workers.worker")


@contextmanager
def stack(*more: str) -> Iterator[Stack]:
    """Postgres, Redis, Temporal and what else is named, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        dev("up", "--background", "--dir", folder, "--only", ",".join(("postgres", "redis", "temporal", *more)))
        try:
            yield Stack(Path(folder))
        finally:
            dev("stop", "--dir", folder)


@contextmanager
def record() -> Iterator[tuple[str, Path]]:
    """The URL of an empty record on a Postgres of its own, and a folder. No service is at it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        dev("up", "--background", "--dir", folder, "--only", "postgres")
        try:
            yield database(Stack(Path(folder)).env["FILESTORE_DATABASE_URL"]), Path(folder)
        finally:
            dev("stop", "--dir", folder)


def database(server: str) -> str:
    """The URL of an empty record on this server."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = server.rsplit("/", 1)[0] + "/" + name
    migrate(url)
    return url


def servers(running: Stack) -> dict[str, int]:
    """Name and process id of each server of the stack."""
    lines = [line.split() for line in (running.folder / "pids").read_text().splitlines()]
    return {name: int(pid) for name, pid in lines if name != "supervisor"}  # all others are its children


@contextmanager
def process(*command: str, env: Mapping[str, str], ready: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Python process, once this URL answers 200."""
    # Compiled modules are kept: reading them anew costs seconds of each start.
    variables = {**os.environ, **env, "PYTHONDONTWRITEBYTECODE": ""}
    running = subprocess.Popen([sys.executable, *command], cwd=REPOSITORY, env=variables)
    try:
        for _ in range(600):
            try:
                if httpx2.get(ready, timeout=2).status_code == 200:
                    break
            except httpx2.HTTPError:
                pass
            if running.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended with {running.returncode}")
            time.sleep(0.05)
        else:
            raise SystemExit(f"{' '.join(command)} did not become ready")
        yield running
    finally:
        running.terminate()
        running.wait()


@dataclass(frozen=True)
class BenchService:
    url: str
    token: str
    database: str
    pids: Mapping[str, int]

    def call(self, method: str, path: str, /, **body: Any) -> Any:
        answer = httpx2.request(
            method, self.url + path, json=body, headers={"Authorization": f"Bearer {self.token}"}, timeout=300
        )
        if answer.status_code not in (200, 201, 202):
            raise SystemExit(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json()["data"]

    def mount(self, **body: Any) -> str:
        """The id of a new mount, once its workers have had the time to learn of it."""
        made = self.call("POST", "/v1/backend-mounts", mountKey=f"bench-{uuid.uuid4().hex[:8]}", **body)
        time.sleep(2)
        return str(made["id"])

    def local_mount(self, root: Path) -> str:
        root.mkdir()
        return self.mount(backendKind="local", rootPath=str(root))

    def s3_mount(self, env: Mapping[str, str], prefix: str) -> str:
        """In the bench's bucket, which is there."""
        config = {"endpoint": env["AWS_ENDPOINT_URL"], "region": "us-east-1", "forcePathStyle": True}
        secret = {"accessKeyId": env["AWS_ACCESS_KEY_ID"], "secretAccessKey": env["AWS_SECRET_ACCESS_KEY"]}
        return self.mount(backendKind="s3", bucket=BUCKET, prefix=prefix, config=config | secret)

    def arguments(self, mount: str) -> list[str]:
        """For `tests.bench.load`."""
        return ["--mount", mount, "--token", self.token]


@contextmanager
def service(
    running: Stack, folder: Path, api: Sequence[str] = API, worker: Sequence[str] = WORKER
) -> Iterator[BenchService]:
    """On an empty database, with its worker. `api` and `worker`: what Python is to run for them."""
    record_url = database(running.env["FILESTORE_DATABASE_URL"])
    with psycopg.connect(record_url, autocommit=True) as connection:
        # Queues in Temporal bear the mount's id: they must not meet those of another run.
        start = random.randrange(1000, 2**30)
        connection.execute(f"ALTER SEQUENCE filestore.backend_mounts_id_seq RESTART WITH {start}".encode())
    port, token = free_port(), f"fst_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    env = {
        **running.env,
        "FILESTORE_DATABASE_URL": record_url,
        "FILESTORE_PORT": str(port),
        "FILESTORE_WORKER_PORT": "0",  # there may be several
        "FILESTORE_BOOTSTRAP_TOKEN": token,
        "FILESTORE_ENDPOINTS_ALLOWED": "127.0.0.0/8,::1",
        "FILESTORE_SPOOL_PATH": str(folder / f"spool-{record_url.rpartition('/')[2]}"),
    }
    url = f"http://127.0.0.1:{port}"
    with (
        process(*api, env=env, ready=f"{url}/ready") as front,
        process(*worker, env=env, ready=f"{url}/ready") as back,
    ):
        yield BenchService(url, token, record_url, {"api": front.pid, "worker": back.pid})


@contextmanager
def floor(running: Stack, root: Path) -> Iterator[str]:
    """The URL of `tests.bench.floor`, which works in this folder."""
    root.mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with process("-m", "tests.bench.floor", str(port), str(root), env=running.env, ready=f"{url}/docs"):
        yield url


def measure(
    module: str, *arguments: object, env: Mapping[str, str] | None = None, memory: MemoryOfProcess | None = None
) -> dict[str, float]:
    """What a module of this folder prints as its last line, in a process of its own."""
    return run(
        [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)], env=env, memory=memory, name=module
    )


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    memory: MemoryOfProcess | None = None,
    name: str = "",
) -> dict[str, float]:
    """The JSON object in the last line that a command prints; {} if there is none. `memory` watches it under this name."""
    child = subprocess.Popen(
        command, cwd=REPOSITORY, env={**os.environ, **(env or {}), "PYTHONDONTWRITEBYTECODE": ""},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if memory is not None:
        memory.watch(name, child.pid)
    said, complained = child.communicate()
    if child.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed:\n{complained or said}")
    last = (said.splitlines() or [""])[-1]
    return dict(json.loads(last)) if last.startswith("{") else {}
