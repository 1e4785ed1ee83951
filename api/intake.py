"""From an HTTP request to a submission: headers, limits, the fingerprint of what was asked for."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from api.models import KEY_MAX, METADATA_MAX
from schema.commands import CommandKind, spell
from schema.commands import Request as Command
from schema.errors import InvalidRequest, PayloadTooLarge
from schema.ids import MountId, new_command_id
from schema.paths import NodePath
from schema.principals import Principal
from schema.settings import Settings

M = TypeVar("M", bound=BaseModel)

BODY_MAX = 1024 * 1024
"""Bytes of a JSON body."""

_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_VERSION = re.compile(r'"?([0-9]{1,18})"?')
_HASH = re.compile(r'"?(?:sha256:)?([0-9a-fA-F]{64})"?')
_WAIT = re.compile(r"wait *= *([0-9]{1,9})")


class Disconnected(InvalidRequest):
    """The body was cut short. Nothing was stored; send it again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the headers say about a command."""

    key: str | None
    if_version: int | None
    if_hash: str | None
    must_be_new: bool
    request_id: str
    trace_id: str | None
    wait_seconds: float | None


async def read_json(request: Request, model: type[M]) -> M:
    """Raises pydantic's ValidationError, PayloadTooLarge, Disconnected."""
    body = b""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected()
        body = body + message["body"] if body else message.get("body", b"")
        if len(body) > BODY_MAX:
            raise PayloadTooLarge(f"A JSON body may have {BODY_MAX} bytes.")
        if not message.get("more_body", False):
            return model.model_validate_json(body)


def read_headers(request: Request, key: str | None) -> Asked:
    """`key` is the one from the body: it wins."""
    headers = request.headers
    version, hash = _if_match(headers.get("if-match"))
    trace = _TRACE.fullmatch(headers.get("traceparent", ""))
    return Asked(
        key=key if key is not None else _key(headers),
        if_version=version,
        if_hash=hash,
        must_be_new=_must_be_new(headers.get("if-none-match")),
        request_id=request.scope["request_id"],
        trace_id=trace[1] if trace else None,
        wait_seconds=_wait(headers.get("prefer")),
    )


def _key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key", headers.get("x-idempotency-key"))
    if key is not None and not (1 <= len(key) <= KEY_MAX and key.isascii() and key.isprintable()):
        raise InvalidRequest(f"An Idempotency-Key header has 1 to {KEY_MAX} printable ASCII characters.")
    return key


def _if_match(text: str | None) -> tuple[int | None, str | None]:
    if text is None:
        return None, None
    if version := _VERSION.fullmatch(text):
        return int(version[1]), None
    if hash := _HASH.fullmatch(text):
        return None, hash[1].lower()
    raise InvalidRequest("If-Match takes one version (7) or one SHA-256 of the content, as the ETag has it.")


def _must_be_new(text: str | None) -> bool:
    if text is not None and text != "*":
        raise InvalidRequest("If-None-Match takes * here: the name must be free.")
    return text is not None


def _wait(prefer: str | None) -> float | None:
    """RFC 7240. Preferences we do not know are ignored."""
    if prefer is None:
        return None
    if "respond-async" in prefer.lower():
        return 0.0
    wait = _WAIT.search(prefer.lower())
    return float(wait[1]) if wait else None


def command(
    kind: CommandKind,
    mount: MountId,
    path: NodePath,
    principal: Principal,
    asked: Asked,
    *,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    recursive: bool = False,
) -> Command:
    """The command as asked for, before anything of its body is known."""
    text, exact = spell(path)
    return Command(
        id=new_command_id(),
        kind=kind,
        mount_id=mount,
        path=text,
        path_b64=exact,
        tenant=principal.tenant,
        principal=principal.name,
        token_id=principal.token_id,
        key=asked.key,
        has_metadata=metadata is not None,
        overwrite=overwrite,
        recursive=recursive,
        if_version=asked.if_version,
        if_hash=asked.if_hash,
        request_id=asked.request_id,
        trace_id=asked.trace_id,
    )


def fingerprint(command: Command, metadata: Mapping[str, Any] | None) -> str:
    """hex SHA-256 over everything the client asked for. Two requests under one key must agree in it.

    Raises PayloadTooLarge for metadata, whose size shows here.
    """
    told = json.dumps(metadata, sort_keys=True, separators=(",", ":")) if metadata is not None else ""
    if len(told) > METADATA_MAX:
        raise PayloadTooLarge(f"Metadata may have {METADATA_MAX} bytes.")
    asked = (
        command.kind, command.mount_id, command.path, command.path_b64, command.overwrite, command.recursive,
        command.if_version, command.if_hash, command.sha256, command.checksum, told,
    )  # fmt: skip
    return hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).hexdigest()


def sealed(command: Command, metadata: Mapping[str, Any] | None) -> Command:
    """The command with its fingerprint: nothing about it changes from here on."""
    return replace(command, hash=fingerprint(command, metadata))


def wait(settings: Settings, asked: Asked) -> float | None:
    """How long this client wants to wait, within what the server allows."""
    return None if asked.wait_seconds is None else min(asked.wait_seconds, settings.answer_wait_seconds)
