"""Subscriptions as clients read them."""

from datetime import datetime

from api.http.shapes import CursorPagination, JsonObject, Shape
from schema.subscriptions.attempts import DeliveryState, SubscriptionState


class Subscription(Shape):
    """`behind`: events of the feed that it has not looked at."""

    id: str
    url: str
    filter: JsonObject
    description: str | None
    state: SubscriptionState
    reason: str | None
    principal: str
    cursor: str
    behind: int
    failures: int
    next_attempt_at: datetime | None
    created_at: datetime
    updated_at: datetime


class NewlySubscribed(Subscription):
    """`secret` is shown this once."""

    secret: str


class Delivery(Shape):
    cursor: str
    type: str
    state: DeliveryState
    attempts: int
    status: int | None
    error: str | None
    milliseconds: float
    attempted_at: datetime


class SubscriptionPage(Shape):
    subscriptions: list[Subscription]
    pagination: CursorPagination


class DeliveryPage(Shape):
    deliveries: list[Delivery]
    pagination: CursorPagination


class Redriven(Shape):
    redriven: int


class TestDelivery(Shape):
    """`status` is null where no answer came; `error` says why then."""

    status: int | None
    error: str | None
    milliseconds: float
