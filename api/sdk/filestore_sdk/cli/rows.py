"""The results of verbs as rows: stable names, documented in `SCHEMAS`, the same in `--json` and `--jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from filestore_sdk.cli.output import named
from filestore_sdk.models import Entry, Event, Item, Mount, Node, Operation, Outcome, Version

Row = Mapping[str, Any]


def node(one: Node) -> Row:
    return {
        "id": one.id,
        "mountId": one.backend_mount_id,
        **named("path", one.path),
        "kind": one.kind,
        "sizeBytes": one.rollup.size_bytes if one.rollup else one.size_bytes,
        "contentHash": one.content_hash,
        "version": one.version,
        "state": one.state,
        "modifiedAt": one.last_modified_at,
        "metadata": dict(one.metadata),
    }


def usage(one: Node) -> Row:
    totals = one.rollup
    return {
        **named("path", one.path),
        "sizeBytes": totals.size_bytes if totals else one.size_bytes,
        "files": totals.file_count if totals else 1,
        "directories": totals.directory_count if totals else 0,
    }


def outcome(one: Outcome) -> Row:
    return {
        "commandId": one.command_id,
        "idempotent": one.idempotent,
        **named("path", one.node.path if one.node else one.result.get("path")),
        "nodeId": one.node.id if one.node else one.result.get("nodeId"),
        "version": one.node.version if one.node else None,
    }


def version(one: Version) -> Row:
    return {
        "version": one.version,
        **named("name", one.name),
        "kind": one.kind,
        "state": one.state,
        "sizeBytes": one.size_bytes,
        "contentHash": one.content_hash,
        "validFrom": one.valid_from,
        "validTo": one.valid_to,
        "contentAvailable": one.content_available,
        "commandId": one.command_id,
    }


def entry(one: Entry) -> Row:
    return {
        "id": one.id,
        "command": one.command,
        "commandId": one.command_id,
        "principal": one.principal,
        "outcome": one.outcome,
        "code": one.code,
        **named("path", one.path),
        "recordedAt": one.recorded_at,
    }


def event(one: Event) -> Row:
    return {"position": one.position, "type": one.type, "data": dict(one.data)}


def mount(one: Mount) -> Row:
    return {
        "id": one.id,
        "key": one.mount_key,
        "kind": one.backend_kind,
        "state": one.state,
        "accessMode": one.access_mode,
        "stateReason": one.state_reason,
    }


def operation(one: Operation) -> Row:
    return {
        "id": one.id,
        "kind": one.kind,
        "state": one.state,
        **named("path", one.path),
        **named("targetPath", one.target_path),
        "principal": one.principal,
        "plan": dict(one.plan),
        "progress": dict(one.progress),
        "errors": [dict(error) for error in one.errors],
    }


def item(one: Item) -> Row:
    return {
        "item": one.item,
        "kind": one.kind,
        "state": one.state,
        **named("path", one.path),
        **named("targetPath", one.target_path),
        "sizeBytes": one.size_bytes,
        "code": one.code,
        "message": one.message,
    }


def transferred(action: str, path: str, size: int | None, reason: str | None = None, error: str | None = None) -> Row:
    """What `put`, `get` and `sync` did with one file: `send`, `skip`, `mkdir`, `delete` or `fail`."""
    return {"action": action, **named("path", path), "sizeBytes": size, "reason": reason, "error": error}


_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
_NUMBER = {"type": "integer"}
_MAYBE_NUMBER = {"type": ["integer", "null"]}
_OBJECT = {"type": "object"}
_FLAG = {"type": "boolean"}


def _schema(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(fields), "properties": fields}


SCHEMAS: dict[str, dict[str, Any]] = {
    "node": _schema(
        id=_NUMBER, mountId=_NUMBER, path=_TEXT, kind=_TEXT, sizeBytes=_NUMBER, contentHash=_MAYBE, version=_NUMBER,
        state=_TEXT, modifiedAt=_MAYBE, metadata=_OBJECT,
    ),
    "usage": _schema(path=_TEXT, sizeBytes=_NUMBER, files=_NUMBER, directories=_NUMBER),
    "outcome": _schema(commandId=_TEXT, idempotent=_FLAG, path=_MAYBE, nodeId=_MAYBE_NUMBER, version=_MAYBE_NUMBER),
    "version": _schema(
        version=_NUMBER, name=_TEXT, kind=_TEXT, state=_TEXT, sizeBytes=_MAYBE_NUMBER, contentHash=_MAYBE,
        validFrom=_MAYBE, validTo=_MAYBE, contentAvailable=_FLAG, commandId=_MAYBE,
    ),
    "entry": _schema(
        id=_NUMBER, command=_TEXT, commandId=_MAYBE, principal=_TEXT, outcome=_TEXT, code=_MAYBE, path=_MAYBE,
        recordedAt=_MAYBE,
    ),
    "event": _schema(position=_TEXT, type=_TEXT, data=_OBJECT),
    "mount": _schema(id=_NUMBER, key=_TEXT, kind=_TEXT, state=_TEXT, accessMode=_TEXT, stateReason=_MAYBE),
    "operation": _schema(
        id=_TEXT, kind=_TEXT, state=_TEXT, path=_MAYBE, targetPath=_MAYBE, principal=_MAYBE, plan=_OBJECT,
        progress=_OBJECT, errors={"type": "array"},
    ),
    "item": _schema(
        item=_NUMBER, kind=_TEXT, state=_TEXT, path=_MAYBE, targetPath=_MAYBE, sizeBytes=_MAYBE_NUMBER, code=_MAYBE,
        message=_MAYBE,
    ),
    "transferred": _schema(action=_TEXT, path=_TEXT, sizeBytes=_MAYBE_NUMBER, reason=_MAYBE, error=_MAYBE),
    "check": _schema(check=_TEXT, ok=_FLAG, detail=_TEXT),
}  # fmt: skip
"""JSON Schemas of the rows. Fields can be added; those that are here stay."""
