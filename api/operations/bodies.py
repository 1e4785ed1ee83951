"""Operations as clients ask for them."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from api.http.fields import UUID, Count, Id, JsonBody, Key, Metadata, Moment, Query, Short, Text, split_list
from schema.operations.operation import ItemState, OperationKind, OperationState, Options
from schema.operations.selection import Selection, glob

Rate = Annotated[float, Field(ge=1e-3, le=1e12, strict=False)]
WILDCARDS_MAX = 3
"""`*` in one glob: matching takes longer with each of them."""


def _usable_glob(pattern: str) -> str:
    if pattern.replace("**", "*").count("*") > WILDCARDS_MAX:
        raise ValueError(f"a glob has {WILDCARDS_MAX} wildcards * at most")
    try:
        glob(pattern)
    except re.error as error:
        raise ValueError(f"not a glob: {error}") from error
    return pattern


Glob = Annotated[Short, AfterValidator(_usable_glob)]
Globs = Annotated[list[Glob], Field(max_length=20)]


class SelectionBody(JsonBody):
    """Which nodes below the path are meant: those that meet every condition."""

    include: Globs | None = None
    exclude: Globs | None = None
    min_bytes: Count | None = None
    max_bytes: Count | None = None
    modified_after: Moment | None = None
    modified_before: Moment | None = None
    states: Annotated[list[Literal["active", "inconsistent", "missing"]], Field(max_length=10)] | None = None
    kinds: Annotated[list[Literal["file", "directory", "symlink", "special"]], Field(max_length=10)] | None = None
    metadata: Metadata | None = None
    paths: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = None

    def meant(self) -> Selection:
        return Selection.of_json(self.model_dump(exclude_none=True))


class LimitsBody(JsonBody):
    """What can be changed while an operation runs. Null: no limit."""

    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    bytes_per_second: Rate | None = None
    files_per_second: Rate | None = None
    max_errors: Annotated[int, Field(ge=1)] | None = None


class OptionsBody(LimitsBody):
    on_conflict: Literal["skip", "overwrite", "rename", "fail"] = "fail"
    only_if_unchanged: bool = True
    on_changed: Literal["skip", "stop"] = "skip"
    start_at: Moment | None = None
    hashes: Literal["now", "later"] = "later"
    remove_new: bool = False
    older_than: Annotated[float, Field(ge=0, le=1e10, strict=False)] | None = None
    keep_bytes: Count | None = None

    def meant(self) -> Options:
        told = self.model_dump(exclude_none=True)
        return Options(**told)


class DescribedMetadata(JsonBody):
    """Of `describe`: these keys get these values, and those go."""

    set: Metadata = Field(default_factory=dict)
    unset: Annotated[list[Short], Field(max_length=1000)] = Field(default_factory=list)


class NewOperation(JsonBody):
    kind: Annotated[Literal["copy", "move", "delete", "restore", "describe", "verify", "purge", "import"], Field()]
    backend_mount_id: Id
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    target_path: Text | None = None
    target_path_b64: Text | None = Field(None, alias="targetPathB64")
    target_backend_mount_id: Id | None = None
    as_of: Moment | None = None
    selection: SelectionBody = Field(default_factory=SelectionBody)
    options: OptionsBody = Field(default_factory=OptionsBody)
    metadata: DescribedMetadata | None = None
    plan_only: bool = False
    idempotency_key: Key | None = None


class ControlBody(JsonBody):
    idempotency_key: Key | None = None


class CancelBody(ControlBody):
    rollback: bool = False


class RetryBody(ControlBody):
    items: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, max_length=10_000)] | None = None


class UndoBody(ControlBody):
    plan_only: bool = False


class LimitsChange(JsonBody):
    options: LimitsBody


class OperationsQuery(Query):
    state: Annotated[list[OperationState] | None, BeforeValidator(split_list)] = None
    kind: Annotated[list[OperationKind] | None, BeforeValidator(split_list)] = None
    backend_mount_id: Id | None = None
    path: Text | None = None
    principal: Short | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str, Field(pattern=UUID)] | None = None


class ItemsQuery(Query):
    state: Annotated[list[ItemState] | None, BeforeValidator(split_list)] = None
    code: Annotated[list[Short] | None, BeforeValidator(split_list)] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Count | None = None
