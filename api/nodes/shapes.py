"""Nodes and their versions, as clients read them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.http.shapes import EXACT_PATH, CursorPagination, JsonObject, NodePagination, Shape, exact
from api.nodes.queries import RollupState
from schema.commands.command import CommandKind
from schema.nodes import NodeKind, NodeState


class Rollup(Shape):
    """What a directory holds, all levels together."""

    node_id: int
    size_bytes: int
    file_count: int
    directory_count: int
    child_count: int
    state: RollupState
    last_calculated_at: datetime


class Download(Shape):
    """Where the content of a file is read."""

    mode: Literal["stream", "presign"]
    stream_url: str
    presign_url: str | None
    supports_range: bool
    size_bytes: int
    checksum: str | None
    content_hash: str | None
    filename: str


class Node(Shape):
    """A file or a directory."""

    id: int
    backend_mount_id: int
    parent_id: int | None
    path: str
    path_b64: str = EXACT_PATH
    name: str
    depth: int
    kind: NodeKind
    size_bytes: int
    checksum: str | None
    content_hash: str | None
    metadata: JsonObject
    state: NodeState
    version: int
    is_symlink: bool
    last_seen_at: datetime
    last_modified_at: datetime | None
    consistency_state: Literal["active", "inconsistent", "missing"]
    consistency_checked_at: datetime
    last_reconciled_at: datetime | None
    last_drift_detected_at: datetime | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    rollup: Rollup | None
    download: Download | None
    valid_from: datetime = Field(default=None, description="Of this version; only with `asOf`")  # type: ignore[assignment]
    valid_to: datetime | None = Field(default=None, description="Until when; only with `asOf`")
    protection: JsonObject = Field(default=None, description="The hold on it, where there is one")  # type: ignore[assignment]
    collides_with: list[str] = Field(default_factory=list, description="Only where `collisions` asks for it")


class NodePage(Shape):
    nodes: list[Node]
    pagination: NodePagination
    filters: JsonObject


class ChildrenPage(Shape):
    parent: Node
    children: list[Node]
    pagination: NodePagination
    filters: JsonObject


class Version(Shape):
    """What a node was, from one command to the next."""

    version: int
    command_id: str
    journal_entry_id: int
    parent_id: int | None
    name: str
    name_b64: str = exact("nameB64")
    kind: NodeKind
    state: NodeState
    size_bytes: int
    content_hash: str | None
    metadata: JsonObject
    valid_from: datetime
    valid_to: datetime | None
    content_available: bool
    content_until: datetime | None
    content_url: str | None


class VersionPagination(Shape):
    limit: int
    next_cursor: int | None


class VersionPage(Shape):
    snapshots: list[Version]
    pagination: VersionPagination


class PastTree(Shape):
    """`node` is the one at the path, `nodes` are those below it."""

    as_of: datetime
    node: Node
    nodes: list[Node]
    pagination: CursorPagination


class DifferenceSide(Shape):
    """A node at one of the two times."""

    path: str
    path_b64: str = EXACT_PATH
    version: int
    size_bytes: int
    content_hash: str | None
    valid_from: datetime


class Difference(Shape):
    """A node that was moved can have other content, too: compare its two sides."""

    change: Literal["added", "removed", "moved", "changed"]
    node_id: int
    kind: NodeKind
    before: DifferenceSide | None
    after: DifferenceSide | None


class DifferencePage(Shape):
    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")
    differences: list[Difference]
    pagination: CursorPagination


class RestoreRequest(Shape):
    """A request that brings something back. `targetPath` may be added, where its name is taken or its directory is gone."""

    method: Literal["POST"]
    path: str
    body: JsonObject


class TrashedVersion(Shape):
    """A version that is kept. Counts are there for directories alone."""

    node_id: int
    backend_mount_id: int
    path: str = Field(description="Where it lay")
    path_b64: str = EXACT_PATH
    kind: NodeKind
    version: int
    size_bytes: int
    file_count: int | None
    directory_count: int | None
    content_hash: str | None
    content_url: str | None
    kept_since: datetime
    kept_until: datetime
    command_id: str
    command: CommandKind | None
    principal: str | None
    journal_entry_id: int | None
    restore: list[RestoreRequest]


class TrashListing(Shape):
    entries: list[TrashedVersion]
    pagination: CursorPagination
