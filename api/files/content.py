"""GET /v1/files/{id}/content: a file's bytes, whole or in ranges, and never others than those its hash stands for."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.access.audited import note_read
from api.files.downloads import downloads_of
from api.files.queries import ContentQuery
from api.files.recorded import REFUSALS, Recorded, open_recorded
from api.files.stream import PIECE, Changed, Reader, Streamed
from api.http import conditions, digests, openapi, ranges
from api.http.conditions import Validators
from api.http.disposition import disposition
from api.http.errors import refusal
from api.http.fields import read_query
from api.http.headers import joined
from api.http.ids import read_id
from api.http.media import may_be_shown, served_type
from api.http.ranges import Range, Unsatisfiable
from api.http.routes import Plain
from api.services import front_of
from schema.access.acts import ActKind
from schema.errors import InvalidRequest, VersionConflict
from schema.ids import NodeId
from schema.principals import Principal
from schema.store.downloads import DownloadEvent

router = APIRouter(route_class=Plain, tags=["files"])

_HEADERS = [
    openapi.header("Range", "`bytes=0-99`, `bytes=-100`, or several of them"),
    openapi.header("If-Range", "The ETag, or the Last-Modified, the range is meant for"),
    openapi.header("If-None-Match", "The ETags the client has: 304 if it is still one of these"),
    openapi.header("If-Match", "The ETags the client wants: 412 if it is another one"),
    openapi.header("If-Modified-Since", "304 if the content is not younger; ignored beside If-None-Match"),
    openapi.header("If-Unmodified-Since", "412 if the content is younger; ignored beside If-Match"),
    openapi.header("Want-Repr-Digest", "`sha-256=0` leaves Repr-Digest out"),
    openapi.header(
        "Want-Content-Digest", "`sha-256=1` asks for Content-Digest: of the whole file, or of one range up to 1 MiB"
    ),
]
_BYTES = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_ANSWERS = openapi.answers({}, *REFUSALS) | {
    200: {"description": "The whole file, with the type that was recorded", "content": _BYTES},
    206: {"description": "The ranges asked for", "content": _BYTES},
    304: {"description": "Not modified"},
    416: openapi.refusals("INVALID_REQUEST"),
}
_ANSWERS[416]["description"] += ": no range begins within the file, or they are too many; Content-Range tells its size"


@router.head("/v1/files/{id}/content", include_in_schema=False)
@router.get(
    "/v1/files/{id}/content",
    operation_id="getFileContent",
    summary="A file's bytes",
    responses=_ANSWERS,
    openapi_extra={"parameters": [openapi.path_id("The file's node"), *openapi.query_of(ContentQuery), *_HEADERS]},
)
async def download(request: Request) -> Response:
    """The ETag is the SHA-256 of the content. A file that was changed behind Filestore's back is refused with 412 until it is
    reconciled: bytes never come under a hash that is not theirs. `version`: an older version, of a deleted file too, as
    long as its content is kept; 410 afterwards."""
    principal = await admit(request, "read")
    query = read_query(ContentQuery, request.query_params)
    return await serve(request, principal, read_id(request), query.version, query.disposition)


async def serve(
    request: Request, principal: Principal, node: NodeId, version: int | None = None, kind: str = "attachment"
) -> Response:
    """The content of a file to one who may read it. Raises as `open_recorded`."""
    front = front_of(request)
    found, content = await open_recorded(front, principal, node, version)
    reader = Reader(content, found.mount, front.threads)
    try:
        answer = await _answer(request, kind, principal, found, reader)
    except BaseException:
        await reader.close()
        raise
    if not isinstance(answer, Streamed):
        await reader.close()
    return answer


async def _answer(request: Request, kind: str, principal: Principal, found: Recorded, reader: Reader) -> Response:
    """Conditions first, then ranges: the order of RFC 9110, section 13.2.2."""
    asked = joined(request.headers)
    validators = Validators(found.etag, found.modified)
    if conditions.fails_match(asked, validators):
        raise VersionConflict("The content is not the one that If-Match or If-Unmodified-Since names.")
    if conditions.not_modified(asked, validators):
        return Response(status_code=304, headers=_caching(validators))
    try:
        wanted = ranges.wanted(asked, reader.size, validators) if request.method == "GET" else []
    except Unsatisfiable as error:
        answer = refusal(request, InvalidRequest(str(error), size=reader.size), status=416)
        answer.headers["content-range"] = f"bytes */{reader.size}"
        return answer
    headers = _headers(asked, kind, found, validators)
    if request.method != "HEAD":
        size = sum(end - start for start, end in wanted) if wanted else reader.size
        mount = await front_of(request).mounts.get(found.mount, principal.tenant)
        reader.lease = await front_of(request).budget.read(mount, size)
        read = {
            "nodeId": found.node,
            "path": found.path.text,
            "version": found.version,
            "hash": found.hash,
            "ranges": wanted,
        }
        await note_read(request, principal, ActKind.READ_CONTENT, found.mount, read)
    ready = await _content_digest(asked.get("want-content-digest", ""), found, reader, wanted, headers)
    if request.method == "HEAD":
        return Streamed(reader, wanted, headers, bodyless=True)
    completed = None if wanted else _teller(request, principal, found)
    return Streamed(reader, wanted, headers, ready=ready, completed=completed)


def _caching(validators: Validators) -> dict[str, str]:
    """Only the client keeps it, and asks each time whether it still holds: permissions and files change."""
    return {"etag": validators.etag, "last-modified": validators.last_modified, "cache-control": "private, no-cache"}


def _headers(asked: dict[str, str], kind: str, found: Recorded, validators: Validators) -> dict[str, str]:
    """A stored type is only what a client claimed, and the content is not to be trusted: browsers must neither guess what
    it is nor run anything of it on our origin, shown inline or not."""
    media = served_type(found.mime_type)
    headers = {
        "accept-ranges": "bytes",
        **_caching(validators),
        "content-type": media,
        "content-disposition": disposition(found.name, kind if may_be_shown(media) else "attachment"),
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
    }
    if found.sha256 and found.hash:
        headers["x-filestore-checksum"] = found.claimed or found.hash
        headers["x-filestore-content-hash"] = found.hash
        if not digests.unwanted(asked.get("want-repr-digest", "")):
            headers["repr-digest"] = digests.field(found.sha256)
    return headers


async def _content_digest(
    wish: str, found: Recorded, reader: Reader, wanted: list[Range], headers: dict[str, str]
) -> bytes | None:
    """Content-Digest where it costs next to nothing: of the whole file it is known, a short range is read and hashed
    before it is sent. Returns what was read. A long range would have to be read twice, parts be put together first."""
    if not digests.wanted(wish):
        return None
    if not wanted and found.sha256:
        headers["content-digest"] = digests.field(found.sha256)
    if len(wanted) != 1 or wanted[0][1] - wanted[0][0] > PIECE:
        return None
    try:
        ready = await reader.read(*wanted[0])
    except Changed as error:
        raise VersionConflict(f"The file was changed on disk while it was read ({error}). Reconcile it.") from error
    headers["content-digest"] = digests.field(hashlib.sha256(ready).digest())
    return ready


def _teller(request: Request, principal: Principal, found: Recorded) -> Callable[[], None]:
    def tell() -> None:
        now = datetime.now(UTC)
        downloads_of(request).tell(
            DownloadEvent(
                found.node, found.version, found.size, found.claimed, found.hash, principal.name, now, "stream"
            )
        )

    return tell
