"""What is remembered of an upload, and how it is told: in headers, in JSON, in refusals."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from starlette.responses import Response

from api.commands import headers as intake
from api.http.digests import Checksum
from api.services import Front
from api.uploads.tus import protocol
from api.uploads.tus.protocol import Concat, Gone
from schema import errors
from schema.commands.command import Command, CommandKind
from schema.errors import FilestoreError, InvalidRequest, NotFound, Unavailable
from schema.ids import CommandId, new_command_id
from schema.paths import NodePath
from schema.principals import Principal
from schema.settings import Settings
from schema.store import uploads as store
from schema.store.uploads import Allowance, NewUpload, Upload

FORGET_SECONDS = 7 * 86400.0
"""How long it is told that an upload has ended, and how."""

_NAMESPACE = uuid.UUID("9b0c43f2-58a5-4f0c-9d0b-6a6fb1d6a1c5")


@dataclass(frozen=True, slots=True)
class Announced:
    """A new upload as its client describes it."""

    expected: int | None
    concat: Concat | None = None
    metadata_header: str | None = None
    command: Command | None = None
    """None: a part of another upload"""
    metadata: Mapping[str, Any] | None = None
    told: Sequence[Checksum] = ()


def allowance(settings: Settings) -> Allowance:
    return Allowance(settings.uploads_open_max, settings.uploads_open_bytes_max)


def new_upload(announced: Announced, principal: Principal, host: str) -> NewUpload:
    parts = announced.concat.parts if announced.concat else ()
    command = announced.command
    request = {
        "host": host,
        "kind": kind_of(announced.concat),
        "header": announced.metadata_header,
        "command": asdict(command) if command else None,
        "metadata": announced.metadata,
        "told": [str(one) for one in announced.told],
    }
    return NewUpload(
        id=_final_id(principal, parts, request) if parts else str(new_command_id()),
        tenant=principal.tenant,
        principal=principal.name,
        mount=command.mount_id if command else None,
        path=command.node_path if command else None,
        expected=announced.expected,
        request=request,
        parts=parts,
    )


def kind_of(concat: Concat | None) -> str:
    if concat is None:
        return "whole"
    return "partial" if concat.partial else "final"


def _final_id(principal: Principal, parts: Sequence[str], request: Mapping[str, Any]) -> str:
    """The same for the same wish: who did not get the answer puts the parts together once, however often it asks."""
    told = {**request, "command": {**request["command"], "id": None, "request_id": None, "trace_id": None}}
    asked = [principal.tenant, principal.name, list(parts), told]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(asked, sort_keys=True)))


async def find(front: Front, principal: Principal, id: str, *, direct: bool = False) -> Upload:
    """Raises NotFound for somebody else's, Gone; Unavailable on another host. InvalidRequest for one that goes straight to a
    bucket, unless `direct` says that such a one will do."""
    found = (await find_all(front, principal, [id])).get(id) if protocol.is_id(id) else None
    if found is None:
        raise NotFound("There is no such upload.")
    if found.state == "gone" or (found.state == "open" and found.expired):
        raise Gone()
    if is_direct(found) and not direct:
        raise InvalidRequest("The content of this upload goes straight to its bucket. POST to its /complete then.")
    host = found.request["host"]
    if found.state == "open" and host is not None and host != front.services.settings.host_id:
        raise Unavailable(f"The bytes of this upload wait on the host {host!r}. Go on with it there.")
    return found


def is_direct(upload: Upload) -> bool:
    """Its client puts the content into the bucket itself: `api.uploads.direct`."""
    return bool(upload.request["kind"] == "direct")


async def find_all(front: Front, principal: Principal, ids: Sequence[str]) -> dict[str, Upload]:
    async with front.services.pool.connection() as connection:
        return await store.find(connection, ids, principal.tenant, principal.name)


def refuse_refused(upload: Upload) -> None:
    """Raises what the upload was refused with."""
    if upload.state == "refused":
        ended = upload.request["ended"]
        raise errors.from_code(ended["code"], ended["message"], ended["details"])


def key_of(upload: Upload) -> str:
    """One upload, one command: its client's key, or one of its own."""
    return upload.request["command"]["key"] or f"{'direct' if is_direct(upload) else 'tus'}:{upload.id}"


def command_of(upload: Upload, principal: Principal, asked: intake.CommandHeaders) -> Command:
    """What was asked for when it was announced, by whoever asks for its end now."""
    known = {field.name for field in fields(Command)}
    stored = {name: value for name, value in upload.request["command"].items() if name in known}
    command = Command(**{**stored, "kind": CommandKind(stored["kind"]), "key": key_of(upload)})
    return replace(
        command,
        id=new_command_id(),
        token_id=principal.token_id,
        request_id=asked.request_id,
        trace_id=asked.trace_id,
    )


def told_of(upload: Upload) -> list[Checksum]:
    return [Checksum(*text.split(":")) for text in upload.request["told"]]


def path_of(upload: Upload) -> NodePath | None:
    stored = upload.request["command"]
    return Command(**{**stored, "kind": CommandKind(stored["kind"])}).node_path if stored else None


# How it is told


def headers(upload: Upload, command: CommandId | None = None) -> dict[str, str]:
    told = {"cache-control": "no-store"}
    kind = upload.request["kind"]
    if kind != "final" or upload.state == "done":
        told["upload-offset"] = str(upload.expected if upload.state == "done" else upload.received)
    if upload.expected is None:
        told["upload-defer-length"] = "1"
    else:
        told["upload-length"] = str(upload.expected)
    if upload.request["header"]:
        told["upload-metadata"] = upload.request["header"]
    if kind != "whole":
        parts = " ".join(address(part) for part in upload.parts)
        told["upload-concat"] = kind if kind == "partial" else f"final;{parts}"
    if upload.state == "open":
        told["upload-expires"] = protocol.date(upload.expires_at)
    ended = upload.request.get("ended") or {}
    if command or ended.get("command"):
        told[protocol.COMMAND] = command or ended["command"]
    if ended.get("node") is not None:
        told[protocol.NODE] = str(ended["node"])
    return told


def address(id: str) -> str:
    return f"/v1/uploads/{id}"


def document(upload: Upload) -> Response:
    """All of it, as JSON."""
    path, ended = path_of(upload), upload.request.get("ended") or {}
    told: dict[str, Any] = {
        "id": upload.id,
        "state": upload.state,
        "kind": upload.request["kind"],
        "offset": upload.expected if upload.state == "done" else upload.received,
        "length": upload.expected,
        "backendMountId": upload.mount,
        "path": path.text if path else None,
        "parts": list(upload.parts),
        "expiresAt": upload.expires_at.isoformat(),
        "commandId": ended.get("command"),
        "outcome": ended.get("outcome"),
        "error": {name: ended[name] for name in ("code", "message", "details")} if "code" in ended else None,
    }
    if path and path.b64:
        told["pathB64"] = path.b64
    return Response(json.dumps({"data": told}).encode(), 200, media_type="application/json")


def failure(error: FilestoreError, command: str | None = None) -> dict[str, Any]:
    return {
        "command": command,
        "code": error.code,
        "message": error.message,
        "details": dict(error.details or {}) or None,
    }
