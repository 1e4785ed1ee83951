"""Queries about events."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from api.http.fields import Count, Id, Query, Text, split_list
from schema.events import EventType

_PREFIX = (
    "A node and all below it, by whole names; of a move, either place; and a directory above it that was moved, "
    "copied, deleted or restored whole"
)


class _EventConditions(Query):
    backend_mount_id: Id | None = None
    path_prefix: Annotated[Text | None, Field(description=_PREFIX)] = None
    path_prefix_b64: Text | None = Field(None, alias="pathPrefixB64")
    events: Annotated[list[EventType] | None, BeforeValidator(split_list)] = None
    types: Annotated[
        list[EventType] | None, BeforeValidator(split_list), Field(description="Another name of `events`")
    ] = None


_Format = Annotated[
    Literal["plain", "cloudevents"], Field(description="`cloudevents`: as CloudEvents 1.0 has it, in JSON")
]


class StreamQuery(_EventConditions):
    format: _Format = "plain"
    last_event_id: Count | None = None
    after: Annotated[Count | None, Field(description="Another name of `lastEventId`: a cursor")] = None

    @property
    def position(self) -> int | None:
        return self.last_event_id if self.after is None else self.after


class EventsQuery(_EventConditions):
    format: _Format = "plain"
    after: Count | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    wait: Annotated[float, Field(ge=0, le=30)] = 0
