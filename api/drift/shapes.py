"""Drift as clients read it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.http.shapes import EXACT_PATH, CursorPagination, JsonObject, Pagination, Shape
from schema.drift.acts import DriftKind, FindingState
from schema.drift.policy import DriftAction, Phase
from workflows.schedules import ScheduleKind


class Enqueued(Shape):
    enqueued: Literal[True]
    id: int
    job_id: int
    job_key: str


class ReconciliationJob(Shape):
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


class JobPage(Shape):
    jobs: list[ReconciliationJob]
    pagination: Pagination
    filters: JsonObject


class BrakeShape(Shape):
    share: float
    count: int


class AuditShape(Shape):
    path: str
    every_seconds: int


class ScrubShape(Shape):
    every_seconds: int
    bytes_per_second: int = Field(default=0, description="Only where a rate was set")


class DriftPolicy(Shape):
    phase: Phase
    on_new: DriftAction
    on_changed: DriftAction
    on_missing: DriftAction
    on_unreadable: DriftAction
    brake: BrakeShape
    audits: list[AuditShape]
    scrub: ScrubShape | None
    ignore: list[str | JsonObject]
    version: int
    by: str | None


class WatcherShape(Shape):
    state: str
    lag_seconds: float | None
    lost: int


class ScrubCoverage(Shape):
    """`coverage`: the share of all bytes that were read again within the promised time."""

    coverage: float | None
    oldest_verified: datetime | None
    damaged: int


class MountConsistency(Shape):
    """`findings`: those that stand there, by kind. `healed`: those that are over because all is well again, as long as they are
    kept. `found`: how often looks came to each verdict, of the whole mount. `heldLooks`: audits that wait for a yes."""

    fresh_since: datetime | None
    last_audit: JsonObject | None
    watcher: WatcherShape
    scrub: ScrubCoverage
    findings: JsonObject
    found: JsonObject
    healed: int
    waiting: int
    held_looks: int
    hints: int


class ScheduleRunShape(Shape):
    """`outcome` unknown: Temporal keeps the run no longer. `problem`: why it failed."""

    workflow_id: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    problem: str | None


class MountScheduleShape(Shape):
    """`path`: of an audit. `absent`: the mount is not active, or its schedule is made within a minute."""

    id: str
    kind: ScheduleKind
    path: str | None
    shared: bool
    state: Literal["scheduled", "paused", "absent"]
    every_seconds: float | None
    note: str | None
    next_run_at: datetime | None
    last_run: ScheduleRunShape | None


class MountSchedules(Shape):
    schedules: list[MountScheduleShape]


class DriftFinding(Shape):
    id: int
    kind: DriftKind
    backend_mount_id: int
    node_id: int | None
    path: str
    path_b64: str = EXACT_PATH
    believed: JsonObject
    observed: JsonObject
    first_seen: datetime
    last_seen: datetime
    state: FindingState
    action: str
    by: str | None
    version: int
    until: datetime | None
    problem: JsonObject | None
    ended_at: datetime | None
    look_id: int


class FindingPage(Shape):
    findings: list[DriftFinding]
    pagination: CursorPagination


class Decided(Shape):
    """`decided` false: this is the plan, and nothing was done."""

    decision: str
    decided: bool
    findings: list[DriftFinding]


class HeldLookShape(Shape):
    id: int
    backend_mount_id: int
    reason: str
    plan: JsonObject


class HeldLooks(Shape):
    looks: list[HeldLookShape]


def example() -> dict[str, Any]:
    return {"ids": [{"id": 7, "version": 1}], "decision": "accept"}
