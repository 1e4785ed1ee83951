"""What the decisions of several kinds of command have in common: conditions of the client, the place, parts of an intent."""

from dataclasses import fields
from typing import Any

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command
from schema.commands.intents import Before, Create, Leaving, Replace
from schema.commands.situations import KnownNode, Place, Situation
from schema.ids import NodeId
from schema.nodes import NodeKind
from schema.paths import PATH_MAX, NodePath

TREE_INLINE_NODES = 5_000
"""A tree of more nodes than this is recorded by a workflow of its own, so that its neighbours in a list do not wait for it."""
COPY_INLINE_BYTES = 4 * 1024 * 1024
"""A file up to this size is copied within its list; anything more goes on in a workflow of its own."""


def stale(request: Command, node: KnownNode | None) -> errors.FilestoreError | None:
    """The client named a version, a content or a state, and this is not it. (A plan names its nodes as well.)"""
    if request.operation_id is not None and node is not None and request.node_id not in (None, node.id):
        return errors.VersionConflict("Another node lies here than the plan has seen.", currentNodeId=node.id)
    version, digest = (node.version, node.sha256) if node else (None, None)
    if request.if_exists and node is None:
        return errors.VersionConflict("There is no node at this path, and the request asks for one.")
    if request.if_version is not None and version != request.if_version:
        return errors.VersionConflict(expectedVersion=request.if_version, currentVersion=version)
    if request.if_hash is not None and digest != request.if_hash:
        return errors.VersionConflict(expectedHash=request.if_hash, currentHash=digest)
    if request.unless_version is not None and version == request.unless_version:
        return errors.VersionConflict("The node is at the version that it must not have.", currentVersion=version)
    if request.unless_hash is not None and digest == request.unless_hash:
        return errors.VersionConflict("The node has the content that it must not have.", currentHash=digest)
    return None


def uncertain(node: KnownNode) -> errors.FilestoreError:
    return errors.VersionConflict(
        f"The node is {node.state}: what lies there is not what the record knows. Reconcile it first; its bytes are untouched.",
        nodeId=node.id,
        state=str(node.state),
    )


def no_room(request: Command, place: Place) -> errors.FilestoreError | None:
    """Nothing can appear there: there is no directory to hold it."""
    if place.parent is None:
        return errors.ParentNotFound(path=request.appears_at.text)
    if place.parent.kind is not NodeKind.DIRECTORY:
        return errors.NotADirectory("The parent is not a directory.", path=request.appears_at.text)
    return None


def too_deep(request: Command, found: Situation) -> errors.FilestoreError | None:
    """A node that can not be named could not be read, moved or deleted any more."""
    if not found.too_deep:
        return None
    return errors.InvalidPath(
        f"There, something below the directory would have a path of more than {PATH_MAX} bytes. Choose a shorter target.",
        path=request.appears_at.text,
    )


def taken(request: Command, node: KnownNode) -> errors.FilestoreError:
    return errors.NodeExists(path=request.appears_at.text, kind=str(node.kind), nodeId=node.id)


def in_the_way(request: Command, place: Place, kind: NodeKind) -> errors.FilestoreError | None:
    """Something lives where a node of this kind shall appear, and it is not a file that may be replaced by one."""
    node = place.node
    if node is None:
        return None
    if not request.overwrite or request.must_be_new:
        return taken(request, node)
    if node.kind is not NodeKind.FILE or kind is not NodeKind.FILE:
        return errors.NotADirectory(
            f"There is a {node.kind} at the target; only a file can be replaced, and only by a file. Delete it first.",
            path=request.appears_at.text,
        )
    if request.target_version is not None and node.version != request.target_version:
        return errors.VersionConflict("The file at the target has changed.", currentVersion=node.version)
    return None if node.is_certain else uncertain(node)


def way(node: KnownNode, place: Place) -> dict[str, Any]:
    """The part of an intent that says how a node and all below it go: with the other commands of the list, or in a
    workflow of its own; and in one step or, where storage knows no trees, item by item."""
    items = node.kind is NodeKind.DIRECTORY and node.below > 0 and not place.whole_trees
    return {"long": items or node.below > TREE_INLINE_NODES, "items": items}


def here(request: Command, *, subtree: bool = False, shared: bool = False) -> Claim:
    return Claim(request.mount_id, request.node_path.raw, subtree, shared)


def at_target(request: Command, *, subtree: bool = False) -> Claim:
    return Claim(request.target_mount_id or request.mount_id, request.appears_at.raw, subtree)


def before(node: KnownNode) -> Before:
    return Before(
        id=node.id, parent=node.parent, name=node.name, version=node.version, state=node.state, size=node.size,
        sha256=node.sha256,
    )  # fmt: skip


def changes(node: KnownNode) -> dict[str, Any]:
    """The part of an intent that says which node changes, and from what."""
    return {
        "node": node.id,
        "version": node.version + 1,
        "kind": node.kind,
        "size": node.size,
        "sha256": node.sha256,
        "expected": node.identity,
        "previous_version": node.version,
        "previous_size": node.size,
        "before": before(node),
    }


def onto(new: Create, node: KnownNode) -> Replace:
    """What would be a new file becomes the next version of this one."""
    values = {field.name: getattr(new, field.name) for field in fields(new)}
    return Replace(**{**changes(node), **values, "node": node.id, "version": node.version + 1, "kind": new.kind})


def parent_of(place: Place) -> NodeId | None:
    return place.parent.id if place.parent else None


def leaves(node: KnownNode, place: Place, path: NodePath, *, item: int) -> Leaving:
    return Leaving(
        node=node.id,
        mount=place.mount,
        path=path.raw.hex(),
        shown=path.text,
        b64=path.b64,
        parent=parent_of(place),
        version=node.version + 1,
        size=node.size,
        sha256=node.sha256,
        expected=node.identity,
        previous_version=node.version,
        before=before(node),
        item=item,
        tree=node.kind is NodeKind.DIRECTORY,
    )


def into_itself(request: Command) -> errors.FilestoreError | None:
    source, target = request.node_path.raw, request.appears_at.raw
    if request.runs_on != request.mount_id:
        return None
    if source == target:
        return errors.InvalidRequest("Source and target are the same path.")
    if target.startswith(source + b"/"):
        return errors.InvalidRequest("A directory can not go into itself.")
    return None
