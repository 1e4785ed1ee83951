"""Operations and their items: rows, and what changes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from schema.ids import CommandId, MountId, NodeId
from schema.locks import Lock
from schema.nodes import NodeKind, NodeState
from schema.operations.control import Steered
from schema.operations.operation import (
    ItemKind,
    ItemState,
    Operation,
    OperationItem,
    OperationKind,
    OperationState,
    Options,
    Want,
)
from schema.operations.planning import Occupant
from schema.operations.selection import PlannedNode, Selection
from schema.operations.turn import Reached
from schema.operations.undo_selection import UndoSelection
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("operations")
_BEHIND = b"\xff" * 256
"""Behind every name that a directory can hold"""
ITEM_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class LockedOperation:
    """An operation whose row holds still until the transaction ends, and how far its runner is."""

    operation: Operation
    claimed: bool
    cursor: Mapping[str, Any] | None
    """Where the plan goes on"""
    planned_entry: int | None
    """The last journal entry that the plan has seen"""
    pace_seconds: float
    """For so long the limits forbid more"""
    created_at: datetime
    away_mount: MountId | None = None
    """It was not there when it was tried last; the next try is with one item"""
    away_seconds: float = 0.0
    """For so long it is not tried again"""


async def create(connection: Connection, operation: Operation, key: str, hash: str) -> bool:
    """False: the key names an operation already."""
    values = {
        "id": operation.id, "tenant": operation.tenant, "principal": operation.principal, "token_id": operation.token_id,
        "key": key, "hash": hash, "kind": operation.kind, "mount": operation.mount_id, "path": operation.path.raw,
        "target": operation.target_path.raw if operation.target_path else None,
        "selection": _json(_selected(operation)), "options": _json(operation.options.to_json()),
        "metadata": None if operation.metadata is None else _json(operation.metadata), "plan_only": operation.plan_only,
        "undoes": operation.undoes, "undoes_turn": operation.undoes_turn, "state": operation.state,
        "correlation": operation.correlation_id,
        "target_mount": operation.target_mount,
    }  # fmt: skip
    return await (await connection.execute(SQL["create"], values)).fetchone() is not None


async def of_key(connection: Connection, tenant: str, principal: str, key: str) -> tuple[str, str] | None:
    """The operation of a key, and the hash of the request that made it."""
    values = {"tenant": tenant, "principal": principal, "key": key}
    row = await (await connection.execute(SQL["of_key"], values)).fetchone()
    return None if row is None else (row["id"], row["hash"])


async def lock(connection: Connection, id: str) -> LockedOperation | None:
    """In the caller's transaction; with it, what it undoes. None: there is none of this id."""
    await connection.execute(SQL["lock_both"], {"id": id})
    row = await _row(connection, id)
    if row is None:
        return None
    operation = _operation(row)
    return LockedOperation(
        operation, row["claimed"], row["plan_cursor"], row["planned_entry"], float(row["pace_seconds"] or 0),
        row["created_at"],
        None if row["away_mount"] is None else MountId(row["away_mount"]), float(row["away_seconds"] or 0),
    )  # fmt: skip


async def find(connection: Connection, id: str) -> Operation | None:
    """As it stands, without a lock."""
    row = await _row(connection, id)
    return None if row is None else _operation(row)


async def _row(connection: Connection, id: str) -> DictRow | None:
    row = await (await connection.execute(SQL["find"], {"id": id})).fetchone()
    if row is None:
        return None
    others = await (await connection.execute(SQL["undone"], {"id": id})).fetchone()
    return row | (others or {})


