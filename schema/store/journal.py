"""Read the journal, and how commands stand. As JSON text, rendered by the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.commands.command import Status
from schema.ids import CommandId, MountId, NodeId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("journal")
_FORWARD = SQL["entries"] + "\n" + SQL["oldest_first"] + "\n" + SQL["page"] + " ORDER BY j.id"
_BACK = SQL["entries"] + "\n" + SQL["newest_first"] + "\n" + SQL["page"] + " ORDER BY j.id DESC"


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """Which entries; all of it at once, None asks for nothing."""

    mount: MountId | None = None
    path: NodePath | None = None
    prefix: NodePath | None = None
    """The path itself and all below it"""
    node: NodeId | None = None
    principal: str | None = None
    kinds: Sequence[str] | None = None
    outcomes: Sequence[str] | None = None
    codes: Sequence[str] | None = None
    command: CommandId | None = None
    operation: str | None = None
    atomic: str | None = None
    """A list of which all were recorded or none"""
    correlation: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    before: int | None = None

    def values(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in JournalFilter.__dataclass_fields__}
        prefix = self.prefix if self.prefix is not None and self.prefix.raw else None
        # '0' comes right after '/'
        bounds = (None, None) if prefix is None else (prefix.raw + b"/", prefix.raw + b"0")
        return own | {
            "path": None if self.path is None else self.path.raw,
            "prefix": None if prefix is None else prefix.raw,
            "low": bounds[0],
            "high": bounds[1],
            "kinds": None if self.kinds is None else list(self.kinds),
            "outcomes": None if self.outcomes is None else list(self.outcomes),
        }


@dataclass(frozen=True, slots=True)
class JournalPage:
    """`items` are the elements of a JSON array without its brackets, `last` is the id of the last one; `more` come after it."""

    items: str
    last: int | None
    more: bool


async def entries(
    connection: Connection, tenant: str, asked: JournalFilter, *, limit: int, oldest_first: bool = False
) -> JournalPage:
    """Oldest first: only what is settled, so that a client that goes on behind the last one misses nothing. Newest first: all."""
    values = asked.values() | {"tenant": tenant, "limit": limit}
    # Planned with these very values: most conditions vanish, and with them whatever would keep the indexes from being used.
    cursor = await connection.execute(_FORWARD if oldest_first else _BACK, values, prepare=False)
    rows = await cursor.fetchall()
    page = rows[:limit]
    return JournalPage(",".join(_entry(row) for row in page), page[-1]["id"] if page else None, len(rows) > limit)


def _entry(row: DictRow) -> str:
    return f'{_document(row)[:-1]},"before":{_readable(row["before"])},"after":{_readable(row["after"])}}}'


def _readable(facts: str | None) -> str:
    """What a node was, with its name as text: the record keeps the bytes of a name in hexadecimal."""
    if facts is None:
        return "null"
    told = json.loads(facts)
    if not isinstance(told, dict) or "name" not in told:
        return facts
    raw = bytes.fromhex(told["name"])
    exact = NodePath(raw).b64
    told |= {"name": raw.decode("utf-8", "replace")} | ({} if exact is None else {"nameB64": exact})
    return json.dumps(told)


def _document(row: DictRow) -> str:
    """The exact bytes of paths are told only where there are any: `exact` is an object, mostly an empty one."""
    return row["document"] if row["exact"] == "{}" else f"{row['document'][:-1]},{row['exact'][1:]}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A command as its principal reads it: JSON text."""

    principal: str
    status: Status | None
    """None: it waits in a queue, and is not recorded yet."""
    document: str


async def command(connection: Connection, command: CommandId, tenant: str) -> Standing | None:
    cursor = await connection.execute(SQL["command"], {"id": command, "tenant": tenant})
    row = await cursor.fetchone()
    return Standing(row["principal"], Status(row["status"]), _document(row)) if row else None
