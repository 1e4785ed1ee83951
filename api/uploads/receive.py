"""Bytes on their way in, whatever carries them: a body is read piece by piece, staged, handed over as a command, answered."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.access.admission import admit
from api.commands import headers as intake
from api.commands.fingerprint import headed, sealed, spelled
from api.commands.headers import CommandHeaders
from api.http import body as http_body
from api.http import digests as checksums
from api.http.body import RequestBody
from api.http.digests import Checksum
from api.http.errors import EXPECTED, refusal, refusal_of
from api.http.fields import HEADER_METADATA_MAX
from api.services import Front, front_of
from api.submission import Submission
from api.uploads.bodies import UploadMetadata
from api.uploads.spool import Received, Spool, refuse_impossible
from schema.commands.command import Command, CommandKind
from schema.errors import (
    ChecksumMismatch,
    FilestoreError,
    Frozen,
    MountOffline,
    MountReadOnly,
    PayloadTooLarge,
    StorageFull,
    of_the_machine,
)
from schema.ids import MountId
from schema.mounts import Mount
from schema.paths import NodePath
from schema.principals import Principal, authorise

JOURNALED = (StorageFull, MountOffline, MountReadOnly, Frozen, ChecksumMismatch)
"""Errors that are recorded as the outcome of a command, like failures that come later: refusals of the storage while a
body is staged, and content that is not what its client said."""


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What is asked for. The file's bytes are still to come."""

    command: Command
    mount: Mount
    metadata: Mapping[str, Any] | None
    spelled: str
    """The metadata as a text"""
    claimed: Sequence[Checksum]
    wait_seconds: float | None
    size: int | None = None
    """As far as it is known before"""


_BRINGS = {"POST", "PUT", "PATCH"}
Inner = Callable[[Request, Front, Principal, RequestBody], Awaitable[Response]]


async def admit_writer(request: Request) -> Principal:
    return await admit(request, "write")


async def answered(
    request: Request, inner: Inner, refused: Callable[[Request, FilestoreError], Response] = refusal,
    admitted: Callable[[Request], Awaitable[Principal]] = admit_writer,
) -> Response:  # fmt: skip
    """What `inner` answers a principal that may write, or its refusal. It need not have read the body to its end."""
    front, body = front_of(request), RequestBody(request)
    try:
        principal = await admitted(request)
        http_body.refuse_coded(request.headers)
        with front.rates.upload(principal) if request.method in _BRINGS else nullcontext():
            answer = await inner(request, front, principal, body)
    except EXPECTED as error:
        known = refusal_of(error)
        if known is None:
            raise
        answer = refused(request, known)
    return http_body.if_unread(answer, body)


@dataclass(frozen=True, slots=True)
class UploadHeaders:
    """What the headers say about an upload: they are read once."""

    asked: CommandHeaders
    own: Checksum | None
    """The file's checksum as the client's own word for it"""
    claimed: Sequence[Checksum]
    """All checksums of the file"""

    def with_key(self, key: str | None) -> "UploadHeaders":
        """With the key of the body: it wins."""
        return self if key is None else replace(self, asked=replace(self.asked, key=key))


def read_headers(request: Request) -> UploadHeaders:
    """Raises InvalidRequest, VersionConflict, InvalidChecksum."""
    own = checksums.claimed(request.headers)
    claimed = [*own, *checksums.represented(request.headers)]
    return UploadHeaders(intake.read_headers(request, None), own[0] if own else None, claimed)


def read_metadata(text: str | None) -> dict[str, Any] | None:
    """Raises pydantic's ValidationError."""
    if not text:
        return None
    return UploadMetadata.model_validate({"metadata": text}).metadata


def read_header_metadata(text: str | None) -> dict[str, Any] | None:
    """The same where the text came in a header. Raises PayloadTooLarge."""
    if text is not None and len(text.encode()) > HEADER_METADATA_MAX:
        raise PayloadTooLarge(
            f"Metadata in a header may have {HEADER_METADATA_MAX} bytes. Send what is more in the field `metadata` of a form, "
            "or with update-metadata once the file is there."
        )
    return read_metadata(text)


