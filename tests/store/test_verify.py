"""What the verification of files finds, and what it writes: when that was, a hash that was not known, and the ends of items."""

import hashlib
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.executors.contract.executor import Content
from activities.executors.contract.identity import Identity
from activities.operations.chunk import NextChunk, NextStep
from activities.operations.plan import PlanItems
from activities.operations.verify import VerifyFiles
from schema.errors import MountOffline
from schema.ids import MountId, new_command_id
from schema.operations.control import Control, steer
from schema.operations.operation import Operation, OperationItem, OperationKind, Options
from schema.paths import NodePath
from schema.store import operations as store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, mkdir, upload

CONTENT = b"what was uploaded"
HASH = hashlib.sha256(CONTENT).hexdigest()


class OpenContent:
    """Content of a file that is open."""

    def __init__(self, content: bytes, identity: Identity) -> None:
        self.content, self.identity = content, identity

    def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]

    def unchanged(self) -> bool:
        return True

    def close(self) -> None:
        pass


class Storage:
    """Says what lies where."""

    def __init__(self) -> None:
        self.content: dict[str, bytes | Exception] = {}
        self.identity: dict[str, list[int | str]] = {}

    def of(self, mount: MountId) -> Any:
        return self

    def open(self, path: NodePath) -> Content:
        content = self.content.get(path.text, CONTENT)
        if isinstance(content, Exception):
            raise content
        return OpenContent(content, Identity.of_facts(self.identity.get(path.text, [0, 1, 1, 1, 1, 1, 0, 0o644, 1])))


class Verifying:
    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.protocol, self.mount, self.storage = pool, protocol, mount, Storage()
        threads = budgets.COPIES.build()
        self.chunks = NextChunk(pool, self.storage, threads)
        self.files = VerifyFiles(pool, self.storage, threads)

    async def begin(self, path: str = "d", **options: object) -> Operation:
        operation = Operation(
            id=str(new_command_id()), tenant="main", principal="ann", token_id=1, kind=OperationKind.VERIFY,
            mount_id=self.mount, path=NodePath(path.encode()), options=Options(**options),  # type: ignore[arg-type]
        )  # fmt: skip
        async with self.pool.connection() as connection:
            assert await store.create(connection, operation, operation.id, "00")
        assert await ActivityEnvironment().run(PlanItems(self.pool).plan, operation.id) == "running"
        return operation

    async def next(self, operation: Operation) -> NextStep:
        step: NextStep = await ActivityEnvironment().run(self.chunks.next, operation.id)
        return step

    async def run(self, operation: Operation) -> str:
        while not (step := await self.next(operation)).over:
            assert step.portion is not None
            await ActivityEnvironment().run(self.files.verify, step.portion)
        return step.state

    async def items(self, operation: Operation) -> list[OperationItem]:
        async with self.pool.connection() as connection:
            return await store.items(connection, operation.id, states=None, codes=None, after=-1, limit=100)

    async def ends(self, operation: Operation) -> dict[str, tuple[str, str | None]]:
        return {one.path.text: (one.state, one.code) for one in await self.items(operation)}

    async def fetch(self, query: str) -> list[tuple[object, ...]]:
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(query.encode(), {"mount": self.mount})).fetchall()
        return [tuple(row.values()) for row in rows]


@pytest.fixture
async def verifying(pool: Pool, protocol: Protocol, mount: MountId) -> Verifying:
    for path in ("d", "d/e"):
        await protocol.run(mount, mkdir(mount, path))
    for path in ("d/f", "d/g", "d/h", "d/e/i"):
        await protocol.run(mount, upload(mount, path, len(CONTENT), sha256=HASH))
    return Verifying(pool, protocol, mount)


CHECKED = "SELECT name, version FROM filestore.nodes WHERE mount_id = %(mount)s AND consistency_checked_at IS NOT NULL"


