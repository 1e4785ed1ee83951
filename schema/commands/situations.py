"""What the record says about one request, read under the locks of its mounts: plain facts for a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from schema.commands.command import Status
from schema.freezes import Freeze
from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind, NodeState


@dataclass(frozen=True, slots=True)
class KnownNode:
    """A node as the record has it: what is replaced, moved or deleted must be exactly this."""

    id: NodeId
    kind: NodeKind
    state: NodeState
    version: int
    size: int
    sha256: str | None
    identity: Sequence[int | str] | None
    has_children: bool = False
    below: int = 0
    """How many nodes lie below a directory, where the command needs to know"""
    parent: NodeId | None = None
    name: str = ""
    """hex of its bytes"""

    @property
    def is_certain(self) -> bool:
        """The record knows what lies there, and has no doubt."""
        known_kind = self.kind in (NodeKind.FILE, NodeKind.DIRECTORY)
        return known_kind and self.state is NodeState.ACTIVE and self.identity is not None


@dataclass(frozen=True, slots=True)
class OldContent:
    """The content of an older version."""

    version: int
    size: int
    sha256: str | None
    place: str | None
    """hex of a path below the trash; None: it is still the content of the node itself"""
    expired: bool = False
    identity: Sequence[int | str] | None = None
    """What the file was when it left its place"""


@dataclass(frozen=True, slots=True)
class KnownCommand:
    """The command that already has this key."""

    id: CommandId
    status: Status
    attempt: int
    hash: str | None
    retryable: bool
    code: str | None
    outcome: str | None
    owner: str | None = None
    """The workflow that opened its latest attempt"""
    long: bool = False
    unstaged: bool = False
    head: str | None = None
    """hex SHA-256 of its request but for the body; None: a command without a body, whose hash says all of it"""
    atomic_id: str | None = None
    """The list it belonged to, if it was sent in one of all or none"""
    atomic_size: int = 0
    """How many commands that list had"""


@dataclass(frozen=True, slots=True)
class KnownFinding:
    """The finding that a command heals, as it is when that begins."""

    id: int
    path: bytes
    kind: str
    version: int
    waits: bool
    """It is decided, and nothing was done yet"""
    node: int | None
    node_version: int | None
    seen: str = ""
    """The kind of what lies there"""
    facts: Sequence[int | str] = ()
    sha256: str | None = None
    ignored: bool = False
    """A pattern, or a decision, says by now that the place is left alone"""

    @property
    def size(self) -> int:
        return int(self.facts[3]) if self.facts and self.seen == NodeKind.FILE else 0


@dataclass(frozen=True, slots=True)
class Place:
    """One end of a command: where it acts, or where something appears."""

    mount: MountId
    mount_state: str | None
    """None: there is no such mount"""
    mount_access: str = "rw"
    whole_trees: bool = True
    """A directory goes in one step, with all below it: its executor says so"""
    parent: KnownNode | None = None
    node: KnownNode | None = None
    gone: KnownNode | None = None
    """The latest deleted node at this path, if nothing lives there"""
    busy: CommandId | None = None
    """Whose claim is in the way"""
    freeze: Freeze | None = None
    """Nothing is changed on the mount now"""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything `begin` looks up for one request."""

    fresh_node: NodeId
    """An id that no node has, for the node that may be created."""
    here: Place
    """The path of the request"""
    there: Place | None = None
    """Its target, where it has one"""
    known: KnownCommand | None = None
    named: KnownNode | None = None
    """The node whose id the client gave, in whatever state"""
    old: OldContent | None = None
    """The version the client asked for; of a deleted node the last one that lived"""
    too_deep: bool = False
    """Something below the directory would have a path longer than any may be, where it would lie then"""
    limited: bool = False
    """Its tenant has a quota"""
    finding: KnownFinding | None = None
    metadata: tuple[int, int] | None = None
    """Bytes of the node's metadata, as it is and as a change of it would leave it"""

    @property
    def appears(self) -> Place:
        """Where something becomes visible, or changes."""
        return self.there or self.here
