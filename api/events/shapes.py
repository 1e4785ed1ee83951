"""Events, as clients read them."""

from api.http.shapes import JsonObject, Shape
from schema.events import EventType


class Event(Shape):
    """What happened; `data` depends on the type."""

    position: int
    cursor: str
    type: EventType
    data: JsonObject


class CloudEvent(Shape):
    """CloudEvents 1.0. `source` and `id` together are unique; `id` is the position, and the cursor behind this event."""

    specversion: str
    id: str
    source: str
    type: EventType
    subject: str | None = None
    time: str | None = None
    datacontenttype: str
    data: JsonObject


class EventPage(Shape):
    """`next` and `nextCursor` are the next `after`; `last` is the end of the feed."""

    events: list[Event] | list[CloudEvent]
    next: int
    next_cursor: str
    last: int
