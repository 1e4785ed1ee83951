"""What is compared: the rows of the record and the entries of the storage, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schema.nodes import NodeKind, NodeState

DOUBTED = (NodeState.INCONSISTENT, NodeState.MISSING)
"""States in which the record itself says that the storage may differ."""


LOOKED = "reconcileNode"
"""The kind of the journal entries of looks."""


def told_state(state: str) -> str:
    """A state as far as the journal tells it."""
    return NodeState.ACTIVE.value if state in DOUBTED else state


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A row of `nodes`. `identity` is `Identity.facts()`, None where the storage was never seen."""

    id: int
    parent: int | None
    name: bytes
    kind: str
    state: str
    version: int
    size: int = 0
    sha256: bytes | None = None
    depth: int = 1
    directory_path: bytes | None = None
    mount: int = 0
    identity: Sequence[int | str] | None = None
    drifted: bool = False
    """Its last command said that another program had changed it."""
    charged_to: str | None = None
    """The principal that has put it there"""

    @property
    def living(self) -> bool:
        return self.state != NodeState.DELETED

    @property
    def is_directory(self) -> bool:
        return self.kind == NodeKind.DIRECTORY


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """A row of `journal_entries`. `before` and `after` as the JSON says."""

    id: int
    command: str
    attempt: int
    outcome: str
    code: str | None = None
    retryable: bool = False
    node: int | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    drift: bool = False
    kind: str = ""
    also: Mapping[str, Any] | None = None
    """What else changed: `replaced`, the file whose name a move has taken; `departed`, the one that moved to another mount;
    `tree`, everything below a directory"""
    foreign: bool = False
    """Of another mount: only what departed from here concerns this one."""
    outlived: bool = False
    """So old that its command may be pruned"""
    untold: bool = False
    """So old that its events may be"""

    @property
    def of_a_look(self) -> bool:
        """No command did it: a look found it so, or a person decided on what one had found."""
        return self.kind == LOOKED


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    node: int
    version: int
    command: str
    kind: str
    state: str
    size: int
    sha256: bytes | None
    valid_from: datetime
    valid_to: datetime | None = None
    place: bytes | None = None
    until: datetime | None = None
    parent: int | None = None
    name: bytes = b""


@dataclass(frozen=True, slots=True)
class TotalsFacts:
    """What a directory holds: everything below it, and how many children of its own."""

    size: int = 0
    files: int = 0
    directories: int = 0
    children: int = 0


@dataclass(frozen=True, slots=True)
class ChargeFacts:
    """Bytes and how many."""

    size: int = 0
    count: int = 0

    def plus(self, size: int, count: int) -> "ChargeFacts":
        return ChargeFacts(self.size + size, self.count + count)


@dataclass(frozen=True, slots=True)
class QuotaFacts:
    """A quota, and what it counts on this mount."""

    id: int
    path: bytes | None
    principal: str | None
    trash: bool
    used: ChargeFacts
    kept: Sequence[tuple[int, bytes, int]] = ()
    """Of a path or a principal: what the trash keeps of that, by node and place, with its size"""


@dataclass(frozen=True, slots=True)
class CommandFacts:
    """A row of `commands`. `said` is what the stored answer names: the entry of a success, the code of a failure."""

    id: str
    status: str
    attempt: int
    code: str | None = None
    retryable: bool = False
    said: int | str | None = None
    staged: Sequence[int | str] | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class EventFacts:
    type: str
    journal: int
    position: int | None = None


@dataclass(frozen=True, slots=True)
class FeedFacts:
    """All events of all mounts, in numbers. `overdue`: without a position, though nothing can come before them."""

    last: int = 0
    """The last position that was given, as the feed says"""
    positioned: int = 0
    lowest: int | None = None
    highest: int | None = None
    overdue: int = 0
    pruned: int = 0
    """Up to this position no event is kept"""


@dataclass(frozen=True, slots=True)
class ListedFacts:
    """An entry on the storage. `identity` is `Identity.facts()`; `sha256` only when the content was read."""

    path: bytes
    kind: str
    identity: Sequence[int | str]
    sha256: bytes | None = None

    @property
    def size(self) -> int:
        return int(self.identity[3])


@dataclass(frozen=True, slots=True)
class StageEntry:
    """Something in the stage folder. `held`: the process that stages it, or works on it, is alive."""

    id: str
    age: float
    held: bool = False


@dataclass(frozen=True, slots=True)
class OperationFacts:
    """What an operation counts, and what its items add up to: all, in flight, done, failed, skipped, reversed."""

    id: str
    state: str
    claimed: bool
    counted: Sequence[int]
    summed: Sequence[int]
    stray: int = 0
    """Items in flight whose command does not run"""
    miscounted: int = 0
    """Codes of which it counts more or fewer items than there are"""


@dataclass(frozen=True, slots=True)
class RecordedFacts:
    """A record of the Metastore, as far as it says what its node is. `removed`: a client closed it."""

    node: int
    state: str
    version: int
    size: int
    sha256: bytes | None
    parent: int | None
    path: bytes
    closed: bool = False
    removed: bool = False


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """Everything Postgres knows about one mount."""

    nodes: Sequence[NodeFacts] = ()
    journal: Sequence[EntryFacts] = ()
    snapshots: Sequence[SnapshotFacts] = ()
    rollups: Mapping[int, TotalsFacts] = field(default_factory=dict)
    commands: Sequence[CommandFacts] = ()
    events: Sequence[EventFacts] = ()
    claims: Sequence[tuple[bytes, str]] = ()
    """Path and command"""
    cleanups: Sequence[str] = ()
    """Commands with something left to clear"""
    expired_stages: Sequence[str] = ()
    open_uploads: Sequence[str] = ()
    """Whose clients put the content into a stage of the bucket themselves"""
    operations: Sequence[OperationFacts] = ()
    metastore: Sequence[RecordedFacts] | None = None
    """None: the Metastore has not caught up with the feed, so nothing can be said of it"""
    charges: Mapping[str | None, ChargeFacts] | None = None
    """By principal; of None what the trash keeps. None: not read"""
    quotas: Sequence[QuotaFacts] = ()
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """Everything that lies on it. `kept`: sizes in the trash by place; a place that was looked for in vain is None."""

    listing: Sequence[ListedFacts] = ()
    kept: Mapping[bytes, int | None] = field(default_factory=dict)
    stages: Sequence[StageEntry] = ()
