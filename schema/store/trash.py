"""Read the trash: what overwrites and deletions have kept, by whom, until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from schema.ids import CommandId, MountId, NodeId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("trash")
SCAN = 100
"""So many versions one look goes through."""


@dataclass(frozen=True, slots=True)
class KeptUntil:
    """The place of an entry in the order of the trash."""

    until: datetime
    node: int
    version: int


LAST = KeptUntil(datetime(9999, 12, 31, tzinfo=UTC), 0, 0)
"""Nothing is kept for longer."""
EVER = datetime(1, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TrashEntry:
    """What was kept: this version of a node. Of a directory `size`, `files` and `directories` are of all below it."""

    node: NodeId
    version: int
    kind: str
    path: NodePath
    size: int
    files: int | None
    directories: int | None
    sha256: bytes | None
    ended: datetime
    until: datetime
    lives: bool
    """The node is there: with other content, or a later one of its versions was restored."""
    newest: int
    """The version that the node has now"""
    command: CommandId
    kind_of_command: str | None
    principal: str | None
    entry: int | None

    @property
    def place(self) -> KeptUntil:
        return KeptUntil(self.until, self.node, self.version)

    @property
    def went_with_it(self) -> bool:
        """Its node was deleted with this version, and still is."""
        return not self.lives and self.newest == self.version + 1


@dataclass(frozen=True, slots=True)
class TrashPage:
    """`end`: where the look goes on; None: there is no more. `looked`: so many versions were looked at."""

    entries: Sequence[TrashEntry]
    end: KeptUntil | None
    looked: int = 0


async def kept(
    connection: Connection, mount: MountId, root: NodeId, path: NodePath, *, after: KeptUntil = LAST, limit: int,
    expired: bool = False,
) -> TrashPage:  # fmt: skip
    """One look: at most SCAN versions, at most `limit` entries, those that are kept for longest first. `expired`: also those that
    are kept no longer, and lie there still."""
    values: dict[str, Any] = {
        "mount": mount, "root": root, "path": path.raw, "scan": SCAN, "limit": limit,
        "before_until": after.until, "before_id": after.node, "before_version": after.version,
        "least": EVER if expired else None,
    }  # fmt: skip
    rows = await (await connection.execute(SQL["kept"], values)).fetchall()
    entries = [_entry(row) for row in rows if row["node_id"] is not None]
    if entries and len(entries) == limit:
        return TrashPage(entries, entries[-1].place, rows[-1]["scanned"])
    full = bool(rows and rows[0]["full"])
    end = KeptUntil(rows[0]["last_until"], rows[0]["last_id"], rows[0]["last_version"]) if full else None
    return TrashPage(entries, end, rows[0]["looked"] if rows else 0)


async def count(connection: Connection, *, expired: bool = False) -> int:
    """So many versions all looks together go through."""
    row = await (await connection.execute(SQL["count_kept"], {"least": EVER if expired else None})).fetchone()
    assert row is not None
    return int(row["kept"])


def _entry(row: DictRow) -> TrashEntry:
    return TrashEntry(
        NodeId(row["node_id"]), row["version"], row["kind"], NodePath(bytes(row["path"])), int(row["size"]),
        row["files"], row["directories"], None if row["sha256"] is None else bytes(row["sha256"]), row["ended"],
        row["content_until"], row["lives"], row["newest"], CommandId(row["command_id"]), row["command"],
        row["principal"], row["entry"],
    )  # fmt: skip
