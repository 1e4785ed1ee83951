"""An operation and its items, as their rows say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from schema.ids import CommandId, MountId, NodeId
from schema.metastore.records import RecordEdit
from schema.nodes import NodeKind
from schema.operations.selection import Selection
from schema.operations.undo_selection import UndoSelection
from schema.paths import NodePath


class OperationKind(StrEnum):
    COPY = "copy"
    MOVE = "move"
    DELETE = "delete"
    DESCRIBE = "describe"
    """Metadata is changed"""
    RESTORE = "restore"
    """What the trash keeps comes back, or a subtree becomes what it was at a time"""
    VERIFY = "verify"
    """Files are read again, and compared with their hashes"""
    PURGE = "purge"
    """What the trash keeps is removed for good"""
    UNDO = "undo"
    """What another operation has done is put back, or what a selection takes of all changes"""
    IMPORT = "import"
    """What lies on the storage becomes known to the record"""
    TAG = "tag"
    """What the Metastore says of nodes is changed"""

    @property
    def can_be_undone(self) -> bool:
        return self not in (OperationKind.VERIFY, OperationKind.PURGE)

    @property
    def works_alone(self) -> bool:
        """Its items are no commands, and change nothing that another operation could claim."""
        return self in (OperationKind.VERIFY, OperationKind.PURGE)


class OperationState(StrEnum):
    PLANNING = "planning"
    PLANNED = "planned"
    RUNNING = "running"
    WAITING = "waiting"
    """For another operation: `waits_for` says which"""
    PAUSED = "paused"
    CANCELLING = "cancelling"
    """Nothing new is begun; what is in flight ends first"""
    ROLLING_BACK = "rolling_back"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    """Some items have failed, or were skipped because they had changed"""
    FAILED = "failed"
    """No item was done"""
    CANCELLED = "cancelled"
    ROLLED_BACK = "rolled_back"

    @property
    def moves(self) -> bool:
        """A runner works on it."""
        return self in _MOVING

    @property
    def ended(self) -> bool:
        return self in _ENDED


_MOVING = {OperationState.RUNNING, OperationState.WAITING, OperationState.CANCELLING, OperationState.ROLLING_BACK}
_ENDED = {
    OperationState.SUCCEEDED, OperationState.PARTIAL, OperationState.FAILED, OperationState.CANCELLED,
    OperationState.ROLLED_BACK,
}  # fmt: skip


class Want(StrEnum):
    """What was asked for and is not reached yet."""

    PAUSE = "pause"
    ROLLBACK = "rollback"


class ItemKind(StrEnum):
    MKDIR = "mkdir"
    COPY = "copy"
    MOVE = "move"
    DELETE = "delete"
    RESTORE = "restore"
    DESCRIBE = "describe"
    VERIFY = "verify"
    PURGE = "purge"
    IMPORT = "import"
    """A name that an import could not record, or looks at again"""
    FORGET = "forget"
    """A node leaves the record, and nothing on the storage is touched: of the undo of an import"""
    TAG = "tag"
    """What the Metastore says of a node"""


class ItemState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    REVERSED = "reversed"


Conflict = Literal["skip", "overwrite", "rename", "fail"]
LEFT_MOST = 12
"""An item that was left for later so often is given up: about a minute and a half."""
CHANGED = ("VERSION_CONFLICT", "NODE_NOT_FOUND")
"""Codes of an item that is not as its plan saw it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an operation goes. The limits and `max_errors` can be changed while it runs."""

    on_conflict: Conflict = "fail"
    """Something lies at a target already. `fail`: then nothing at all is begun"""
    only_if_unchanged: bool = True
    """An item whose node is not at the version that the plan saw is skipped"""
    on_changed: Literal["skip", "stop"] = "skip"
    """`stop`: at such an item the operation ends; what comes before it in the plan is done, and nothing behind it"""
    concurrency: int = 64
    """Items in flight at once"""
    files_per_second: float | None = None
    bytes_per_second: float | None = None
    max_errors: int | None = None
    """The operation ends when so many items have failed in one turn; a retry goes on"""
    start_at: datetime | None = None
    hashes: Literal["now", "later"] = "later"
    """Of an import: whether it reads the contents, too. Later: files have no hash until another one does"""
    as_of: datetime | None = None
    """Restore: the subtree becomes what it was at this time"""
    remove_new: bool = False
    """And what was not there then goes to the trash. Otherwise it is only listed"""
    older_than: float | None = None
    """Purge: what has lain in the trash for so many seconds"""
    keep_bytes: int | None = None
    """Purge: of what is newest, so many bytes stay"""

    def to_json(self) -> dict[str, Any]:
        """Without what is as by default."""
        written = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in written.items()}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> "Options":
        times = {name: datetime.fromisoformat(told[name]) for name in ("start_at", "as_of") if told.get(name)}
        return cls(**{**told, **times})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a runner and a control request need to know of one."""

    id: str
    tenant: str
    principal: str
    token_id: int
    kind: OperationKind
    mount_id: MountId
    path: NodePath
    target_path: NodePath | None = None
    target_mount: MountId | None = None
    """Where it copies or moves to; None: on its own mount"""
    selection: Selection = field(default_factory=Selection)
    options: Options = field(default_factory=Options)
    metadata: Mapping[str, Any] | None = None
    """Of `describe`: {set, unset}"""
    record: RecordEdit | None = None
    """Of `tag`: what becomes of the records"""
    state: OperationState = OperationState.PLANNING
    want: Want | None = None
    back: bool = False
    """It goes backwards: done items are put back"""
    turn: int = 1
    """Rises with each retry"""
    plan_only: bool = False
    undo: UndoSelection | None = None
    """Of an undo: which changes are put back. None: those of `undoes`"""
    undoes: str | None = None
    undoes_kind: OperationKind | None = None
    """Of what was undone first, where undos follow each other"""
    undoes_turn: int | None = None
    """The turn of the original when its undo was planned"""
    started: bool = True
    """It has run; a plan that was refused has not"""
    undone: bool = False
    """An operation that has begun puts this one back, or has done so"""
    correlation_id: str | None = None
    """The client's name for the piece of work that it belongs to, with each of its items"""
    stale: bool = False
    """Of an undo: its original was taken up again since it was planned, or another one puts it back"""
    subtrees: Sequence[tuple[MountId, NodePath]] | None = None
    """What it claims against other operations. None: its path and its target"""
    conflicts: int = 0
    items: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    changed: int = 0
    """Of the skipped ones: those that were not as the plan had seen them"""
    failed_before: int = 0
    """Of the failed ones: those of the plan and of earlier turns"""
    changed_before: int = 0
    """Of the changed ones: those of earlier turns"""
    reversed: int = 0
    in_flight: int = 0

    @property
    def forgets(self) -> bool:
        """It undoes an import: its items are no commands, and are not put back."""
        return self.undoes_kind is OperationKind.IMPORT

    @property
    def tags(self) -> bool:
        """It changes records of the Metastore, or puts them back: its items are no commands."""
        return OperationKind.TAG in (self.kind, self.undoes_kind)

    @property
    def works_alone(self) -> bool:
        """Its items are no commands."""
        return self.kind.works_alone or self.forgets or self.tags

    @property
    def work(self) -> str:
        """The step that carries out items that are no commands."""
        return "forget" if self.forgets else "tag" if self.tags else str(self.kind)

    @property
    def can_be_undone(self) -> bool:
        return self.kind.can_be_undone and not self.forgets

    @property
    def claims(self) -> list[tuple[MountId, NodePath]]:
        """The subtrees that are its own while it moves."""
        if self.subtrees is not None:
            return list(self.subtrees)
        here = [(self.mount_id, self.path)]
        return here if self.target_path is None else [*here, (self.target_mount or self.mount_id, self.target_path)]

    @property
    def mounts(self) -> list[MountId]:
        """Where it may change something; its own one, whose host runs it, comes first."""
        return list(dict.fromkeys([self.mount_id, *(mount for mount, _ in self.claims)]))

    @property
    def descends(self) -> bool:
        """Forward it takes its items from the last to the first: directories go that are planned before what they hold."""
        return self.kind is OperationKind.DELETE and "directory" in self.selection.kinds

    @property
    def walks_down(self) -> bool:
        """In its direction now it takes its items from the last to the first."""
        return self.descends is not self.back


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationItem:
    """One step of an operation. Paths are whole, from the mount's root."""

    item: int
    kind: ItemKind
    path: NodePath
    target: NodePath | None = None
    node_id: NodeId | None = None
    node_kind: NodeKind = NodeKind.FILE
    version: int | None = None
    """Of the node, as the plan saw it. Tag: of its record"""
    target_version: int | None = None
    """Of the file at the target, as the plan saw it: it is replaced"""
    content_version: int | None = None
    """Restore: this older version's content. Describe, tag: back to the metadata, or the record, of this version"""
    size: int = 0
    nodes: int = 1
    """With all that is below it"""
    needs: int | None = None
    """The item that makes the directory where this one's node appears"""
    state: ItemState = ItemState.PENDING
    code: str | None = None
    message: str | None = None
    command_id: CommandId | None = None
    left_node: NodeId | None = None
    """The node that was made or changed"""
    left_version: int | None = None
    """And its version then: a reversal goes only from there"""
    replaced_version: int | None = None
    """The version of the same node that was replaced; None: the node is new, or no content was replaced"""
    mount: MountId | None = None
    """Of the path; None: that of the operation"""
    target_mount: MountId | None = None
    """Of the target; None: that of the operation"""

    @property
    def appears_on(self) -> MountId | None:
        """The mount where it takes effect."""
        return self.mount if self.target is None else self.target_mount