def _operation(row: DictRow) -> Operation:
    return Operation(
        id=row["id"], tenant=row["tenant"], principal=row["principal"], token_id=row["token_id"],
        kind=OperationKind(row["kind"]), mount_id=MountId(row["mount_id"]), path=NodePath(bytes(row["path"])),
        target_path=None if row["target_path"] is None else NodePath(bytes(row["target_path"])),
        **_selection(row), options=Options.of_json(row["options"]), metadata=row["metadata"],
        state=OperationState(row["state"]), want=Want(row["want"]) if row["want"] else None, back=row["back"],
        turn=row["turn"], plan_only=row["plan_only"], undoes=row["undoes"], undoes_turn=row["undoes_turn"], started=row["started"],
        undone=row["undone"], undoes_kind=None if row["undoes_kind"] is None else OperationKind(row["undoes_kind"]),
        target_mount=row["target_mount_id"],
        stale=row["stale"], failed_before=row["failed_before"], changed_before=row["changed_before"],
        correlation_id=row["correlation_id"], subtrees=_subtrees(row),
        conflicts=row["conflicts"], items=row["items"], done=row["done"], failed=row["failed"], skipped=row["skipped"],
        changed=row["changed"], reversed=row["reversed"], in_flight=row["in_flight"],
    )  # fmt: skip


def _selected(operation: Operation) -> dict[str, Any]:
    """What it is about, and what it claims where that is not its path."""
    selected = (operation.undo or operation.selection).to_json()
    return selected if operation.subtrees is None else selected | {"claims": _claims(operation.subtrees)}


def _claims(subtrees: Iterable[tuple[MountId, NodePath]]) -> list[tuple[int, str]]:
    return [(mount, path.raw.hex()) for mount, path in subtrees]


def _subtrees(row: DictRow) -> list[tuple[MountId, NodePath]] | None:
    if "claims" not in row["selection"]:
        return None
    return [(MountId(mount), NodePath(bytes.fromhex(path))) for mount, path in row["selection"]["claims"]]


def _selection(row: DictRow) -> dict[str, Any]:
    """An undo that puts back no other operation has a selection of changes, and no other kind has one."""
    if row["kind"] == OperationKind.UNDO and row["selection"].keys() - {"claims"}:
        return {"undo": UndoSelection.of_json(row["selection"])}
    return {"selection": Selection() if "claims" in row["selection"] else Selection.of_json(row["selection"])}


# Steering


async def heard_of(
    connection: Connection,
    id: str,
    key: str,
    control: str,
    hash: str,
    *,
    reason: str | None = None,
    principal: str = "",
) -> bool | None:
    """Take note of a control request. Whether the same was asked for under this key before; None: it is new."""
    values = {"id": id, "key": key, "control": control, "hash": hash, "reason": reason, "principal": principal or None}
    if await (await connection.execute(SQL["heard_of"], values)).fetchone() is not None:
        return None
    row = await (await connection.execute(SQL["control_of"], values)).fetchone()
    return row is not None and row["control"] == control and row["request_hash"] in (None, hash)


async def steer(connection: Connection, id: str, steered: Steered, items: Sequence[int] | None = None) -> None:
    """`items`: of a retry, those that are tried again; None: all that failed."""
    values = {"id": id, "state": steered.state, "want": steered.want, "turn": steered.turn}
    await connection.execute(SQL["steer"], values)
    if steered.again:
        await connection.execute(SQL["again"], {"id": id, "items": None if items is None else list(items)})


async def change_limits(connection: Connection, id: str, options: Options) -> None:
    await connection.execute(SQL["limits"], {"id": id, "options": _json(options.to_json())})


# Planning


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
    cursor = await connection.execute(SQL["occupants"], {"mount": mount, "places": _json(asked)})
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
    return [_item(row) for row in await (await connection.execute(query, values)).fetchall()]


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
        await connection.execute(SQL["put_items"], {"id": id, "items": _json(rows)})


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
        "id": id, "cursor": _json(cursor), "entry": entry, "items": len(items), "failed": failed, "skipped": skipped,
        "changed": sum(one.state is ItemState.SKIPPED and one.code in changed_codes for one in items),
        "conflicts": failed + skipped, "nodes": sum(one.nodes for one in pending), "bytes": sum(one.size for one in pending),
    }  # fmt: skip
    await connection.execute(SQL["advance_plan"], values)


async def cover(connection: Connection, id: str, subtrees: Collection[tuple[MountId, NodePath]]) -> None:
    """These are what it claims, and nothing else."""
    await connection.execute(SQL["cover"], {"id": id, "claims": _json(_claims(sorted(subtrees)))})


