"""What is asked of jobs, findings and mounts."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from api.http.fields import Id, Query, Text, split_list
from schema.drift.acts import DriftKind, FindingState

Statuses = Annotated[list[str], BeforeValidator(split_list)]


class JobsQuery(Query):
    """`path`: at it and below."""

    backend_mount_id: Id | None = None
    path: Text | None = None
    status: Statuses | None = None
    limit: int = Field(50, ge=1, le=200)
    offset: int = Field(0, ge=0, le=10**9)


class FindingsQuery(Query):
    """Without `state`, what stands and is not ignored."""

    backend_mount_id: Id | None = None
    path: Text | None = None
    kind: Annotated[list[DriftKind], BeforeValidator(split_list)] | None = None
    state: Annotated[list[FindingState], BeforeValidator(split_list)] | None = None
    limit: int = Field(100, ge=1, le=1000)
    cursor: Text | None = None


class ConsistencyQuery(Query):
    path: Text = ""


class HeldLooksQuery(Query):
    backend_mount_id: Id
