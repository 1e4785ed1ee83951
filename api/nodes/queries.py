"""Queries about nodes and their versions."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from api.http.fields import Conditions, Count, Id, Moment, Query, Scalar, Short, Text, split_list

NodeState = Literal["active", "inconsistent", "missing", "deleted"]
NodeKind = Literal["file", "directory", "symlink", "special"]
RollupState = Literal["up_to_date", "pending", "stale", "invalid"]


class MetadataFilter(Conditions):
    key: Text
    value: Scalar


class SizeFilter(Conditions):
    min: Count | None = None
    max: Count | None = None


class SeenFilter(Conditions):
    after: Moment | None = None
    before: Moment | None = None


class RollupFilter(Conditions):
    states: list[RollupState] | None = None
    min_child_count: Count | None = None
    max_child_count: Count | None = None
    min_file_count: Count | None = None
    max_file_count: Count | None = None
    min_directory_count: Count | None = None
    max_directory_count: Count | None = None
    min_size_bytes: Count | None = None
    max_size_bytes: Count | None = None
    last_calculated_after: Moment | None = None
    last_calculated_before: Moment | None = None


class Filters(Conditions):
    query: Text | None = None
    metadata: Annotated[list[MetadataFilter], Field(max_length=16)] = Field(default_factory=list)
    size: SizeFilter | None = None
    last_seen_at: SeenFilter | None = None
    rollup: RollupFilter | None = None


def _filters(value: Any) -> Any:
    return Filters.model_validate_json(value) if isinstance(value, str) else value


_CURSOR = (
    "`pagination.nextCursor` of the page before: while others write, each node that stays is met exactly once. With an "
    "offset one can be skipped, or come twice."
)
_OFFSET = "`pagination.nextOffset` of the page before; not beside a cursor"
_COLLISIONS = "Tell in `collidesWith` the names beside it that only case or Unicode normalisation tell apart"
_COLLIDING = "Only those below the path whose names collide where case or Unicode normalisation do not count"


_AS_OF = "A time: what was there then. One later than now means now"


class _NodeConditions(Query):
    search: Short | None = None
    states: Annotated[list[NodeState] | None, BeforeValidator(split_list)] = None
    kinds: Annotated[list[NodeKind] | None, BeforeValidator(split_list)] = None
    drift_only: Annotated[bool, Field(description="Inconsistent or missing ones only")] = False
    filters: Annotated[
        Filters | None, BeforeValidator(_filters), Field(description="JSON, strict: a misspelt condition is refused")
    ] = None


class ChildrenQuery(_NodeConditions):
    limit: Annotated[int, Field(ge=1, le=200)] = 100
    offset: Annotated[Count, Field(description=_OFFSET)] = 0
    cursor: Annotated[Text | None, Field(description=_CURSOR)] = None
    as_of: Annotated[Moment | None, Field(description=f"{_AS_OF}. Beside it only `limit` and `cursor`")] = None


class NodesQuery(_NodeConditions):
    backend_mount_id: Id
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    depth: Annotated[int | None, Field(ge=0, le=10, description="Levels, counted from `path`")] = None
    collisions: Annotated[bool, Field(description=_COLLIDING)] = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Annotated[Count, Field(description=_OFFSET)] = 0
    cursor: Annotated[Text | None, Field(description=_CURSOR)] = None


class ByPathQuery(Query):
    backend_mount_id: Id
    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")


class NodeQuery(Query):
    collisions: Annotated[bool, Field(description=_COLLISIONS)] = False


class NodeByPathQuery(ByPathQuery):
    as_of: Annotated[Moment | None, Field(description=_AS_OF)] = None
    collisions: Annotated[bool, Field(description=_COLLISIONS)] = False


class SnapshotsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Id | None = None


class TreeQuery(ByPathQuery):
    depth: Annotated[int | None, Field(ge=1, le=10_000, description="Levels, counted from `path`")] = None
    as_of: Annotated[Moment | None, Field(description=_AS_OF)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 100
    cursor: Annotated[Text | None, Field(description="`pagination.nextCursor` of the page before")] = None


class DiffQuery(ByPathQuery):
    since: Annotated[Moment, Field(alias="from")]
    until: Annotated[Moment | None, Field(alias="to", description="By default now")] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 100
    cursor: Annotated[Text | None, Field(description="`pagination.nextCursor` of the page before")] = None


class TrashQuery(ByPathQuery):
    limit: Annotated[int, Field(ge=1, le=200)] = 100
    cursor: Annotated[Text | None, Field(description="`pagination.nextCursor` of the page before")] = None
