"""The query that reads the journal."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from api.http.fields import UUID, Count, Id, Moment, Query, Short, Text, split_list
from schema.access.acts import ActKind
from schema.commands.command import CommandKind
from schema.metastore.changes import RecordChangeKind

Recorded = CommandKind | RecordChangeKind | ActKind | Literal["import", "forget"]
"""Commands, changes of what the Metastore says of a node, and what administrators have done beside them"""
Ending = Literal["succeeded", "failed", "inconsistent"]
_PREFIX = "The history of this path, all that was done below it, and to a whole directory above it"


class JournalQuery(Query):
    backend_mount_id: Id | None = None
    path: Annotated[Text | None, Field(description="The history of what is at this path, or once was")] = None
    path_b64: Text | None = Field(None, alias="pathB64")
    path_prefix: Annotated[Text | None, Field(description=_PREFIX)] = None
    path_prefix_b64: Text | None = Field(None, alias="pathPrefixB64")
    node_id: Annotated[Id | None, Field(description="The history of this node, under whatever name")] = None
    principal: Short | None = None
    command: Annotated[list[Recorded] | None, BeforeValidator(split_list)] = None
    outcome: Annotated[list[Ending] | None, BeforeValidator(split_list)] = None
    code: Annotated[list[Short] | None, BeforeValidator(split_list)] = None
    command_id: Annotated[str, Field(pattern=UUID)] | None = None
    operation_id: Annotated[str, Field(pattern=UUID)] | None = None
    atomic_id: Annotated[str, Field(pattern=UUID)] | None = None
    correlation_id: Annotated[Short | None, Field(description="What programs sent as `X-Correlation-Id`")] = None
    recorded_from: Annotated[Moment | None, Field(alias="from")] = None
    recorded_to: Annotated[Moment | None, Field(alias="to")] = None
    after: Count | None = None
    before: Id | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    order: Literal["asc", "desc"] | None = None
