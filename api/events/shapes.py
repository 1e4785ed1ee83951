"""Events, as clients read them."""

from api.http.shapes import EXACT_PATH, CursorPagination, JsonObject, Shape
from schema.events import EventType
from schema.nodes import NodeKind, NodeState


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


class SnapshotNode(Shape):
    """A node, in the form that the data of its events has."""

    backend_mount_id: int
    node_id: int
    path: str
    path_b64: str = EXACT_PATH
    kind: NodeKind
    state: NodeState
    parent_id: int
    version: int
    size_bytes: int
    checksum: str | None
    content_hash: str | None
    metadata: JsonObject


class NodeSnapshot(Shape):
    """`after` is where the feed goes on from these nodes: the same in all pages."""

    nodes: list[SnapshotNode]
    after: str
    pagination: CursorPagination


class EventPage(Shape):
    """`next` and `nextCursor` are the next `after`; `last` is the end of the feed."""

    events: list[Event] | list[CloudEvent]
    next: int
    next_cursor: str
    last: int
