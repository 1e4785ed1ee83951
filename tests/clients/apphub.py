"""The published client of AppHub, as far as its requests and its parsing go: it sends what that one sends, and refuses what
its schemas refuse. Fields that it does not know it ignores."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tests.fix_service import Service

Hex = Field(pattern=r"^[0-9a-f]+$")
Kind = Literal["file", "directory"]
State = Literal["active", "inconsistent", "missing", "deleted"]


class Strict(BaseModel):
    """Every field is there, of the very type that is said."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True)


class ParsedRollup(Strict):
    node_id: int
    size_bytes: int
    file_count: int
    directory_count: int
    child_count: int
    state: Literal["up_to_date", "pending", "stale", "invalid"]
    last_calculated_at: str | None


class ParsedDownload(Strict):
    mode: Literal["stream", "presign"]
    stream_url: str
    presign_url: str | None
    supports_range: bool
    size_bytes: int | None
    checksum: str | None = Hex
    content_hash: str | None = Hex
    filename: str | None


class ParsedNode(Strict):
    id: int
    backend_mount_id: int
    parent_id: int | None
    path: str
    name: str
    depth: int
    kind: Kind
    size_bytes: int
    checksum: str | None = Hex
    content_hash: str | None = Hex
    metadata: dict[str, Any]
    state: State
    version: int
    is_symlink: bool
    last_seen_at: str
    last_modified_at: str | None
    consistency_state: Literal["active", "inconsistent", "missing"]
    consistency_checked_at: str
    last_reconciled_at: str | None
    last_drift_detected_at: str | None
    created_at: str
    updated_at: str
    deleted_at: str | None
    rollup: ParsedRollup | None
    download: ParsedDownload | None

    @property
    def totals(self) -> ParsedRollup:
        assert self.rollup is not None
        return self.rollup


class ParsedResult(Strict):
    command_type: str
    node_id: int
    backend_mount_id: int
    path: str
    kind: Kind
    state: State
    size_bytes: int
    version: int
    duration_ms: float
    checksum: str | None = Hex
    content_hash: str | None = Hex
    moved_from: str | None = None
    copied_from: str | None = None


class ParsedOutcome(Strict):
    idempotent: bool
    journal_entry_id: int
    node: ParsedNode | None
    result: ParsedResult

    @property
    def made(self) -> ParsedNode:
        assert self.node is not None
        return self.node


class ParsedMount(Strict):
    id: int
    mount_key: str
    display_name: str | None
    description: str | None
    contact: str | None
    labels: list[str]
    backend_kind: Literal["local", "s3"]
    access_mode: Literal["rw", "ro"]
    state: Literal["active", "inactive", "offline", "degraded", "error", "unknown"]
    state_reason: str | None
    root_path: str | None
    bucket: str | None
    prefix: str | None
    config: dict[str, Any] = {}
    last_health_check_at: str | None
    last_health_status: str | None
    created_at: str
    updated_at: str


class ParsedPagination(Strict):
    total: int
    limit: int
    offset: int
    next_offset: int | None


class MountFilters(Strict):
    search: str | None
    kinds: list[str]
    states: list[str]
    access_modes: list[str]


class ParsedMounts(Strict):
    mounts: list[ParsedMount]
    pagination: ParsedPagination
    filters: MountFilters


class ChildFilters(Strict):
    states: list[State]
    kinds: list[Kind]
    search: str | None
    drift_only: bool


class NodeFilters(ChildFilters):
    backend_mount_id: int
    path: str | None
    depth: int | None


class ParsedNodes(Strict):
    nodes: list[ParsedNode]
    pagination: ParsedPagination
    filters: NodeFilters


class ParsedChildren(Strict):
    parent: ParsedNode
    children: list[ParsedNode]
    pagination: ParsedPagination
    filters: ChildFilters


class ParsedLink(Strict):
    url: str
    expires_at: str
    headers: dict[str, str]
    method: str


class NodeEvent(Strict):
    backend_mount_id: int
    node_id: int | None
    path: str
    kind: Kind
    state: State
    parent_id: int | None
    version: int | None
    size_bytes: int | None
    checksum: str | None = Hex
    content_hash: str | None = Hex
    metadata: dict[str, Any]
    journal_id: int
    command: str
    idempotency_key: str | None
    principal: str | None
    observed_at: str


class CommandCompleted(Strict):
    journal_id: int
    command: str
    backend_mount_id: int
    node_id: int | None
    path: str
    idempotency_key: str | None
    principal: str | None
    result: dict[str, Any]
    observed_at: str


class NodeDownloaded(Strict):
    backend_mount_id: int
    node_id: int | None
    path: str
    size_bytes: int | None
    checksum: str | None = Hex
    content_hash: str | None = Hex
    principal: str | None
    mode: Literal["stream", "presign"]
    range: str | None
    observed_at: str


NODE_EVENTS = ("created", "updated", "deleted", "uploaded", "moved", "copied")
EVENTS: dict[str, type[Strict]] = {f"filestore.node.{name}": NodeEvent for name in NODE_EVENTS} | {
    "filestore.command.completed": CommandCompleted,
    "filestore.node.downloaded": NodeDownloaded,
}


