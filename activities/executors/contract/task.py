"""The visible step of a command, and what came of it."""

from dataclasses import dataclass, field
from enum import StrEnum

from activities.executors.contract.identity import Identity
from schema.ids import CommandId
from schema.paths import NodePath


class Step(StrEnum):
    """The visible step of a command."""

    CREATE = "create"
    """The staged file or directory appears at a free name."""
    REPLACE = "replace"
    """The staged file takes the place of the expected one, in one exchange."""
    DELETE = "delete"
    """The expected file or directory goes to the trash. With `tree`, everything below the directory goes along."""
    MOVE = "move"
    """The expected file or directory gets the name `target`: a free one, or that of the file `replaced`, which goes to
    the trash. There is no moment without something at `target`. A directory takes everything below it along."""
    RESTORE = "restore"
    """What lies at `place` in the trash appears at `path`, a free name."""


@dataclass(frozen=True, slots=True)
class Task:
    """One visible step to take. All of it was fixed in the intent before anything happened.

    `expected` is the identity the record knows: what is replaced, deleted, moved or restored. `attempt` above 1 means
    that an earlier attempt may have acted already.
    """

    command: CommandId
    step: Step
    path: NodePath
    stage: CommandId | None = None
    staged: Identity | None = None
    expected: Identity | None = None
    trash: str | None = None
    """Where content goes that leaves: `<day>/<command>.<item>`"""
    attempt: int = 1
    target: NodePath | None = None
    replaced: Identity | None = None
    """Of a move: the file at `target` that the record knows, and that goes to the trash"""
    tree: bool = False
    place: bytes | None = None
    """Of a restore: a path below the trash"""
    items: bool = False
    """Of a tree, where storage knows none: what it holds was laid where it goes before the step (`TreesByItem`)."""
    expected_sha256: bytes | None = None
    """The content that the record knows of `expected`, where that is a file; ..."""
    replaced_sha256: bytes | None = None
    """... and of `replaced`"""
    proven: bool = False
    """What leaves its place is read once it is out, and has to have `expected_sha256`: a time can be forged"""
    borrowed: bool = False
    """The stage belongs to an upload that outlives a failure of this command: only a success clears it"""


@dataclass(frozen=True, slots=True)
class Done:
    """The step is taken. `identity` is the node as it now lies there (None after a delete).

    `drift` says that our effect was recognised but another program has changed or removed it since; `identity` is then
    still what we put there, so that the record never takes another program's bytes for ours.
    """

    identity: Identity | None
    recognised: bool = False
    drift: str | None = None
    leaves: bool = field(default=False, compare=False)
    """Something is left for `finish` to clear, once the record is committed. Equality is about the effect alone."""
    holds: bool = field(default=False, compare=False)
    """What was moved still lies under its old name as well, until `finish`: no command may take that name before"""


@dataclass(frozen=True, slots=True)
class Refused:
    """The step was not taken, or was taken back. `code` is from schema.errors."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """What lies there can not be put right without a person: the node becomes INCONSISTENT."""

    message: str


Result = Done | Refused | Unclear
