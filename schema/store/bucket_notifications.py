"""Notifications of buckets become hints. When they came is kept, and whether our canaries were heard of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.drift.hints import Hint, Reason
from schema.drift.notifications import NamedKey, of_mount
from schema.ids import MountId
from schema.mounts import Mount
from schema.sql import load
from schema.store import drift_hints

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("bucket_notifications")

SILENT_SECONDS = 180.0
"""A canary that was not heard of for so long: the notifications of its bucket have fallen silent"""


@dataclass(frozen=True, slots=True)
class NotificationRow:
    """What is known of the notifications of a mount."""

    mount_id: MountId
    keys: int
    heard_at: datetime
    waits: float
    """For how many seconds a canary has been waited for; 0: all were heard of"""

    @property
    def state(self) -> str:
        return "silent" if self.waits > SILENT_SECONDS else "heard"


@dataclass(frozen=True, slots=True)
class NotificationsOfMount:
    tenant: str
    mount_key: str
    notifications: NotificationRow


async def notice(connection: Connection, mounts: Sequence[Mount], named: Sequence[NamedKey]) -> list[MountId]:
    """Make hints of these keys, for the mounts they belong to. Returns those that got one. Repeating it is harmless."""
    hinted: list[MountId] = []
    etags = {(one.bucket, one.key): one.etag for one in named if one.etag}
    for mount in mounts:
        if mount.backend_kind != "s3" or not mount.bucket:
            continue
        told = of_mount(named, mount.bucket, mount.prefix or "")
        if not told.hints and not told.canary:
            continue
        async with connection.transaction():
            silent = await _waits(connection, mount.id) > SILENT_SECONDS and told.canary
            values = {"mount": mount.id, "keys": len(told.hints), "canary": told.canary}
            await connection.execute(SQL["hear"], values)
            hints = await _strange(connection, mount, told.hints, etags)
            # What was told while no notification came is not known: the whole mount is looked at.
            hints += [Hint(b"", True, Reason.LOST)] if silent else []
            await drift_hints.hint(connection, mount.id, hints)
        hinted += [mount.id] if hints else []
    return hinted


async def _strange(
    connection: Connection, mount: Mount, hints: Sequence[Hint], etags: Mapping[tuple[str, bytes], str]
) -> list[Hint]:
    """Without those that have the ETag on record: our own command has written them."""
    above = (mount.prefix or "").strip("/").encode()
    keyed = {
        hint.path: etags.get((mount.bucket or "", above + b"/" + hint.path if above else hint.path)) for hint in hints
    }
    known = {path: etag for path, etag in keyed.items() if etag}
    split = [path.rpartition(b"/") for path in known]
    values = {
        "mount": mount.id, "paths": list(known), "parents": [one + slash for one, slash, _ in split],
        "names": [name for _, _, name in split], "etags": list(known.values()),
    }  # fmt: skip
    rows = await (await connection.execute(SQL["on_record"], values)).fetchall() if known else []
    own = {bytes(row["path"]) for row in rows}
    return [hint for hint in hints if hint.path not in own]


async def _waits(connection: Connection, mount: MountId) -> float:
    row = await (await connection.execute(SQL["waits"], {"mount": mount})).fetchone()
    return float(row["waits"] or 0) if row else 0.0


async def canaries_due(connection: Connection, seconds: float) -> dict[MountId, datetime]:
    """The mounts that had notifications, and whose last canary is older than this; each with the time that it is now."""
    rows = await (await connection.execute(SQL["due"], {"seconds": seconds})).fetchall()
    return {MountId(row["mount_id"]): row["at"] for row in rows}


async def canary_put(connection: Connection, mount: MountId, began: datetime) -> None:
    """A canary was written: it is waited for, unless it was heard of since its writing began."""
    await connection.execute(SQL["put"], {"mount": mount, "began": began})


async def notifications_of(connection: Connection, mount: MountId) -> NotificationRow | None:
    """None: the mount never had one."""
    row = await (await connection.execute(SQL["of_mount"], {"mount": mount})).fetchone()
    return _row(row) if row else None


async def every(connection: Connection) -> list[NotificationsOfMount]:
    rows = await (await connection.execute(SQL["every"])).fetchall()
    return [NotificationsOfMount(row["tenant"], row["mount_key"], _row(row)) for row in rows]


def _row(row: Mapping[str, Any]) -> NotificationRow:
    return NotificationRow(row["mount_id"], row["keys"], row["heard_at"], row["waits"])
