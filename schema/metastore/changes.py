"""A change of what a record says, as the journal tells of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schema.ids import NodeId
from schema.principals import Principal


class RecordChangeKind(StrEnum):
    """The names that the journal has for them, beside those of commands."""

    DESCRIBE = "describeRecord"
    FORGET = "forgetRecord"


FEED = "system/metastore"
"""The principal of what the Metastore does by itself: what was said of a node goes along to another mount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAuthor:
    """Whose changes these are, and why they were made."""

    principal: str
    token: int | None = None
    operation: str | None = None
    items: Mapping[NodeId, int] = field(default_factory=dict)
    """Which item of the operation changed which record"""
    request: str | None = None
    correlation: str | None = None

    @classmethod
    def asking(cls, principal: Principal, request: str | None, correlation: str | None) -> "RecordAuthor":
        return cls(principal=principal.name, token=principal.token_id or None, request=request, correlation=correlation)
