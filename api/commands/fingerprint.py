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


def fingerprint(command: Command, metadata: str, *, by_id: bool = False) -> str:
    """hex SHA-256 over everything the client asked for. Two requests under one key must agree in it.

    `by_id`: the client named the node by its id, so it is the same request wherever the node lies by now; otherwise it
    named a path, and it is the same request whichever node was found there. `metadata`: as `spelled`.
    """
    path, exact, node = (None, None, command.node_id) if by_id else (command.path, command.path_b64, None)
    asked: tuple[object, ...] = (
        command.kind, command.mount_id, path, exact, command.overwrite, command.recursive,
        command.if_version, command.if_hash, command.sha256, command.checksum, metadata,
    )  # fmt: skip
    more = (
        command.target, command.target_b64, command.target_mount_id, node, command.content_version,
        command.if_exists, command.unless_version, command.unless_hash, command.must_be_new,
    )  # fmt: skip
    # Only where they say something: what an earlier release has stored under a key must still compare equal.
    if any(one is not None and one is not False for one in more):
        asked += more
    if (named := (command.mime_type, command.original_name)) != (None, None):
        asked += named
    return hashlib.sha256(_compact(asked).encode()).hexdigest()


def spelled(metadata: Mapping[str, Any] | None) -> str:
    """Metadata as a text, the same for the same metadata; "" where there is none. Raises PayloadTooLarge."""
    text = _sorted(metadata) if metadata is not None else ""
    if len(text) > METADATA_MAX:
        raise PayloadTooLarge(f"Metadata may have {METADATA_MAX} bytes.")
    return text


def sealed(command: Command, metadata: str, *, by_id: bool = False) -> Command:
    """The command with its fingerprint: nothing about it changes from here on. `metadata`: as `spelled`."""
    if command.sha256 is not None and command.head is None:
        command = headed(command, metadata)
    return replace(command, hash=fingerprint(command, metadata, by_id=by_id))


def headed(command: Command, metadata: str) -> Command:
    """An upload with what is known of it before its body is read. `metadata`: as `spelled`."""
    return replace(command, head=fingerprint(replace(command, sha256=None), metadata))
