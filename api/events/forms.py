"""An event as JSON text: as it stands in the feed, or as CloudEvents 1.0 has it (https://cloudevents.io)."""

import orjson

from schema.store.events import Placed


def plain(event: Placed) -> str:
    return f'{{"position":{event.position},"cursor":"{event.position}","type":"{event.type}","data":{event.data}}}'


def cloud(event: Placed) -> str:
    """`subject` is the node, or the path where there is none; `time` is when it was observed."""
    data = orjson.loads(event.data)
    told = {
        "specversion": "1.0",
        "id": str(event.position),
        "source": f"/filestore/mounts/{event.mount}",
        "type": event.type,
        "datacontenttype": "application/json",
    }
    if data.get("nodeId") is not None:
        told["subject"] = f"nodes/{data['nodeId']}"
    elif data.get("path"):
        told["subject"] = data["path"]
    if isinstance(at := data.get("observedAt") or data.get("detectedAt"), str):
        told["time"] = at
    return orjson.dumps(told).decode()[:-1] + f',"data":{event.data}}}'


def compact(event: Placed) -> str:
    """As a stream has it: its position is told beside it."""
    return f'{{"type":"{event.type}","data":{event.data}}}'


FORMS = {"plain": plain, "cloudevents": cloud}
