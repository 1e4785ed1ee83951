"""The HTTP front on a real database and a real disk. Commands are written down instead of carried out: what is proved
here is what the front makes of a request; that commands work is proved end to end, elsewhere.

TEST_DATABASE_URL names a server to make the database on; without it the run's own stack is started.
"""

import asyncio
import hashlib
import json
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from activities import budgets
from activities.executors.contract.executor import Executor
from activities.executors.contract.identity import Identity
from activities.executors.kinds import prepare_storage, prove_storage, read_sentinel
from activities.executors.local.executor import LocalExecutor
from api.app import create_app
from api.services import Services
from api.submission import OutcomePending, Queued, Submission
from schema import errors
from schema.access.object_locks import LockProof
from schema.access.rules import Grant
from schema.commands.command import Status
from schema.commands.payloads import Outcome
from schema.ids import CommandId, MountId, NodeId
from schema.mounts import Mount
from schema.paths import check
from schema.settings import Settings
from schema.store import mounts, tokens
from schema.store.mounts import NewMount
from schema.store.pool import Pool, make_pool
from schema.store.tokens import NewToken
from tests.fix_keys import KEYS
from tests.store.helpers import TOKEN_OF_COMMANDS
from workers.process import http

SCHEMA = Path(__file__).resolve().parents[2] / "schema" / "schema.sql"


@pytest.fixture
def lake_database(api_database: str) -> Iterator[str]:
    """For the catalogue of one lake."""
    name, server = f"lake_{uuid.uuid4().hex[:8]}", api_database.rsplit("/", 1)[0]
    with psycopg.connect(api_database, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield f"{server}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def api_database(request: pytest.FixtureRequest) -> Iterator[str]:
    server = os.environ.get("TEST_DATABASE_URL") or request.getfixturevalue("stack").env["FILESTORE_DATABASE_URL"]
    name = f"api_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = server.rsplit("/", 1)[0] + "/" + name
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA.read_bytes())
        connection.execute(TOKEN_OF_COMMANDS)
    yield url
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest_asyncio.fixture(scope="session")
async def pool(api_database: str) -> AsyncIterator[Pool]:
    made = make_pool(api_database, name="api-tests")
    await made.open()
    yield made
    await made.close()


@dataclass
class Notebook:
    """`Commands` that writes down what it was handed, and answers as it is told."""

    submissions: list[Submission] = field(default_factory=list)
    atomic: list[list[Submission]] = field(default_factory=list)
    """Those that were handed over as one"""
    answers: Callable[[Submission], Outcome] = field(default_factory=lambda: succeeded)
    waiting: dict[CommandId, Queued] = field(default_factory=dict)
    """Those that were answered with 202 and have no row yet"""

    async def submit(self, submission: Submission) -> Outcome:
        self.submissions.append(submission)
        if submission.locks is not None:
            submission.locks.close()
        if submission.request.failure == errors.ChecksumMismatch.code:
            return refused(submission)
        return self.answers(submission)

    async def submit_atomic(self, submissions: Sequence[Submission]) -> list[Outcome]:
        self.atomic.append(list(submissions))
        return [await self.submit(submission) for submission in submissions]

    def queued(self, command: CommandId) -> Queued | None:
        return self.waiting.get(command)

    @property
    def last(self) -> Submission:
        return self.submissions[-1]


def succeeded(submission: Submission, **result: Any) -> Outcome:
    result_shown = {"commandType": submission.request.kind, "path": submission.request.path} | result
    body = {
        "idempotent": False,
        "commandId": submission.request.id,
        "journalEntryId": 1,
        "node": None,
        "result": result_shown,
    }
    return Outcome(submission.request.id, Status.SUCCEEDED, json.dumps(body))


def refused(submission: Submission) -> Outcome:
    """As `begin` records what was refused before it came there."""
    request = submission.request
    error = {"code": request.failure, "message": request.failure_message, "details": request.failure_details}
    return Outcome(request.id, Status.FAILED, json.dumps({"error": error}), request.failure)


