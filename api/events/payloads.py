"""What the `data` of each type of event has. The AsyncAPI document is made of these, and every event that the tests see is
compared with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.events.project_payloads import (
    ObjectEventData,
    ProjectChangedData,
    ProjectConflictData,
    ProjectPathData,
    ProjectStateData,
)
from api.events.record_payloads import RecordUpdatedData
from api.http.shapes import EXACT_PATH, JsonObject, Shape, exact
from schema.events import STREAM_POSITION, STREAM_RESET, EventType
from schema.nodes import NodeKind, NodeState


def absent(description: str | None = None) -> Any:
    """A field that is there only where there is something to say."""
    return Field(default=None, description=description)


class EventDelta(Shape):
    """What it changed: enough to add up without reading the journal."""

    size_bytes: int
    file_count: int = Field(default=0, description="Only where it is known")


class EventTree(Shape):
    """What a directory held that was moved, copied, deleted, restored or imported as a whole."""

    size: int
    files: int
    directories: int


class NodeEventData(Shape):
    """A node, as it is after what happened to it."""

    backend_mount_id: int
    node_id: int
    path: str
    path_b64: str = EXACT_PATH
    kind: NodeKind
    state: NodeState
    parent_id: int | None
    version: int | None
    size_bytes: int | None
    checksum: str | None
    content_hash: str | None
    metadata: JsonObject | None
    journal_id: int | None
    command: str | None
    command_id: str | None
    idempotency_key: str | None
    principal: str | None
    observed_at: datetime
    tree: EventTree | None = None
    delta: EventDelta
    correlation_id: str = absent("Where the command came with one")
    operation_id: str = absent("Where an operation did it")
    moved_from: str = absent("Of a move: where it lay")
    moved_from_b64: str = exact("movedFromB64")
    moved_from_backend_mount_id: int = absent("Where it was another mount")
    copied_from: str = absent("Of a copy: what it was made of")
    copied_from_b64: str = exact("copiedFromB64")
    copied_from_backend_mount_id: int = absent("Where it is another mount")
    consistency_state: Literal["active", "inconsistent", "missing"] = absent("Where a look at the storage said so")
    consistency_checked_at: datetime = absent()
    last_reconciled_at: datetime = absent()
    previous_state: NodeState | None = absent()
    reason: str = absent("Why the storage was looked at")


class NodeDeletedData(NodeEventData):
    replaced_by: int | None = absent("The node that has its place")


class NodeMovedData(NodeEventData):
    moved_from: str


class NodeCopiedData(NodeEventData):
    copied_from: str


class NodeObservedData(NodeEventData):
    """What lies on the storage was compared with the record."""

    consistency_state: Literal["active", "inconsistent", "missing"]
    consistency_checked_at: datetime
    last_reconciled_at: datetime
    previous_state: NodeState | None
    reason: str


class NodeDownloadedData(Shape):
    """Its content went to a client, or a link to it did."""

    backend_mount_id: int
    node_id: int
    path: str
    kind: NodeKind
    state: NodeState
    parent_id: int | None
    version: int | None
    size_bytes: int | None
    checksum: str | None
    content_hash: str | None
    metadata: JsonObject | None
    journal_id: None
    command: None
    command_id: None
    idempotency_key: None
    principal: str | None
    mode: Literal["stream", "presign"]
    range: str | None
    observed_at: datetime


class CommandCompletedData(Shape):
    """An entry of the journal. `result` is that of the answer, and empty where the command failed."""

    command_id: str
    command: str
    status: Literal["succeeded", "failed", "inconsistent"]
    code: str | None
    journal_id: int
    backend_mount_id: int
    node_id: int | None
    path: str | None
    path_b64: str = EXACT_PATH
    idempotency_key: str | None
    principal: str | None
    result: JsonObject
    started_at: datetime = absent()
    observed_at: datetime
    correlation_id: str = absent()
    operation_id: str = absent()
    moved_from: str = absent()
    moved_from_b64: str = exact("movedFromB64")
    moved_from_backend_mount_id: int = absent()
    copied_from: str = absent()
    copied_from_b64: str = exact("copiedFromB64")
    copied_from_backend_mount_id: int = absent()


class ApprovalEventData(Shape):
    """A request that waits for a second person. One about no mount stands under a mount of its tenant."""

    approval_id: int
    act: str
    state: Literal["waiting", "approved", "done", "rejected", "expired", "failed"]
    backend_mount_id: int
    path: str
    principal: str
    reason: str | None
    approvers: list[str]
    needed: int
    expires_at: datetime
    observed_at: datetime


class QuotaSoftData(Shape):
    """What is used has passed the soft limit. `maxBytes`, `maxNodes`: where nothing more goes in."""

    quota_id: int
    backend_mount_id: int
    path: str | None
    path_b64: str = EXACT_PATH
    quota_principal: str | None
    used_bytes: int
    used_nodes: int
    soft_bytes: int | None
    soft_nodes: int | None
    max_bytes: int | None
    max_nodes: int | None
    observed_at: datetime


class DriftDetectedData(Shape):
    """Something is not what the record says, at a place with a node or without."""

    backend_mount_id: int
    node_id: int | None
    path: str
    path_b64: str = EXACT_PATH
    detected_at: datetime
    reason: str
    reporter: str | None
    metadata: JsonObject


class JobEventData(Shape):
    """The whole reconciliation job."""

    id: int
    job_key: str
    backend_mount_id: int
    node_id: int | None
    path: str
    path_b64: str = EXACT_PATH
    reason: Literal["drift", "audit", "manual"]
    status: Literal["queued", "running", "succeeded", "failed", "skipped", "cancelled"]
    detect_children: bool
    requested_hash: bool
    attempt: int
    result: JsonObject | None
    error: JsonObject | None
    enqueued_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: float | None
    updated_at: datetime


class RollupRecomputedData(Shape):
    """A recompute of a directory's totals has ended."""

    recompute_id: int
    backend_mount_id: int
    node_id: int
    path: str
    path_b64: str = EXACT_PATH
    state: str
    code: str | None
    reason: str | None
    principal: str | None
    directories: int
    differences: int
    rollup: JsonObject | None
    requested_at: datetime
    observed_at: datetime


