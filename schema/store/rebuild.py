"""An empty record made whole again: entries and versions from the archive, and the nodes that follow from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.sql import load

if TYPE_CHECKING:
    from schema.archive.segments import ArchiveLine
    from schema.store.connection import Connection

SQL = load("rebuild")

FAR_BEHIND = 10**9
"""Positions that the feed leaves out: after the archive was written, consumers may have been told of more events."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    entries: int
    nodes: int
    unplaced: int
    """Versions of nodes whose directories are not known: nothing is made of them"""


async def is_empty(connection: Connection) -> tuple[bool, int]:
    """And which migration is the last one here."""
    row = await (await connection.execute(SQL["is_empty"])).fetchone()
    assert row is not None
    return row["empty"], row["migration"]


async def prepare(connection: Connection) -> None:
    await connection.execute(SQL["prepare"])


async def entries(connection: Connection, lines: Sequence[ArchiveLine]) -> None:
    await connection.execute(SQL["entries"], {"items": _list(line.text for line in lines)})


async def versions(connection: Connection, lines: Sequence[ArchiveLine]) -> None:
    """Of a version that is there twice the later one holds."""
    latest = {(line.value["node_id"], line.value["version"]): line for line in lines}
    items = (f'{{"version":{line.text},"text":{json.dumps(_text(line.value["name"]))}}}' for line in latest.values())
    await connection.execute(SQL["versions"], {"items": _list(items)})


async def finish(
    connection: Connection, tenants: Sequence[ArchiveLine], mounts: Sequence[ArchiveLine], *, entry: int, position: int
) -> Rebuilt:
    """`entry`: the last of the archive; `position`: where the feed was then."""
    await connection.execute(SQL["tenants"], {"items": _list(line.text for line in tenants)})
    items = _list(line.text for line in mounts)
    await connection.execute(SQL["mounts"], {"items": items})
    await connection.execute(SQL["roots"], {"items": items})
    for query in (SQL["hashed"], SQL["nodes"], SQL["snapshots"], SQL["rollups"], SQL["records"], SQL["charges"]):
        await connection.execute(query)
    await connection.execute(SQL["go_on"], {"entry": entry, "position": position + FAR_BEHIND})
    row = await (await connection.execute(SQL["counts"])).fetchone()
    assert row is not None
    return Rebuilt(**row)


def _list(items: Iterable[str]) -> str:
    return f"[{','.join(items)}]"


def _text(name: str) -> str:
    """A name as Postgres has bytes in JSON, for people."""
    return bytes.fromhex(name.removeprefix("\\x")).decode("utf-8", "replace")
