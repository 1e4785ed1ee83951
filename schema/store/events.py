"""The event feed as rows: positions, pages for readers, what Redis has not had, and how far behind it is."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.access.decision import Access, may
from schema.ids import MountId
from schema.locks import Lock
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("events")

PAGE_BYTES = 4 * 2**20
"""An event carries its node's metadata: a page ends with the event that makes it larger than this."""


@dataclass(frozen=True, slots=True)
class Event:
    position: int
    type: str
    data: str
    """JSON, as it was written in the transaction of its command"""


@dataclass(frozen=True, slots=True)
class Placed(Event):
    """An event, and what it is about: enough to tell which principals may see it and which followers want it."""

    tenant: str
    mount: MountId
    paths: tuple[bytes, ...]
    """Where its node lies, then where it lay on the same mount; empty for what has no place"""
    sources: tuple[tuple[MountId, bytes], ...] = ()
    """What else it tells of: where its node came from, or was copied from"""
    whole: bool = False
    """What happened to its directory happened to all that lies below it."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What a reader asks for. All of it holds at once; None asks for nothing."""

    tenant: str
    mount: MountId | None = None
    prefix: bytes = b""
    types: Sequence[str] | None = None

    def takes(self, event: Placed) -> bool:
        return (
            event.tenant == self.tenant
            and (self.mount is None or event.mount == self.mount)
            and (self.types is None or event.type in self.types)
            and (not self.prefix or any(self._concerns(path, event) for path in event.paths))
        )

    def _concerns(self, path: bytes, event: Placed) -> bool:
        """What is at the prefix or below it; and a directory above it that was moved, deleted, restored or copied whole."""
        return below(path, self.prefix) or (event.whole and below(self.prefix, path))


def below(path: bytes, prefix: bytes) -> bool:
    """Whether `path` is `prefix` or lies below it: by whole names, byte for byte."""
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/")


def visible(access: Access, event: Placed) -> bool:
    """Whether all that an event tells of may be read: of a move and of a copy, both places."""
    if not access.narrowed:
        return may(access, "read").allowed
    places = [(event.mount, path) for path in event.paths] + list(event.sources)
    return all(may(access, "read", mount, NodePath(path)).allowed for mount, path in places) and (
        bool(places) or access.places("read", event.mount).whole
    )


@dataclass(frozen=True, slots=True)
class EventPage:
    """`first` is the lowest position there is after the cursor; None: there is none. Everything up to `last` was looked at."""

    first: int | None
    last: int
    events: list[Placed]


