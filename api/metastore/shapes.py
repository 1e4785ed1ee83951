"""Records as clients read them."""

from datetime import datetime

from pydantic import Field

from api.http.shapes import EXACT_PATH, CursorPagination, JsonObject, Shape
from schema.metastore.namespaces import Mode
from schema.nodes import NodeKind, NodeState


class RecordedNode(Shape):
    """The node as the feed has told of it, and the last event's facts."""

    backend_mount_id: int
    path: str
    path_b64: str = EXACT_PATH
    kind: NodeKind
    state: NodeState
    parent_id: int | None
    version: int
    size_bytes: int
    checksum: str | None
    content_hash: str | None
    node_metadata: JsonObject
    observed_at: datetime | None
    journal_id: int | None
    command: str | None
    idempotency_key: str | None
    principal: str | None
    consistency_state: str
    consistency_checked_at: datetime | None
    last_reconciled_at: datetime | None
    reconciliation_reason: str | None
    previous_state: NodeState | None


class MetastoreRecord(Shape):
    """`version` counts the changes of what is said; `filestore.version` those of the node."""

    node_id: int
    namespace: str
    tags: list[str]
    owner: str | None
    metadata: JsonObject
    schema_: str | None = Field(alias="schema", description="The schema that the metadata was last held against")
    violation: str | None = Field(description="The namespace that a rule demands, and the record is not in")
    filestore: RecordedNode
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


class RecordVersion(Shape):
    version: int
    change: str
    principal: str | None = Field(description="null: an event changed it")
    changed_at: datetime
    path: str
    namespace: str
    tags: list[str]
    owner: str | None
    metadata: JsonObject
    schema_: str | None = Field(alias="schema")
    deleted_at: datetime | None


class RecordHistory(Shape):
    versions: list[RecordVersion]
    pagination: CursorPagination


class RecordList(Shape):
    records: list[MetastoreRecord]
    pagination: CursorPagination


class PathRule(Shape):
    backend_mount_id: int | None
    path_prefix: str
    mode: Mode


class Namespace(Shape):
    name: str
    description: str | None
    schema_: JsonObject | bool | None = Field(alias="schema")
    schema_version: int
    rules: list[PathRule]
    version: int
    created_at: datetime
    updated_at: datetime


class NamespaceList(Shape):
    namespaces: list[Namespace]


class MetastoreState(Shape):
    """How far the records are behind the events."""

    state: str = Field(description="off, following, catching up (all nodes, or trees), behind, or stalled")
    position: int
    last: int
    behind: int = Field(description="Events that are not taken in yet")
    lag_seconds: float | None = Field(description="How long the oldest of them waits")
    records: int = Field(description="Records that were written, in all")
    looked_at: datetime | None
    problem: str | None
