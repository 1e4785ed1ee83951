"""Subscriptions as clients ask for them."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from api.http.fields import Conditions, Count, Id, JsonBody, Query, Short, Text, split_list
from schema import paths
from schema.events import EventType
from schema.subscriptions.attempts import DeliveryState


class SubscriptionFilter(Conditions):
    """Which events: those that meet every condition."""

    types: Annotated[list[EventType], Field(min_length=1, max_length=50)] | None = None
    backend_mount_id: Id | None = None
    path_prefix: Text | None = None
    path_prefix_b64: Text | None = Field(None, alias="pathPrefixB64")

    def stored(self) -> dict[str, Any]:
        """As the row keeps it: what clients read, and the exact bytes of the prefix."""
        prefix = paths.decode(self.path_prefix, self.path_prefix_b64, allow_root=True)
        told = self.model_dump(by_alias=True, exclude_none=True, mode="json")
        return told | ({"prefixHex": prefix.raw.hex()} if prefix.raw else {})


class NewSubscription(JsonBody):
    url: Annotated[str, Field(min_length=1, max_length=2000)]
    filter: SubscriptionFilter | None = None
    description: Short | None = None


class SubscriptionChanges(JsonBody):
    """What is named is changed. `active` also mends a broken one; `paused` rests until it is active again."""

    url: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    filter: SubscriptionFilter | None = None
    description: Short | None = None
    state: Literal["active", "paused"] | None = None


class SecretRotation(JsonBody):
    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 86_400


class RedriveBody(JsonBody):
    """Dead letters by their cursors; without them all."""

    cursors: (
        Annotated[list[Annotated[str, Field(pattern=r"^[0-9]{1,19}$")]], Field(min_length=1, max_length=1000)] | None
    ) = None


class ReplayBody(JsonBody):
    after: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | Count


class SubscriptionsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Short | None = None


class DeliveriesQuery(Query):
    state: Annotated[list[DeliveryState] | None, BeforeValidator(split_list)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None
