"""`service`: the API and the worker as real processes on the stack; `mount`: a fresh local mount, checked when the test ends."""

import asyncio
import hashlib
import json
import os
import random
import secrets
import signal
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from schema.check import Finding
from schema.migrate import migrate
from schema.settings import Settings
from tests.events_forms import unlike_in_feed
from tests.files import paths_in
from tests.fix_stack import Stack
from tests.forked import Loaded, ServiceProcess, spawned
from tests.sampling import SEED
from workers import check
from workflows.client import connect

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Reading the certificates of the world would cost every client more than its request."""

PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 3
"""One in three runs its workflows in Temporal's sandbox, which costs time; the others as a service does."""

PATIENCE = 60.0
"""Seconds. What is waited for comes much sooner; so long the machine may be busy with other things."""


@dataclass
class Service:
    stack: Stack
    folder: Path
    port: int
    token: str
    env: dict[str, str]
    processes: dict[str, ServiceProcess] = field(default_factory=dict)
    loaded: dict[str, Loaded] = field(default_factory=dict)
    made: list[int] = field(default_factory=list)
    """Mounts of the test that runs"""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def worker_url(self) -> str:
        return f"http://127.0.0.1:{self.env['FILESTORE_WORKER_PORT']}"

    # Processes

    def start(self, *names: str, fault: str = "", **settings: str) -> None:
        """Start `api`, `worker` or both (default), with this fault switched on."""
        for name in names or ("api", "worker"):
            module = {
                "api": "workers.api",
                "worker": "workers.worker",
                "watcher": "workers.watcher",
                "consumers": "workers.consumers",
            }[name]
            log = self.folder / f"{name}.log"
            env = {**os.environ, **self.env, **settings, "FILESTORE_FAULT": fault}
            # What Python reads as it starts, only a process of its own reads.
            own = "PYTHONPATH" in settings
            self.processes[name] = spawned(module, env, log) if own else self._parent(module, log).start(env, log)
        if "api" in (names or ("api",)):
            self.wait_ready()

    def _parent(self, module: str, log: Path) -> Loaded:
        if module not in self.loaded:
            self.loaded[module] = Loaded(module, log)
        return self.loaded[module]

    def wait_ready(self, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if (
                    self.call("GET", "/ready", timeout=10).status_code == 200
                    and self.call("GET", "/v1/backend-mounts").status_code == 200
                ):
                    return
            except httpx2.HTTPError:
                pass
            if self.processes["api"].poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError("the API did not become ready:\n" + self.log("api")[-3000:])

    def kill(self, *names: str) -> None:
        for name in names or tuple(self.processes):
            process = self.processes.pop(name)
            process.kill()
            process.wait()

    def stop(self, *names: str, seconds: float = PATIENCE) -> dict[str, int]:
        """SIGTERM; exit codes by name."""
        chosen = {name: self.processes.pop(name) for name in names or tuple(self.processes)}
        for process in chosen.values():
            process.send_signal(signal.SIGTERM)
        return {name: process.wait(timeout=seconds) for name, process in chosen.items()}

    def restart(self, fault: str = "", **settings: str) -> None:
        self.kill()
        self.start(fault=fault, **settings)

    def ensure_running(self) -> None:
        """As the next test expects it: both processes, no fault."""
        if "consumers" in self.processes:
            self.kill("consumers")
        if set(self.processes) != {"api", "worker"} or any(p.poll() is not None for p in self.processes.values()):
            self.kill()
            self.start()

    @contextmanager
    def second_person(self, *acts: str) -> Iterator[None]:
        """These acts wait for a yes of ben."""
        policy = self.folder / "approvals.json"
        policy.write_text(json.dumps({"policies": [{"acts": acts, "group": ["ben"]}]}))
        try:
            yield
        finally:
            policy.write_text(json.dumps({"policies": []}))

    def retire(self, mounts: Sequence[int]) -> None:
        """A mount that is switched off is not swept any more: the next tests have the servers for themselves."""
        if mounts:
            self.ensure_running()
        for mount in mounts:
            self.call("PATCH", f"/v1/backend-mounts/{mount}", json={"state": "inactive"})
            self.made.remove(mount)

    def settle(self, seconds: float = PATIENCE) -> None:
        """Wait until no list is under way. A client is answered before its list has ended, and a list whose process was
        killed comes again seconds later: neither may run into a fault that is meant for another."""

        async def under_way() -> int:
            client = await connect(self.env["TEMPORAL_ADDRESS"], self.env.get("TEMPORAL_NAMESPACE", "default"))
            return (await client.count_workflows("WorkflowType = 'RunCommands' AND ExecutionStatus = 'Running'")).count

        # In a thread: a test may have a loop.
        with ThreadPoolExecutor(1) as thread:
            assert until(lambda: thread.submit(asyncio.run, under_way()).result(PATIENCE) == 0, seconds), "lists go on"

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    # Requests

    def client(self, **options: Any) -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=60, verify=_NO_TLS, **options
        )

    def async_client(self, token: str | None = None) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx2.AsyncClient(
            base_url=self.url, headers=headers, timeout=60, verify=_NO_TLS, limits=httpx2.Limits(max_connections=200)
        )

    def make_token(self, principal: str, *scopes: str) -> str:
        """A token of another principal, straight into the database: there is no route for it yet."""
        token = f"fst_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
        with psycopg.connect(self.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
            connection.execute(
                "INSERT INTO filestore.tokens (principal, hash, hint, scopes) VALUES (%s, %s, %s, %s)",
                (principal, hashlib.sha256(token.encode()).digest(), token[:12], list(scopes)),
            )
        return token

    def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        with self.client() as client:
            return client.request(method, path, **options)

    # Commands as a client writes them

    def mkdir(self, mount: "MountOfTest", path: str, key: str | None = None, **body: Any) -> httpx2.Response:
        return self.call(
            "POST", "/v1/directories", json={"backendMountId": mount.id, "path": path, **_key(key), **body}
        )

    def upload(self, mount: "MountOfTest", path: str, content: bytes, key: str | None = None, headers: dict[str, str] | None = None,
               **fields: Any) -> httpx2.Response:  # fmt: skip
        data, files = upload_parts(mount.id, path, content, key, **fields)
        return self.call("POST", "/v1/files", data=data, files=files, headers=headers)

    def delete(self, mount: "MountOfTest", path: str, key: str | None = None, **body: Any) -> httpx2.Response:
        return self.call("DELETE", "/v1/nodes", json={"backendMountId": mount.id, "path": path, **_key(key), **body})

    def move(
        self, mount: "MountOfTest", path: str, target: str, key: str | None = None, **body: Any
    ) -> httpx2.Response:
        asked = {"backendMountId": mount.id, "path": path, "targetPath": target, **_key(key), **body}
        return self.call("POST", "/v1/nodes/move", json=asked)

    def copy(
        self, mount: "MountOfTest", path: str, target: str, key: str | None = None, **body: Any
    ) -> httpx2.Response:
        asked = {"backendMountId": mount.id, "path": path, "targetPath": target, **_key(key), **body}
        return self.call("POST", "/v1/nodes/copy", json=asked)

    def restore(self, mount: "MountOfTest", key: str | None = None, **body: Any) -> httpx2.Response:
        return self.call("POST", "/v1/nodes/restore", json={"backendMountId": mount.id, **_key(key), **body})

    def describe(self, mount: "MountOfTest", node: int, key: str | None = None, **body: Any) -> httpx2.Response:
        return self.call("PATCH", f"/v1/nodes/{node}/metadata", json={"backendMountId": mount.id, **_key(key), **body})

    def at(self, mount: "MountOfTest", path: str) -> httpx2.Response:
        return self.call("GET", "/v1/nodes/by-path", params={"backendMountId": mount.id, "path": path})

    def journal(self, mount: "MountOfTest", **params: Any) -> list[dict[str, Any]]:
        """Waits for Postgres, which may be about to come back."""
        asked = {"backendMountId": mount.id, "limit": 200, **params}
        assert until(lambda: self.call("GET", "/v1/journal", params=asked).status_code == 200)
        return list(self.call("GET", "/v1/journal", params=asked).json()["data"]["entries"])


def _key(key: str | None) -> dict[str, str]:
    return {"idempotencyKey": key} if key else {}


def upload_parts(
    mount: int, path: str, content: bytes, key: str | None = None, **fields: Any
) -> tuple[dict[str, str], dict[str, Any]]:
    data = {"backendMountId": str(mount), "path": path, **_key(key)}
    data |= {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    return data, {"file": (path.rpartition("/")[2], content, "application/octet-stream")}


@dataclass(frozen=True)
class MountOfTest:
    id: int
    key: str
    root: Path

    def on_disk(self, folder: str = "") -> dict[str, bytes | None]:
        """Path below this folder -> content (None for a directory), without our own folder."""
        top = self.root / folder
        found: dict[str, bytes | None] = {}
        for path in sorted(paths_in(top)):
            shown = str(path.relative_to(top))
            if not shown.startswith(".filestore"):
                with suppress(FileNotFoundError):  # gone since it was listed
                    found[shown] = None if path.is_dir() else path.read_bytes()
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def database(stack: Stack) -> Iterator[str]:
    """A migrated database of this run alone. Mount ids start anywhere: their queues must not meet those of another
    run."""
    server = stack.env["FILESTORE_DATABASE_URL"]
    name = f"run_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = server.rsplit("/", 1)[0] + "/" + name
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        start = random.randrange(1000, 2**30)
        connection.execute(f"ALTER SEQUENCE filestore.backend_mounts_id_seq RESTART WITH {start}".encode())
    os.environ["FILESTORE_DATABASE_URL"] = url
    yield url


@pytest.fixture(scope="session")
def running_service(stack: Stack, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    port = free_port()
    token = f"fst_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    (folder / "approvals.json").write_text('{"policies": []}')
    env = {
        **stack.env,
        "FILESTORE_DATABASE_URL": database,
        "FILESTORE_PORT": str(port),
        "FILESTORE_WORKER_PORT": str(free_port()),
        "FILESTORE_CONSUMERS_PORT": str(free_port()),
        "FILESTORE_TIMESTORE_PATH": str(folder / "lake"),
        "FILESTORE_BOOTSTRAP_TOKEN": token,
        "FILESTORE_HOST_ID": "test-host",
        "FILESTORE_ENDPOINTS_ALLOWED": "127.0.0.0/8,::1",
        "FILESTORE_SPOOL_PATH": str(folder / "spool"),
        "FILESTORE_SECRETS_KEYS_PATH": str(folder / "secrets.keys"),
        "FILESTORE_AUDIT_COPIES": str(folder / "seals"),
        "FILESTORE_APPROVALS_PATH": str(folder / "approvals.json"),
        "FILESTORE_EVENTS_CHANNEL": f"events-{uuid.uuid4().hex[:8]}",
        # Short, so that tests need not wait for what a minute would do.
        # Long, so that a machine with other things to do makes no test of the waiting fail.
        "FILESTORE_PATH_WAIT_SECONDS": "30",
        "FILESTORE_SWEEP_SECONDS": "1",
        "FILESTORE_OVERDUE_SECONDS": "2",
        "FILESTORE_SANDBOX": str(SEED % 3 == PROCESS).lower(),
        "FILESTORE_WEBHOOKS_ALLOWED": "127.0.0.0/8",
        # Tests of the watcher start one, and switch it on.
        "FILESTORE_WATCH": "false",
    }
    os.environ.update({name: value for name, value in env.items() if name != "FILESTORE_PORT"})
    service = Service(stack, folder, port, token, env)
    service.start()
    yield service
    service.kill()
    for parent in service.loaded.values():
        parent.end()
    assert unlike_in_feed(database) == [], "events that the AsyncAPI document does not describe"


@pytest.fixture
def service(running_service: Service) -> Iterator[Service]:
    running_service.ensure_running()
    before = len(running_service.made)
    yield running_service
    running_service.retire(running_service.made[before:])


def make_mount(service: Service, root: Path, **body: Any) -> MountOfTest:
    root.mkdir(exist_ok=True)
    key = f"m-{uuid.uuid4().hex[:8]}"
    answer = service.call(
        "POST", "/v1/backend-mounts", json={"mountKey": key, "backendKind": "local", "rootPath": str(root), **body}
    )
    assert answer.status_code == 201, answer.text
    service.made.append(answer.json()["data"]["id"])
    return MountOfTest(service.made[-1], key, root)


def check_mount(service: Service, mount: MountOfTest, level: str = "content", seconds: float = 110) -> None:
    """After one sweep: journal = nodes = disk = rollups, and nothing is left over."""
    service.ensure_running()
    check_mounts([mount], level, seconds)


def check_mounts(mounts: Sequence[MountOfTest], level: str = "content", seconds: float = 110) -> None:
    """What `python -m workers.check --sweep` does, without a process of its own. In a thread: a test may have a loop."""

    def look() -> list[Finding]:
        keys = [mount.key for mount in mounts]
        return asyncio.run(check.check_all(Settings(), level=level, mounts=keys, sweep=True))  # type: ignore[call-arg]

    with ThreadPoolExecutor(1) as thread:
        findings = thread.submit(look).result(timeout=seconds)
    assert check.exit_code(findings) == 0, check.show(findings)


@pytest.fixture
def mount(service: Service, tmp_path: Path) -> Iterator[MountOfTest]:
    fresh = make_mount(service, tmp_path / "mount")
    yield fresh
    check_mount(service, fresh)


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait for something that comes after the answer. False when it did not come in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
