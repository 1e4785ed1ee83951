"""Operations and their items: rows, what steers them, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from schema.ids import CommandId, MountId
from schema.metastore.records import RecordEdit
from schema.nodes import NodeKind
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
from schema.operations.selection import Selection
from schema.operations.undo_selection import UndoSelection
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("operations")
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
        "selection": json_of(_selected(operation)), "options": json_of(operation.options.to_json()),
        "metadata": _changes(operation), "plan_only": operation.plan_only,
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
        **_selection(row), options=Options.of_json(row["options"]), **_changed(row),
        state=OperationState(row["state"]), want=Want(row["want"]) if row["want"] else None, back=row["back"],
        turn=row["turn"], plan_only=row["plan_only"], undoes=row["undoes"], undoes_turn=row["undoes_turn"], started=row["started"],
        undone=row["undone"], undoes_kind=None if row["undoes_kind"] is None else OperationKind(row["undoes_kind"]),
        target_mount=row["target_mount_id"],
        stale=row["stale"], failed_before=row["failed_before"], changed_before=row["changed_before"],
        correlation_id=row["correlation_id"], subtrees=_subtrees(row),
        conflicts=row["conflicts"], items=row["items"], done=row["done"], failed=row["failed"], skipped=row["skipped"],
        changed=row["changed"], reversed=row["reversed"], in_flight=row["in_flight"],
    )  # fmt: skip


def _changes(operation: Operation) -> str | None:
    """What becomes of metadata, or of records."""
    told = operation.metadata if operation.record is None else operation.record.to_json()
    return None if told is None else json_of(told)


def _changed(row: DictRow) -> dict[str, Any]:
    if row["kind"] == OperationKind.TAG:
        return {"record": RecordEdit.of_json(row["metadata"])}
    return {"metadata": row["metadata"]}


def _selected(operation: Operation) -> dict[str, Any]:
    """What it is about, and what it claims where that is not its path."""
    selected = (operation.undo or operation.selection).to_json()
    return selected if operation.subtrees is None else selected | {"claims": claims_json(operation.subtrees)}


def claims_json(subtrees: Iterable[tuple[MountId, NodePath]]) -> list[tuple[int, str]]:
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
    await connection.execute(SQL["limits"], {"id": id, "options": json_of(options.to_json())})


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
    return [item_of(row) for row in await (await connection.execute(SQL["items"], values)).fetchall()]


async def due(
    connection: Connection, mount: MountId, silent_seconds: float, after: str | None = None
) -> list[tuple[str, OperationState, int]]:
    """A page of the operations that should move and whose workflow was not heard of: id, state, turn."""
    cursor = await connection.execute(SQL["due"], {"mount": mount, "silent": silent_seconds, "after": after})
    return [(row["id"], OperationState(row["state"]), row["turn"]) for row in await cursor.fetchall()]


def _or_none(values: Sequence[str] | None) -> list[str] | None:
    return list(values) if values else None


def item_of(row: DictRow) -> OperationItem:
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


def json_of(value: object) -> str:
    return orjson.dumps(value).decode()
