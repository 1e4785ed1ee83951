"""What an event has that tells of a record of the Metastore."""

from datetime import datetime
from typing import Any

from pydantic import Field

from api.http.shapes import EXACT_PATH, JsonObject, Shape
from schema.metastore.changes import RecordChangeKind


def _absent(description: str) -> Any:
    return Field(default=None, description=description)


class SaidOfNode(Shape):
    """The part of a record that belongs to clients."""

    version: int
    namespace: str
    tags: list[str]
    owner: str | None
    metadata: JsonObject
    deleted_at: datetime | None


class RecordUpdatedData(Shape):
    """What is said of a node from now on, and what was said before."""

    backend_mount_id: int
    node_id: int
    path: str
    path_b64: str = EXACT_PATH
    record: SaidOfNode
    previous: SaidOfNode
    journal_id: int
    command: RecordChangeKind
    command_id: str
    idempotency_key: str
    principal: str
    observed_at: datetime
    correlation_id: str = _absent("Where the request came with one")
    operation_id: str = _absent("Where an operation did it")
