"""May a command go ahead? Pure: a request and what `begin` found in the record, in; one verdict, out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schema import errors
from schema.commands import CommandKind, Request, Status
from schema.ids import CommandId, NodeId
from schema.nodes import NodeKind, NodeState


@dataclass(frozen=True, slots=True)
class KnownNode:
    """A node as the record has it: what is replaced or deleted must be exactly this."""

    id: NodeId
    kind: NodeKind
    state: NodeState
    version: int
    size: int
    sha256: str | None
    identity: Sequence[int | str] | None
    has_children: bool = False


@dataclass(frozen=True, slots=True)
class Known:
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


@dataclass(frozen=True, slots=True)
class Situation:
    """What the record says about one request, read under the mount's lock."""

    fresh_node: NodeId
    """An id nobody has, for the node that may be created."""
    mount_state: str | None
    """None: there is no such mount"""
    mount_access: str = "rw"
    known: Known | None = None
    parent: KnownNode | None = None
    node: KnownNode | None = None
    gone: KnownNode | None = None
    """The latest deleted node at this path, if nothing lives there"""
    busy: CommandId | None = None
    """Whose claim is in the way"""


@dataclass(frozen=True, slots=True)
class Go:
    """Intent: everything `apply` and `commit` may do, fixed before anything happens."""

    id: CommandId
    attempt: int
    intent: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Ends here, without effect, and is journaled."""

    id: CommandId
    attempt: int
    error: errors.FilestoreError


@dataclass(frozen=True, slots=True)
class Replay:
    """The same request ended before."""

    known: Known


@dataclass(frozen=True, slots=True)
class Resume:
    """We opened it ourselves, in an execution of `begin` whose answer was lost."""

    id: CommandId
    attempt: int


@dataclass(frozen=True, slots=True)
class Join:
    """The same request is running elsewhere: wait for its row."""

    id: CommandId


@dataclass(frozen=True, slots=True)
class Busy:
    """Another command holds the path: wait in the queue."""

    by: CommandId


@dataclass(frozen=True, slots=True)
class Conflict:
    """The key belongs to another request: answered, not recorded, because the key's row is not ours."""

    error: errors.FilestoreError = field(default_factory=errors.IdempotencyConflict)


Verdict = Go | Refuse | Replay | Resume | Join | Busy | Conflict


def decide(request: Request, found: Situation, *, workflow: str, day: str) -> Verdict:
    """`workflow` is the one that asks. `day` names the trash folder, fixed for good: a retry after midnight finds it again."""
    identity, attempt = request.id, 1
    if known := found.known:
        if known.hash is not None and request.hash is not None and known.hash != request.hash:
            return Conflict()
        if known.owner == workflow:
            return Resume(known.id, known.attempt) if known.status is Status.RUNNING else Replay(known)
        if known.status is Status.RUNNING:
            return Join(known.id)
        if not known.retryable:
            return Replay(known)
        identity, attempt = known.id, known.attempt + 1
    refusal = _refusal(request, found)
    if isinstance(refusal, Busy):
        return refusal
    if refusal is not None:
        return Refuse(identity, attempt, refusal)
    return Go(identity, attempt, _intent(request, found, identity, attempt, day))


def _refusal(request: Request, found: Situation) -> errors.FilestoreError | Busy | None:
    if request.failure is not None:
        return errors.from_code(request.failure, request.failure_message)
    if found.mount_state is None:
        return errors.BackendNotFound()
    if found.mount_state not in ("active", "degraded"):
        return errors.MountOffline(f"The mount is {found.mount_state}. An administrator can set it active.")
    if found.mount_access != "rw":
        return errors.MountReadOnly()
    # Only now: a refusal that no waiting can change should not wait.
    if found.busy is not None:
        return Busy(found.busy)
    if found.parent is None:
        if request.kind is CommandKind.DELETE:
            return None if found.gone else errors.NodeNotFound(path=request.path)
        return errors.ParentNotFound(path=request.path)
    if found.parent.kind is not NodeKind.DIRECTORY:
        return errors.NotADirectory("The parent is not a directory.", path=request.path)
    return _CHECKS[request.kind](request, found)


def _directory_refusal(request: Request, found: Situation) -> errors.FilestoreError | None:
    if found.node is not None:
        return errors.NodeExists(path=request.path, kind=str(found.node.kind), nodeId=found.node.id)
    return _condition(request, None)


