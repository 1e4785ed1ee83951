"""The watches of local mounts: how they are, and what the record says of the names that they saw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.drift.own import RecordedName
from schema.ids import MountId
from schema.sql import load
from schema.store import bucket_notifications
from schema.store.bucket_notifications import NotificationRow

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("watchers")

SILENT_SECONDS = 15.0
"""A watcher that was not heard of for so long is stopped, dead, or can not reach Postgres"""


@dataclass(frozen=True, slots=True)
class WatchRow:
    """How the watch of a mount is, as its process said last."""

    mount_id: MountId
    phase: str
    cause: str
    lag_seconds: float
    directories: int
    unwatched: int
    events: int
    lost: int
    hints: int
    own: int
    since: datetime
    silent_seconds: float

    @property
    def state(self) -> str:
        """`silent` where the process was not heard of."""
        return "silent" if self.silent_seconds > SILENT_SECONDS else self.phase

    @property
    def lag(self) -> float:
        """A process that says nothing is late by as much."""
        return max(self.lag_seconds, self.silent_seconds if self.state == "silent" else 0.0)


@dataclass(frozen=True, slots=True)
class WatchOfMount:
    tenant: str
    mount_key: str
    watch: WatchRow


async def beat(
    connection: Connection, host: str, process: str, watches: Sequence[Mapping[str, Any]]
) -> float:  # fmt: skip
    """Write how the watches of this process are, and forget those it has no more. Returns since when Postgres runs."""
    values = {"host": host, "process": process, "watches": json.dumps(list(watches))}
    row = await (await connection.execute(SQL["beat"], values)).fetchone()
    await leave(connection, process, [watch["mount"] for watch in watches])
    assert row is not None
    return float(row["postgres_since"])


async def leave(connection: Connection, process: str, still: Sequence[int] = ()) -> None:
    """This process watches these mounts and no others."""
    await connection.execute(SQL["leave"], {"process": process, "mounts": list(still)})


async def of_mount(connection: Connection, mount: MountId) -> WatchRow | None:
    """What tells of changes of a mount: its watch; of a bucket, its notifications. None where neither was ever heard of."""
    row = await (await connection.execute(SQL["of_mount"], {"mount": mount})).fetchone()
    if row is not None:
        return _watch(row)
    told = await bucket_notifications.notifications_of(connection, mount)
    return _of_notifications(told) if told else None


def _of_notifications(told: NotificationRow) -> WatchRow:
    """`notified`, or `silent`. It is late by as long as a canary has been waited for."""
    silent = told.waits if told.state == "silent" else 0.0
    return WatchRow(told.mount_id, "notified", "", told.waits, 0, 0, told.keys, 0, 0, 0, told.heard_at, silent)


async def every(connection: Connection) -> list[WatchOfMount]:
    rows = await (await connection.execute(SQL["every"])).fetchall()
    return [WatchOfMount(row["tenant"], row["mount_key"], _watch(row)) for row in rows]


async def silent_seconds(connection: Connection, host: str) -> float | None:
    """Since the watcher of this host was heard of; None where there is none, or it watches nothing."""
    row = await (await connection.execute(SQL["latest"], {"host": host})).fetchone()
    return row["silent_seconds"] if row else None


async def recorded(connection: Connection, mount: MountId, paths: Sequence[bytes]) -> list[RecordedName]:
    """What the record says of these names, in their order."""
    split = [path.rpartition(b"/") for path in paths]
    values = {
        "mount": mount,
        "paths": list(paths),
        "parents": [above + slash for above, slash, _ in split],
        "names": [name for _, _, name in split],
    }
    rows = await (await connection.execute(SQL["recorded"], values)).fetchall()
    return [_recorded(row) for row in rows]


def _recorded(row: Mapping[str, Any]) -> RecordedName:
    facts = (row["device"], row["inode"], row["birth_ns"], row["observed_size"], row["observed_mtime_ns"],
             row["observed_ctime_ns"], row["observed_mode"])  # fmt: skip
    return RecordedName(
        known=row["directory"] is not None,
        active=bool(row["active"]),
        directory=bool(row["directory"]),
        facts=facts,
        claimed=row["claimed"],
    )


def _watch(row: Mapping[str, Any]) -> WatchRow:
    return WatchRow(**{name: row[name] for name in WatchRow.__dataclass_fields__})
