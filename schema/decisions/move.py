"""Move: the same node under another name, and a directory with all below it. A file may take the place of a file."""

from typing import Any

from schema import errors
from schema.claims import Claim
from schema.commands import Request
from schema.decisions import parts
from schema.nodes import NodeKind
from schema.situations import Situation


def refuse(request: Request, found: Situation) -> errors.FilestoreError | None:
    node = found.here.node
    if node is None:
        return errors.NodeNotFound(path=request.path)
    if problem := parts.stale(request, node):
        return problem
    if not node.is_certain:
        return parts.uncertain(node)
    if found.appears.mount != found.here.mount:
        return errors.NotSupported("Moving between mounts is not offered; copy the content and delete the source.")
    if inside := into_itself(request):
        return inside
    if node.has_children and not found.here.whole_trees:
        return errors.NotSupported(
            "Moving a directory with its content is not offered on this kind of mount; move its children one by one."
        )
    return parts.no_room(request, found.appears) or parts.in_the_way(request, found.appears, node.kind)


def into_itself(request: Request) -> errors.FilestoreError | None:
    source, target = request.node_path.raw, request.appears_at.raw
    if source == target:
        return errors.InvalidRequest("Source and target are the same path.")
    if target.startswith(source + b"/"):
        return errors.InvalidRequest("A directory can not go into itself.")
    return None


def intend(request: Request, found: Situation) -> dict[str, Any]:
    node, target = found.here.node, found.appears.node
    assert node is not None
    intent = parts.changes(node) | {
        "step": "move",
        "parent": parts.parent_of(found.appears),
        "old_parent": parts.parent_of(found.here),
        "at": request.appears_at.raw.hex(),
        "tree": node.kind is NodeKind.DIRECTORY,
    }
    if target is not None:
        intent["replaced"] = parts.replaced(target)
    if node.below > parts.TREE_INLINE_NODES:
        intent["long"] = True
    return intent


def claims(request: Request, found: Situation) -> list[Claim]:
    return [parts.here(request, subtree=True), parts.at_target(request, subtree=True)]
