"""Commands and their outcomes, as clients read them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.commands.bodies import Mode
from api.http.shapes import EXACT_PATH, Refusal, Shape, exact, named
from schema.commands.command import CommandKind
from schema.nodes import NodeKind, NodeState

Ending = Literal["succeeded", "failed", "inconsistent"]
_OTHER_MOUNT = "Only where it is another mount than that of the node"


class Result(Shape):
    """What became of the node."""

    command_type: CommandKind
    node_id: int | None
    backend_mount_id: int
    path: str
    path_b64: str = EXACT_PATH
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
    moved_from: str = Field(default=None, description="The path a move began at")  # type: ignore[assignment]
    moved_from_b64: str = exact("movedFromB64")
    moved_from_backend_mount_id: int = Field(default=None, description=_OTHER_MOUNT)  # type: ignore[assignment]
    copied_from: str = Field(default=None, description="The path of what was copied")  # type: ignore[assignment]
    copied_from_b64: str = exact("copiedFromB64")
    copied_from_backend_mount_id: int = Field(default=None, description=_OTHER_MOUNT)  # type: ignore[assignment]


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
    path_b64: str = EXACT_PATH
    target_path: str | None
    target_path_b64: str = exact("targetPathB64")
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
