"""Bodies and queries as clients send them. Unknown fields are ignored, as earlier clients rely on; wrong types not."""

from collections.abc import Iterator
from math import isfinite
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.types import JsonValue
from starlette.datastructures import QueryParams

from schema.commands.command import CommandKind
from schema.errors import InvalidRequest
from schema.events import EventType

ID_MAX = 2**63 - 1
KEY_MAX = 255
METADATA_MAX = 256 * 1024
"""Bytes of metadata, as JSON text."""
COMMANDS_MAX = 1000
"""Commands in one list of a client."""

UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

M = TypeVar("M", bound=BaseModel)


class Body(BaseModel):
    """JSON says what type it means: "1" is not 1."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, strict=True, populate_by_name=True)


class Query(BaseModel):
    """A query string has only text: "1" is 1. Lists are separated by commas, or the name is repeated, or both."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, populate_by_name=True)


def refuse_odd_text(text: str) -> str:
    """Neither Postgres nor UTF-8 can hold these."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text if not text.isascii()):
        raise ValueError("the text holds a NUL or a lone surrogate")
    return text


def refuse_odd_json(value: Any) -> Any:
    """The same for every text in a JSON value; and numbers must be numbers."""
    for part in _parts(value):
        if isinstance(part, str):
            refuse_odd_text(part)
        elif isinstance(part, float) and not isfinite(part):
            raise ValueError("a number is not finite")
    return value


def _parts(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, dict):
            waiting.extend(part.keys())
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _usable_key(key: str) -> str:
    if not 1 <= len(key) <= KEY_MAX or not key.isprintable():
        raise ValueError(f"an idempotency key has 1 to {KEY_MAX} printable characters")
    return refuse_odd_text(key)


def _split(value: Any) -> Any:
    texts = value if isinstance(value, list) else [value]
    return [part.strip() for text in texts for part in str(text).split(",") if part.strip()] or None


def _a_date(value: Any) -> Any:
    """Dates in JSON are texts, and a number is not one."""
    if not isinstance(value, str):
        raise ValueError("a date is a text like 2026-11-20T12:00:00Z")
    return value


Id = Annotated[int, Field(ge=1, le=ID_MAX)]
Count = Annotated[int, Field(ge=0, le=ID_MAX)]
Text = Annotated[str, AfterValidator(refuse_odd_text)]
Short = Annotated[str, Field(max_length=1000), AfterValidator(refuse_odd_text)]
Key = Annotated[str, AfterValidator(_usable_key)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(refuse_odd_json)]
Scalar = Annotated[str | int | float | bool | None, AfterValidator(refuse_odd_json)]
Condition = Short | Count
"""A version, a SHA-256, or *, as the headers If-Match and If-None-Match have it"""
Moment = Annotated[AwareDatetime, BeforeValidator(_a_date), Field(strict=False)]

NodeState = Literal["active", "inconsistent", "missing", "deleted"]
NodeKind = Literal["file", "directory", "symlink", "special"]
MountKind = Literal["local", "s3"]
MountState = Literal["active", "inactive", "offline", "degraded", "error", "unknown"]
AccessMode = Literal["rw", "ro"]
RollupState = Literal["up_to_date", "pending", "stale", "invalid"]
CommandName = Literal[
    "createDirectory", "uploadFile", "deleteNode", "moveNode", "copyNode", "updateNodeMetadata", "restoreNode"
]  # fmt: skip
Mode = Literal["independent", "ordered", "atomic"]
Ending = Literal["succeeded", "failed", "inconsistent"]
Disposition = Literal["inline", "attachment"]


class CommandBody(Body):
    """What every command can say in its body. Key and conditions may come as headers too; the body wins."""

    backend_mount_id: Id
    idempotency_key: Key | None = None
    if_match: Condition | None = None
    if_none_match: Condition | None = None


class NewDirectory(CommandBody):
    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    metadata: Metadata | None = None


class Deletion(CommandBody):
    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    recursive: bool = False


class Relocation(CommandBody):
    """A move or a copy."""

    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    target_path: Text = ""
    target_path_b64: Text | None = Field(None, alias="targetPathB64")
    target_backend_mount_id: Id | None = None
    overwrite: bool = False


class MetadataChanges(CommandBody):
    """Of the node whose id is in the address."""

    set: Metadata | None = None
    unset: list[Text] | None = None


class NodeMetadata(MetadataChanges):
    """Of the node that is named here, by its id or by its path."""

    node_id: Id | None = None
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")


class Restoration(CommandBody):
    node_id: Id | None = None
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    target_path: Text | None = None
    target_path_b64: Text | None = Field(None, alias="targetPathB64")
    version: Id | None = None


class DirectUpload(CommandBody):
    """A file whose content its client puts into the bucket itself."""

    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    size_bytes: Count
    content_hash: Short
    content_type: Short | None = None
    metadata: Metadata | None = None
    overwrite: bool | None = None
    expires_in: Annotated[int, Field(ge=1, le=3600)] = 900


class CommandList(Body):
    """Each command has the fields of its own body, and `command`."""

    mode: Mode = "independent"
    commands: Annotated[list[dict[str, JsonValue]], Field(max_length=COMMANDS_MAX)]
    idempotency_key: Key | None = None


class UploadFields(Query):
    """The fields of the form, before its file."""

    backend_mount_id: Id
    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    metadata: Text | None = None
    overwrite: bool | None = None
    idempotency_key: Key | None = None


class UploadMetadata(Body):
    """The form's field `metadata`, parsed."""

    metadata: Metadata | None


