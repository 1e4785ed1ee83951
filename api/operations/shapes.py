"""Operations as clients read them."""

from datetime import datetime
from typing import Any, Literal

from api.http.shapes import CursorPagination, JsonObject, Shape
from schema.operations.operation import ItemKind, ItemState, OperationKind, OperationState


class OperationPlan(Shape):
    """What is to be done, as far as it is planned."""

    items: int
    nodes: int
    bytes: int
    conflicts: int
    warnings: list[str]


class OperationProgress(Shape):
    items_total: int
    items_done: int
    items_failed: int
    items_skipped: int
    items_reversed: int
    items_running: int
    nodes_done: int
    bytes_total: int
    bytes_done: int
    items_per_second: float | None
    bytes_per_second: float | None
    eta_seconds: float | None
    current_paths: list[str]
    items_known: int | None
    """Of an import: names that the record had already"""
    items_hashed: int | None
    bytes_hashed: int | None


class OperationError(Shape):
    """How many items ended with this code, and one of them."""

    code: str
    count: int
    example: int


class OperationControl(Shape):
    """What was asked of it last, why, and by whom."""

    control: str
    reason: str | None
    principal: str | None
    at: datetime


class SteeredOperation(Shape):
    id: str
    outcome: Literal["accepted", "refused"]
    state: OperationState
    want: str | None
    code: str | None
    message: str | None


class SteeringCounts(Shape):
    accepted: int
    refused: int


class SteeredOperations(Shape):
    results: list[SteeredOperation]
    counts: SteeringCounts


class Operation(Shape):
    id: str
    kind: OperationKind
    state: OperationState
    phase: str
    want: str | None
    turn: int
    backend_mount_id: int
    path: str
    path_b64: str = ""
    target_backend_mount_id: int | None
    target_path: str | None
    target_path_b64: str = ""
    selection: JsonObject
    as_of: datetime | None
    options: JsonObject
    metadata: JsonObject | None
    record: JsonObject | None
    """Of `tag`: what becomes of the records"""
    plan: OperationPlan
    progress: OperationProgress
    errors: list[OperationError]
    principal: str
    created_at: datetime
    planned_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    undoes: str | None
    undone_by: str | None
    steered: OperationControl | None
    waits_for: str | None
    correlation_id: str | None
    workflow_id: str | None
    workflow_url: str | None
    """Its page in Temporal's UI; null where the service knows of none"""


class OperationItem(Shape):
    """Of a mount null says that it is that of the operation."""

    item: int
    kind: ItemKind
    state: ItemState
    backend_mount_id: int | None
    target_backend_mount_id: int | None
    path: str
    path_b64: str = ""
    target_path: str | None
    target_path_b64: str = ""
    size_bytes: int
    nodes: int
    code: str | None
    message: str | None
    command_id: str | None
    node_id: int | None
    version: int | None


class OperationPage(Shape):
    operations: list[Operation]
    pagination: CursorPagination


class ItemPage(Shape):
    items: list[OperationItem]
    pagination: CursorPagination


def example() -> dict[str, Any]:
    return {
        "kind": "copy", "backendMountId": 1, "path": "projects/one", "targetPath": "archive/one",
        "selection": {"include": ["*.csv"]}, "options": {"onConflict": "skip"}, "planOnly": True,
    }  # fmt: skip
