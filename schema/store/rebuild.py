"""An empty record made whole again: entries and versions from the archive, and the nodes that follow from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.sql import load
from schema.store import quotas

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


class LaidDown:
    """What each segment has anew, as the last one that was read has it: tenants and mounts, and what people have laid down."""

    KINDS = ("tenant", "mount", "hold", "freeze", "quota", "namespace")

    def __init__(self) -> None:
        self._lines: dict[str, list[ArchiveLine]] = {kind: [] for kind in self.KINDS}

    def add(self, line: ArchiveLine) -> bool:
        """False: it is of another kind."""
        if line.kind not in self._lines:
            return False
        self._lines[line.kind].append(line)
        return True

    def of(self, kind: str) -> Sequence[ArchiveLine]:
        return self._lines[kind]

    def rows(self, kind: str) -> str:
        return _list(line.text for line in self._lines[kind])


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


async def finish(connection: Connection, laid: LaidDown, *, entry: int, position: int) -> Rebuilt:
    """`entry`: the last of the archive; `position`: where the feed was then."""
    await connection.execute(SQL["tenants"], {"items": laid.rows("tenant")})
    await connection.execute(SQL["mounts"], {"items": laid.rows("mount")})
    await connection.execute(SQL["roots"], {"items": laid.rows("mount")})
    for query in (SQL["hashed"], SQL["nodes"], SQL["snapshots"], SQL["rollups"], SQL["records"], SQL["charges"]):
        await connection.execute(query)
    await connection.execute(SQL["holds"], {"items": laid.rows("hold")})
    await connection.execute(SQL["freezes"], {"items": laid.rows("freeze")})
    await connection.execute(SQL["namespaces"], {"items": laid.rows("namespace")})
    for quota in await (await connection.execute(SQL["quotas"], {"items": laid.rows("quota")})).fetchall():
        if quota["keeps"]:
            await quotas.count_kept(connection, quota["id"])
    await connection.execute(SQL["go_on"], {"entry": entry, "position": position + FAR_BEHIND})
    row = await (await connection.execute(SQL["counts"])).fetchone()
    assert row is not None
    return Rebuilt(**row)


def _list(items: Iterable[str]) -> str:
    return f"[{','.join(items)}]"


def _text(name: str) -> str:
    """A name as Postgres has bytes in JSON, for people."""
    return bytes.fromhex(name.removeprefix("\\x")).decode("utf-8", "replace")
