"""GET /v1/journal: what was done, by whom, how it ended."""

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api import openapi
from api.auth import admit
from api.front import front_of
from api.models import JournalQuery, read_query
from api.responses import JSON
from api.routes import Plain
from schema import paths
from schema.ids import CommandId, MountId, NodeId
from schema.principals import authorise
from schema.store import journal
from schema.store.journal import Asked

router = APIRouter(route_class=Plain, tags=["journal"])


@router.get(
    "/v1/journal",
    operation_id="listJournal",
    summary="What was done",
    description=(
        "Newest first, or `order=asc`. `after` goes on behind an entry, in that order: send `pagination.nextAfter`. "
        "Failed and refused commands are here too, with code and context."
    ),
    responses=openapi.answers(
        {200: "A page of entries"}, "INVALID_PATH", "BACKEND_NOT_FOUND",
        schema=openapi.enveloped(entries="array", pagination="object", filters="object"),
    ),
    openapi_extra={"parameters": openapi.query_of(JournalQuery)},
)  # fmt: skip
async def entries(request: Request) -> Response:
    principal = await admit(request, "read")
    front = front_of(request)
    query = read_query(JournalQuery, request.query_params)
    asked = _asked(query)
    if asked.mount is not None:
        await front.mounts.get(asked.mount, principal.tenant)
    authorise(principal, "read", asked.mount, asked.path)
    async with front.services.pool.connection() as connection:
        page = await journal.entries(
            connection, principal.tenant, asked, limit=query.limit, after=query.after, oldest_first=query.order == "asc"
        )
    filters = query.model_dump(by_alias=True, exclude={"limit", "after"}, mode="json")
    further = "null" if page.last is None else page.last
    return Response(
        f'{{"data":{{"entries":[{page.items}],"pagination":{{"limit":{query.limit},"nextAfter":{further}}},'
        f'"filters":{orjson.dumps(filters).decode()}}}}}'.encode(),
        media_type=JSON,
    )


def _asked(query: JournalQuery) -> Asked:
    named = query.path is not None or query.path_b64 is not None
    return Asked(
        mount=None if query.backend_mount_id is None else MountId(query.backend_mount_id),
        path=paths.decode(query.path, query.path_b64, allow_root=True) if named else None,
        node=None if query.node_id is None else NodeId(query.node_id),
        principal=query.principal,
        kinds=query.command,
        outcomes=query.outcome,
        command=None if query.command_id is None else CommandId(query.command_id.lower()),
    )
