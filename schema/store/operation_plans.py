"""Plans of operations: what they read of the record, and their items."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schema.ids import MountId, NodeId
from schema.nodes import NodeKind, NodeState
from schema.operations.operation import (
    ItemState,
    Operation,
    OperationItem,
    OperationState,
)
from schema.operations.planning import Occupant
from schema.operations.selection import PlannedNode
from schema.paths import NodePath
from schema.sql import load
from schema.store.operations import ITEM_MAX, claims_json, item_of, json_of

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("operation_plans")
_BEHIND = b"\xff" * 256
"""Behind every name that a directory can hold"""


async def begin_plan(connection: Connection, operation: Operation) -> int:
    """The last journal entry that a plan made from now on has seen. What commands change that are at work there now is kept in mind
    as not seen: a plan waits for nothing."""
    path = operation.path
    low, high = _below(path)
    above = [one.raw for one in path.ancestors()]
    values = {"mount": operation.mount_id, "path": path.raw, "low": low, "high": high, "above": above}
    row = await (await connection.execute(SQL["begin_plan"], values)).fetchone()
    assert row is not None
    await connection.execute(SQL["begun_plan"], {"id": operation.id, "beside": row["beside"]})
    return int(row["entry"])


async def node_at(connection: Connection, mount: MountId, path: NodePath) -> PlannedNode | None:
    values = {"mount": mount, "path": path.raw, "parent": path.parent.as_directory, "name": path.name}
    row = await (await connection.execute(SQL["node_at"], values)).fetchone()
    return _found(row) if row else None


async def weigh(connection: Connection, mount: MountId, places: Sequence[NodePath]) -> int:
    """How many nodes there are at these places, with all below them."""
    values = {
        "mount": mount, "parents": [place.parent.as_directory for place in places], "names": [place.name for place in places],
    }  # fmt: skip
    row = await (await connection.execute(SQL["weigh"], values)).fetchone()
    assert row is not None
    return int(row["nodes"])


async def below(
    connection: Connection, mount: MountId, root: NodePath, after: tuple[bytes, bytes], limit: int
) -> tuple[list[PlannedNode], tuple[bytes, bytes] | None]:
    """The next nodes below a directory, and where to go on; None: there is no more."""
    _, high = _below(root)
    directory, name = after
    values = {"mount": mount, "directory": directory, "high": high, "name": name, "limit": limit}
    rows = await (await connection.execute(SQL["below"], values)).fetchall()
    found = [_found(row) for row in rows]
    if len(rows) == limit:
        return found, (bytes(rows[-1]["directory"]), bytes(rows[-1]["name"]))
    # Fewer than asked for: all of the 200 directories is read, and there may be others behind the last of them.
    row = await (await connection.execute(SQL["directory_after"], values)).fetchone()
    return found, (bytes(row["directory_path"]), _BEHIND) if row else None


async def occupants(connection: Connection, mount: MountId, places: Iterable[NodePath]) -> dict[NodePath, Occupant]:
    """What lies at these places; those where nothing does are left out."""
    asked = [
        {"path": path.raw.hex(), "parent": path.parent.as_directory.hex(), "name": path.name.hex()} for path in places
    ]
    if not asked:
        return {}
    cursor = await connection.execute(SQL["occupants"], {"mount": mount, "places": json_of(asked)})
    return {
        NodePath(bytes(row["path"])): Occupant(
            NodeKind(row["kind"]), row["version"], NodeId(row["id"]), row["size_bytes"]
        )
        for row in await cursor.fetchall()
    }


async def goes_to(connection: Connection, id: str, places: Iterable[NodePath]) -> dict[NodePath, Occupant]:
    """Where items of this plan make something appear, among these places."""
    asked = [path.raw for path in places]
    if not asked:
        return {}
    cursor = await connection.execute(SQL["goes_to"], {"id": id, "places": asked})
    return {
        NodePath(bytes(row["path"])): Occupant(
            NodeKind(row["node_kind"]), row["version"] or 0, size=row["size_bytes"], item=row["item"]
        )
        for row in await cursor.fetchall()
    }


async def done_items(
    connection: Connection, operation: Operation, before: int | None, limit: int
) -> list[OperationItem]:
    """What an operation has done, newest first, from before an item on."""
    query, start = (SQL["done_up"], -1) if operation.descends else (SQL["done_down"], ITEM_MAX)
    values = {"id": operation.id, "before": start if before is None else before, "limit": limit}
    return [item_of(row) for row in await (await connection.execute(query, values)).fetchall()]


async def put_items(connection: Connection, id: str, items: Sequence[OperationItem]) -> None:
    rows = [
        {
            "item": one.item, "kind": one.kind, "path": one.path.raw.hex(),
            "target": one.target.raw.hex() if one.target else None, "node": one.node_id, "node_kind": one.node_kind,
            "version": one.version, "target_version": one.target_version, "content_version": one.content_version,
            "size": one.size, "nodes": one.nodes, "needs": one.needs, "state": one.state, "code": one.code,
            "message": one.message, "mount": one.mount, "target_mount": one.target_mount,
        }
        for one in items
    ]  # fmt: skip
    if rows:
        await connection.execute(SQL["put_items"], {"id": id, "items": json_of(rows)})


async def advance_plan(
    connection: Connection, id: str, items: Sequence[OperationItem], cursor: Mapping[str, Any], entry: int,
    *, changed_codes: Collection[str] = (),
) -> None:  # fmt: skip
    """`changed_codes`: items that are skipped with one of these keep the operation from succeeding whole."""
    pending = [one for one in items if one.state is ItemState.PENDING]
    failed = sum(one.state is ItemState.FAILED for one in items)
    skipped = sum(one.state is ItemState.SKIPPED for one in items)
    await put_items(connection, id, items)
    values = {
        "id": id, "cursor": json_of(cursor), "entry": entry, "items": len(items), "failed": failed, "skipped": skipped,
        "changed": sum(one.state is ItemState.SKIPPED and one.code in changed_codes for one in items),
        "conflicts": failed + skipped, "nodes": sum(one.nodes for one in pending), "bytes": sum(one.size for one in pending),
    }  # fmt: skip
    await connection.execute(SQL["advance_plan"], values)


async def cover(connection: Connection, id: str, subtrees: Collection[tuple[MountId, NodePath]]) -> None:
    """These are what it claims, and nothing else."""
    await connection.execute(SQL["cover"], {"id": id, "claims": json_of(claims_json(sorted(subtrees)))})


async def end_plan(connection: Connection, id: str, state: OperationState, refusal: str | None = None) -> None:
    """`refusal`: why it does not run, or what will be refused of it."""
    await connection.execute(SQL["end_plan"], {"id": id, "state": state, "refusal": refusal})


def _below(path: NodePath) -> tuple[bytes, bytes]:
    """The range of stored directory paths of a directory and all below it."""
    low = path.as_directory
    return low, low[:-1] + b"0" if low else b"\xff" * 8


def _found(row: DictRow) -> PlannedNode:
    return PlannedNode(
        id=NodeId(row["id"]), kind=NodeKind(row["kind"]), state=NodeState(row["state"]), version=row["version"],
        path=NodePath(bytes(row["path"])), size=row["size"], nodes=row["nodes"], modified=row["modified"],
        metadata=row["metadata"],
    )  # fmt: skip
