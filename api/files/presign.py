"""GET /v1/files/{id}/presign: a link under which a bucket itself hands out a file, for a while."""

from datetime import UTC, datetime, timedelta

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.executors.contract.direct import direct_reads_of
from api.access.admission import admit
from api.access.audited import note_read
from api.files.downloads import downloads_of
from api.files.queries import PresignQuery
from api.files.recorded import REFUSALS, find
from api.files.shapes import FileLink
from api.http import openapi
from api.http.disposition import disposition
from api.http.fields import read_query
from api.http.ids import read_id
from api.http.media import may_be_shown, served_type
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import front_of
from schema.access.acts import ActKind
from schema.errors import VersionConflict
from schema.store.downloads import DownloadEvent

router = APIRouter(route_class=Plain, tags=["files"])


@router.get(
    "/v1/files/{id}/presign",
    operation_id="presignFile",
    summary="A link to a file in a bucket",
    responses=openapi.answers({200: ("The link", FileLink)}, "NOT_SUPPORTED", *REFUSALS),
    openapi_extra={"parameters": [openapi.path_id("The file's node"), *openapi.query_of(PresignQuery)]},
)
async def presign(request: Request) -> Response:
    """A client with the link can read this very content until it expires, without a token, with the type that was recorded.
    `inline` is for what a browser shows without running it: pictures, sound, film, plain text, PDF; anything else is an
    attachment. Only for files on S3 mounts; the others are read at /v1/files/{id}/content."""
    principal = await admit(request, "read")
    front = front_of(request)
    query = read_query(PresignQuery, request.query_params)
    found = await find(front, principal, read_id(request))
    executor = front.services.executors.of(await front.mounts.get(found.mount, principal.tenant))
    if found.identity is None:
        raise VersionConflict("The record does not say which object this is. Reconcile it.", nodeId=found.node)
    media = served_type(found.mime_type)
    expires = datetime.now(UTC) + timedelta(seconds=query.expires_in)
    url = await front.threads.run(
        found.mount, direct_reads_of(executor).presign, found.path, found.identity, query.expires_in,
        disposition(found.name, query.disposition if may_be_shown(media) else "attachment"), media,
    )  # fmt: skip
    read = {
        "nodeId": found.node,
        "path": found.path.text,
        "version": found.version,
        "hash": found.hash,
        "link": query.expires_in,
    }
    await note_read(request, principal, ActKind.READ_CONTENT, found.mount, read)
    downloads_of(request).tell(
        DownloadEvent(
            found.node,
            found.version,
            found.size,
            found.claimed,
            found.hash,
            principal.name,
            datetime.now(UTC),
            "presign",
        )
    )
    presigned = {"url": url, "expiresAt": expires.isoformat(timespec="seconds"), "headers": {}, "method": "GET"}
    # The link is as good as a token: no cache on the way may keep it.
    return Response(orjson.dumps({"data": presigned}), headers={"cache-control": "no-store"}, media_type=JSON)
