"""One requested mutation on its way: request, what was applied, how it ended. These dataclasses are the workflow payloads.

Payloads carry ids, paths and facts; never metadata values, tokens or bytes. Metadata waits in a `stages` row until `begin`
takes it into `commands.request`.
"""

import base64
from dataclasses import dataclass, field
from enum import StrEnum

from schema.commands.claims import Claim
from schema.ids import CommandId, MountId, NodeId
from schema.paths import NodePath, decode

LIST_MAX = 64
"""Commands in one list."""


class CommandKind(StrEnum):
    CREATE_DIRECTORY = "createDirectory"
    UPLOAD = "uploadFile"
    DELETE = "deleteNode"
    MOVE = "moveNode"
    COPY = "copyNode"
    DESCRIBE = "updateNodeMetadata"
    RESTORE = "restoreNode"


class Status(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INCONSISTENT = "inconsistent"


@dataclass(frozen=True, slots=True)
class Request:
    """A validated command, before anybody decided about it; stored as `commands.request`.

    `id` is minted by the API and names the stage. Where the key is known already the command keeps its first id.
    `failure` is set when staging failed: the command is recorded as refused with that code, so that nothing is silent.
    """

    id: CommandId
    kind: CommandKind
    mount_id: MountId
    path: str
    tenant: str
    principal: str
    token_id: int
    path_b64: str | None = None
    """The exact bytes of the path where `path` is lossy."""
    key: str | None = None
    hash: str | None = None
    """hex SHA-256 over everything the client asked for, its body included; None when the body was not read to its end."""
    has_metadata: bool = False
    overwrite: bool = False
    recursive: bool = False
    target: str | None = None
    """Where a move, a copy or a restore makes the node appear"""
    target_b64: str | None = None
    target_mount_id: MountId | None = None
    """None: on the same mount"""
    node_id: NodeId | None = None
    """The very node that is meant, where the client named one: metadata, and which deleted node is restored"""
    content_version: int | None = None
    """Restore: this older version's content becomes the newest version of the living node."""
    if_version: int | None = None
    if_hash: str | None = None
    """hex SHA-256 the content must have now"""
    if_exists: bool = False
    """There must be a node at `path`, whatever it is: `If-Match: *`"""
    unless_version: int | None = None
    unless_hash: str | None = None
    """hex SHA-256 the content must not have: nothing is to be done when it has it already"""
    must_be_new: bool = False
    """The name where something appears must be free, whatever `overwrite` says: `If-None-Match: *`"""
    checksum: str | None = None
    """algorithm:hex, as the client gave it"""
    mime_type: str | None = None
    original_name: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    sha256: str | None = None
    """hex, of the staged content"""
    size: int = 0
    staged: list[int | str] | None = None
    """Identity of the sealed stage, for commands that make something appear: see `Identity.facts`."""
    failure: str | None = None
    failure_message: str | None = None
    lent_stage: CommandId | None = None
    """The stage of an upload that has an id of its own, and outlives a failure of this command. None: its own stage"""

    @property
    def node_path(self) -> NodePath:
        return decode(self.path, self.path_b64)

    @property
    def target_path(self) -> NodePath | None:
        return None if self.target is None else decode(self.target, self.target_b64)

    @property
    def appears_at(self) -> NodePath:
        """Where something becomes visible, or changes."""
        return self.target_path or self.node_path

    @property
    def stage(self) -> CommandId | None:
        """Where what will appear waits."""
        return (self.lent_stage or self.id) if self.staged else None

    @property
    def shown_paths(self) -> list[str]:
        return [self.path] if self.target is None else [self.path, self.target]

    @property
    def runs_on(self) -> MountId:
        """The mount where it becomes visible: its queue, its lists, its executor. Between mounts that is the target's."""
        return self.target_mount_id or self.mount_id

    @property
    def effective_key(self) -> str:
        return self.key or self.id

    @property
    def claims(self) -> list[Claim]:
        """What it will claim, as far as the request alone can tell; `begin` knows exactly.

        A directory that goes away or appears takes what is below with it; for a file both kinds of claim mean the same.
        """
        takes_along = self.kind in (CommandKind.DELETE, CommandKind.MOVE, CommandKind.RESTORE)
        here = Claim(self.mount_id, self.node_path.raw, takes_along)
        if self.target is None or (self.runs_on == self.mount_id and self.appears_at == self.node_path):
            return [here]
        target = Claim(self.target_mount_id or self.mount_id, self.appears_at.raw, True)
        return [target] if self.kind is CommandKind.COPY else [here, target]


def spell(path: NodePath) -> tuple[str, str | None]:
    """`path` and `path_b64` of a Request."""
    text = path.text
    exact = text.encode() == path.raw
    return text, None if exact else base64.b64encode(path.raw).decode()


@dataclass(frozen=True, slots=True)
class CommandList:
    """Commands of one mount with disjoint claims."""

    mount_id: MountId
    requests: list[Request]
    atomic_id: str | None = None
    """All of them or none: the id of such a list"""
    turn: int = 0
    """How often its first command was in a list before, and had to wait for its path"""


@dataclass(frozen=True, slots=True)
class Going:
    """A command that holds its claims, at this attempt."""

    id: CommandId
    attempt: int


@dataclass(frozen=True, slots=True)
class Begun:
    """`go` may act; everybody else is answered already or waits elsewhere."""

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
    """The storage has something left to clear once this is recorded. None: an earlier release told, which did not say"""
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


@dataclass(frozen=True, slots=True)
class Ended:
    """What `commit` recorded. `leftovers` have something to clear on the storage."""

    mount_id: MountId
    succeeded: int = 0
    failed: int = 0
    leftovers: list[CommandId] = field(default_factory=list)
    departures: list[CommandIds] = field(default_factory=list)
    """Sources on other mounts that have to go now"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `body` is the stored JSON, verbatim: {idempotent, journalEntryId, node, result} or {error}."""

    id: CommandId
    status: Status
    body: str
    code: str | None = None
    replayed: bool = False
    """It had ended before this request came."""
