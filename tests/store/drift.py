"""Looks on a real disk and a real record, without Temporal: the activities are the real ones."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.drift.observe import LookEnd, LookOrder, Observe
from activities.executors.contract.executor import Executor
from activities.executors.local.executor import LocalExecutor
from schema.check import ListedFacts, Severity, StorageFacts, check, wanted_places
from schema.ids import MountId
from schema.store import check as check_store
from schema.store import mounts
from schema.store.pool import Pool
from tests.store.helpers import Protocol


@dataclass
class OneMount:
    executor: Executor

    def of(self, mount: MountId) -> Executor:
        return self.executor


@dataclass
class Drifting:
    """A mount on a disk, its looks, and what the record says."""

    pool: Pool
    root: Path
    mount: MountId
    executor: LocalExecutor
    protocol: Protocol
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.observe = Observe(self.pool, OneMount(self.executor), budgets.STEPS.build(), lambda: None)
        self.environment = ActivityEnvironment()

    # Looks

    async def begin(self, *paths: str, whole: bool = True, subtree: bool = True, **more: Any) -> int:
        raw = [path.encode().hex() for path in paths or ("",)]
        order = LookOrder(self.mount, more.pop("reason", "audit"), whole=whole, paths=raw, subtree=subtree, **more)
        look = await self.environment.run(self.observe.begin, order)
        assert look is not None
        return look

    async def read(self, look: int) -> bool:
        return await self.environment.run(self.observe.read, look)

    async def conclude(self, look: int) -> LookEnd:
        return await self.environment.run(self.observe.conclude, look)

    async def look(self, *paths: str, **more: Any) -> LookEnd:
        look = await self.begin(*paths, **more)
        assert await self.read(look)
        return await self.conclude(look)

    async def settle(self, looks: int = 2) -> None:
        for _ in range(looks):
            await self.look()

    async def policy(self, **policy: Any) -> None:
        values = (self.mount, orjson.dumps({"phase": "enforce", "brake": {"share": 1.0}, **policy}).decode())
        query = b"""INSERT INTO filestore.drift_mounts (mount_id, policy) VALUES (%s, %s)
                    ON CONFLICT (mount_id) DO UPDATE SET policy = excluded.policy"""
        async with self.pool.connection() as connection:
            await connection.execute(query, values)

    # The stranger

    def write(self, path: str, content: str = "") -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content or path)
        return place

    def remove(self, path: str) -> None:
        place = self.root / path
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()

    def rename(self, path: str, target: str) -> None:
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        os.rename(self.root / path, self.root / target)

    # The record

    async def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            return list(await (await connection.execute(query.encode(), values)).fetchall())

    async def nodes(self) -> dict[str, tuple[int, str]]:
        """Id and state by path, of all that lives and has a name."""
        query = """SELECT id, state::text, path_text FROM filestore.node_documents
                    WHERE mount_id = %s AND state <> 'deleted' AND depth > 0"""
        return {row["path_text"]: (row["id"], row["state"]) for row in await self.rows(query, self.mount)}

    async def states(self) -> dict[str, str]:
        return {path: state for path, (_, state) in (await self.nodes()).items()}

    async def findings(self) -> dict[str, tuple[str, str]]:
        query = "SELECT path, kind, state::text FROM filestore.findings WHERE mount_id = %s AND ended_at IS NULL"
        return {bytes(row["path"]).decode(): (row["kind"], row["state"]) for row in await self.rows(query, self.mount)}

    async def events(self) -> list[tuple[str, str]]:
        query = "SELECT type, data->>'path' AS path FROM filestore.outbox WHERE mount_id = %s ORDER BY id"
        rows = await self.rows(query, self.mount)
        return [(row["type"].removeprefix("filestore."), row["path"]) for row in rows]

    async def problems(self) -> list[str]:
        """What the consistency check has to say, the disk included."""
        async with self.pool.connection() as connection:
            record, _ = await check_store.record(connection, self.mount)
        listing = [
            ListedFacts(entry.path.raw, entry.kind, entry.identity.facts(), self._digest(entry.path.raw, entry.kind))
            for entry in self.executor.walk()
        ]
        found = check(record, StorageFacts(listing, {place: self._size(place) for place in wanted_places(record)}))
        return [f"{one.kind} {one.where}: {one.message}" for one in found if one.severity is Severity.ERROR]

    def _size(self, place: bytes) -> int | None:
        kept = self.root / ".filestore" / "trash" / os.fsdecode(place)
        return kept.lstat().st_size if os.path.lexists(kept) else None

    def _digest(self, path: bytes, kind: str) -> bytes | None:
        return hashlib.sha256((self.root / os.fsdecode(path)).read_bytes()).digest() if kind == "file" else None


async def make_drifting(pool: Pool, root: Path, protocol: Protocol, files: Sequence[str] = ()) -> Drifting:
    """A mount whose record knows these files."""
    key = f"d-{uuid.uuid4().hex[:8]}"
    os.makedirs(root, exist_ok=True)
    async with pool.connection() as connection:
        mount = await mounts.create(
            connection, mounts.NewMount(mount_key=key, backend_kind="local", root_path=str(root)), "test-host"
        )
        assert mount is not None
        row = await mounts.find(connection, mount, "main")
        assert row is not None
        executor = LocalExecutor.register(str(root), row.mount_uuid)
        await mounts.record_root(connection, mount, executor.root_identity().facts())
        await mounts.update(connection, mount, {"state": "active", "state_reason": None})
    protocol.serve(OneMount(executor))
    drifting = Drifting(pool, root, mount, executor, protocol)
    await drifting.policy()
    for path in files:
        drifting.write(path)
    await drifting.settle(1)
    return drifting
