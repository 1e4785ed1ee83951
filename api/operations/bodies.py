"""Operations as clients ask for them."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, RootModel, model_validator

from api.http.fields import UUID, Conditions, Count, Id, JsonBody, Key, Metadata, Moment, Query, Short, Text, split_list
from schema.metastore.namespaces import checked_name
from schema.metastore.records import Description, RecordEdit
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


Tags = Annotated[list[Short], Field(max_length=200)]


class RecordConditions(Conditions):
    """Of which records in the Metastore, as a search has it."""

    query: Short | None = None
    tags: Tags | None = None
    owner: Short | None = None
    namespace: Short | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _says(self) -> "RecordConditions":
        if not self.model_dump(exclude_none=True):
            raise ValueError("it names nothing, and would take every record")
        return self


class SelectionBody(Conditions):
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
    records: RecordConditions | None = None

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


class TaggedRecord(JsonBody):
    """Of `tag`: what becomes of each record, as of one record that is changed. `tags` replaces them all; `owner: null` takes the
    owner away."""

    model_config = ConfigDict(extra="forbid")

    tags: Tags | None = None
    add_tags: Tags = Field(default_factory=list)
    remove_tags: Tags = Field(default_factory=list)
    owner: Short | None = None
    namespace: Short | None = None
    set: Metadata = Field(default_factory=dict)
    unset: Annotated[list[Short], Field(max_length=1000)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _changes(self) -> "TaggedRecord":
        if not self.model_fields_set:
            raise ValueError("it changes nothing: say tags, addTags, removeTags, owner, namespace, set or unset")
        return self

    def meant(self) -> RecordEdit:
        """Raises InvalidRequest."""
        told = {name: getattr(self, name) for name in self.model_fields_set}
        edit = RecordEdit(**told, owner_given="owner" in told)
        edit.of(Description())
        if edit.namespace is not None:
            checked_name(edit.namespace)
        return edit


class NewOperation(JsonBody):
    kind: Annotated[
        Literal["copy", "move", "delete", "restore", "describe", "tag", "verify", "purge", "import"], Field()
    ]
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
    record: TaggedRecord | None = None
    plan_only: bool = False
    idempotency_key: Key | None = None


class UndoSelectionBody(Conditions):
    """Whose changes, or which, are put back: those that meet every condition."""

    principal: Short | None = None
    token_id: Id | None = None
    correlation_id: Short | None = None
    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    command_ids: Annotated[list[Annotated[str, Field(pattern=UUID)]], Field(min_length=1, max_length=1000)] | None = (
        None
    )


class NewUndo(JsonBody):
    """What a selection takes of all changes is put back."""

    kind: Literal["undo"]
    backend_mount_id: Id | None = None
    selection: UndoSelectionBody
    options: OptionsBody = Field(default_factory=OptionsBody)
    plan_only: bool = False
    idempotency_key: Key | None = None


class OperationBody(RootModel[Annotated[NewOperation | NewUndo, Field(discriminator="kind")]]):
    """Either of them, by its kind."""


class KindBody(JsonBody):
    kind: str


class ControlBody(JsonBody):
    reason: Short | None = None
    idempotency_key: Key | None = None


def _says_something(reason: str) -> str:
    if not reason.strip():
        raise ValueError("the reason is empty")
    return reason


class OperationsSelection(Conditions):
    """Which operations are steered: those that meet every condition. Without `state` those that can be asked for it."""

    state: Annotated[list[OperationState], Field(min_length=1)] | None = None
    kind: Annotated[list[OperationKind], Field(min_length=1)] | None = None
    backend_mount_id: Id | None = None
    path: Text | None = None
    principal: Short | None = None
    ids: Annotated[list[Annotated[str, Field(pattern=UUID)]], Field(min_length=1, max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _selects(self) -> "OperationsSelection":
        if not self.model_fields_set:
            raise ValueError("it names nothing, and would take every operation")
        return self


class ManyBody(JsonBody):
    selection: OperationsSelection
    reason: Annotated[Short, AfterValidator(_says_something)]
    idempotency_key: Key | None = None


class CancelManyBody(ManyBody):
    rollback: bool = False


class ApplyBody(ControlBody):
    only_if_unchanged: bool = False
    """As a whole or not at all: refused where anything has changed at or below the path since the plan was made"""


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