@dataclass(frozen=True, slots=True)
class Bounds:
    """`first` is the lowest position that is kept; `last` the last one given, less than `first` when nothing is kept."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Backlog:
    unpositioned: bool
    unsettled: bool
    unpublished: bool


@dataclass(frozen=True, slots=True)
class Lag:
    unpositioned: int
    oldest_seconds: float | None
    unpublished: int
    position: int


# The publisher's side


async def lock(connection: Connection, one: Lock) -> bool:
    """Take `Lock.FEED` to give positions or `Lock.BUS` to speak to Redis, for this session; False while another has it."""
    row = await (await connection.execute(SQL["lock"], {"lock": one})).fetchone()
    return bool(row and row["mine"])


async def unlock(connection: Connection, one: Lock) -> None:
    await connection.execute(SQL["unlock"], {"lock": one})


async def give_positions(connection: Connection, limit: int) -> int:
    """How many events got one. Only under the lock."""
    return (await connection.execute(SQL["give_positions"], {"limit": limit})).rowcount


async def settle_entries(connection: Connection) -> None:
    """Raise the id up to which the journal is complete, if it can be raised by now. Only under the lock, outside of a
    transaction: docs/decisions/0008-journal-cursor.md says why each of these is a statement of its own."""
    row = await _waiting(connection)
    if row["awaited"] is not None:
        await connection.execute(SQL["settle_entries"])
        row = await _waiting(connection)
    if row["awaited"] is None and row["drawn"] > row["settled"]:
        await connection.execute(SQL["await_entries"], {"drawn": row["drawn"]})
        await connection.execute(SQL["settle_entries"])


async def waiting(connection: Connection) -> Backlog:
    row = await _waiting(connection)
    unsettled = row["awaited"] is not None or row["drawn"] > row["settled"]
    return Backlog(row["unpositioned"], unsettled, row["unpublished"])


async def _waiting(connection: Connection) -> DictRow:
    row = await (await connection.execute(SQL["waiting"])).fetchone()
    assert row is not None
    return row


async def unpublished(connection: Connection, limit: int) -> tuple[list[Event], bool]:
    """The next page, and whether there is more behind it."""
    values = {"limit": limit, "bytes": PAGE_BYTES}
    return _unpublished(await (await connection.execute(SQL["unpublished"], values)).fetchall(), limit)


async def lock_unpublished(connection: Connection, limit: int) -> tuple[bool, list[Event], bool]:
    """`Lock.BUS` and the first page in one round trip. False: another process has the lock, and the page is its own."""
    values = {"limit": limit, "bytes": PAGE_BYTES}
    try:
        async with connection.pipeline():
            locked = await connection.execute(SQL["lock"], {"lock": Lock.BUS})
            page = await connection.execute(SQL["unpublished"], values)
        row = await locked.fetchone()
        return bool(row and row["mine"]), *_unpublished(await page.fetchall(), limit)
    except BaseException:
        # The lock belongs to the session, which other users of the pool get.
        with suppress(Exception):
            await unlock_bus(connection)
        raise


async def unlock_bus(connection: Connection) -> None:
    await unlock(connection, Lock.BUS)


def _unpublished(rows: list[DictRow], limit: int) -> tuple[list[Event], bool]:
    more = bool(rows) and (rows[0]["looked"] == limit or len(rows) < rows[0]["looked"])
    return [Event(row["position"], row["type"], row["data"]) for row in rows], more


async def published(connection: Connection, position: int) -> None:
    await connection.execute(SQL["published"], {"position": position})


async def lag(connection: Connection) -> Lag:
    row = await (await connection.execute(SQL["lag"])).fetchone()
    assert row is not None
    return Lag(row["unpositioned"], row["oldest_seconds"], row["unpublished"], row["position"])


# The readers' side


async def bounds(connection: Connection) -> Bounds:
    row = await (await connection.execute(SQL["bounds"])).fetchone()
    assert row is not None
    return Bounds(row["first"], row["last"])


async def page(
    connection: Connection,
    after: int,
    limit: int,
    *,
    tenant: str | None = None,
    mount: MountId | None = None,
    types: Sequence[str] | None = None,
) -> EventPage:
    """The next `limit` positions after a cursor, and of these the events that are asked for."""
    values = {"after": after, "limit": limit, "tenant": tenant, "mount": mount, "types": types, "bytes": PAGE_BYTES}
    rows = await (await connection.execute(SQL["page"], values)).fetchall()
    first, last = rows[0]["first"], rows[0]["last"]
    return EventPage(
        first, after if last is None else last, [_placed(row) for row in rows if row["position"] is not None]
    )


def _placed(row: DictRow) -> Placed:
    # One line in a stream: in JSON these are white space between tokens, never part of a text.
    data = row["data"].replace("\n", " ").replace("\r", " ")
    mount = MountId(row["mount_id"])
    here, moved, copied = _raw(row["path"], row["path_b64"]), _source(row, "moved_from"), _source(row, "copied_from")
    lay = moved[1] if moved is not None and moved[0] == mount else None
    paths = tuple(path for path in (here, lay) if path is not None)
    sources = tuple(source for source in (moved, copied) if source is not None)
    return Placed(row["position"], row["type"], data, row["tenant"], mount, paths, sources, row["whole"])


def _source(row: DictRow, name: str) -> tuple[MountId, bytes] | None:
    raw, mount = _raw(row[name], row[f"{name}_b64"]), row[f"{name}_mount"]
    return None if raw is None else (MountId(row["mount_id"] if mount is None else mount), raw)


def _raw(text: str | None, b64: str | None) -> bytes | None:
    if b64 is not None:
        return base64.b64decode(b64)
    return None if text is None else text.encode()
