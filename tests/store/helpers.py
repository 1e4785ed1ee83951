"""Commands in the record without a disk: `begin` and `commit` are the real ones, what lies between is told."""

import asyncio
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg.rows import DictRow
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.commands.begin import Begin
from activities.commands.commit import Commit
from activities.commands.fresh import FreshAttempts
from activities.executors.contract.executor import Executor
from activities.executors.memory.executor import MemoryExecutor
from activities.ports import Executors
from schema.commands.command import Command, CommandKind, Status
from schema.commands.payloads import Applied, AppliedList, Batch, Begun, Ended, Going, Outcome
from schema.commands.verdicts import Verdict
from schema.ids import CommandId, MountId, new_command_id
from schema.store import events, mounts
from schema.store.pool import Pool

Connection = psycopg.AsyncConnection[DictRow]
OPTIONS = "-c timezone=UTC -c search_path=filestore"


async def never_vacuumed(connection: Connection) -> None:
    """No vacuum and no analysis come at a moment of their own: what is read, and how it is planned, is the same each time."""
    cursor = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'filestore'")
    for row in await cursor.fetchall():
        await connection.execute(f"ALTER TABLE filestore.{row['tablename']} SET (autovacuum_enabled = off)".encode())


_OTHERS = """
    SELECT count(*) AS open FROM pg_stat_activity
     WHERE backend_xid::text::bigint < %s AND (datname <> current_database() OR backend_type <> 'client backend')"""


async def others_ended(connection: Connection) -> None:
    """Transactions of other databases of this server, and of a vacuum, hold up what waits for all that are older: those that are
    open by now have ended. A transaction that a test has open holds up as ever."""
    row = await (
        await connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next")
    ).fetchone()
    assert row is not None
    for _ in range(1000):
        others = await (await connection.execute(_OTHERS, [row["next"] % 2**32])).fetchone()
        assert others is not None
        if not others["open"]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("another database has a transaction open for twenty seconds")


async def give_positions(connection: Connection, limit: int = 1000) -> int:
    """To all events that wait, as the publisher does it. Returns how many."""
    await others_ended(connection)
    total = 0
    while given := await events.give_positions(connection, limit):
        total += given
        await connection.commit()
    return total


async def settle_journal(connection: Connection, rounds: int = 2) -> None:
    """As the publisher does it over and over: the first round awaits what is open, the second has waited for it."""
    for _ in range(rounds):
        await others_ended(connection)
        await events.settle_entries(connection)


async def make_mount(connection: Connection, **changes: Any) -> MountId:
    """An active mount with a root."""
    key = f"m-{uuid.uuid4().hex[:8]}"
    new = mounts.NewMount(mount_key=key, backend_kind="local", root_path=f"/nowhere/{key}", **changes)
    mount = await mounts.create(connection, new, "test-host")
    assert mount is not None
    await mounts.record_root(connection, mount, [0, 1, 1, 0, 0, 0, 1, 0o755, 2])
    await mounts.update(connection, mount, {"state": "active", "state_reason": None})
    return mount


@dataclass
class Listener:
    """An audience that remembers what it was told, and that holds the stage of every request it knows."""

    verdicts: dict[CommandId, Verdict] = field(default_factory=dict)
    outcomes: dict[CommandId, Outcome] = field(default_factory=dict)

    def holds(self, request: CommandId) -> bool:
        return True

    def begun(self, verdicts: Mapping[CommandId, Verdict]) -> None:
        self.verdicts.update(verdicts)

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes.update({outcome.id: outcome for outcome in outcomes})


class OneExecutor:
    """Commit asks for an executor only to take an effect back."""

    def __init__(self) -> None:
        self._executor = MemoryExecutor()

    def of(self, mount: MountId) -> Executor:
        return self._executor


TOKEN_OF_COMMANDS = b"""
INSERT INTO filestore.tokens (id, principal, hash, hint, scopes) OVERRIDING SYSTEM VALUE
VALUES (1, 'admin', sha256('of the commands of the tests'), 'fst_', '{admin}');
ALTER SEQUENCE filestore.tokens_id_seq RESTART WITH 2;
"""
"""The token that `asked` names: it may do everything."""


class Protocol:
    """`begin` and `commit` as the workflow runs them, without a disk: what `apply` would have done is told here."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.audience = pool, Listener()
        self._inodes = 100
        self.serve(OneExecutor())

    def serve(self, executors: Executors) -> None:
        self.executors, self.threads = executors, budgets.STEPS.build()
        threads = self.threads
        self._begin = Begin(self.pool, executors, threads, self.audience, FreshAttempts())
        self._commit = Commit(self.pool, executors, threads, self.audience, lambda: None, 30)

    async def begin(self, mount: MountId, requests: Sequence[Command], workflow: str | None = None) -> Begun:
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, workflow_id=workflow or f"cmd/{mount}/{requests[0].id}")
        return await environment.run(self._begin.begin, Batch(mount, list(requests)))

    async def commit(self, mount: MountId, applied: Sequence[Applied]) -> Ended:
        return await ActivityEnvironment().run(self._commit.commit, AppliedList(mount, list(applied)))

    async def run(self, mount: MountId, *requests: Command) -> dict[CommandId, Verdict]:
        """Carry these commands through as if each that goes had taken its step. Returns the verdicts."""
        begun = await self.begin(mount, requests)
        by_id = {request.id: request for request in requests}
        await self.commit(mount, [self._said(going, by_id.get(going.id)) for going in begun.go])
        return {request.id: self.audience.verdicts[request.id] for request in requests}

    def _said(self, going: Going, request: Command | None) -> Applied:
        """As a disk does: what was replaced waits in the stage, and nothing else is left."""
        replaces = request is not None and request.kind is CommandKind.UPLOAD and request.overwrite
        return replace(self.applied(going.id, going.attempt, request.size if request else 0), leaves=replaces)

    def applied(self, command: CommandId, attempt: int = 1, size: int = 0) -> Applied:
        self._inodes += 1
        identity: list[int | str] = [0, self._inodes, 1, size, 2, 3, 0, 0o644, 1]
        return Applied(command, attempt, Status.SUCCEEDED, identity, leaves=False, holds=False)

    def outcome(self, command: CommandId) -> Outcome:
        return self.audience.outcomes[command]


def asked(kind: CommandKind, mount: MountId, path: str, **changes: Any) -> Command:
    """A request as the API makes it."""
    values: dict[str, Any] = {
        "id": new_command_id(),
        "kind": kind,
        "mount_id": mount,
        "path": path,
        "tenant": "main",
        "principal": f"user of {mount}",
        "token_id": 1,
        "hash": hashlib.sha256(f"{kind} {mount} {path} {sorted(changes.items())}".encode()).hexdigest(),
    }
    if kind in (CommandKind.CREATE_DIRECTORY, CommandKind.UPLOAD):
        values["staged"] = [0, 7, 7, changes.get("size", 0), 7, 7, int(kind is CommandKind.CREATE_DIRECTORY), 0o644, 1]
    return Command(**values | changes)


def mkdir(mount: MountId, path: str, **changes: Any) -> Command:
    return asked(CommandKind.CREATE_DIRECTORY, mount, path, **changes)


def upload(mount: MountId, path: str, size: int = 5, **changes: Any) -> Command:
    return asked(CommandKind.UPLOAD, mount, path, **{"size": size, "sha256": "ab" * 32, **changes})


def delete(mount: MountId, path: str, **changes: Any) -> Command:
    return asked(CommandKind.DELETE, mount, path, **changes)
