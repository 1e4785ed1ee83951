"""POST /v1/files: a form is read as it arrives, its file goes to memory or to a stage, then a command is submitted."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import checksums, commands, intake, openapi, responses
from api.auth import admit
from api.checksums import Checksum
from api.errors import invalid, refusal
from api.front import Front, front_of
from api.intake import Disconnected
from api.models import UploadFields, UploadMetadata
from api.multipart import FORM_MAX, UploadForm
from api.routes import Plain
from api.services import OutcomePending, Submission
from api.spool import Received, Spool
from schema import paths
from schema.commands import CommandKind, Outcome, Status
from schema.commands import Request as Command
from schema.errors import FilestoreError, InvalidRequest, MountOffline, MountReadOnly, PayloadTooLarge, StorageFull
from schema.ids import MountId
from schema.mounts import Mount
from schema.principals import Principal, authorise

router = APIRouter(route_class=Plain, tags=["commands"])
log = structlog.get_logger(__name__)

LINGER_BYTES, LINGER_SECONDS = 64 * 1024 * 1024, 5.0
"""How much of an unwanted body is read, so that its sender sees why it is unwanted."""

JOURNALED = (StorageFull, MountOffline, MountReadOnly)
"""Failures of the storage while a body is staged: recorded as the outcome of a command, like those that come later."""


class Body:
    """The request's body, piece by piece."""

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self.told = request.headers.get("content-length", "")
        self.ended = False

    def check_size(self, size_max: int) -> None:
        """Raises PayloadTooLarge where the client itself says that it is."""
        if self.told.isdigit() and int(self.told) > size_max + FORM_MAX:
            raise PayloadTooLarge(f"A file may have {size_max} bytes here.")

    async def next(self) -> bytes:
        """Raises Disconnected."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.ended = True
            raise Disconnected()
        self.ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the form's fields and the headers ask for. The file's bytes are still to come."""

    command: Command
    mount: Mount
    metadata: Mapping[str, Any] | None
    told: list[Checksum]
    wait_seconds: float | None


@router.post(
    "/v1/files",
    status_code=201,
    operation_id="uploadFile",
    summary="Upload a file",
    description=(
        "A form whose fields come before its one file part. The body is hashed while it is written to the mount; "
        "nothing is visible before all of it is there. `x-filestore-checksum` (sha256, sha1 or md5) is compared with "
        "what came. "
        "`overwrite=true` replaces an existing file and keeps the old content until its retention ends."
    ),
    responses=openapi.answers(
        {201: "Created", 200: "Overwritten, or done before under the same key", 202: "Still running: see Location"},
        "INVALID_PATH", "INVALID_CHECKSUM", "FORBIDDEN", "MOUNT_READ_ONLY", "BACKEND_NOT_FOUND", "PARENT_NOT_FOUND",
        "NODE_EXISTS", "NOT_A_DIRECTORY", "IDEMPOTENCY_CONFLICT", "EXECUTOR_NOT_FOUND", "PATH_BUSY", "VERSION_CONFLICT",
        "PAYLOAD_TOO_LARGE", "CHECKSUM_MISMATCH", "RATE_LIMITED", "MOUNT_OFFLINE", "OUTCOME_UNKNOWN", "STAGE_LOST",
        "STORAGE_FULL", schema=openapi.named("CommandOutcome"),
    ),
    openapi_extra={
        "parameters": [
            *openapi.headers("Idempotency-Key", "If-Match", "Prefer", "X-Request-Id", "traceparent"),
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string", "enum": ["*"]},
             "description": "The name must be free, whatever `overwrite` says."},
            {"name": "x-filestore-checksum", "in": "header", "schema": {"type": "string"},
             "description": "`[sha256:|sha1:|md5:]<hex>` of the file.", "example": "sha256:" + "0" * 64},
            {"name": "x-filestore-content-hash", "in": "header", "schema": {"type": "string"},
             "description": "The same."},
        ],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {
            "type": "object", "required": ["backendMountId", "path", "file"], "properties": {
                "backendMountId": {"type": "integer"}, "path": {"type": "string", "example": "reports/2026/q3.csv"},
                "pathB64": {"type": "string", "description": "The exact bytes of a path that is not UTF-8"},
                "metadata": {"type": "string", "description": "A JSON object, as text"},
                "overwrite": {"type": "boolean", "default": False}, "idempotencyKey": {"type": "string"},
                "file": {"type": "string", "format": "binary", "description": "The last part"},
            }}}}},
    },
)  # fmt: skip
async def upload(request: Request) -> Response:
    front, body = front_of(request), Body(request)
    try:
        principal = await admit(request, "write")
        body.check_size(front.services.settings.upload_max_bytes)
        return await _upload(request, front, principal, body)
    except ValidationError as error:
        return _refused(request, invalid(error), body)
    except FilestoreError as error:
        return _refused(request, error, body)


