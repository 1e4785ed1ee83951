"""POST /v1/directories."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.commands import catalogue as kinds
from api.commands import run as commands
from api.http.routes import Plain

router = APIRouter(route_class=Plain, tags=["commands"])


@router.post("/v1/directories", operation_id="createDirectory", **kinds.described(kinds.CREATE_DIRECTORY))
async def create(request: Request) -> Response:
    return await commands.respond(request, kinds.CREATE_DIRECTORY)
