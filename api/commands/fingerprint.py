"""What a client asked for, as one hash: two requests under one key must agree in it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from api.http.fields import METADATA_MAX
from schema.commands.command import Command
from schema.errors import PayloadTooLarge

# Made once: `json.dumps` makes a new encoder for every call that wants no spaces.
_compact = json.JSONEncoder(separators=(",", ":")).encode
_sorted = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def fingerprint(command: Command, metadata: Mapping[str, Any] | None, *, by_id: bool = False) -> str:
    """As `_fingerprint`, of a command alone. Raises PayloadTooLarge for metadata."""
    return _fingerprint(command, _told(metadata), by_id=by_id)


def _told(metadata: Mapping[str, Any] | None) -> str:
    """Raises PayloadTooLarge."""
    told = _sorted(metadata) if metadata is not None else ""
    if len(told) > METADATA_MAX:
        raise PayloadTooLarge(f"Metadata may have {METADATA_MAX} bytes.")
    return told


def _fingerprint(command: Command, told: str, *, by_id: bool = False) -> str:
    """hex SHA-256 over everything the client asked for. Two requests under one key must agree in it.

    `by_id`: the client named the node by its id, so it is the same request wherever the node lies by now; otherwise it
    named a path, and it is the same request whichever node was found there. `told`: its metadata, as text.
    """
    path, exact, node = (None, None, command.node_id) if by_id else (command.path, command.path_b64, None)
    asked: tuple[object, ...] = (
        command.kind, command.mount_id, path, exact, command.overwrite, command.recursive,
        command.if_version, command.if_hash, command.sha256, command.checksum, told,
    )  # fmt: skip
    more = (
        command.target, command.target_b64, command.target_mount_id, node, command.content_version,
        command.if_exists, command.unless_version, command.unless_hash, command.must_be_new,
    )  # fmt: skip
    if any(one is not None and one is not False for one in more):
        # Only where they say something: what an earlier release has stored under a key must still compare equal.
        asked += more
    return hashlib.sha256(_compact(asked).encode()).hexdigest()


def sealed(command: Command, metadata: Mapping[str, Any] | None, *, by_id: bool = False) -> Command:
    """The command with its fingerprint: nothing about it changes from here on. Raises PayloadTooLarge for metadata."""
    told = _told(metadata)
    command = replace(command, hash=_fingerprint(command, told, by_id=by_id))
    return command if command.sha256 is None else _headed(command, told)


def headed(command: Command, metadata: Mapping[str, Any] | None) -> Command:
    """The command with what is known of it before its body is read. Raises PayloadTooLarge for metadata."""
    return _headed(command, _told(metadata))


def _headed(command: Command, told: str) -> Command:
    return replace(command, head=_fingerprint(replace(command, sha256=None), told))
