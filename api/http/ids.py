"""Ids in addresses."""

import re

from fastapi import Request

from api.http.fields import ID_MAX, UUID
from schema.errors import BackendNotFound, FilestoreError, InvalidRequest, NodeNotFound, NotFound
from schema.ids import MountId, NodeId


def read_id(request: Request) -> NodeId:
    """The id of a node. Raises InvalidRequest, NodeNotFound."""
    return NodeId(_whole_number(request, NodeNotFound))


def read_mount_id(request: Request) -> MountId:
    """The id of a mount. Raises InvalidRequest, BackendNotFound."""
    return MountId(_whole_number(request, BackendNotFound))


def read_recompute_id(request: Request) -> int:
    """The id of a recompute of rollups. Raises InvalidRequest, NotFound."""
    return _whole_number(request, NotFound)


def read_freeze_id(request: Request) -> int:
    """The id of a freeze. Raises InvalidRequest, NotFound."""
    return _whole_number(request, NotFound)


def read_token_id(request: Request) -> int:
    """The id of a token. Raises InvalidRequest, NotFound."""
    return _whole_number(request, NotFound)


def read_drift_id(request: Request) -> int:
    """The id of a finding, a look, or a job. Raises InvalidRequest, NotFound."""
    return _whole_number(request, NotFound)


def read_uuid(request: Request, what: str) -> str:
    """The id of a command, an operation, a subscription. `what`: what there is none of. Raises NotFound."""
    id = str(request.path_params["id"]).lower()
    if not re.fullmatch(UUID, id):
        raise NotFound(f"There is no such {what}.")
    return id


def _whole_number(request: Request, missing: type[FilestoreError]) -> int:
    """An id in the address. One that is too large to have been given is not there."""
    text = request.path_params["id"]
    if not (text.isascii() and text.isdigit()):
        raise InvalidRequest(
            "The id in the address is not a whole number.", fields=[{"field": "id", "message": "not an id"}]
        )
    if len(text) > 19 or not 1 <= int(text) <= ID_MAX:
        raise missing()
    return int(text)