def _upload_refusal(request: Request, found: Situation) -> errors.FilestoreError | None:
    node = found.node
    if node is None:
        return _condition(request, None)
    if node.kind is NodeKind.DIRECTORY:
        return errors.NotADirectory("There is a directory at this path; a file can not replace it.", path=request.path)
    if stale := _condition(request, node):
        return stale
    if not request.overwrite and request.if_version is None and request.if_hash is None:
        return errors.NodeExists(path=request.path, kind=str(node.kind), nodeId=node.id)
    if node.kind is not NodeKind.FILE or node.state is not NodeState.ACTIVE or node.identity is None:
        return _uncertain(node)
    return None


def _delete_refusal(request: Request, found: Situation) -> errors.FilestoreError | None:
    node = found.node
    if node is None:
        return None if found.gone else errors.NodeNotFound(path=request.path)
    if stale := _condition(request, node):
        return stale
    if node.has_children:
        if request.recursive:
            return errors.NotSupported(
                "Deleting a directory with its content is not offered yet; delete its children first."
            )
        return errors.ChildrenExist(path=request.path)
    if (
        node.kind not in (NodeKind.FILE, NodeKind.DIRECTORY)
        or node.state is not NodeState.ACTIVE
        or node.identity is None
    ):
        return _uncertain(node)
    return None


_CHECKS = {
    CommandKind.CREATE_DIRECTORY: _directory_refusal,
    CommandKind.UPLOAD: _upload_refusal,
    CommandKind.DELETE: _delete_refusal,
}


def _uncertain(node: KnownNode) -> errors.FilestoreError:
    return errors.VersionConflict(
        f"The node is {node.state}: what lies there is not what the record knows. Reconcile it first; its bytes are untouched.",
        nodeId=node.id,
        state=str(node.state),
    )


def _condition(request: Request, node: KnownNode | None) -> errors.FilestoreError | None:
    if request.if_version is not None and (node is None or node.version != request.if_version):
        return errors.VersionConflict(expectedVersion=request.if_version, currentVersion=node.version if node else None)
    if request.if_hash is not None and (node is None or node.sha256 != request.if_hash):
        return errors.VersionConflict(expectedHash=request.if_hash, currentHash=node.sha256 if node else None)
    return None


def _intent(request: Request, found: Situation, command: CommandId, attempt: int, day: str) -> dict[str, Any]:
    node, parent = found.node, found.parent
    common: dict[str, Any] = {
        "stage": request.id if request.staged else None,
        "staged": request.staged,
        "trash": f"{day}/{command}.0",
        "parent": parent.id if parent else None,
    }
    if node is None:
        if request.kind is CommandKind.DELETE:
            # Deleted before: nothing to do, and nothing wrong.
            assert found.gone is not None
            return common | {"step": "none", "node": found.gone.id, "version": found.gone.version}
        kind = NodeKind.DIRECTORY if request.kind is CommandKind.CREATE_DIRECTORY else NodeKind.FILE
        return common | {
            "step": "create",
            "node": found.fresh_node,
            "version": 1,
            "kind": str(kind),
            "size": request.size,
            "sha256": request.sha256,
        }
    changes = {
        "node": node.id,
        "version": node.version + 1,
        "kind": str(node.kind),
        "expected": node.identity,
        "previous_version": node.version,
        "previous_size": node.size,
        "before": {
            "id": node.id,
            "version": node.version,
            "state": str(node.state),
            "size": node.size,
            "sha256": node.sha256,
        },
    }
    if request.kind is CommandKind.DELETE:
        return common | changes | {"step": "delete", "size": node.size, "sha256": node.sha256}
    return common | changes | {"step": "replace", "size": request.size, "sha256": request.sha256}


@dataclass(frozen=True, slots=True)
class Claim:
    path: bytes
    subtree: bool


def conflicts(one: Claim, other: Claim) -> bool:
    """Two claims that may not be held at once: the same path, or one inside the other's subtree."""
    if one.path == other.path:
        return True
    return _inside(one, other) or _inside(other, one)


def _inside(inner: Claim, outer: Claim) -> bool:
    return outer.subtree and (inner.path.startswith(outer.path + b"/") or outer.path == b"")


def among(verdict: Verdict, claim: Claim, held: list[tuple[Claim, CommandId]]) -> Verdict:
    """The same verdict, unless a command earlier in the list is in the way."""
    if isinstance(verdict, Go):
        for other, command in held:
            if conflicts(claim, other):
                return Busy(command)
        held.append((claim, verdict.id))
    return verdict
