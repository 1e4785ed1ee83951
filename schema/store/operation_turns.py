"""A turn of an operation: its claims, the items that go next, and what is reached between two lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schema.ids import MountId
from schema.locks import Lock
from schema.operations.operation import (
    ItemState,
    Operation,
    OperationItem,
)
from schema.operations.turn import Reached
from schema.paths import NodePath
from schema.sql import load
from schema.store.operations import ITEM_MAX, item_of, json_of, lock

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("operation_turns")


async def claim(connection: Connection, operation: Operation) -> str | None:
    """Take the subtrees of an operation, all of them or none. Another operation that is at work there; None: they are ours.
    Two that ask at once come one after the other."""
    await connection.execute("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": Lock.OPERATIONS})
    trees = operation.claims
    values = {"id": operation.id, "mounts": [mount for mount, _ in trees], "paths": [path.raw for _, path in trees]}
    row = await (await connection.execute(SQL["overlapping"], values)).fetchone()
    if row is None:
        await connection.execute(SQL["claim"], {"id": operation.id})
        return None
    await wait(connection, operation.id, row["id"])
    return str(row["id"])


async def wait(connection: Connection, id: str, other: str | None) -> None:
    """It holds no subtree any more. `other`: the operation that it waits for."""
    await connection.execute(SQL["wait"], {"id": id, "other": other})


async def ready(connection: Connection, operation: Operation, limit: int) -> list[OperationItem]:
    """The next items in the direction of the operation."""
    query = SQL["ready_down"] if operation.walks_down else SQL["ready_up"]
    cursor = await connection.execute(query, {"id": operation.id, "state": _open_state(operation), "limit": limit})
    return [item_of(row) for row in await cursor.fetchall()]


async def unfinished(connection: Connection, operation: Operation, last: int, limit: int) -> list[OperationItem]:
    """What is in flight, and what comes before the `last` item that is looked at and waits for a busy path."""
    low, high = (last, ITEM_MAX) if operation.walks_down else (0, last)
    values = {"id": operation.id, "state": _open_state(operation), "low": low, "high": high, "limit": limit}
    return [item_of(row) for row in await (await connection.execute(SQL["unfinished"], values)).fetchall()]


def _open_state(operation: Operation) -> ItemState:
    """Of the items that are still to go."""
    return ItemState.DONE if operation.back else ItemState.PENDING


async def anything_left(connection: Connection, operation: Operation) -> bool:
    values = {"id": operation.id, "state": _open_state(operation)}
    return await (await connection.execute(SQL["left"], values)).fetchone() is not None


async def stuck(connection: Connection, operation: Operation) -> bool:
    """Whether something could not be put back."""
    if not operation.back:
        return False
    return await (await connection.execute(SQL["stuck"], {"id": operation.id})).fetchone() is not None


async def changed_trees(
    connection: Connection, operation: Operation, entry: int, items: Sequence[OperationItem]
) -> set[int]:
    """Which of these whole directories do not hold any more what the plan saw."""
    trees = [
        {
            "item": one.item,
            "node": one.node_id,
            "path": one.path.raw.hex(),
            "nodes": one.nodes,
            # Undo by selection brings content back at once, and then it is not what it was at each step between.
            "size": one.size if operation.undo is None else None,
            "mount": one.mount or operation.mount_id,
        }
        for one in items
    ]
    values = {"id": operation.id, "entry": entry, "trees": json_of(trees)}
    cursor = await connection.execute(SQL["changed_trees"], values)
    return {int(row["item"]) for row in await cursor.fetchall()}


async def changed_since(connection: Connection, id: str, limit: int) -> list[NodePath]:
    """Where something has changed at and below the path of a plan since it was made, the first few."""
    locked = await lock(connection, id)
    assert locked is not None
    operation, found = locked.operation, dict[NodePath, None]()
    places = [(operation.mount_id, operation.path)] if operation.subtrees is None else operation.subtrees
    for mount, path in places:
        values = {"id": id, "limit": limit, "mount": mount, "path": path.raw, "entry": locked.planned_entry or 0}
        rows = await (await connection.execute(SQL["changed_since"], values)).fetchall()
        found |= {NodePath(bytes(row["path"])): None for row in rows}
    return list(found)[:limit]


async def described(
    connection: Connection, items: Sequence[OperationItem]
) -> dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The metadata that each of these items puts back, and that which the version has from which it goes."""
    asked = [
        {"item": one.item, "node": one.node_id, "version": one.content_version, "after": one.version} for one in items
    ]
    cursor = await connection.execute(SQL["described"], {"items": json_of(asked)})
    return {int(row["item"]): (row["before"], row["after"]) for row in await cursor.fetchall()}


async def hand_out(connection: Connection, id: str, items: Sequence[int], seconds: float) -> None:
    """These go to a list of commands. `seconds`: how long the limits forbid more after them."""
    await connection.execute(SQL["hand_out"], {"id": id, "items": list(items)})
    await connection.execute(SQL["pace"], {"id": id, "seconds": seconds})


async def deferred(connection: Connection, id: str, items: Sequence[int], most: int) -> set[int]:
    """Which of these found their path busy so often."""
    cursor = await connection.execute(SQL["deferred"], {"id": id, "items": list(items), "most": most})
    return {int(row["item"]) for row in await cursor.fetchall()}


async def unmet(connection: Connection, id: str, items: Sequence[int]) -> dict[int, str]:
    """Which of these need an item that did not go, with its code."""
    cursor = await connection.execute(SQL["unmet"], {"id": id, "items": list(items)})
    return {int(row["item"]): row["code"] for row in await cursor.fetchall()}


async def give_up(connection: Connection, id: str, items: Mapping[int, tuple[ItemState, str, str]]) -> None:
    """Items that never went, with state, code and message."""
    rows = [
        {"item": item, "state": state, "code": code, "message": text} for item, (state, code, text) in items.items()
    ]
    await connection.execute(SQL["give_up"], {"id": id, "items": json_of(rows)})


async def reach(connection: Connection, id: str, reached: Reached) -> None:
    await connection.execute(SQL["reach"], {"id": id, "state": reached.state, "back": reached.back})


async def usable(connection: Connection, mount: MountId) -> bool:
    """Whether commands are taken on a mount now."""
    row = await (await connection.execute(SQL["usable"], {"mount": mount})).fetchone()
    return row is not None and bool(row["usable"])


async def let_go(connection: Connection, id: str) -> None:
    """Give the subtrees up, until they are claimed anew."""
    await connection.execute(SQL["let_go"], {"id": id})


async def comes_back(connection: Connection, operation: Operation) -> float | None:
    """In how many seconds an item that was left for later is tried again; None: there is none."""
    values = {"id": operation.id, "state": _open_state(operation)}
    row = await (await connection.execute(SQL["comes_back"], values)).fetchone()
    return row["seconds"] if row else None


async def touch(connection: Connection, id: str) -> None:
    await connection.execute(SQL["touch"], {"id": id})
