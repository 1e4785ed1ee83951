"""From an HTTP request to a submission: headers, limits, the fingerprint of what was asked for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request

from api.commands.bodies import CommandBody
from api.http.keys import read_correlation, read_key
from schema.commands.command import Command, CommandKind, spell
from schema.errors import InvalidRequest, VersionConflict
from schema.ids import MountId, NodeId, new_command_id
from schema.paths import NodePath
from schema.principals import Principal
from schema.settings import Settings

_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_VERSION = re.compile(r"[0-9]{1,18}")
_HASH = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_QUOTED = re.compile(r'"([^"]*)"')
_WEAK = re.compile(r'W/("[^"]*")')
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class CommandHeaders:
    """What the headers say about a command. Key and conditions may stand in its body as well."""

    key: str | None
    request_id: str
    trace_id: str | None
    wait_seconds: float | None
    correlation_id: str | None = None
    if_version: int | None = None
    if_hash: str | None = None
    if_exists: bool = False
    unless_version: int | None = None
    unless_hash: str | None = None
    must_be_new: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """One entity tag, as a condition names it: a version, the hash of the content, or `*`, whatever there is."""

    version: int | None = None
    hash: str | None = None
    anything: bool = False


def read_headers(request: Request, key: str | None) -> CommandHeaders:
    """`key` is the one from the body: it wins. Raises InvalidRequest, VersionConflict."""
    headers = request.headers
    trace = _TRACE.fullmatch(headers.get("traceparent", ""))
    asked = CommandHeaders(
        key=read_key(headers, key),
        request_id=request.scope["request_id"],
        trace_id=trace[1] if trace else None,
        wait_seconds=_wait(headers.getlist("prefer"), request.query_params.get("wait")),
        correlation_id=read_correlation(headers),
    )
    return with_conditions(asked, _joined(headers, "if-match"), _joined(headers, "if-none-match"))


def _joined(headers: Headers, name: str) -> str | None:
    """A header that is sent twice means a list (RFC 9110, 5.3)."""
    lines = headers.getlist(name)
    return ", ".join(lines) if lines else None


def with_conditions(asked: CommandHeaders, if_match: str | None, if_none_match: str | None) -> CommandHeaders:
    """The same headers with these conditions; None leaves the condition as it is. Raises VersionConflict,
    InvalidRequest."""
    if if_match is not None:
        tag = _if_match(if_match)
        asked = replace(asked, if_version=tag.version, if_hash=tag.hash, if_exists=tag.anything)
    if if_none_match is not None:
        tag = _if_none_match(if_none_match)
        asked = replace(asked, unless_version=tag.version, unless_hash=tag.hash, must_be_new=tag.anything)
    return asked


def with_body(asked: CommandHeaders, body: CommandBody) -> CommandHeaders:
    """The same headers with the key and the conditions of the body: they win."""
    if body.idempotency_key is not None:
        asked = replace(asked, key=body.idempotency_key)
    if body.if_match is None and body.if_none_match is None:
        return asked
    return with_conditions(asked, _text(body.if_match), _text(body.if_none_match))


def _text(condition: str | int | None) -> str | None:
    return None if condition is None else str(condition)


def _if_match(text: str) -> Tag:
    one = _only("If-Match", text)
    if _WEAK.fullmatch(one):
        # RFC 9110, 13.1.1: If-Match compares strongly, and by strong comparison a weak tag equals nothing.
        raise VersionConflict("A weak tag never matches If-Match. Name the version, or the SHA-256 of the content.")
    return _tag("If-Match", one)


def _if_none_match(text: str) -> Tag:
    one = _only("If-None-Match", text)
    weak = _WEAK.fullmatch(one)
    return _tag("If-None-Match", weak[1] if weak else one)  # RFC 9110, 13.1.2: here tags are compared weakly


def _only(name: str, text: str) -> str:
    tags = [tag.strip() for tag in text.split(",") if tag.strip()]
    if len(tags) > 1:
        raise InvalidRequest(f"{name} names {len(tags)} tags; a command takes one.")
    return tags[0] if tags else ""


def _tag(name: str, text: str) -> Tag:
    if text == "*":
        return Tag(anything=True)
    quoted = _QUOTED.fullmatch(text)
    bare = quoted[1] if quoted else text
    if _VERSION.fullmatch(bare):
        return Tag(version=int(bare))
    if hash := _HASH.fullmatch(bare):
        return Tag(hash=hash[1].lower())
    raise InvalidRequest(f"{name} takes one version (7), one SHA-256 of the content, as the ETag has it, or *.")


def _wait(prefer: Sequence[str], query: str | None) -> float | None:
    """`?wait=` and RFC 7240. Preferences we do not know are ignored; a time to wait says more than `respond-async`."""
    if query is not None:
        if not _SECONDS.fullmatch(query):
            raise InvalidRequest("wait is a number of seconds.", fields=[{"field": "wait", "message": "not a number"}])
        return float(query)
    preferences: dict[str, str] = {}
    for preference in ",".join(prefer).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        preferences.setdefault(name.strip().lower(), value.strip().strip('"'))
    if _SECONDS.fullmatch(wait := preferences.get("wait", "")):
        return float(wait)
    return 0.0 if "respond-async" in preferences else None


def command(
    kind: CommandKind,
    mount: MountId,
    path: NodePath,
    principal: Principal,
    asked: CommandHeaders,
    *,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    recursive: bool = False,
    target: NodePath | None = None,
    target_mount: MountId | None = None,
    node: NodeId | None = None,
    content_version: int | None = None,
) -> Command:
    """The command as asked for, before anything of its body is known."""
    text, exact = spell(path)
    shown, target_exact = (None, None) if target is None else spell(target)
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
        target=shown,
        target_b64=target_exact,
        target_mount_id=None if target_mount == mount else target_mount,
        node_id=node,
        content_version=content_version,
        if_version=asked.if_version,
        if_hash=asked.if_hash,
        if_exists=asked.if_exists,
        unless_version=asked.unless_version,
        unless_hash=asked.unless_hash,
        must_be_new=asked.must_be_new,
        request_id=asked.request_id,
        trace_id=asked.trace_id,
        correlation_id=asked.correlation_id,
    )


def wait(settings: Settings, asked: CommandHeaders) -> float | None:
    """How long this client wants to wait, within what the server allows."""
    return None if asked.wait_seconds is None else min(asked.wait_seconds, settings.answer_wait_seconds)
