"""Answers about what happened."""

from datetime import datetime
from typing import Any

from pydantic import Field

from api.http.shapes import Shape


class GrowthStep(Shape):
    at: datetime
    size_bytes: int
    file_count: int
    delta_bytes: int
    delta_files: int


class Growth(Shape):
    """`sizeBytes` and `fileCount` at the end of the step that begins at `at`."""

    series: list[GrowthStep]


class ChurnStep(Shape):
    at: datetime
    created: int
    overwritten: int
    moved: int
    deleted: int
    bytes_written: int
    bytes_deleted: int


class Churn(Shape):
    series: list[ChurnStep]


class HotDirectory(Shape):
    backend_mount_id: int
    path: str
    events: int
    nodes: int
    bytes_changed: int
    last_at: datetime


class Hot(Shape):
    directories: list[HotDirectory]


class NotedFile(Shape):
    node_id: int
    backend_mount_id: int
    path: str
    size_bytes: int
    modified_at: datetime


class NotedFiles(Shape):
    files: list[NotedFile]


class ActivePrincipal(Shape):
    principal: str | None
    commands: int
    failed: int
    kinds: int
    last_at: datetime


class ActivePrincipals(Shape):
    principals: list[ActivePrincipal]


class CommandStatistics(Shape):
    command: str | None
    commands: int
    failed: int
    mean_ms: float | None
    p50_ms: float | None = Field(alias="p50Ms")
    p95_ms: float | None = Field(alias="p95Ms")
    p99_ms: float | None = Field(alias="p99Ms")


class CommandsOfTime(Shape):
    commands: list[CommandStatistics]


class FailureStep(Shape):
    at: datetime
    commands: int
    failed: int
    rate: float
    code: str | None = Field(description="The commonest")


class Failures(Shape):
    series: list[FailureStep]


class LagStep(Shape):
    at: datetime
    detected: int
    open: int
    mean_seconds: float | None
    p95_seconds: float | None = Field(alias="p95Seconds")
    max_seconds: float | None


class ReconciliationLag(Shape):
    series: list[LagStep]


class Duplicate(Shape):
    content_hash: str
    size_bytes: int
    copies: int
    wasted_bytes: int
    node_ids: list[int] = Field(description="Twenty of them at most")
    paths: list[str]


class Duplicates(Shape):
    duplicates: list[Duplicate]


class MountForecast(Shape):
    backend_mount_id: int
    size_bytes: int
    bytes_per_day: float | None
    fit: float | None = Field(description="How well a straight line fits what was: 1 is wholly")
    free_bytes: int | None = Field(description="null: it is not known")
    full_at: datetime | None = Field(description="When it is full, if it goes on so; null: never, or it is not known")


class Forecast(Shape):
    mounts: list[MountForecast]


class SqlAnswer(Shape):
    columns: list[str]
    rows: list[list[Any]]
    truncated: bool = Field(description="There are more rows than an answer may have")


class TimestoreState(Shape):
    state: str = Field(description="off, following, behind or stalled")
    position: int
    last: int
    behind: int
    lag_seconds: float | None
    rows: int = Field(description="Rows that were written, in all")
