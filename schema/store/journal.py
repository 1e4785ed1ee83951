"""Read the journal, and how commands stand. As JSON text, rendered by the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString

from schema.commands.command import Status
from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind
from schema.paths import NodePath
from schema.sql import load
from schema.store import lineage
from schema.store.lineage import Lineage

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("journal")
_KINDS = frozenset(map(str, NodeKind))
LOOKS = 16
"""So often a page looks for more, before it is returned with what there is."""
_AT = (SQL["by_place"], SQL["by_target"], SQL["by_departure"])
_HISTORY = (SQL["of_nodes"], SQL["of_carriers"], SQL["of_commands"])
_BELOW = (SQL["below_place"], SQL["below_target"], SQL["below_departure"], *_AT, *_HISTORY)


def _ordered(entries: LiteralString, order: LiteralString) -> LiteralString:
    return entries + "\n" + SQL["conditions"] + "\n" + order


def _found_by(ways: Sequence[LiteralString], order: LiteralString) -> LiteralString:
    """Each way of finding entries gives its first ones, by an index of its own; a page is made of these."""
    picked = "\nUNION\n".join(_ordered(way, order) + ") b" for way in ways)
    first = SQL["picked"] + "\n" + order + "\n" + SQL["whole_entries"]
    return "WITH picked AS (\n" + picked + "\n" + first + "\n" + SQL["page"]


def _both(made: Callable[[LiteralString], LiteralString]) -> dict[bool, LiteralString]:
    """By whether the oldest comes first."""
    return {
        True: made(SQL["oldest_first"]) + " ORDER BY j.id",
        False: made(SQL["newest_first"]) + " ORDER BY j.id DESC",
    }


_PLAIN = _both(lambda order: _ordered(SQL["entries"], order) + "\n" + SQL["page"])
_OF_NODE = _both(lambda order: _found_by(_HISTORY, order))
_OF_PATH = _both(lambda order: _found_by((*_AT, *_HISTORY), order))
_OF_PREFIX = _both(lambda order: _found_by(_BELOW, order))


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """Which entries; all of it at once, None asks for nothing. A path, a prefix or a node alone asks for its history; several of
    them ask for what an entry says itself."""

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

    @property
    def place(self) -> NodePath | None:
        """The path or the prefix of which the history is asked for."""
        prefix = self.prefix if self.prefix is not None and self.prefix.raw else None
        if (self.path, prefix, self.node).count(None) < 2:
            return None
        return prefix if self.path is None else self.path

    @property
    def is_of_node(self) -> bool:
        return self.node is not None and self.path is None and (self.prefix is None or not self.prefix.raw)

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
    connection: Connection, tenant: str, asked: JournalFilter, *, limit: int, oldest_first: bool = False,
    shown: Callable[[EntryPlaces], bool] = lambda entry: True,
) -> JournalPage:  # fmt: skip
    """Oldest first: only what is settled, so that a client that goes on behind the last one misses nothing. Newest first: all.
    `shown` leaves entries out: then a page can be short."""
    found: list[DictRow] = []
    last: int | None = None
    more = False
    for _ in range(LOOKS):
        rows = await _rows(connection, tenant, asked, limit, oldest_first)
        page, more = rows[:limit], len(rows) > limit
        last = page[-1]["id"] if page else last
        found += [row for row in page if shown(_places_of(row))][: limit - len(found)]
        if not more or len(found) >= limit:
            break
        asked = replace(asked, after=last) if oldest_first else replace(asked, before=last)
    if len(found) == limit:
        more, last = more or last != found[-1]["id"], found[-1]["id"]
    return JournalPage(",".join(_entry(row) for row in found), last, more)


@dataclass(frozen=True, slots=True)
class EntryPlaces:
    """What an entry tells of: who may not read all of it is not shown the entry. `act`: it is no command."""

    act: bool
    places: Sequence[tuple[MountId, NodePath]]


def _places_of(row: DictRow) -> EntryPlaces:
    if row["act"]:
        return EntryPlaces(True, ())
    mount = MountId(row["mount_id"])
    source = row["place"] if row["source"] is None else row["source"]
    ends = [(MountId(row["source_mount"] or mount), source), (mount, row["target"])]
    return EntryPlaces(False, [(at, NodePath(bytes(path))) for at, path in ends if path is not None])


async def _rows(
    connection: Connection, tenant: str, asked: JournalFilter, limit: int, oldest_first: bool
) -> list[DictRow]:
    values = asked.values() | {"tenant": tenant, "limit": limit}
    if asked.place is None and not asked.is_of_node:
        return await _read(connection, _PLAIN[oldest_first], values)
    if oldest_first:
        # Looked at first: of every entry up to here the versions are there to be found. A node that takes the name while we
        # look has its entry in a later page, and a client that follows does not miss it.
        (row,) = await _read(connection, SQL["settled"], {})
        beyond = row["settled"] + 1
        values["before"] = beyond if asked.before is None else min(asked.before, beyond)
    found = await _lineage(connection, tenant, asked)
    return await _read(connection, _query(asked, oldest_first), values | _places(asked) | found.values())


async def _read(connection: Connection, query: LiteralString, values: dict[str, Any]) -> list[DictRow]:
    # Planned with these very values: most conditions vanish, and with them whatever would keep the indexes from being used.
    return await (await connection.execute(query, values, prepare=False)).fetchall()


async def _lineage(connection: Connection, tenant: str, asked: JournalFilter) -> Lineage:
    if asked.place is not None:
        return await lineage.of_place(connection, tenant, asked.mount, asked.place)
    assert asked.node is not None
    return await lineage.of_node(connection, tenant, asked.mount, asked.node)


def _query(asked: JournalFilter, oldest_first: bool) -> LiteralString:
    if asked.place is None:
        return _OF_NODE[oldest_first]
    return (_OF_PREFIX if asked.path is None else _OF_PATH)[oldest_first]


def _places(asked: JournalFilter) -> dict[str, Any]:
    """The names that are looked for: a path itself; of a prefix the directories above it, when they went along whole."""
    if asked.place is None:
        return {}
    whole = asked.path is None
    lengths = asked.place.ancestor_lengths()[1:] if whole else [len(asked.place.raw)]
    return {"place": asked.place.raw, "lengths": lengths, "whole": whole}


def _entry(row: DictRow) -> str:
    return f'{_document(row)[:-1]},"before":{_readable(row["before"])},"after":{_readable(row["after"])}}}'


def _readable(facts: str | None) -> str:
    """What a node was, with its name as text: the record keeps the bytes of a name in hexadecimal. What an administrative act
    was about is told as it stands: its name is text already."""
    if facts is None:
        return "null"
    told = json.loads(facts)
    if not isinstance(told, dict) or "name" not in told or told.get("kind") not in _KINDS:
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
