"""Ids in addresses."""

from fastapi import Request

from api.http.fields import ID_MAX
from schema.errors import InvalidRequest, NodeNotFound
from schema.ids import NodeId


def read_id(request: Request) -> NodeId:
    """The node's id in the address. One that is too large for us to have given it is just not there."""
    text = request.path_params["id"]
    if not (text.isascii() and text.isdigit()):
        raise InvalidRequest(
            "The id in the address is not a whole number.", fields=[{"field": "id", "message": "not an id"}]
        )
    if len(text) > 19 or not 1 <= int(text) <= ID_MAX:
        raise NodeNotFound()
    return NodeId(int(text))
