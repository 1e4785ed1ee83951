"""Restore: a deleted node comes back as itself; or an older version's content becomes a living file's newest one."""

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command
from schema.commands.decisions import parts
from schema.commands.intents import CopySource, Intent, Nothing, Replace, Restore
from schema.commands.situations import Situation
from schema.nodes import NodeKind, NodeState


def refuse(request: Command, found: Situation) -> errors.FilestoreError | None:
    return _version_refusal(request, found) if request.content_version is not None else _node_refusal(request, found)


def _node_refusal(request: Command, found: Situation) -> errors.FilestoreError | None:
    node = found.named
    if node is None:
        return errors.NodeNotFound(path=request.path)
    if problem := parts.stale(request, node):
        return problem
    if node.state is not NodeState.DELETED:
        return errors.NodeExists("The node is not deleted.", nodeId=node.id, state=str(node.state))
    if problem := parts.too_deep(request, found) or parts.no_room(request, found.appears):
        return problem
    if found.appears.node is not None:
        return parts.taken(request, found.appears.node)
    if found.old is None or found.old.place is None or found.old.expired or node.identity is None:
        return errors.ContentExpired("What was deleted is no longer kept.", nodeId=node.id)
    return None


def _version_refusal(request: Command, found: Situation) -> errors.FilestoreError | None:
    node, old = found.here.node, found.old
    if node is None or request.node_id not in (None, node.id):
        return errors.NodeNotFound(path=request.path)
    if problem := parts.stale(request, node):
        return problem
    if node.kind is not NodeKind.FILE:
        return errors.NotADirectory("Only a file has older content.", path=request.path)
    if old is None:
        return errors.NotFound(f"The node has no version {request.content_version}.", currentVersion=node.version)
    if old.expired or (old.place is not None and old.identity is None):
        return errors.ContentExpired(version=old.version)
    return None if node.is_certain else parts.uncertain(node)


def intend(request: Command, found: Situation) -> Intent:
    if request.content_version is not None:
        return _version_intent(found)
    node, old = found.named, found.old
    assert node is not None and old is not None
    assert old.place is not None
    return Restore(
        **parts.changes(node),
        **parts.way(node, found.appears),
        parent=parts.parent_of(found.appears),
        at=request.appears_at.raw.hex(),
        place=old.place,
        tree=node.kind is NodeKind.DIRECTORY,
    )


def _version_intent(found: Situation) -> Intent:
    node, old = found.here.node, found.old
    assert node is not None and old is not None
    parent = parts.parent_of(found.here)
    if old.place is None:
        # It is what lies there: nothing to do, and nothing wrong.
        return Nothing(node=node.id, version=node.version, parent=parent)
    content = {"size": old.size, "sha256": old.sha256}
    return Replace(
        **{**parts.changes(node), **content},
        parent=parent,
        source=CopySource(place=old.place, identity=old.identity, version=old.version, sha256=old.sha256),
        long=old.size > parts.COPY_INLINE_BYTES,
    )


def claims(request: Command, found: Situation) -> list[Claim]:
    """Also where it was deleted: it, or a directory that it went along with, can come back only once."""
    target = parts.at_target(request, subtree=True)
    return [target] if request.appears_at == request.node_path else [parts.here(request, subtree=True), target]