async def open_mount(front: Front, principal: Principal, id: int, path: NodePath) -> Mount:
    """The mount to which this principal may bring a file with this path. Asked anew where it is closed: it may have been
    opened a moment ago. Raises BackendNotFound, MissingScope."""
    mount = await front.mounts.get(MountId(id), principal.tenant)
    if not mount.serving or mount.access_mode == "ro" or mount.freeze is not None:
        mount = await front.mounts.get(mount.id, principal.tenant, fresh=True)
    authorise(principal, "write", mount.id, path)
    return mount


def command(
    principal: Principal,
    mount: Mount,
    path: NodePath,
    headers: UploadHeaders,
    *,
    metadata: Mapping[str, Any] | None,
    overwrite: bool | None,
    mime_type: str | None,
    original_name: str | None = None,
) -> Command:
    asked, own = headers.asked, headers.own
    made = intake.command(
        CommandKind.UPLOAD, mount.id, path, principal, asked, metadata=metadata, overwrite=overwrites(asked, overwrite)
    )
    return replace(made, checksum=str(own) if own else None, mime_type=mime_type, original_name=original_name)


def wanted(
    front: Front,
    command: Command,
    mount: Mount,
    metadata: Mapping[str, Any] | None,
    claimed: Sequence[Checksum],
    asked: CommandHeaders,
    size: int | None = None,
) -> UploadRequest:
    """What is asked for, with the fingerprint of all but its bytes. Raises PayloadTooLarge for metadata."""
    text = spelled(metadata)
    if command.head is None:
        command = headed(command, text)
    return UploadRequest(command, mount, metadata, text, claimed, intake.wait(front.services.settings, asked), size)


def overwrites(asked: CommandHeaders, says: bool | None) -> bool:
    """None: the client did not say. One that names a version means to replace it."""
    names_a_version = asked.if_version is not None or asked.if_hash is not None or asked.if_exists
    return (names_a_version if says is None else says) and not asked.must_be_new


async def stage(front: Front, wanted: UploadRequest, pieces: http_body.Pieces) -> Submission:
    """The whole file as a command to be carried out, or nothing: what breaks off is taken back.

    Raises what `pieces` raises, and PayloadTooLarge."""
    try:
        received = await _receive(front, wanted, pieces)
    except JOURNALED as error:
        return refused(wanted.command, wanted.metadata, error, wanted.wait_seconds)
    except OSError as error:
        if trouble := of_the_machine(error):
            raise trouble from error
        raise
    return _submission(wanted, received)


def refused(
    command: Command, metadata: Mapping[str, Any] | None, error: FilestoreError, wait_seconds: float | None
) -> Submission:
    """A command that is recorded with this refusal. After wrong content the key stays free: the right content comes
    under it."""
    key = None if isinstance(error, ChecksumMismatch) else command.key
    failed = replace(
        command,
        key=key,
        hash=None,
        sha256=None,
        failure=error.code,
        failure_message=error.message,
        failure_details=error.details,
    )
    return Submission(failed, metadata, wait_seconds=wait_seconds)


async def _receive(front: Front, wanted: UploadRequest, pieces: http_body.Pieces) -> Received:
    refuse_impossible(front, wanted.mount, wanted.command.appears_at, wanted.size)
    executor = front.services.executors.of(wanted.mount)
    spool = Spool(
        executor, front.threads, wanted.mount, wanted.command.id, wanted.command.appears_at, list(wanted.claimed),
        front.services.settings.upload_max_bytes, front.budget,
    )  # fmt: skip
    try:
        async with aclosing(pieces):
            async for some in pieces:
                await spool.take(list(some))
        return await spool.close()
    except BaseException:
        await spool.abort()
        raise
    finally:
        spool.release()


def _submission(wanted: UploadRequest, received: Received) -> Submission:
    command = replace(wanted.command, sha256=received.sha256, size=received.size)
    command = sealed(command, wanted.spelled)
    return Submission(command, wanted.metadata, received.content, received.written, received.locks, wanted.wait_seconds)
