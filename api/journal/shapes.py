"""Entries of the journal, as clients read them."""

from datetime import datetime

from api.http.shapes import EXACT_PATH, JsonObject, Shape, exact
from api.journal.queries import Ending, Recorded


class JournalEntry(Shape):
    """One attempt of a command, and how it ended."""

    id: int
    command_id: str
    command: Recorded
    backend_mount_id: int | None
    node_id: int | None
    path: str | None
    path_b64: str = EXACT_PATH
    target_path: str | None
    target_path_b64: str = exact("targetPathB64")
    target_backend_mount_id: int | None
    principal: str
    outcome: Ending
    code: str | None
    retryable: bool | None
    context: JsonObject | None
    before: JsonObject | None
    after: JsonObject | None
    key: str
    request_id: str | None
    trace_id: str | None
    correlation_id: str | None
    attempt: int
    started_at: datetime
    recorded_at: datetime
    duration_ms: float
    workflow_id: str | None
    executor: str | None
    operation_id: str | None
    atomic_id: str | None
    reverses: int | None


class JournalPagination(Shape):
    limit: int
    more: bool
    next_after: int | None
    next_before: int | None


class JournalPage(Shape):
    entries: list[JournalEntry]
    pagination: JournalPagination
    filters: JsonObject