async def end_plan(connection: Connection, id: str, state: OperationState, refusal: str | None = None) -> None:
    """`refusal`: why it does not run, or what will be refused of it."""
    await connection.execute(SQL["end_plan"], {"id": id, "state": state, "refusal": refusal})


# A turn of the runner


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
    return [_item(row) for row in await cursor.fetchall()]


async def unfinished(connection: Connection, operation: Operation, last: int, limit: int) -> list[OperationItem]:
    """What is in flight, and what comes before the `last` item that is looked at and waits for a busy path."""
    low, high = (last, ITEM_MAX) if operation.walks_down else (0, last)
    values = {"id": operation.id, "state": _open_state(operation), "low": low, "high": high, "limit": limit}
    return [_item(row) for row in await (await connection.execute(SQL["unfinished"], values)).fetchall()]


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
    values = {"id": operation.id, "entry": entry, "trees": _json(trees)}
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
    cursor = await connection.execute(SQL["described"], {"items": _json(asked)})
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
    await connection.execute(SQL["give_up"], {"id": id, "items": _json(rows)})


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


# Reading


@dataclass(frozen=True, slots=True)
class OperationFilter:
    states: Sequence[str] | None = None
    kinds: Sequence[str] | None = None
    mount: MountId | None = None
    principal: str | None = None
    path: NodePath | None = None
    """There, or below"""
    before: str | None = None
    ids: Sequence[str] | None = None


async def document(connection: Connection, id: str, tenant: str) -> DictRow | None:
    """One operation with its errors and what is in flight, as rows have them."""
    row = await (await connection.execute(SQL["document"], {"id": id, "tenant": tenant})).fetchone()
    if row is None:
        return None
    errors = await (await connection.execute(SQL["errors"], {"id": id})).fetchall()
    current = await (await connection.execute(SQL["current"], {"id": id})).fetchall()
    return {**row, "errors": errors, "current": [(one["mount_id"], bytes(one["path"])) for one in current]}


async def listed(connection: Connection, tenant: str, asked: OperationFilter, limit: int) -> list[str]:
    values = {
        "tenant": tenant, "states": _or_none(asked.states), "kinds": _or_none(asked.kinds), "mount": asked.mount,
        "principal": asked.principal, "path": asked.path.raw if asked.path else None, "before": asked.before, "limit": limit,
        "ids": _or_none(asked.ids),
    }  # fmt: skip
    return [row["id"] for row in await (await connection.execute(SQL["listed"], values)).fetchall()]


async def items(
    connection: Connection,
    id: str,
    *,
    states: Sequence[str] | None,
    codes: Sequence[str] | None,
    after: int,
    limit: int,
) -> list[OperationItem]:
    values = {"id": id, "states": _or_none(states), "codes": _or_none(codes), "after": after, "limit": limit}
    return [_item(row) for row in await (await connection.execute(SQL["items"], values)).fetchall()]


async def due(
    connection: Connection, mount: MountId, silent_seconds: float, after: str | None = None
) -> list[tuple[str, OperationState, int]]:
    """A page of the operations that should move and whose workflow was not heard of: id, state, turn."""
    cursor = await connection.execute(SQL["due"], {"mount": mount, "silent": silent_seconds, "after": after})
    return [(row["id"], OperationState(row["state"]), row["turn"]) for row in await cursor.fetchall()]


def _or_none(values: Sequence[str] | None) -> list[str] | None:
    return list(values) if values else None


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


def _item(row: DictRow) -> OperationItem:
    return OperationItem(
        item=row["item"], kind=ItemKind(row["kind"]), path=NodePath(bytes(row["path"])),
        target=None if row["target"] is None else NodePath(bytes(row["target"])), node_id=row["node_id"],
        node_kind=NodeKind(row["node_kind"]), version=row["version"], target_version=row["target_version"],
        content_version=row["content_version"], size=row["size_bytes"], nodes=row["nodes"], needs=row["needs"],
        state=ItemState(row["state"]), code=row["code"], message=row["message"],
        command_id=CommandId(str(row["command_id"])) if row["command_id"] else None, left_node=row["left_node"],
        left_version=row["left_version"], replaced_version=row["replaced_version"],
        mount=row["mount_id"], target_mount=row["target_mount_id"],
    )  # fmt: skip


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
