"""What waits under an id of its own until it appears, and what copies are made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from activities.executors.contract.identity import Identity
from schema.ids import CommandId
from schema.paths import NodePath


@dataclass(frozen=True, slots=True)
class Stage:
    """A staged file or directory, sealed: durable under its own id. `sha256` is None for a directory."""

    id: CommandId
    identity: Identity
    sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class UploadLink:
    """A PUT that brings one content into a stage without us. All headers are signed, and have to be sent as they are."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Draft:
    """Something small to stage with its whole list: a directory (`content` is None), or a file's bytes."""

    id: CommandId
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Source:
    """One file or directory to copy: exactly this one, as the record knows it."""

    relative: bytes
    """Its path below the root of the copy; b"" is the root itself. Parents come before their children."""
    kind: str
    identity: Identity
    path: NodePath | None = None
    """Where it lies; or ..."""
    place: bytes | None = None
    """... where in the trash: older content"""
    sha256: bytes | None = None
    staged: Identity | None = None
    """Its copy, where an execution that was broken off has staged it already"""


@dataclass(frozen=True, slots=True)
class Copied:
    """The staged copy of one source."""

    relative: bytes
    kind: str
    identity: Identity
    size: int = 0
    sha256: bytes | None = None