def failed(submission: Submission, code: str) -> Outcome:
    error = {"code": code, "message": "as told", "details": {"commandId": submission.request.id}}
    return Outcome(submission.request.id, Status.FAILED, json.dumps({"error": error}), code)


def pends(submission: Submission) -> Outcome:
    raise OutcomePending(CommandId(submission.request.id))


@dataclass
class Disks:
    """`Executors` for local mounts, on the real disk. What is in `broken` is raised instead."""

    broken: dict[MountId, errors.FilestoreError] = field(default_factory=dict)
    wrapped: Callable[[Executor], Executor] = lambda executor: executor
    refreshed: int = 0
    spool: str = "/nowhere/spool"
    proved: list[Mount] = field(default_factory=list)
    reaches: bool = False
    """Buckets are asked when a mount is proved"""
    locks: LockProof | None = None
    """What buckets do under Object Lock"""

    def of(self, mount: Mount) -> Executor:
        if mount.id in self.broken:
            raise self.broken[mount.id]
        if mount.backend_kind != "local":
            raise errors.ExecutorNotFound()
        return self.wrapped(LocalExecutor(mount.root_path or "", mount.mount_uuid))

    def sentinel(self, mount: Mount) -> str | None:
        return read_sentinel(mount, self.spool, KEYS)

    def prove_locks(self, mount: Mount) -> LockProof | None:
        return self.locks

    def prove(self, mount: Mount) -> Identity | None:
        if mount.id in self.broken:
            raise self.broken[mount.id]
        self.proved.append(KEYS.opened(mount))
        return prove_storage(mount, "", KEYS) if mount.backend_kind == "local" or self.reaches else None

    def register(self, mount: Mount, others: Sequence[Mount]) -> Identity | None:
        if mount.backend_kind != "local":
            return None
        return prepare_storage(mount, self.spool, others, KEYS)

    async def refresh(self) -> None:
        self.refreshed += 1


@dataclass
class Told:
    """`Health` that says what it is told."""

    checks: dict[str, Any] = field(default_factory=dict)

    async def report(self) -> dict[str, Any]:
        return {"postgres": "ok", "redis": "ok", "temporal": "ok", "mounts": {}, "outbox": {}} | self.checks


