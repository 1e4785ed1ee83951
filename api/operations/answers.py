"""What every route of operations answers with: an operation, as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import Request
from starlette.responses import Response

from api.http import openapi
from api.http.ids import read_uuid
from api.http.responses import JSON
from api.operations import documents
from api.operations.shapes import Operation
from api.services import front_of
from schema.errors import NotFound
from schema.ids import MountId
from schema.operations.operation import OperationItem
from schema.paths import NodePath
from schema.principals import Principal, readable
from schema.store import operations as store

if TYPE_CHECKING:
    from schema.store.connection import Connection

PARAMETERS = [openapi.path_id("The operation", openapi.COMMAND_ID)]
NAMES = openapi.headers("Idempotency-Key", "X-Correlation-Id")
ACCEPTED: dict[int, openapi.Success] = {202: ("As it stands now", Operation)}
REFUSALS = (
    "NOT_FOUND",
    "WRONG_STATE",
    "NOT_SUPPORTED",
    "IDEMPOTENCY_CONFLICT",
    "PAYLOAD_TOO_LARGE",
    "REQUEST_TOO_SLOW",
)


def read_id(request: Request) -> str:
    """Raises NotFound."""
    return read_uuid(request, "operation")


async def document(request: Request, connection: Connection, id: str, principal: Principal) -> dict[str, Any]:
    """Raises NotFound."""
    row = await store.document(connection, id, principal.tenant)
    if row is None or not _visible(principal, row):
        raise NotFound("There is no such operation.")
    shown = documents.document(row)
    shown["workflowUrl"] = front_of(request).services.settings.workflow_url(shown["workflowId"])
    if principal.access.narrowed:
        running = ((MountId(mount or row["mount_id"]), NodePath(path)) for mount, path in row["current"])
        shown["progress"]["currentPaths"] = [one.text for on, one in running if readable(principal, on, one)]
    return shown


async def seen(request: Request, connection: Connection, id: str, principal: Principal) -> dict[str, Any] | None:
    try:
        return await document(request, connection, id, principal)
    except NotFound:
        return None


def item_seen(principal: Principal, mount: MountId, item: OperationItem) -> bool:
    target = [] if item.target is None else [(item.target_mount or mount, item.target)]
    return all(readable(principal, on, place) for on, place in [(item.mount or mount, item.path), *target])


def _visible(principal: Principal, row: Mapping[str, Any]) -> bool:
    """An operation is what it is about: its path, and its target."""
    places = [(row["mount_id"], row["path"]), (row["target_mount_id"] or row["mount_id"], row["target_path"])]
    return all(readable(principal, on, NodePath(bytes(place))) for on, place in places if place is not None)


def answered(shown: dict[str, Any], status: int) -> Response:
    answer = as_json(shown)
    answer.status_code = status
    if status == 202:
        answer.headers["location"] = f"/v1/operations/{shown['id']}"
    return answer


def as_json(value: object) -> Response:
    return Response(orjson.dumps({"data": value}), media_type=JSON)
