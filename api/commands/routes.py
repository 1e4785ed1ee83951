"""Commands on nodes, at the addresses that clients know. What they mean stands in `catalogue` and `parse` beside this."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.commands import catalogue as kinds
from api.commands import run as commands
from api.commands.bodies import MetadataChanges, NodeMetadata
from api.http import openapi
from api.http.ids import read_id
from api.http.routes import Plain

router = APIRouter(route_class=Plain, tags=["commands"])


@router.post("/v1/directories", operation_id="createDirectory", **kinds.described(kinds.CREATE_DIRECTORY))
async def create_directory(request: Request) -> Response:
    return await commands.respond(request, kinds.CREATE_DIRECTORY)


@router.delete("/v1/nodes", operation_id="deleteNode", **kinds.described(kinds.DELETE))
async def delete(request: Request) -> Response:
    return await commands.respond(request, kinds.DELETE)


@router.post("/v1/nodes/move", operation_id="moveNode", **kinds.described(kinds.MOVE))
async def move(request: Request) -> Response:
    return await commands.respond(request, kinds.MOVE)


@router.post("/v1/nodes/copy", operation_id="copyNode", **kinds.described(kinds.COPY))
async def copy(request: Request) -> Response:
    return await commands.respond(request, kinds.COPY)


@router.post("/v1/nodes/restore", operation_id="restoreNode", **kinds.described(kinds.RESTORE))
async def restore(request: Request) -> Response:
    return await commands.respond(request, kinds.RESTORE)


_CHANGES = kinds.described(kinds.DESCRIBE, MetadataChanges, {"backendMountId": 1, "set": {"owner": "finance"}})
_CHANGES["openapi_extra"]["parameters"].append(openapi.path_id("The node"))


@router.patch("/v1/nodes/{id}/metadata", operation_id="updateNodeMetadata", **_CHANGES)
async def describe(request: Request) -> Response:
    def of_this_node(changes: MetadataChanges) -> NodeMetadata:
        return NodeMetadata.model_construct(**dict(changes), node_id=read_id(request))

    return await commands.respond(request, kinds.DESCRIBE, MetadataChanges, of_this_node)