async def _upload(request: Request, front: Front, principal: Principal, body: Body) -> Response:
    form = UploadForm(request.headers.get("content-type", ""))
    await _read_fields(form, body)
    wanted = await _wanted(request, front, principal, form)
    try:
        received = await _receive(front, wanted, form, body)
    except JOURNALED as error:
        failed = replace(wanted.command, failure=error.code, failure_message=error.message)
        submission = Submission(failed, wanted.metadata, wait_seconds=wanted.wait_seconds)
    else:
        submission = _submission(wanted, received)
    return _if_unread(await _answer(request, front, submission), body)


async def _read_fields(form: UploadForm, body: Body) -> None:
    while form.file is None and not form.ended:
        if body.ended:
            raise InvalidRequest("The form ends before its file part.")
        form.feed(await body.next())
    if form.file is None:
        raise InvalidRequest("The form has no file part; send one, as the last part, named `file`.")


async def _wanted(request: Request, front: Front, principal: Principal, form: UploadForm) -> Wanted:
    fields = UploadFields.model_validate(form.fields)
    metadata = _metadata(fields.metadata)
    path = paths.decode(fields.path, fields.path_b64)
    told = checksums.told(request.headers)
    mount = await front.mounts.get(MountId(fields.backend_mount_id), principal.tenant)
    if not mount.serving or mount.access_mode == "ro":  # it may have been opened a moment ago
        mount = await front.mounts.get(mount.id, principal.tenant, fresh=True)
    authorise(principal, "write", mount.id, path)
    asked = intake.read_headers(request, fields.idempotency_key)
    names_a_version = asked.if_version is not None or asked.if_hash is not None
    overwrite = names_a_version if fields.overwrite is None else fields.overwrite
    command = intake.command(
        CommandKind.UPLOAD, mount.id, path, principal, asked, metadata=metadata,
        overwrite=overwrite and not asked.must_be_new,
    )  # fmt: skip
    command = replace(
        command, mime_type=form.mime_type, original_name=form.filename, checksum=str(told[0]) if told else None
    )
    return Wanted(command, mount, metadata, told, intake.wait(front.services.settings, asked))


def _metadata(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    return UploadMetadata.model_validate_json(f'{{"metadata":{text}}}').metadata


async def _receive(front: Front, wanted: Wanted, form: UploadForm, body: Body) -> Received:
    """The whole body, or nothing: what breaks off is taken back."""
    executor = front.services.executors.of(wanted.mount)
    spool = Spool(
        executor, front.threads, wanted.mount, wanted.command.id, wanted.told,
        front.services.settings.upload_max_bytes,
    )  # fmt: skip
    try:
        await spool.take(form.take())
        while not form.ended:
            if body.ended:
                raise Disconnected()
            form.feed(await body.next())
            await spool.take(form.take())
        return await spool.close()
    except BaseException:
        await spool.abort()
        raise


def _submission(wanted: Wanted, received: Received) -> Submission:
    command = replace(wanted.command, sha256=received.sha256, size=received.size)
    try:
        command = intake.sealed(command, wanted.metadata)
    except FilestoreError:
        if received.locks is not None:
            received.locks.close()
        raise
    return Submission(command, wanted.metadata, received.content, received.written, received.locks, wanted.wait_seconds)


async def _answer(request: Request, front: Front, submission: Submission) -> Response:
    try:
        ended = await commands.carry_out(front, submission)
    except OutcomePending as pending:
        return responses.pending(pending.command)
    except FilestoreError as error:
        return refusal(request, error)
    return responses.outcome(request, ended, 201 if _created(ended) else 200)


def _created(ended: Outcome) -> bool:
    """It is a new file, not a new version of one."""
    return ended.status is Status.SUCCEEDED and orjson.loads(ended.body)["result"].get("previousVersion") is None


def _refused(request: Request, error: FilestoreError, body: Body) -> Response:
    return _if_unread(refusal(request, error), body)


def _if_unread(answer: Response, body: Body) -> Response:
    return answer if body.ended else _Hasty(answer)


class _Hasty(Response):
    """An answer before the body is read to its end. Then it is read on for a moment, because a sender who finds the
    connection closed while it sends may never look for an answer; then the connection closes."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.body, answer.status_code, dict(answer.headers), answer.media_type)
        self.headers["connection"] = "close"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await _discard(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive: Receive) -> None:
    size = 0
    while size < LINGER_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
