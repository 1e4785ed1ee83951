"""All that is known of a tenant, as JSON lines: to keep, or to take elsewhere. Never a secret, and no content of files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from api.access import acts
from api.access.admission import admit
from api.access.issuing import tenant_of
from api.http import openapi
from api.http.errors import EXPECTED, refusal_of
from api.http.routes import Plain
from api.services import Front, front_of
from schema.access.acts import ActKind
from schema.errors import FilestoreError, NotFound
from schema.store import tenants

router = APIRouter(route_class=Plain, tags=["access"])

_MEDIA = "application/jsonl"
_LINES = {"description": "A line for each", "content": {_MEDIA: {"schema": {"type": "string"}}}}
_PARAMETERS = [openapi.path_id("The tenant's name", "main") | {"schema": {"type": "string"}}]


@router.get(
    "/v1/tenants/{id}/export",
    operation_id="exportTenant",
    summary="All that is known of a tenant",
    responses=openapi.answers({}, "NOT_FOUND", "FORBIDDEN") | {200: _LINES},
    openapi_extra={"parameters": _PARAMETERS},
)
async def export(request: Request) -> Response:
    """JSON lines, each with its `type`: the `tenant`, its `mount`s, `token`s (never what they are), `hold`s, `quota`s, `node`s and
    the `entry`s of its journal; the last line is `{"type": "end"}` with how many of each. A body that ends without it is not
    whole. Pages are read one after the other, so what changes meanwhile is told as it is when it comes."""
    principal = await admit(request, "tokens")
    tenant_of(principal, "")
    front, name = front_of(request), str(request.path_params["id"])
    async with front.services.pool.connection() as connection, connection.transaction():
        found = await tenants.listed(connection, only=name)
        if not found:
            raise NotFound("There is no such tenant.")
        told = acts.ActDetails(payload={"tenant": name})
        await acts.record(connection, request, principal, ActKind.EXPORT_TENANT, told)
    headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}.jsonl"'}
    return StreamingResponse(_lines(front, name, found[0][1]), media_type=_MEDIA, headers=headers)


async def _lines(front: Front, tenant: str, document: str) -> AsyncIterator[bytes]:
    yield orjson.dumps({"type": "tenant"} | json.loads(document)) + b"\n"
    counts: dict[str, int] = {}
    try:
        for section in tenants.EXPORTED:
            after = 0
            while True:
                async with front.services.pool.connection() as connection:
                    page = await tenants.exported(connection, section, tenant, after)
                if not page:
                    break
                after, counts[section] = page[-1][0], counts.get(section, 0) + len(page)
                yield b"".join(line.encode() + b"\n" for _, line in page)
    except EXPECTED as error:
        refused = refusal_of(error) or FilestoreError()
        yield orjson.dumps({"type": "error", "code": refused.code, "message": refused.message}) + b"\n"
        raise
    yield orjson.dumps({"type": "end", "counts": counts}) + b"\n"
