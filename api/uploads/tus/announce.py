"""A resumable upload as its client announces it, and the headers that show how it stands."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from api.commands.fingerprint import headed, spelled
from api.http.digests import Checksum
from api.http.media import mime, shown_name
from api.services import Front
from api.uploads import receive as incoming
from api.uploads import remembered as standing
from api.uploads.bodies import ResumableFields
from api.uploads.receive import UploadHeaders
from api.uploads.room import check_room
from api.uploads.spool import check_size, refuse_impossible
from api.uploads.tus import protocol
from api.uploads.tus.completion import check_parts
from api.uploads.tus.protocol import Concat
from schema import paths
from schema.commands.command import Command
from schema.errors import InvalidRequest
from schema.ids import CommandId, new_command_id
from schema.principals import Principal
from schema.store.uploads import NewUpload, Upload
from schema.uploads import Announcement, UploadEnd, UploadKind

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
    claimed: Sequence[Checksum] = ()


async def read(request: Request, front: Front, principal: Principal, headers_sent: UploadHeaders) -> Announced:
    """From the headers. Raises FilestoreError, and pydantic's ValidationError."""
    concat = protocol.concat(request.headers)
    text = protocol.metadata_header(request.headers)
    given = protocol.metadata(text)
    expected = await _length(request, front, principal, concat)
    if concat is not None and concat.partial:
        return Announced(expected, concat, text)
    fields = ResumableFields.model_validate(given)
    metadata = incoming.read_header_metadata(fields.metadata)
    path = paths.decode(fields.path, fields.path_b64)
    mount = await incoming.open_mount(front, principal, fields.backend_mount_id, path)
    refuse_impossible(front, mount, path, expected)
    await check_room(front, principal, mount.id, path, expected)
    command = incoming.command(
        principal, mount, path, headers_sent.with_key(fields.idempotency_key), metadata=metadata, overwrite=fields.overwrite,
        mime_type=mime(fields.filetype or ""), original_name=shown_name(fields.filename or ""),
    )  # fmt: skip
    return Announced(expected, concat, text, headed(command, spelled(metadata)), metadata, headers_sent.claimed)


async def _length(request: Request, front: Front, principal: Principal, concat: Concat | None) -> int | None:
    """None: it comes later."""
    if concat is None or concat.partial:
        expected = protocol.length(request.headers)
    elif "upload-length" in request.headers or "upload-defer-length" in request.headers:
        raise InvalidRequest("The length of an upload that is made of others is theirs.")
    else:
        expected = await _length_of_parts(front, principal, concat)
    check_size(front, expected)
    return expected


async def _length_of_parts(front: Front, principal: Principal, concat: Concat) -> int:
    found = await standing.find_all(front, principal, concat.parts)
    parts = [found[part] for part in concat.parts if part in found]
    if len(parts) < len(concat.parts) or any(part.request.kind != "partial" for part in parts):
        check_parts(parts, concat.parts)
    if any(part.expected is None for part in parts):
        raise InvalidRequest("One of the parts is not complete.")
    if all(part.state == "open" for part in parts):  # otherwise the whole may be a file already: its row tells
        check_parts(parts, concat.parts)
    return sum(part.expected or 0 for part in parts)


def new_upload(announced: Announced, principal: Principal, host: str) -> NewUpload:
    parts = announced.concat.parts if announced.concat else ()
    command = announced.command
    request = Announcement(
        kind=kind_of(announced.concat), host=host, header=announced.metadata_header, command=command,
        metadata=announced.metadata, claimed=tuple(str(one) for one in announced.claimed),
    )  # fmt: skip
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


def kind_of(concat: Concat | None) -> UploadKind:
    if concat is None:
        return "whole"
    return "partial" if concat.partial else "final"


def _final_id(principal: Principal, parts: Sequence[str], request: Announcement) -> str:
    """The same for the same wish: a client that did not get the answer puts the parts together once, however often it asks."""
    written = request.to_json()
    written["command"] |= {"id": None, "request_id": None, "trace_id": None, "correlation_id": None}
    asked = [principal.tenant, principal.name, list(parts), written]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(asked, sort_keys=True)))


def headers(upload: Upload, command: CommandId | None = None) -> dict[str, str]:
    lines = {"cache-control": "no-store"}
    kind = upload.request.kind
    if kind != "final" or upload.state == "done":
        lines["upload-offset"] = str(upload.expected if upload.state == "done" else upload.received)
    if upload.expected is None:
        lines["upload-defer-length"] = "1"
    else:
        lines["upload-length"] = str(upload.expected)
    if upload.request.header:
        lines["upload-metadata"] = upload.request.header
    if kind != "whole":
        parts = " ".join(standing.address(part) for part in upload.parts)
        lines["upload-concat"] = kind if kind == "partial" else f"final;{parts}"
    if upload.state == "open":
        lines["upload-expires"] = protocol.date(upload.expires_at)
    ended = upload.request.ended or UploadEnd()
    if made := command or ended.command:
        lines[protocol.COMMAND] = made
    if ended.node is not None:
        lines[protocol.NODE] = str(ended.node)
    return lines