class FrontOfTest:
    """The application, its parts, and clients to talk to it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.commands, self.disks, self.health = Notebook(), Disks(), Told()
        self.settings = Settings(host_id="front-host", upload_max_bytes=32 * 1024 * 1024)  # type: ignore[call-arg]
        self.app: FastAPI = create_app(
            Services(
                self.settings, pool, self.commands, self.disks, self.health, threads=budgets.READS.build(), keys=KEYS
            )
        )
        self.services: Services = self.app.state.front.services
        self.tokens: dict[str, str] = {}

    def client(self, token: str | None = None, **headers: str) -> httpx2.AsyncClient:
        authorization = {"authorization": f"Bearer {token}"} if token else {}
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://front",
            headers=authorization | headers,
        )

    async def token(
        self, *scopes: str, principal: str | None = None, tenant: str = "main", grants: Sequence[Grant] = ()
    ) -> str:
        name = principal or f"user-{uuid.uuid4().hex[:8]}"
        async with self.pool.connection() as connection, connection.transaction():
            new = NewToken(principal=name, scopes=scopes, tenant=tenant, grants=grants)
            _, token = await tokens.issue(connection, new)
        return token


@pytest_asyncio.fixture
async def front(pool: Pool) -> FrontOfTest:
    made = FrontOfTest(pool)
    for scope in ("read", "write", "admin"):
        made.tokens[scope] = await made.token(scope)
    return made


@pytest_asyncio.fixture
async def client(front: FrontOfTest) -> AsyncIterator[httpx2.AsyncClient]:
    """As one who may write."""
    async with front.client(front.tokens["write"]) as client:
        yield client


@pytest_asyncio.fixture
async def admin(front: FrontOfTest) -> AsyncIterator[httpx2.AsyncClient]:
    async with front.client(front.tokens["admin"]) as client:
        yield client


@dataclass
class Tree:
    """A local mount, and records of nodes in it, written straight into the table: only `commit` does that otherwise."""

    pool: Pool
    mount: MountId
    folder: Path
    root: NodeId
    uuid: str

    async def directory(self, path: str | bytes, **columns: Any) -> NodeId:
        raw = path.encode() if isinstance(path, str) else path
        text = raw.decode("utf-8", "replace")
        return await self._insert(
            raw, {"kind": "directory", "directory_path": raw + b"/", "directory_text": text + "/"} | columns
        )

    async def file(self, path: str | bytes, content: bytes | None = None, **columns: Any) -> NodeId:
        """With `content` the file is on the disk as well."""
        raw = path.encode() if isinstance(path, str) else path
        seen: dict[str, Any] = {}
        if content is not None:
            seen = self._write(raw, content)
        return await self._insert(raw, {"kind": "file"} | seen | columns)

    def _write(self, raw: bytes, content: bytes) -> dict[str, Any]:
        place = os.path.join(os.fsencode(self.folder), raw)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(content)
        found = LocalExecutor(str(self.folder), self.uuid).open(check(raw))
        identity = found.identity
        found.close()
        return {
            "size_bytes": len(content), "sha256": hashlib.sha256(content).digest(), "device": identity.device,
            "inode": identity.inode, "birth_ns": identity.birth, "observed_size": identity.size,
            "observed_mtime_ns": identity.mtime, "observed_ctime_ns": identity.ctime,
        }  # fmt: skip

    async def _insert(self, raw: bytes, columns: dict[str, Any]) -> NodeId:
        parent, _, name = raw.rpartition(b"/")
        columns = {
            "mount_id": self.mount, "name": name, "name_text": name.decode("utf-8", "replace"),
            "depth": raw.count(b"/") + 1,
        } | columns  # fmt: skip
        names = ", ".join(columns)
        values = ", ".join(f"%({name})s" for name in columns)
        query = f"""
            INSERT INTO filestore.nodes (parent_id, {names})
            SELECT id, {values} FROM filestore.nodes
             WHERE mount_id = %(mount_id)s AND directory_path = %(above)s AND (state <> 'deleted' OR %(any)s)
             ORDER BY state = 'deleted' LIMIT 1 RETURNING id"""
        above = parent + b"/" if parent else b""
        async with self.pool.connection() as connection:
            given = columns | {"above": above, "any": columns.get("state") == "deleted"}
            cursor = await connection.execute(query.encode(), given)
            row = await cursor.fetchone()
        assert row is not None, f"{parent!r} is not there"
        return NodeId(row["id"])


@pytest_asyncio.fixture
async def tree(pool: Pool, tmp_path: Path) -> Tree:
    return await make_tree(pool, tmp_path / "mount")


async def make_tree(pool: Pool, folder: Path, tenant: str = "main", **columns: Any) -> Tree:
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240  a test may wait
    key = f"m-{uuid.uuid4().hex}"
    async with pool.connection() as connection, connection.transaction():
        new = NewMount(mount_key=key, backend_kind="local", root_path=str(folder), tenant=tenant)
        id = await mounts.create(connection, new, "test-host")
        assert id is not None
        await mounts.record_root(connection, id, None)
        await mounts.update(connection, id, {"state": "active", "state_reason": None} | columns)
        mount = await mounts.find(connection, id, tenant)
        cursor = await connection.execute("SELECT id FROM filestore.nodes WHERE mount_id = %s", [id])
        root = await cursor.fetchone()
    assert mount is not None and root is not None
    await asyncio.to_thread(LocalExecutor.register, str(folder), mount.mount_uuid)
    return Tree(pool, id, folder, NodeId(root["id"]), mount.mount_uuid)


@pytest_asyncio.fixture
async def address(front: FrontOfTest) -> AsyncIterator[tuple[str, int]]:
    """The application behind a real socket, for what only a connection shows."""
    config = http.config(front.app, front.settings, 0, lambda reason: None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.005)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    yield host, port
    server.should_exit = True
    await serving