class MountFields(Body):
    """What can be set on a mount, and changed later."""

    mount_key: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")] | None = None
    root_path: Annotated[Text, Field(min_length=1, max_length=4096)] | None = None
    bucket: Annotated[Short, Field(min_length=1)] | None = None
    prefix: Short | None = None
    config: Metadata | None = None
    access_mode: AccessMode | None = None
    state: MountState | None = None
    state_reason: Short | None = None
    display_name: Short | None = None
    description: Annotated[Text, Field(max_length=10_000)] | None = None
    contact: Short | None = None
    labels: Annotated[list[Short], Field(max_length=100)] | None = None


class NewMountBody(MountFields):
    mount_key: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
    backend_kind: MountKind


class MountChanges(MountFields):
    """Only the fields that are there are changed."""


class _Strict(Body):
    """`filters` knows all its fields: a misspelt one must not silently select everything."""

    model_config = ConfigDict(extra="forbid")


class MetadataFilter(_Strict):
    key: Text
    value: Scalar


class SizeFilter(_Strict):
    min: Count | None = None
    max: Count | None = None


class SeenFilter(_Strict):
    after: Moment | None = None
    before: Moment | None = None


class RollupFilter(_Strict):
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


class Filters(_Strict):
    query: Text | None = None
    metadata: Annotated[list[MetadataFilter], Field(max_length=16)] = Field(default_factory=list)
    size: SizeFilter | None = None
    last_seen_at: SeenFilter | None = None
    rollup: RollupFilter | None = None


def _filters(value: Any) -> Any:
    return Filters.model_validate_json(value) if isinstance(value, str) else value


class _NodeConditions(Query):
    search: Short | None = None
    states: Annotated[list[NodeState] | None, BeforeValidator(_split)] = None
    kinds: Annotated[list[NodeKind] | None, BeforeValidator(_split)] = None
    drift_only: bool = False
    filters: Annotated[Filters | None, BeforeValidator(_filters)] = None


class ChildrenQuery(_NodeConditions):
    limit: Annotated[int, Field(ge=1, le=200)] = 100
    offset: Count = 0
    cursor: Text | None = None


class NodesQuery(_NodeConditions):
    backend_mount_id: Id
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    depth: Annotated[int, Field(ge=0, le=10)] | None = None
    collisions: bool = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Count = 0
    cursor: Text | None = None


class ByPathQuery(Query):
    backend_mount_id: Id
    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")


class NodeQuery(Query):
    collisions: bool = False


class NodeByPathQuery(ByPathQuery):
    collisions: bool = False


class MountsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    offset: Count = 0
    kinds: Annotated[list[MountKind] | None, BeforeValidator(_split)] = None
    states: Annotated[list[MountState] | None, BeforeValidator(_split)] = None
    access_modes: Annotated[list[AccessMode] | None, BeforeValidator(_split)] = None
    search: Short | None = None


class PresignQuery(Query):
    expires_in: Annotated[int, Field(ge=1, le=3600)] = 300
    disposition: Disposition = "attachment"


class ContentQuery(Query):
    version: Id | None = None
    disposition: Disposition = "attachment"


class SnapshotsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Id | None = None


def read_query(model: type[M], params: QueryParams) -> M:
    """The query as `model`; a name that is repeated becomes a list. Unknown names are ignored.

    Raises pydantic's ValidationError, and InvalidRequest for bytes that are no text.
    """
    given: dict[str, list[str]] = {}
    for name, value in params.multi_items():
        if "\ufffd" in value and name in ("path", "pathPrefix", "search"):
            raise InvalidRequest(f"{name} is not UTF-8; send such names as pathB64.")
        given.setdefault(name, []).append(value)
    return model.model_validate({name: values if len(values) > 1 else values[0] for name, values in given.items()})


class ResumableFields(UploadFields):
    """The keys of Upload-Metadata that mean something here."""

    filename: Text | None = None
    filetype: Text | None = None


class JournalQuery(Query):
    backend_mount_id: Id | None = None
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    path_prefix: Text | None = None
    path_prefix_b64: Text | None = Field(None, alias="pathPrefixB64")
    node_id: Id | None = None
    principal: Short | None = None
    command: Annotated[list[CommandKind] | None, BeforeValidator(_split)] = None
    outcome: Annotated[list[Ending] | None, BeforeValidator(_split)] = None
    code: Annotated[list[Short] | None, BeforeValidator(_split)] = None
    command_id: Annotated[str, Field(pattern=UUID)] | None = None
    operation_id: Annotated[str, Field(pattern=UUID)] | None = None
    atomic_id: Annotated[str, Field(pattern=UUID)] | None = None
    recorded_from: Annotated[Moment | None, Field(alias="from")] = None
    recorded_to: Annotated[Moment | None, Field(alias="to")] = None
    after: Count | None = None
    before: Id | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    order: Literal["asc", "desc"] | None = None


class _EventConditions(Query):
    backend_mount_id: Id | None = None
    path_prefix: Text | None = None
    path_prefix_b64: Text | None = Field(None, alias="pathPrefixB64")
    events: Annotated[list[EventType] | None, BeforeValidator(_split)] = None


class StreamQuery(_EventConditions):
    last_event_id: Count | None = None


class EventsQuery(_EventConditions):
    after: Count | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    wait: Annotated[float, Field(ge=0, le=30)] = 0