class StreamResetData(Shape):
    requested_after: int
    resumed_after: int


class StreamPositionData(Shape):
    """Nothing: the cursor beside it says it."""


@dataclass(frozen=True, slots=True)
class EventDefinition:
    data: type[Shape]
    summary: str


EVENTS: Mapping[EventType, EventDefinition] = {
    EventType.NODE_CREATED: EventDefinition(NodeEventData, "A node was created."),
    EventType.NODE_UPDATED: EventDefinition(NodeEventData, "A node was changed, moved or restored."),
    EventType.NODE_DELETED: EventDefinition(NodeDeletedData, "A node was deleted, or gave its place to another."),
    EventType.NODE_UPLOADED: EventDefinition(NodeEventData, "Its content came from a client."),
    EventType.NODE_MOVED: EventDefinition(NodeMovedData, "A node has another place now."),
    EventType.NODE_COPIED: EventDefinition(NodeCopiedData, "A node is a copy of another one."),
    EventType.NODE_RECONCILED: EventDefinition(NodeObservedData, "The record says what lies on the storage."),
    EventType.NODE_MISSING: EventDefinition(NodeObservedData, "A node is not on the storage any more."),
    EventType.NODE_DOWNLOADED: EventDefinition(NodeDownloadedData, "Its content went to a client."),
    EventType.RECORD_UPDATED: EventDefinition(RecordUpdatedData, "The Metastore says something else of a node."),
    EventType.COMMAND_COMPLETED: EventDefinition(CommandCompletedData, "A command has an entry in the journal."),
    EventType.DRIFT_DETECTED: EventDefinition(DriftDetectedData, "Something is not what the record says."),
    EventType.JOB_QUEUED: EventDefinition(JobEventData, "A reconciliation job waits."),
    EventType.JOB_STARTED: EventDefinition(JobEventData, "A reconciliation job has begun."),
    EventType.JOB_COMPLETED: EventDefinition(JobEventData, "A reconciliation job is done, or had nothing to do."),
    EventType.JOB_FAILED: EventDefinition(JobEventData, "A reconciliation job failed."),
    EventType.JOB_CANCELLED: EventDefinition(JobEventData, "A reconciliation job was cancelled."),
    EventType.ROLLUP_RECOMPUTED: EventDefinition(RollupRecomputedData, "Totals of a directory were computed anew."),
    EventType.APPROVAL_REQUESTED: EventDefinition(ApprovalEventData, "A request waits for a second person."),
    EventType.APPROVAL_REMINDED: EventDefinition(ApprovalEventData, "A request has waited for long."),
    EventType.APPROVAL_APPROVED: EventDefinition(ApprovalEventData, "A request has all the approvals that it needs."),
    EventType.APPROVAL_REJECTED: EventDefinition(ApprovalEventData, "A request was rejected."),
    EventType.APPROVAL_EXPIRED: EventDefinition(ApprovalEventData, "A request's time is over, and nothing was done."),
    EventType.QUOTA_SOFT: EventDefinition(QuotaSoftData, "The soft limit of a quota was passed."),
    EventType.OBJECT_CREATED: EventDefinition(ObjectEventData, "A content of a project was put."),
    EventType.OBJECT_ARCHIVED: EventDefinition(ObjectEventData, "A content of a project has a cold copy."),
    EventType.OBJECT_EVICTED: EventDefinition(ObjectEventData, "A content of a project left the hot store."),
    EventType.OBJECT_REHYDRATED: EventDefinition(ObjectEventData, "A content of a project is hot again."),
    EventType.PATH_CREATED: EventDefinition(ProjectPathData, "A commit made a path of a project."),
    EventType.PATH_UPDATED: EventDefinition(ProjectPathData, "A commit changed a path of a project."),
    EventType.PATH_DELETED: EventDefinition(ProjectPathData, "A commit deleted a path of a project."),
    EventType.PATH_MOVED: EventDefinition(ProjectPathData, "A commit moved a file of a project."),
    EventType.PROJECT_CHANGED: EventDefinition(ProjectChangedData, "A project has a new revision."),
    EventType.PROJECT_CONFLICT: EventDefinition(ProjectConflictData, "Two nodes changed one path of a project."),
    EventType.PROJECT_STATE: EventDefinition(ProjectStateData, "A project was deactivated, reactivated or deleted."),
}

OF_STREAMS: Mapping[str, EventDefinition] = {
    STREAM_RESET: EventDefinition(StreamResetData, "Events in between are not kept any more and were not seen."),
    STREAM_POSITION: EventDefinition(
        StreamPositionData, "Nothing to show for a while; it has looked up to this cursor."
    ),
}
"""Never in the feed"""
