"""Resumable uploads, and those that go straight to a bucket: what was announced, how much of it is durable, how it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from schema.errors import RateLimited, StorageFull
from schema.ids import MountId
from schema.locks import Lock
from schema.paths import NodePath
from schema.sql import load
from schema.uploads import Announcement, UploadEnd, of_json

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("uploads")

State = Literal["open", "done", "refused", "gone"]
"""`open` until its bytes are not needed any longer: it became a file, was refused, was given up or expired."""


@dataclass(frozen=True, slots=True)
class Upload:
    id: str
    state: State
    mount: MountId | None
    parts: Sequence[str]
    """The uploads this one is made of"""
    received: int
    expected: int | None
    request: Announcement
    expires_at: datetime
    expired: bool = False

    @property
    def complete(self) -> bool:
        return self.received == self.expected


@dataclass(frozen=True, slots=True)
class NewUpload:
    id: str
    tenant: str
    principal: str
    mount: MountId | None
    path: NodePath | None
    expected: int | None
    request: Announcement
    parts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one principal may have open at a time."""

    uploads: int
    bytes: int


async def create(connection: Connection, new: NewUpload, keep_seconds: float, most: Allowance) -> None:
    """In a transaction. One that is there already under this id stays as it is. Raises RateLimited, StorageFull."""
    size = 0 if new.parts else new.expected or 0
    await _within(connection, new.tenant, new.principal, new.id, size, most, ends=len(new.parts))
    values = {
        "id": new.id,
        "tenant": new.tenant,
        "principal": new.principal,
        "mount": new.mount,
        "path": new.path and new.path.raw,
        "parts": json.dumps(list(new.parts)),
        "expected": new.expected,
        "request": json.dumps(new.request.to_json()),
        "keep": keep_seconds,
    }
    await connection.execute(SQL["create"], values)


async def _within(
    connection: Connection, tenant: str, principal: str, id: str, size: int, most: Allowance, ends: int = 0
) -> None:
    """The lock first: a statement sees what was committed before it began, and not what its lock waited for. `ends`: as many
    others end with this one. So all that may be open can be put together."""
    of = {"tenant": tenant, "principal": principal, "id": id}
    await connection.execute(SQL["one_at_a_time"], of | {"lock": Lock.UPLOADS})
    found = await (await connection.execute(SQL["open_of"], of)).fetchone()
    assert found is not None
    if found["uploads"] - ends >= most.uploads:
        raise RateLimited(f"You have {most.uploads} open uploads, the most there may be. Finish some, or give them up.")
    if found["bytes"] + size > most.bytes:
        raise StorageFull(
            f"Your open uploads have announced {found['bytes']} bytes; with this one they would pass {most.bytes}, the "
            "most they may. Finish some, or give them up."
        )


async def find(connection: Connection, ids: Sequence[str], tenant: str, principal: str) -> dict[str, Upload]:
    cursor = await connection.execute(SQL["find"], {"ids": list(ids), "tenant": tenant, "principal": principal})
    return {row["id"]: _upload(row) for row in await cursor.fetchall()}


def _upload(row: DictRow) -> Upload:
    return Upload(
        row["id"], row["upload_state"], row["mount_id"], row["parts"], row["received"], row["expected"],
        of_json(row["request"]), row["expires_at"], row["expired"],
    )  # fmt: skip


async def fix_length(
    connection: Connection, id: str, expected: int, tenant: str, principal: str, most: Allowance
) -> bool:
    """In a transaction. False: it was told before, or more has come already. Raises StorageFull."""
    await _within(connection, tenant, principal, id, expected, most)
    cursor = await connection.execute(SQL["fix_length"], {"id": id, "expected": expected})
    return await cursor.fetchone() is not None


async def advance(connection: Connection, id: str, before: int, received: int, keep_seconds: float) -> datetime | None:
    """Until when it is kept now. None: another request went on with it, or it has ended."""
    values = {"id": id, "before": before, "received": received, "keep": keep_seconds}
    cursor = await connection.execute(SQL["advance"], values)
    row = await cursor.fetchone()
    return row["expires_at"] if row else None


async def end(
    connection: Connection, ids: Sequence[str], state: State, ended: UploadEnd | None, keep_seconds: float
) -> list[str]:
    """Those that were open until now."""
    values = {"ids": list(ids), "state": state, "ended": json.dumps(ended and ended.to_json()), "keep": keep_seconds}
    cursor = await connection.execute(SQL["end"], values)
    return [row["id"] for row in await cursor.fetchall()]


Place = tuple[datetime, str]
"""Where a page of overdue uploads ended"""
BEGINNING: Place = datetime(1, 1, 2, tzinfo=UTC), "00000000-0000-0000-0000-000000000000"


async def overdue(connection: Connection, host: str, after: Place = BEGINNING) -> list[Place]:
    """A page of them; none: those were all."""
    cursor = await connection.execute(SQL["overdue"], {"host": host, "expired": after[0], "after": after[1]})
    return [(row["expires_at"], row["id"]) for row in await cursor.fetchall()]


async def expire(connection: Connection, id: str, keep_seconds: float) -> bool:
    cursor = await connection.execute(SQL["expire"], {"id": id, "keep": keep_seconds})
    return await cursor.fetchone() is not None


async def expire_direct(connection: Connection, keep_seconds: float) -> int:
    cursor = await connection.execute(SQL["expire_direct"], {"keep": keep_seconds})
    return cursor.rowcount


async def forget(connection: Connection) -> int:
    cursor = await connection.execute(SQL["forget"])
    return cursor.rowcount


async def still_open(connection: Connection, ids: Sequence[str]) -> set[str]:
    cursor = await connection.execute(SQL["open"], {"ids": list(ids)})
    return {row["id"] for row in await cursor.fetchall()}
