"""Bytes on their way in, whatever carries them: a body is read piece by piece, staged, handed over as a command, answered."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.commands import headers as intake
from api.commands import run as commands
from api.commands.headers import Asked, Disconnected
from api.front import Front
from api.http import digests as checksums
from api.http import responses
from api.http.digests import Checksum, Comparing
from api.http.errors import refusal
from api.http.fields import UploadMetadata
from api.services import OutcomePending, Submission
from api.uploads.spool import Received, Spool, refuse_closed
from schema.commands.command import CommandKind, Status
from schema.commands.command import Request as Command
from schema.commands.payloads import Outcome
from schema.errors import FilestoreError, MountOffline, MountReadOnly, PayloadTooLarge, StorageFull, of_the_machine
from schema.ids import MountId
from schema.mounts import Mount
from schema.paths import NodePath
from schema.principals import Principal, authorise

LINGER_BYTES, LINGER_SECONDS = 64 * 1024 * 1024, 5.0
"""How much of an unwanted body is read, so that its sender sees why it is unwanted."""

JOURNALED = (StorageFull, MountOffline, MountReadOnly)
"""Failures of the storage while a body is staged: recorded as the outcome of a command, like those that come later."""

Pieces = AsyncGenerator[Sequence[bytes], None]
"""A file's bytes as they come. It raises where they break off, or are not what they were said to be."""


class Body:
    """The request's body, piece by piece. Whoever waits for `100 Continue` gets it with the first piece that is asked
    for, so what the headers alone can tell is looked at before that."""

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self.told = request.headers.get("content-length", "")
        self.waits = request.headers.get("expect", "").lower() == "100-continue"
        self.asked = False
        self.ended = self.told == "0" or not (self.told or "transfer-encoding" in request.headers)
        self._digest = Comparing(())

    def expect_digest(self, told: Sequence[Checksum]) -> None:
        """Of the whole body, whatever it is made of; `check_digest` says whether it has come."""
        self._digest = Comparing(told)

    @property
    def length(self) -> int | None:
        """As the client says; None where it does not know."""
        return int(self.told) if self.told.isdigit() else None

    def check_size(self, size_max: int, beside: int = 0) -> None:
        """Raises PayloadTooLarge where the client itself says that it is. `beside`: what may come beside the file."""
        if self.length is not None and self.length > size_max + beside:
            raise PayloadTooLarge(f"A file may have {size_max} bytes here.")

    async def next(self) -> bytes:
        """Raises Disconnected."""
        self.asked = True
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.ended = True
            raise Disconnected()
        self.ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        self._digest.update(piece)
        return piece

    def check_digest(self) -> None:
        """At its end. Raises ChecksumMismatch."""
        self._digest.compare()

    async def pieces(self) -> Pieces:
        """Where the body is the file."""
        while not self.ended:
            yield [await self.next()]
        self.check_digest()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. The file's bytes are still to come."""

    command: Command
    mount: Mount
    metadata: Mapping[str, Any] | None
    told: Sequence[Checksum]
    wait_seconds: float | None


def told(request: Request) -> list[Checksum]:
    """All checksums of the file in the headers. Raises InvalidChecksum."""
    return [*checksums.told(request.headers), *checksums.represented(request.headers)]


def read_metadata(text: str | None) -> dict[str, Any] | None:
    """Raises pydantic's ValidationError."""
    if not text:
        return None
    return UploadMetadata.model_validate_json(f'{{"metadata":{text}}}').metadata


async def open_mount(front: Front, principal: Principal, id: int, path: NodePath) -> Mount:
    """The mount to which this principal may bring a file with this path. Asked anew where it is closed: it may have been
    opened a moment ago. Raises BackendNotFound, MissingScope."""
    mount = await front.mounts.get(MountId(id), principal.tenant)
    if not mount.serving or mount.access_mode == "ro":
        mount = await front.mounts.get(mount.id, principal.tenant, fresh=True)
    authorise(principal, "write", mount.id, path)
    return mount


def command(
    request: Request,
    principal: Principal,
    mount: Mount,
    path: NodePath,
    asked: Asked,
    *,
    metadata: Mapping[str, Any] | None,
    overwrite: bool | None,
) -> Command:
    made = intake.command(
        CommandKind.UPLOAD, mount.id, path, principal, asked, metadata=metadata, overwrite=overwrites(asked, overwrite)
    )
    own = checksums.told(request.headers)
    return replace(made, checksum=str(own[0]) if own else None)


def overwrites(asked: Asked, told: bool | None) -> bool:
    """None: the client did not say; who names a version means to replace it."""
    names_a_version = asked.if_version is not None or asked.if_hash is not None or asked.if_exists
    return (names_a_version if told is None else told) and not asked.must_be_new


async def stage(front: Front, wanted: Wanted, pieces: Pieces) -> Submission:
    """The whole file as a command to be carried out, or nothing: what breaks off is taken back.

    Raises what `pieces` raises, PayloadTooLarge, ChecksumMismatch."""
    try:
        received = await _receive(front, wanted, pieces)
    except JOURNALED as error:
        failed = replace(wanted.command, failure=error.code, failure_message=error.message)
        return Submission(failed, wanted.metadata, wait_seconds=wanted.wait_seconds)
    except OSError as error:
        if told := of_the_machine(error):
            raise told from error
        raise
    return _submission(wanted, received)


async def _receive(front: Front, wanted: Wanted, pieces: Pieces) -> Received:
    refuse_closed(wanted.mount)
    executor = front.services.executors.of(wanted.mount)
    spool = Spool(
        executor, front.threads, wanted.mount, wanted.command.id, wanted.command.appears_at, list(wanted.told),
        front.services.settings.upload_max_bytes,
    )  # fmt: skip
    try:
        async with aclosing(pieces):
            async for some in pieces:
                await spool.take(list(some))
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


async def answer(request: Request, front: Front, submission: Submission) -> Response:
    """201 for a new file, 200 for a new version of one."""
    try:
        ended = await commands.carry_out(front, submission)
    except OutcomePending as pending:
        return responses.pending(pending.command)
    except FilestoreError as error:
        return refusal(request, error)
    return responses.outcome(request, ended, 201 if _created(ended) else 200)


def _created(ended: Outcome) -> bool:
    return ended.status is Status.SUCCEEDED and orjson.loads(ended.body)["result"].get("previousVersion") is None


def if_unread(answer: Response, body: Body) -> Response:
    """The answer, where the body may not have been read to its end."""
    if body.ended:
        return answer
    if body.waits and not body.asked:
        # Nobody sent anything: its sender waits to be asked, or gives up. It is not known which, so the connection ends.
        answer.headers["connection"] = "close"
        return answer
    return _Hasty(answer)


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
