"""Operations and items from their rows, as JSON."""

from collections.abc import Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from api.operations.eta import eta
from schema.operations.operation import OperationItem, OperationKind, OperationState, Options
from schema.operations.selection import Selection
from schema.operations.undo_selection import UndoSelection
from schema.paths import NodePath

_PHASES = {
    OperationState.PLANNING: "plan",
    OperationState.PLANNED: "review",
    OperationState.ROLLING_BACK: "rollback",
}


def document(row: Mapping[str, Any]) -> dict[str, Any]:
    """`row`: as `schema.store.operations.document` tells it."""
    state = OperationState(row["state"])
    planning = state is OperationState.PLANNING
    path = NodePath(bytes(row["path"]))
    target = None if row["target_path"] is None else NodePath(bytes(row["target_path"]))
    return {
        "id": row["id"], "kind": row["kind"], "state": state, "phase": _phase(row, state),
        "want": row["want"], "turn": row["turn"], "backendMountId": row["mount_id"], **spelled("path", path),
        "targetBackendMountId": row["target_mount_id"] if target is None else row["target_mount_id"] or row["mount_id"],
        **spelled("targetPath", target), "selection": _selection(row),
        "asOf": Options.of_json(row["options"]).as_of,
        "options": _options(Options.of_json(row["options"])), **_changes(row),
        "plan": {
            "items": row["items"], "nodes": row["nodes"], "bytes": row["bytes"], "conflicts": row["conflicts"],
            "warnings": _warnings(row),
        },
        "progress": _progress(row, state),
        "errors": [{"code": e["code"], "count": e["count"], "example": e["item"]} for e in row["errors"]],
        "principal": row["principal"], "createdAt": row["created_at"], "plannedAt": row["planned_at"],
        "startedAt": row["started_at"], "endedAt": row["ended_at"], "undoes": row["undoes"], "undoneBy": row["undone_by"],
        "steered": row["steered"], "waitsFor": _waits_for(row, state), "correlationId": row["correlation_id"],
        "workflowId": f"operation/{row['id']}/plan" if planning else f"operation/{row['id']}/{row['turn']}",
    }  # fmt: skip


def _changes(row: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes of metadata, or of records."""
    tags = row["kind"] == OperationKind.TAG
    return {"metadata": None if tags else row["metadata"], "record": _camel(row["metadata"]) if tags else None}


def _phase(row: Mapping[str, Any], state: OperationState) -> str:
    if state.ended:
        return "end"
    if row["kind"] == OperationKind.IMPORT and state is not OperationState.PLANNED:
        return "hash" if (row["plan_cursor"] or {}).get("settled") else "scan"
    return _PHASES.get(state, "apply")


def item(one: OperationItem) -> dict[str, Any]:
    return {
        "item": one.item, "kind": one.kind, "state": one.state, **spelled("path", one.path),
        "backendMountId": one.mount, "targetBackendMountId": one.target_mount,
        **spelled("targetPath", one.target), "sizeBytes": one.size, "nodes": one.nodes, "code": one.code,
        "message": one.message, "commandId": one.command_id, "nodeId": one.left_node or one.node_id,
        "version": one.left_version or one.version,
    }  # fmt: skip


def spelled(name: str, path: NodePath | None) -> dict[str, str | None]:
    """A path as text, and its exact bytes where the text is not all of it."""
    if path is None:
        return {name: None}
    told: dict[str, str | None] = {name: path.text}
    return told if path.b64 is None else told | {f"{name}B64": path.b64}


def _progress(row: Mapping[str, Any], state: OperationState) -> dict[str, Any]:
    seconds = row["seconds"] if row["started_at"] is not None and row["seconds"] else None
    rate = row["done"] / seconds if seconds else None
    imported = (row["plan_cursor"] or {}) if row["kind"] == OperationKind.IMPORT else None
    at = [imported["at"]] if imported and imported.get("at") and state is OperationState.RUNNING else []
    return {
        "itemsTotal": row["items"], "itemsDone": row["done"], "itemsFailed": row["failed"], "itemsSkipped": row["skipped"],
        "itemsReversed": row["reversed"], "itemsRunning": row["in_flight"], "nodesDone": row["nodes_done"],
        "bytesTotal": row["bytes"], "bytesDone": row["bytes_done"], "itemsPerSecond": rate,
        "bytesPerSecond": row["bytes_done"] / seconds if seconds else None,
        "etaSeconds": eta(row, state),
        "currentPaths": at or [NodePath(path).text for _, path in row["current"]],
        "itemsKnown": imported.get("known", 0) if imported is not None else None,
        "itemsHashed": imported.get("hashed", 0) if imported is not None else None,
        "bytesHashed": imported.get("hashed_bytes", 0) if imported is not None else None,
    }  # fmt: skip


def _waits_for(row: Mapping[str, Any], state: OperationState) -> str | None:
    """The operation that is at work there; or the mount that is away."""
    away = row["away_mount"] if state.moves else None
    return row["waits_for"] if away is None else f"mount {away}"


def _warnings(row: Mapping[str, Any]) -> list[str]:
    refusal = [row["refusal"]] if row["refusal"] else []
    if row["conflicts"] == 0:
        return refusal
    return [*refusal, f"{row['conflicts']} items can not go as planned: see those with a code."]


def _options(options: Options) -> dict[str, Any]:
    return {
        "onConflict": options.on_conflict, "onlyIfUnchanged": options.only_if_unchanged,
        "onChanged": options.on_changed, "concurrency": options.concurrency,
        "filesPerSecond": options.files_per_second, "bytesPerSecond": options.bytes_per_second,
        "maxErrors": options.max_errors, "startAt": options.start_at, "removeNew": options.remove_new,
        "olderThan": options.older_than, "keepBytes": options.keep_bytes,
        "hashes": options.hashes,
    }  # fmt: skip


def _selection(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["kind"] != OperationKind.UNDO:
        return _camel(Selection.of_json(row["selection"]).to_json())
    asked = UndoSelection.of_json(row["selection"])
    told = {
        "principal": asked.principal, "tokenId": asked.token_id, "correlationId": asked.correlation_id, "from": asked.since,
        "to": asked.until, **(spelled("path", asked.path) if asked.path is not None else {}),
        "commandIds": list(asked.commands), "operationId": asked.operation_id, "backendMountIds": list(asked.mounts),
    }  # fmt: skip
    return {name: value for name, value in told.items() if value not in (None, [])}


def _camel(told: Mapping[str, Any]) -> dict[str, Any]:
    return {to_camel(name): value for name, value in told.items()}
