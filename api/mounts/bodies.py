"""Mounts as clients describe them, and the query that lists them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from activities.executors.kinds import KINDS
from api.http.fields import Count, JsonBody, Metadata, Query, Short, Text, split_list


def _known_kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"there are {', '.join(KINDS)}")
    return name


MountKind = Annotated[str, AfterValidator(_known_kind), WithJsonSchema({"type": "string", "enum": list(KINDS)})]
MountState = Literal["active", "inactive", "offline", "degraded", "error", "unknown"]
AccessMode = Literal["rw", "ro"]


class MountFields(JsonBody):
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
    adopt: bool = False
    """The place is a mount that no service serves any more (its record is lost, or it was removed): it becomes this one"""


class RemoveQuery(Query):
    forget: bool = False


class RetentionBody(JsonBody):
    """What the trash of a mount keeps at most. Null: as long as the service does."""

    older_than: Annotated[float, Field(ge=0, le=1e10, strict=False)] | None = None
    """Seconds"""
    keep_bytes: Count | None = None


class MountChanges(MountFields):
    """Only the fields that are there are changed."""

    retention: RetentionBody | None = None


Secret = Annotated[Short, Field(min_length=1)]


class MountCredentials(JsonBody):
    """The secrets that are named change; null withdraws one. `credentials`: those of any other name."""

    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Annotated[Text, Field(max_length=10_000)] | None = None
    credentials: Annotated[dict[Short, Secret | None], Field(max_length=20)] = Field(default_factory=dict)

    def named(self) -> dict[str, str | None]:
        flat = {to_camel(name): getattr(self, name) for name in self.model_fields_set - {"credentials"}}
        return flat | self.credentials


class MountsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    offset: Count = 0
    kinds: Annotated[list[MountKind] | None, BeforeValidator(split_list)] = None
    states: Annotated[list[MountState] | None, BeforeValidator(split_list)] = None
    access_modes: Annotated[list[AccessMode] | None, BeforeValidator(split_list)] = None
    search: Short | None = None
