"""The undo of an import in the record: what it made, what keeps it, and how it leaves. All take the caller's connection."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind
from schema.operations.forgetting import BUSY, Claimed, ImportedNode
from schema.operations.operation import LEFT_MOST, Operation
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("forgets")
ROLL = load("imports")["roll"]


@dataclass(frozen=True, slots=True)
class ImportPage:
    entry: int
    command: CommandId
    at: datetime


@dataclass(frozen=True, slots=True)
class RunningItem:
    item: int
    node: NodeId
    kind: NodeKind
    version: int
    path: NodePath


async def page_before(connection: Connection, operation: str, below: int) -> ImportPage | None:
    """The newest page of an import before an entry of the journal."""
    row = await (await connection.execute(SQL["page_before"], {"import": operation, "below": below})).fetchone()
    return None if row is None else ImportPage(row["id"], CommandId(row["command"]), row["at"])


async def made(connection: Connection, page: ImportPage) -> list[ImportedNode]:
    """What it recorded, what a directory holds before the directory."""
    cursor = await connection.execute(SQL["made"], {"command": page.command, "at": page.at})
    rows = await cursor.fetchall()
    values = {"directories": sorted({row["parent"] for row in rows}), "entry": page.entry}
    moved = {row["directory"] for row in await (await connection.execute(SQL["moved"], values)).fetchall()}
    return [
        ImportedNode(
            node=NodeId(row["id"]), kind=NodeKind(row["kind"]), version=row["version"], size=row["size"],
            path=NodePath(bytes(row["path"])), moved=row["parent"] in moved, gone=row["gone"],
        )
        for row in rows
    ]  # fmt: skip


async def holding(connection: Connection, operation: str, directories: Collection[NodeId]) -> set[NodeId]:
    """Those with something in them that the import did not record, or that has changed since."""
    if not directories:
        return set()
    values = {"import": operation, "directories": sorted(directories)}
    cursor = await connection.execute(SQL["holding"], values)
    return {NodeId(row["directory"]) for row in await cursor.fetchall()}


async def claimed(connection: Connection, mount: MountId) -> Claimed:
    cursor = await connection.execute(SQL["claims"], {"mount": mount})
    return Claimed.of([(bytes(row["path"]), row["tree"]) for row in await cursor.fetchall()])


async def portion(connection: Connection, id: str, items: Sequence[int]) -> list[RunningItem]:
    """Those that are in flight still."""
    cursor = await connection.execute(SQL["portion"], {"id": id, "items": list(items)})
    return [
        RunningItem(
            row["item"], NodeId(row["node"]), NodeKind(row["kind"]), row["version"], NodePath(bytes(row["path"]))
        )
        for row in await cursor.fetchall()
    ]


async def forget(
    connection: Connection, operation: Operation, page: CommandId, items: Sequence[RunningItem]
) -> tuple[set[NodeId], set[NodeId]]:
    """Those that have left the record, and of the others those that are as the plan saw them: what they hold keeps them."""
    left = list[Mapping[str, Any]]()
    for depth in sorted({one.path.depth for one in items}, reverse=True):
        values = _versions([one for one in items if one.path.depth == depth]) | {"page": page}
        left += await (await connection.execute(SQL["forget"], values)).fetchall()
    if left:
        await connection.execute(ROLL, _totals(left))
        await _tell(connection, operation, page, left)
    gone = {NodeId(row["id"]) for row in left}
    values = _versions([one for one in items if one.node not in gone])
    standing = await (await connection.execute(SQL["standing"], values)).fetchall()
    return gone, {NodeId(row["id"]) for row in standing if row["same"]}


async def waiting(connection: Connection, id: str) -> int | None:
    """The first item that is still to go, of those that are not in flight."""
    row = await (await connection.execute(SQL["waiting"], {"id": id})).fetchone()
    return None if row is None else int(row["item"])


async def put_off(connection: Connection, id: str, items: Sequence[int]) -> None:
    """Commands are at their places."""
    values = {"id": id, "items": list(items), "most": LEFT_MOST, "message": BUSY}
    await connection.execute(SQL["put_off"], values)


async def _tell(
    connection: Connection, operation: Operation, page: CommandId, left: Sequence[Mapping[str, Any]]
) -> None:
    path = operation.path
    folders = sum(row["kind"] == NodeKind.DIRECTORY for row in left)
    forgotten = {"size": sum(row["size"] for row in left), "files": len(left) - folders, "directories": folders}
    values = {
        "id": operation.id, "page": page, "also": orjson.dumps({"forgotten": forgotten}).decode(),
        "payload": orjson.dumps({"path": path.text} | ({"path_b64": path.b64} if path.b64 else {})).decode(),
    }  # fmt: skip
    await connection.execute(SQL["journal"], values)
    await connection.execute(SQL["tell"], {"id": operation.id, "page": page} | _tops(left))


def _versions(items: Sequence[RunningItem]) -> dict[str, Any]:
    return {"ids": [one.node for one in items], "versions": [one.version for one in items]}


def _tops(left: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The nodes that left without the directory in which they were, in their order, and what left along with each: its bytes, files
    and directories. `left` has what a directory holds before the directory."""
    along = {row["id"]: [0, 0, 0] for row in left}
    for row in left:
        if (above := along.get(row["parent"])) is not None:
            directory = row["kind"] == NodeKind.DIRECTORY
            own = [row["size"], not directory, directory]
            above[:] = [sum(three) for three in zip(above, own, along[row["id"]], strict=True)]
    tops = {row["id"]: along[row["id"]] for row in left if row["parent"] not in along}
    return {
        "nodes": list(tops), "sizes": [one[0] for one in tops.values()], "files": [one[1] for one in tops.values()],
        "directories": [one[2] for one in tops.values()],
    }  # fmt: skip


def _totals(left: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """What goes from the directories in which it was."""
    sums = dict[int, list[int]]()
    for row in left:
        total = sums.setdefault(row["parent"], [0, 0, 0])
        directory = row["kind"] == NodeKind.DIRECTORY
        total[0] -= row["size"]
        total[1] -= not directory
        total[2] -= directory
    return {
        "directories": list(sums), "bytes": [one[0] for one in sums.values()], "files": [one[1] for one in sums.values()],
        "folders": [one[2] for one in sums.values()],
    }  # fmt: skip