async def test_every_file_is_read_and_what_differs_is_said(verifying: Verifying) -> None:
    verifying.storage.content |= {
        "d/g": b"what was tampered with",
        "d/h": MountOffline(),
        "d/e/i": OSError(5, "I/O error"),
    }
    operation = await verifying.begin()
    assert await verifying.run(operation) == "partial"
    assert await verifying.ends(operation) == {
        "d/f": ("done", None), "d/g": ("failed", "CONTENT_CHANGED"), "d/h": ("failed", "MOUNT_OFFLINE"),
        "d/e/i": ("failed", "UNREADABLE"),
    }  # fmt: skip
    assert await verifying.fetch(CHECKED) == [(b"f", 1)], "no new version, and only of what was found right"


async def test_a_file_that_is_not_as_the_plan_saw_it_is_skipped(verifying: Verifying) -> None:
    operation, mount = await verifying.begin(), verifying.mount
    await verifying.protocol.run(mount, delete(mount, "d/f"))
    await verifying.protocol.run(mount, upload(mount, "d/g", 3, overwrite=True, sha256="cd" * 32))
    await verifying.protocol.run(mount, asked("moveNode", mount, "d/e", target="d/elsewhere"))  # type: ignore[arg-type]
    assert await verifying.run(operation) == "partial"
    skipped = ("skipped", "VERSION_CONFLICT")
    assert await verifying.ends(operation) == {
        "d/f": skipped, "d/g": skipped, "d/h": ("done", None), "d/e/i": skipped,
    }  # fmt: skip


async def test_a_hash_that_was_not_known_is_kept_where_the_file_is_the_one_of_the_record(verifying: Verifying) -> None:
    await verifying.fetch(
        "UPDATE filestore.nodes SET sha256 = NULL WHERE mount_id = %(mount)s AND kind = 'file' RETURNING id"
    )
    await verifying.fetch("UPDATE filestore.versions SET sha256 = NULL WHERE kind = 'file' RETURNING 1")
    known = await verifying.fetch(
        "SELECT convert_from(p.directory_path || n.name, 'UTF8'), filestore.node_identity(n) FROM filestore.nodes n"
        " JOIN filestore.nodes p ON p.id = n.parent_id WHERE n.mount_id = %(mount)s AND n.name IN ('f', 'h')"
    )
    verifying.storage.identity = dict(known)  # type: ignore[arg-type]
    operation = await verifying.begin()
    await verifying.run(operation)
    changed = ("failed", "CONTENT_CHANGED")
    assert await verifying.ends(operation) == {
        "d/f": ("done", None), "d/g": changed, "d/h": ("done", None), "d/e/i": changed,
    }  # fmt: skip
    found = await verifying.fetch(
        "SELECT n.name, encode(n.sha256, 'hex') AS node, encode(s.sha256, 'hex') AS snapshot FROM filestore.nodes n"
        " JOIN filestore.snapshots s ON s.node_id = n.id WHERE n.mount_id = %(mount)s AND n.sha256 IS NOT NULL ORDER BY 1"
    )
    assert found == [(b"f", HASH, HASH), (b"h", HASH, HASH)]


async def test_what_a_lost_step_had_comes_again_and_is_counted_once(verifying: Verifying) -> None:
    operation = await verifying.begin(bytes_per_second=len(CONTENT) * 400)
    lost = await verifying.next(operation)
    again = await verifying.next(operation)
    assert lost.portion is not None and lost.portion == again.portion
    await ActivityEnvironment().run(verifying.files.verify, again.portion)
    await ActivityEnvironment().run(verifying.files.verify, lost.portion)
    assert await verifying.run(operation) == "succeeded"
    async with verifying.pool.connection() as connection:
        locked = await store.lock(connection, operation.id)
    assert locked is not None and (locked.operation.done, locked.operation.in_flight) == (4, 0)


async def test_a_pause_leaves_what_was_not_read_for_later(verifying: Verifying) -> None:
    operation = await verifying.begin()
    step = await verifying.next(operation)
    async with verifying.pool.connection() as connection, connection.transaction():
        locked = await store.lock(connection, operation.id)
        assert locked is not None
        await store.steer(connection, operation.id, steer(locked.operation, Control.PAUSE))
    assert step.portion is not None
    await ActivityEnvironment().run(verifying.files.verify, step.portion)
    assert {state for state, _ in (await verifying.ends(operation)).values()} == {"pending"}
    assert (await verifying.next(operation)).state == "paused"