class AppHubError(Exception):
    def __init__(self, status: int, code: str, details: Any) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.details = status, code, details


@dataclass(frozen=True)
class AppHub:
    """The methods have the names that they have there."""

    service: Service

    def create_directory(self, mount: int, path: str, key: str | None = None, **more: Any) -> ParsedOutcome:
        return self._command("POST", "/v1/directories", key, backendMountId=mount, path=path, **more)

    def delete_node(self, mount: int, path: str, key: str | None = None, *, recursive: bool = False) -> ParsedOutcome:
        return self._command("DELETE", "/v1/nodes", key, backendMountId=mount, path=path, recursive=recursive)

    def move_node(self, mount: int, path: str, target: str, **more: Any) -> ParsedOutcome:
        body = {"backendMountId": mount, "path": path, "targetPath": target, "overwrite": False} | more
        return self._command("POST", "/v1/nodes/move", None, **body)

    def copy_node(self, mount: int, path: str, target: str, **more: Any) -> ParsedOutcome:
        body = {"backendMountId": mount, "path": path, "targetPath": target, "overwrite": False} | more
        return self._command("POST", "/v1/nodes/copy", None, **body)

    def update_metadata(self, mount: int, node: int, **changes: Any) -> ParsedOutcome:
        return self._command("PATCH", f"/v1/nodes/{node}/metadata", None, backendMountId=mount, **changes)

    def upload_file(
        self, mount: int, path: str, content: bytes, key: str | None = None, headers: dict[str, str] | None = None,
        **fields: str,
    ) -> ParsedOutcome:  # fmt: skip
        """The key goes twice, as a field and as a header."""
        key = key or str(uuid.uuid4())
        form = {"backendMountId": str(mount), "path": path, **fields, "idempotencyKey": key}
        file = {"file": (path.rpartition("/")[2], content, "application/octet-stream")}
        sent_headers = {"Idempotency-Key": key, "x-filestore-principal": "apphub", **(headers or {})}
        return ParsedOutcome.model_validate(
            self._data("POST", "/v1/files", data=form, files=file, headers=sent_headers)
        )

    def get_node_by_path(self, mount: int, path: str) -> ParsedNode:
        params = {"backendMountId": mount, "path": path}
        return ParsedNode.model_validate(self._data("GET", "/v1/nodes/by-path", params=params))

    def get_node_by_id(self, id: int) -> ParsedNode:
        return ParsedNode.model_validate(self._data("GET", f"/v1/nodes/{id}"))

    def list_nodes(self, mount: int, **params: Any) -> ParsedNodes:
        return ParsedNodes.model_validate(self._data("GET", "/v1/nodes", params={"backendMountId": mount, **params}))

    def list_children(self, node: int, **params: Any) -> ParsedChildren:
        return ParsedChildren.model_validate(self._data("GET", f"/v1/nodes/{node}/children", params=params))

    def list_mounts(self, **params: Any) -> ParsedMounts:
        return ParsedMounts.model_validate(self._data("GET", "/v1/backend-mounts", params=params))

    def update_mount(self, mount: int, **changes: Any) -> ParsedMount:
        return ParsedMount.model_validate(self._data("PATCH", f"/v1/backend-mounts/{mount}", json=changes))

    def get_mount(self, mount: int) -> ParsedMount:
        return ParsedMount.model_validate(self._data("GET", f"/v1/backend-mounts/{mount}"))

    def presign(self, node: int) -> ParsedLink:
        return ParsedLink.model_validate(self._data("GET", f"/v1/files/{node}/presign", params={"expiresIn": 60}))

    def _command(self, method: str, address: str, key: str | None, **body: Any) -> ParsedOutcome:
        """The key goes twice, in the body and as a header."""
        key = key or str(uuid.uuid4())
        headers = {"Idempotency-Key": key, "x-filestore-principal": "apphub"}
        return ParsedOutcome.model_validate(
            self._data(method, address, json={**body, "idempotencyKey": key}, headers=headers)
        )

    def _data(self, method: str, path: str, **options: Any) -> Any:
        answer = self.service.call(method, path, **options)
        if answer.status_code >= 400:
            raise _error(answer)
        assert set(answer.json()) == {"data"}
        return answer.json()["data"]


def _error(answer: httpx2.Response) -> AppHubError:
    refusal = answer.json()
    assert set(refusal) == {"error"} and set(refusal["error"]) == {"code", "message", "details"}, refusal
    assert answer.headers["content-type"] == "application/json"
    return AppHubError(answer.status_code, refusal["error"]["code"], refusal["error"]["details"])


def frames(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a stream, read as that client reads them: blocks end with an empty line, and one without `event` or
    `data` is none."""
    for frame in text.split("\n\n"):
        lines = [line for line in frame.split("\n") if line.strip() and not line.startswith(":")]
        name = next((line[6:].strip() for line in lines if line.startswith("event:")), None)
        data = "\n".join(line[5:].strip() for line in lines if line.startswith("data:"))
        if name and data:
            yield name, json.loads(data)
