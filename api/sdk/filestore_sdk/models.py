"""What answers contain, as frozen dataclasses. `raw` is the whole document: fields that this release does not know are there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from filestore_sdk import paths

Document = Mapping[str, Any]
T = TypeVar("T", bound="Answer")


@dataclass(frozen=True)
class Answer:
    raw: Document = field(repr=False, compare=False)


@dataclass(frozen=True)
class Rollup(Answer):
    """Totals of a directory and of all below it. Sizes in bytes."""

    size_bytes: int = 0
    file_count: int = 0
    directory_count: int = 0
    child_count: int = 0
    state: str = "up_to_date"
    last_calculated_at: datetime | None = None


@dataclass(frozen=True)
class Node(Answer):
    """A file or a directory of a mount."""

    id: int = 0
    backend_mount_id: int = 0
    parent_id: int | None = None
    path: str = ""
    name: str = ""
    depth: int = 0
    kind: str = "file"
    size_bytes: int = 0
    checksum: str | None = None
    content_hash: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    state: str = "active"
    version: int = 0
    consistency_state: str = "active"
    last_modified_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    rollup: Rollup | None = None

    @property
    def is_directory(self) -> bool:
        return self.kind == "directory"


@dataclass(frozen=True)
class Outcome(Answer):
    """How a change ended. `idempotent`: it had happened before, under the same key."""

    command_id: str = ""
    idempotent: bool = False
    journal_entry_id: int | None = None
    node: Node | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mount(Answer):
    id: int = 0
    mount_key: str = ""
    backend_kind: str = "local"
    display_name: str | None = None
    access_mode: str = "rw"
    state: str = "unknown"
    state_reason: str | None = None


@dataclass(frozen=True)
class Version(Answer):
    """One version of a node. `content_available`: its bytes can still be read."""

    version: int = 0
    command_id: str | None = None
    journal_entry_id: int | None = None
    name: str = ""
    kind: str = "file"
    state: str = "active"
    size_bytes: int | None = None
    content_hash: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    content_available: bool = False
    content_until: datetime | None = None


@dataclass(frozen=True)
class Entry(Answer):
    """An entry of the journal: what was tried, by which principal, how it ended."""

    id: int = 0
    command: str = ""
    command_id: str | None = None
    principal: str = ""
    outcome: str = ""
    code: str | None = None
    path: str | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True)
class Event(Answer):
    """`position`: where the feed goes on behind it."""

    position: str = ""
    type: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation(Answer):
    """A bulk change over a tree."""

    id: str = ""
    kind: str = ""
    state: str = ""
    phase: str | None = None
    path: str | None = None
    target_path: str | None = None
    principal: str | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[Mapping[str, Any], ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in ENDED


ENDED = frozenset({"succeeded", "partial", "failed", "cancelled", "rolled_back"})


@dataclass(frozen=True)
class Item(Answer):
    """One item of an operation."""

    item: int = 0
    path: str | None = None
    target_path: str | None = None
    kind: str = ""
    state: str = ""
    code: str | None = None
    message: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True)
class Command(Answer):
    """How a command stands."""

    id: str = ""
    command: str = ""
    status: str = ""
    path: str | None = None
    code: str | None = None

    @property
    def ended(self) -> bool:
        return self.status not in ("queued", "running")


@dataclass(frozen=True)
class Result:
    """The answer to one command of a list: an outcome, or the refusal."""

    index: int
    status: int
    outcome: Outcome | None
    error: Exception | None
    command_id: str | None = None


_PATHS = {"path", "target_path", "name"}


def camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def decode(kind: type[T], document: Document) -> T:
    """A document of an answer as its dataclass. Unknown fields stay in `raw`, missing ones have their defaults."""
    values: dict[str, Any] = {"raw": document}
    for one in fields(kind):
        if one.name == "name" and "pathB64" in document and "nameB64" not in document:
            value: Any = paths.name(paths.from_wire(document) or "")
        elif one.name in _PATHS:
            value = paths.from_wire(document, camel(one.name))
        else:
            value = document.get(camel(one.name))
        if value is not None:
            values[one.name] = _value(one.name, value)
    return kind(**values)


def _value(name: str, value: Any) -> Any:
    if name in _NESTED:
        return decode(_NESTED[name], value)
    if name.endswith("_at") or name in ("valid_from", "valid_to", "content_until"):
        return time(value)
    return tuple(value) if isinstance(value, list) else value


_NESTED: dict[str, type[Answer]] = {"rollup": Rollup, "node": Node}


def time(text: str) -> datetime | None:
    """RFC 3339, as Python 3.10 reads it too: `Z` is written out there, and fractions have six digits."""
    found = re.fullmatch(r"(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if not found:
        return None
    fraction = (found[2] or "0")[:6].ljust(6, "0")
    return datetime.fromisoformat(f"{found[1]}.{fraction}{'+00:00' if found[3] == 'Z' else found[3]}")
