"""A requested mutation: its kind, what the client asked for, how it stands.

Metadata is not in it: that waits in a `stages` row until `begin` takes it into `commands.request`.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from schema.commands.claims import Claim
from schema.ids import CommandId, MountId, NodeId
from schema.paths import NodePath, decode


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
class NamedCommand:
    """What a person calls a command."""

    id: CommandId
    kind: str
    path: str
    target: str | None
    principal: str

    @property
    def shown_paths(self) -> list[str]:
        return [self.path] if self.target is None else [self.path, self.target]


@dataclass(frozen=True, slots=True)
class Command:
    """A validated command, before `begin` decides about it; stored as `commands.request`.

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
    head: str | None = None
    """The same without the body, where there is one: known even when the body was not read."""
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
    correlation_id: str | None = None
    """The client's name for the piece of work that it belongs to"""
    sha256: str | None = None
    """hex, of the staged content"""
    size: int = 0
    staged: list[int | str] | None = None
    """Identity of the sealed stage, for commands that make something appear: see `Identity.facts`."""
    failure: str | None = None
    failure_message: str | None = None
    failure_details: Mapping[str, object] | None = None
    borrowed_stage: CommandId | None = None
    """The stage of an upload that has an id of its own, and outlives a failure of this command. None: its own stage"""
    target_version: int | None = None
    """Of the file that is replaced at the target: it must be this one still"""
    operation_id: str | None = None
    """The operation that it is an item of, and ..."""
    item: int | None = None
    """... which one"""
    finding: int | None = None
    """The finding that it heals, and ..."""
    finding_version: int | None = None
    """... at which version it was looked at: it must be this one still"""
    finding_look: int | None = None
    """The look that its heal began with"""

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
    def follows_its_node(self) -> bool:
        """It names a living node by its id, and means that node wherever it lies when the command begins."""
        return self.node_id is not None and (self.kind is CommandKind.DESCRIBE or self.content_version is not None)

    def at(self, path: NodePath) -> "Command":
        """The same request, at another path."""
        text, exact = spell(path)
        return replace(self, path=text, path_b64=exact)

    @property
    def stage(self) -> CommandId | None:
        """Where what will appear waits."""
        return (self.borrowed_stage or self.id) if self.staged else None

    @property
    def shown_paths(self) -> list[str]:
        return [self.path] if self.target is None else [self.path, self.target]

    @property
    def runs_on(self) -> MountId:
        """The mount where it becomes visible: its queue, its lists, its executor. Between mounts that is the target's."""
        return self.target_mount_id or self.mount_id

    @property
    def mounts(self) -> set[MountId]:
        """Those where it may claim something."""
        return {self.mount_id, self.runs_on}

    @property
    def effective_key(self) -> str:
        return self.key or self.id

    @property
    def effective_head(self) -> str | None:
        """What is asked for but for the bytes of a body; a command without a body says all of it in its hash."""
        return self.head or self.hash

    @property
    def claims(self) -> list[Claim]:
        """What it will claim, as far as the request alone can tell; `begin` knows exactly.

        A directory that goes away or appears takes what is below with it; for a file both kinds of claim mean the same.
        """
        copies = self.kind is CommandKind.COPY
        takes_along = copies or self.kind in (CommandKind.DELETE, CommandKind.MOVE, CommandKind.RESTORE)
        here = Claim(self.mount_id, self.node_path.raw, takes_along, shared=copies)
        if self.target is None or (self.runs_on == self.mount_id and self.appears_at == self.node_path):
            return [here]
        return [here, Claim(self.target_mount_id or self.mount_id, self.appears_at.raw, True)]


def spell(path: NodePath) -> tuple[str, str | None]:
    """`path` and `path_b64` of a Request."""
    text = path.text
    exact = text.encode() == path.raw
    return text, None if exact else base64.b64encode(path.raw).decode()
