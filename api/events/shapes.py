"""Events, as clients read them."""

from api.http.shapes import JsonObject, Shape
from schema.events import EventType


class Event(Shape):
    """What happened; `data` depends on the type."""

    position: int
    type: EventType
    data: JsonObject


class EventPage(Shape):
    """`next` is the next `after`; `last` is the end of the feed."""

    events: list[Event]
    next: int
    last: int
