"""Freezes as clients read them."""

from datetime import datetime

from api.http.shapes import CursorPagination, JsonObject, Shape


class FreezeShape(Shape):
    id: int
    scope: JsonObject
    reason: str
    until: datetime | None
    holds: bool
    in_flight: int
    """Commands that began before it, and have not ended"""
    principal: str
    created_at: datetime
    lifted_at: datetime | None
    lifted_by: str | None


class FreezePage(Shape):
    freezes: list[FreezeShape]
    pagination: CursorPagination
