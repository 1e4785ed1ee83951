"""What the steps of a list hand to each other: these dataclasses are the workflow payloads.

Payloads carry ids, paths and facts; never metadata values, tokens or bytes.
"""

from dataclasses import dataclass, field

from schema.commands.command import Command, Status
from schema.ids import CommandId, MountId

LIST_MAX = 64
"""Commands in one list."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Commands of one mount with disjoint claims."""

    mount_id: MountId
    requests: list[Command]
    atomic_id: str | None = None
    """All of them or none: the id of such a list"""
    turn: int = 0
    """How often its first command was in a list before, and had to wait for its path"""
    shows: bool = False
    """Its workflow says how the commands ended where a person looks for it. False: an earlier release started it"""


@dataclass(frozen=True, slots=True)
class Going:
    """A command that holds its claims, at this attempt."""

    id: CommandId
    attempt: int


@dataclass(frozen=True, slots=True)
class Begun:
    """Commands in `go` may act. The others are answered already, or wait elsewhere."""

    mount_id: MountId
    go: list[Going] = field(default_factory=list)
    refused: list[CommandId] = field(default_factory=list)
    """Ended already; their stages are to be cleared"""
    unstaged: list[Going] = field(default_factory=list)
    """They go too, once what they copy is staged"""
    long: list[CommandId] = field(default_factory=list)
    """They hold their claims, and go on in workflows of their own"""
    atomic: bool = False
    """All of them or none; nothing of it is long"""
    aside: dict[CommandId, str] = field(default_factory=dict)
    """What was decided of those that do not go, by the ids of their requests: `failed` or `refused` with a code, `replayed`, .."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did for one command, on its way to the record."""

    id: CommandId
    attempt: int
    status: Status
    identity: list[int | str] | None = None
    code: str | None = None
    message: str | None = None
    retryable: bool = False
    drift: str | None = None
    replaced: list[int | str] | None = None
    """A move that was taken back: what the file that it had replaced is now, at its old place again"""
    leaves: bool | None = None
    """The storage has something left to clear once this is recorded. None: an earlier release applied it, which did not say"""
    holds: bool | None = None
    """What was moved still lies under its old name as well: that name stays claimed until it is cleared"""


@dataclass(frozen=True, slots=True)
class AppliedList:
    """`done` goes to the record. `late` goes on elsewhere: it was slow, or its lock is held by a process still at it."""

    mount_id: MountId
    done: list[Applied] = field(default_factory=list)
    late: list[CommandId] = field(default_factory=list)
    atomic: bool = False
    """All of them or none: `done` is the whole list"""


@dataclass(frozen=True, slots=True)
class Staged:
    """What `stage` did: `go` may act now, `failed` goes to the record, `late` is in the hands of another process."""

    mount_id: MountId
    go: list[Going] = field(default_factory=list)
    failed: list[Applied] = field(default_factory=list)
    late: list[CommandId] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CommandIds:
    """Commands of one mount, by id alone."""

    mount_id: MountId
    ids: list[CommandId]
    atomic: bool = False
    """They are one whole list of which all are recorded or none."""
    shows: bool = False
    """As of `Batch`"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What `commit` recorded. `leftovers` have something to clear on the storage."""

    mount_id: MountId
    succeeded: int = 0
    failed: int = 0
    leftovers: list[CommandId] = field(default_factory=list)
    departures: list[CommandIds] = field(default_factory=list)
    """Sources on other mounts that have to go now"""
    failures: dict[CommandId, str] = field(default_factory=dict)
    """How those ended that did not succeed: `failed` or `inconsistent`, with a code"""
    operations: list[str] = field(default_factory=list)
    """Those whose items these were, each as id/turn"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `body` is the stored JSON, verbatim: {idempotent, journalEntryId, node, result} or {error}."""

    id: CommandId
    status: Status
    body: str
    code: str | None = None
    replayed: bool = False
    """It had ended before this request came."""
