"""What is remembered of an upload, resumable or straight to a bucket, and how it is shown as JSON."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from api.commands import headers as intake
from api.http.digests import Checksum
from api.services import Front
from schema.commands.command import Command
from schema.errors import ContentExpired, InvalidRequest, NotFound, PathBusy, Unavailable, from_code
from schema.ids import new_command_id
from schema.principals import Principal, authorise, readable
from schema.settings import Settings
from schema.store import uploads as store
from schema.store.uploads import Allowance, Upload
from schema.uploads import UploadEnd

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class Gone(ContentExpired):
    """The upload was given up, has expired, or is lost. Begin anew."""


class UploadLocked(PathBusy):
    """Another request works on this upload. Try again shortly."""


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def allowance(settings: Settings) -> Allowance:
    return Allowance(settings.uploads_open_max, settings.uploads_open_bytes_max)


async def find(front: Front, principal: Principal, id: str, *, direct: bool = False) -> Upload:
    """Raises NotFound for another principal's upload, Gone, Unavailable on another host. InvalidRequest for one that goes
    straight to a bucket, unless `direct` says that such a one will do."""
    found = (await find_all(front, principal, [id])).get(id) if is_id(id) else None
    if found is None:
        raise NotFound("There is no such upload.")
    if (announced := found.request.command) is not None:
        _refuse_lost(principal, announced)
    if found.state == "gone" or (found.state == "open" and found.expired):
        raise Gone()
    if is_direct(found) and not direct:
        raise InvalidRequest("The content of this upload goes straight to its bucket. POST to its /complete then.")
    host = found.request.host
    if found.state == "open" and host is not None and host != front.services.settings.host_id:
        raise Unavailable(f"The bytes of this upload wait on the host {host!r}. Go on with it there.")
    return found


def _refuse_lost(principal: Principal, announced: Command) -> None:
    """What the token may not write any more is not gone on with. Raises NotFound, Forbidden."""
    if not readable(principal, announced.mount_id, announced.node_path):
        raise NotFound("There is no such upload.")
    authorise(principal, "write", announced.mount_id, announced.node_path)


def is_direct(upload: Upload) -> bool:
    """Its client puts the content into the bucket itself: `api.uploads.direct`."""
    return upload.request.kind == "direct"


async def find_all(front: Front, principal: Principal, ids: Sequence[str]) -> dict[str, Upload]:
    async with front.services.pool.connection() as connection:
        return await store.find(connection, ids, principal.tenant, principal.name)


def refuse_refused(upload: Upload) -> None:
    """Raises what the upload was refused with."""
    if upload.state == "refused" and (ended := upload.request.ended) is not None:
        raise from_code(ended.code or "INTERNAL_SERVER_ERROR", ended.message, ended.details)


def key_of(upload: Upload) -> str:
    """One upload, one command: its client's key, or one of its own."""
    return announced_by(upload).key or f"{'direct' if is_direct(upload) else 'tus'}:{upload.id}"


def announced_by(upload: Upload) -> Command:
    """The command that its client announced. Every upload has one but those that are parts of another."""
    assert upload.request.command is not None
    return upload.request.command


def command_of(upload: Upload, principal: Principal, asked: intake.CommandHeaders) -> Command:
    """What was asked for when it was announced, by the caller that asks for its end now."""
    return replace(
        announced_by(upload),
        id=new_command_id(),
        key=key_of(upload),
        token_id=principal.token_id,
        request_id=asked.request_id,
        trace_id=asked.trace_id,
        correlation_id=asked.correlation_id or announced_by(upload).correlation_id,
    )


def claimed_of(upload: Upload) -> list[Checksum]:
    return [Checksum(*text.split(":")) for text in upload.request.claimed]


# How it is shown


def address(id: str) -> str:
    return f"/v1/uploads/{id}"


def document(upload: Upload) -> Response:
    """All of it, as JSON."""
    command, ended = upload.request.command, upload.request.ended or UploadEnd()
    path = command.node_path if command else None
    shown: dict[str, Any] = {
        "id": upload.id,
        "state": upload.state,
        "kind": upload.request.kind,
        "offset": upload.expected if upload.state == "done" else upload.received,
        "length": upload.expected,
        "backendMountId": upload.mount,
        "path": path.text if path else None,
        "parts": list(upload.parts),
        "expiresAt": upload.expires_at.isoformat(),
        "commandId": ended.command,
        "outcome": ended.outcome,
        "error": {"code": ended.code, "message": ended.message, "details": ended.details} if ended.code else None,
    }
    if path and path.b64:
        shown["pathB64"] = path.b64
    return Response(json.dumps({"data": shown}).encode(), 200, media_type="application/json")
