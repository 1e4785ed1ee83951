"""What a node changed, as it is sent, stored and told: put, mkdir, move, delete, each with the content that it replaces."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schema.sync.plan import StepKind, SyncStep
from schema.sync.trees import EntryKind, TreeEntry

CHANGES_MAX = 2000
"""In one commit"""


class ChangeKind(StrEnum):
    PUT = "put"
    MKDIR = "mkdir"
    MOVE = "move"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class PathChange:
    """`base`: the content that the node believes to be there; "" for none. `checked`: whether it says so at all."""

    kind: ChangeKind
    path: bytes
    source: bytes | None = None
    sha: str = ""
    size: int = 0
    mode: int = 0
    base: str = ""
    checked: bool = True

    @property
    def entry(self) -> TreeEntry:
        kind = EntryKind.DIRECTORY if self.kind is ChangeKind.MKDIR else EntryKind.FILE
        return TreeEntry(kind, self.mode, self.sha, self.size)

    @property
    def paths(self) -> tuple[bytes, ...]:
        return (self.path,) if self.source is None else (self.path, self.source)


_KINDS: Mapping[StepKind, ChangeKind] = {
    StepKind.PUT: ChangeKind.PUT,
    StepKind.MKDIR: ChangeKind.MKDIR,
    StepKind.MOVE: ChangeKind.MOVE,
    StepKind.DELETE: ChangeKind.DELETE,
}


def change_of(step: SyncStep) -> PathChange:
    """A step of a plan, as it is committed."""
    after = step.after
    return PathChange(
        _KINDS[step.kind], step.path, step.source, after.sha if after else "", after.size if after else 0,
        after.mode if after else 0, step.base.sha if step.base else "",
    )  # fmt: skip


# As they wait to be committed: JSON with exact paths


def dump_changes(changes: Iterable[PathChange]) -> list[list[Any]]:
    return [
        [one.kind.value, _b64(one.path), _b64(one.source), one.sha, one.size, one.mode, one.base, one.checked]
        for one in changes
    ]


def load_changes(rows: Iterable[list[Any]]) -> list[PathChange]:
    return [
        PathChange(
            ChangeKind(kind), base64.b64decode(path), None if source is None else base64.b64decode(source), *rest
        )
        for kind, path, source, *rest in rows
    ]


def _b64(path: bytes | None) -> str | None:
    return None if path is None else base64.b64encode(path).decode("ascii")
