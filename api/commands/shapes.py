"""Commands and their outcomes, as clients read them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.commands.bodies import Mode
from api.http.shapes import Refusal, Shape, named
from schema.commands.command import CommandKind
from schema.nodes import NodeKind, NodeState

Ending = Literal["succeeded", "failed", "inconsistent"]


class Origin(Shape):
    """Where a moved or copied node came from."""

    backend_mount_id: int
    path: str
    path_b64: str | None = Field(None, alias="pathB64")


class Result(Shape):
    """What became of the node."""

    command_type: CommandKind
    node_id: int | None
    backend_mount_id: int
    path: str
    kind: NodeKind | None
    state: NodeState | None
    size_bytes: int | None
    version: int | None
    duration_ms: float
    checksum: str | None
    content_hash: str | None
    mime_type: str | None = None
    original_name: str | None = None
    previous_version: int | None = None
    previous_size_bytes: int | None = None
    moved_from: Origin | str | None = None
    copied_from: Origin | str | None = None


class CommandOutcome(Shape):
    """How a command ended that succeeded."""

    idempotent: bool = Field(description="It was done before under the same key, or there was nothing to do")
    command_id: str
    journal_entry_id: int
    node: named("Node") | None  # type: ignore[valid-type]
    result: Result


class PendingCommand(Shape):
    """A command that goes on; `href` is where to ask."""

    command_id: str
    status: Literal["running"]
    href: str


class CommandError(Shape):
    """How a command ended that was refused or failed."""

    error: Refusal


class Command(Shape):
    """How a command stands."""

    id: str
    href: str
    command: CommandKind
    status: Literal["queued", "running"] | Ending
    path: str | None
    path_b64: str | None = Field(alias="pathB64")
    target_path: str | None
    target_path_b64: str | None = Field(alias="targetPathB64")
    backend_mount_id: int
    code: str | None
    retryable: bool | None
    outcome: CommandOutcome | CommandError | None
    attempt: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class BatchResult(Shape):
    """What one command of the list would have been answered with alone: `data`, or `error`."""

    index: int
    status: int
    retry_after: int = Field(default=0, description="Seconds; only where it can be sent again")
    data: CommandOutcome | PendingCommand = Field(default=None)  # type: ignore[assignment]
    error: Refusal = Field(default=None)  # type: ignore[assignment]


class BatchResults(Shape):
    mode: Mode
    results: list[BatchResult]
