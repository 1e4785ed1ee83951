"""GET /v1/files/{id}/content: a file's bytes, whole or in ranges, and never others than those its hash stands for."""

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from activities.executors.base import Content, Executor
from api import openapi, ranges
from api.auth import admit
from api.errors import refusal
from api.front import Front, front_of
from api.models import PresignQuery, read_query
from api.nodes import read_id
from api.ranges import Unsatisfiable, Validators
from api.routes import Plain
from api.threads import MountThreads
from schema.errors import InvalidRequest, NodeNotFound, NotADirectory, NotSupported, PathBusy, VersionConflict
from schema.ids import MountId, NodeId
from schema.principals import Principal, authorise
from schema.store import nodes
from schema.store.nodes import FileRecord

router = APIRouter(route_class=Plain, tags=["files"])
log = structlog.get_logger(__name__)

PIECE = 1024 * 1024
"""Bytes per read: each costs a change of threads."""
LOOKS, LOOK_SECONDS = 20, 0.05
"""How often, and how soon, a file is looked at again while a command is about to record its new version."""

_MIME = re.compile(r"[\w.+-]+/[\w.+-]+( *; *[\w.+-]+=[\w.+\"-]+)*", re.ASCII)
_PLAIN = re.compile(r"[\w .,()+=@~-]+", re.ASCII)

_HEADERS = [
    {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": told}
    for name, told in (
        ("Range", "`bytes=0-99`, `bytes=-100`, or several of them"),
        ("If-Range", "The ETag the range is meant for"),
        ("If-None-Match", "The ETag the client has: 304 if it is still this one"),
        ("If-Match", "The ETag the client wants: 412 if it is another one"),
    )
]
_ANSWERS = openapi.answers(
    {200: "The whole file", 206: "The ranges asked for", 304: "Not modified"},
    "NODE_NOT_FOUND", "NOT_A_DIRECTORY", "EXECUTOR_NOT_FOUND", "PATH_BUSY", "VERSION_CONFLICT", "MOUNT_OFFLINE",
)  # fmt: skip
for _status in (200, 206):
    _ANSWERS[_status]["content"] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_ANSWERS[304].pop("content")
_ANSWERS[416] = {"description": "No range begins within the file; Content-Range tells its size"}


class Reader:
    """An open file that is read in a mount's own threads."""

    def __init__(self, content: Content, mount: MountId, threads: MountThreads) -> None:
        self.content, self.mount, self.threads = content, mount, threads
        self._coming: asyncio.Task[bytes] | None = None

    async def pieces(self, start: int, end: int) -> AsyncIterator[bytes]:
        """While one piece is sent the next one is read. A file that became shorter meanwhile breaks off."""
        while start < end:
            piece = await (self._coming or self._read(start, end))
            if not piece:
                raise EOFError
            start += len(piece)
            self._coming = self._read(start, end) if start < end else None
            yield piece

    def _read(self, start: int, end: int) -> asyncio.Task[bytes]:
        length = min(PIECE, end - start)
        return asyncio.ensure_future(self.threads.run(self.mount, self.content.read, start, length))

    async def close(self) -> None:
        if self._coming is not None:
            await asyncio.gather(self._coming, return_exceptions=True)
        await self.threads.run(self.mount, self.content.close)


@router.head("/v1/files/{id}/content", include_in_schema=False)
@router.get(
    "/v1/files/{id}/content",
    operation_id="getFileContent",
    summary="A file's bytes",
    description=(
        "The ETag is the SHA-256 of the content. A file that was changed behind Filestore's back is refused with 412 "
        "until it is reconciled: bytes never come under a hash that is not theirs."
    ),
    responses=_ANSWERS,
    openapi_extra={"parameters": [openapi.path_id("id", "The file's node"), *_HEADERS]},
)
async def download(request: Request) -> Response:
    principal = await admit(request, "read")
    front = front_of(request)
    record, reader = await _open(front, principal, read_id(request))
    try:
        answer = _answer(request, record, reader)
    except BaseException:
        await reader.close()
        raise
    if not isinstance(answer, Streamed):
        await reader.close()
    return answer


@router.get(
    "/v1/files/{id}/presign",
    operation_id="presignFile",
    summary="A link to a file in a bucket",
    description="Only for files on S3 mounts; the others are read at /v1/files/{id}/content.",
    responses=openapi.answers(
        {200: "The link"}, "NODE_NOT_FOUND", "NOT_A_DIRECTORY", "NOT_SUPPORTED", "EXECUTOR_NOT_FOUND",
        schema=openapi.enveloped(url="string", expiresAt="string", headers="object", method="string"),
    ),
    openapi_extra={"parameters": [openapi.path_id("id", "The file's node"), *openapi.query_of(PresignQuery)]},
)  # fmt: skip
async def presign(request: Request) -> Response:
    principal = await admit(request, "read")
    front = front_of(request)
    read_query(PresignQuery, request.query_params)
    record = await _record(front, principal, read_id(request))
    mount = await front.mounts.get(record.mount, principal.tenant)
    if mount.backend_kind == "s3":
        front.services.executors.of(mount)
    raise NotSupported("This mount has no links of its own. Read the file at /v1/files/{id}/content.")


async def _record(front: Front, principal: Principal, node: NodeId) -> FileRecord:
    async with front.services.pool.connection() as connection:
        record = await nodes.file(connection, node, principal.tenant)
    if record is None or record.state == "deleted":
        raise NodeNotFound()
    authorise(principal, "read", record.mount, record.path)
    if record.kind != "file":
        raise NotADirectory(f"This is a {record.kind}; only files have content.")
    return record


async def _open(front: Front, principal: Principal, node: NodeId) -> tuple[FileRecord, Reader]:
    """The file that is on record. Between a command's visible step and its record both differ for some milliseconds."""
    for _ in range(LOOKS):
        record = await _record(front, principal, node)
        executor = front.services.executors.of(await front.mounts.get(record.mount, principal.tenant))
        content = await _opened(front, record, executor)
        if content is not None:
            return record, Reader(content, record.mount, front.threads)
        if not record.busy and record == await _record(front, principal, node):
            raise VersionConflict(
                "The file was changed on disk behind Filestore's back, so its bytes are not those on record. "
                "Reconcile it, then read it again.",
                nodeId=record.id, version=record.version,
            )  # fmt: skip
        await asyncio.sleep(LOOK_SECONDS)
    raise PathBusy("The file is being replaced. Try again shortly.")


async def _opened(front: Front, record: FileRecord, executor: Executor) -> Content | None:
    """None: what lies there is not what the record knows."""
    try:
        content = await front.threads.run(record.mount, executor.open, record.path)
    except (NodeNotFound, NotADirectory):
        if record.busy:
            return None
        raise
    found = content.identity
    if record.identity is None or record.identity == (
        found.device, found.inode, found.birth, found.size, found.mtime,
    ):  # fmt: skip
        return content
    await front.threads.run(record.mount, content.close)
    return None


def _answer(request: Request, record: FileRecord, reader: Reader) -> Response:
    size = reader.content.identity.size
    validators = Validators(_etag(record), record.modified)
    if ranges.fails_match(request.headers, validators):
        raise VersionConflict("The content is not the version named by If-Match.")
    headers = _headers(record, validators)
    if ranges.not_modified(request.headers, validators):
        return Response(status_code=304, headers=headers)
    try:
        wanted = ranges.wanted(request.headers, size, validators) if request.method == "GET" else []
    except Unsatisfiable:
        answer = refusal(request, InvalidRequest(f"No range begins within the {size} bytes.", size=size), status=416)
        answer.headers["content-range"] = f"bytes */{size}"
        return answer
    return Streamed(reader, size, wanted, _mime(record), headers, bodyless=request.method == "HEAD")


def _etag(record: FileRecord) -> str:
    """Weak only where the content was never hashed: a file that reconciliation found."""
    return f'"{record.sha256.hex()}"' if record.sha256 else f'W/"{record.id}.{record.version}"'


def _mime(record: FileRecord) -> str:
    told = record.mime_type or ""
    return told if _MIME.fullmatch(told) else "application/octet-stream"


def _headers(record: FileRecord, validators: Validators) -> dict[str, str]:
    """A stored type is somebody's claim: browsers must neither guess nor run anything."""
    headers = {
        "accept-ranges": "bytes",
        "etag": validators.etag,
        "last-modified": validators.last_modified,
        "content-disposition": disposition(record.name),
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-cache",
    }
    if record.sha256:
        hash = f"sha256:{record.sha256.hex()}"
        headers["x-filestore-checksum"] = record.checksum or hash
        headers["x-filestore-content-hash"] = hash
        headers["repr-digest"] = f"sha-256=:{base64.b64encode(record.sha256).decode()}:"
    return headers


def disposition(name: str) -> str:
    """RFC 6266: an ASCII name for old clients, and the exact one percent-encoded. No name can break out of it."""
    if _PLAIN.fullmatch(name):
        return f'attachment; filename="{name}"'
    plain = "".join(letter if _PLAIN.fullmatch(letter) else "_" for letter in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


class Streamed(Response):
    """The bytes, piece by piece at the client's speed; the file is closed when it is through or gone."""

    def __init__(
        self,
        reader: Reader,
        size: int,
        wanted: list[tuple[int, int]],
        mime: str,
        headers: dict[str, str],
        *,
        bodyless: bool,
    ) -> None:
        self.reader, self.size, self.wanted, self.mime, self.bodyless = reader, size, wanted, mime, bodyless
        self.boundary = os.urandom(16).hex()
        self.status_code = 206 if wanted else 200
        self.background = None
        self.body = b""
        self.init_headers(headers)
        self.headers["content-type"] = mime if len(wanted) < 2 else f"multipart/byteranges; boundary={self.boundary}"
        if len(wanted) == 1:
            self.headers["content-range"] = self._content_range(*wanted[0])
        self.headers["content-length"] = str(self._length())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if not self.bodyless:
                async for piece in self._body():
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except EOFError:
            # Not ending the answer makes the server cut the connection: half a file must not look whole.
            log.warning("a file became shorter while it was sent", size=self.size)
        finally:
            gone.cancel()
            await self.reader.close()

    async def _body(self) -> AsyncIterator[bytes]:
        if len(self.wanted) < 2:
            for start, end in self.wanted or [(0, self.size)]:
                async for piece in self.reader.pieces(start, end):
                    yield piece
            return
        for start, end in self.wanted:
            yield self._part_head(start, end)
            async for piece in self.reader.pieces(start, end):
                yield piece
        yield self._tail()

    def _length(self) -> int:
        if len(self.wanted) < 2:
            return sum(end - start for start, end in self.wanted or [(0, self.size)])
        return sum(len(self._part_head(*one)) + one[1] - one[0] for one in self.wanted) + len(self._tail())

    def _content_range(self, start: int, end: int) -> str:
        return f"bytes {start}-{end - 1}/{self.size}"

    def _part_head(self, start: int, end: int) -> bytes:
        return (
            f"\r\n--{self.boundary}\r\nContent-Type: {self.mime}\r\n"
            f"Content-Range: {self._content_range(start, end)}\r\n\r\n"
        ).encode("latin-1")

    def _tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
