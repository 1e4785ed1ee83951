"""Copy: a new node with the same content and metadata, or a new version of the file that is replaced by it."""

from typing import Any

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Request
from schema.commands.decisions import parts
from schema.commands.situations import Situation
from schema.nodes import NodeKind


def refuse(request: Request, found: Situation) -> errors.FilestoreError | None:
    node = found.here.node
    if node is None:
        return errors.NodeNotFound(path=request.path)
    if problem := parts.stale(request, node):
        return problem
    if not node.is_certain:
        return parts.uncertain(node)
    if problem := parts.into_itself(request):
        return problem
    return parts.no_room(request, found.appears) or parts.in_the_way(request, found.appears, node.kind)


def intend(request: Request, found: Situation) -> dict[str, Any]:
    node, target = found.here.node, found.appears.node
    assert node is not None
    tree = node.kind is NodeKind.DIRECTORY
    intent = {
        "kind": str(node.kind),
        "size": node.size,
        "sha256": node.sha256,
        "parent": parts.parent_of(found.appears),
        "at": request.appears_at.raw.hex(),
        "tree": tree,
        "source": {"node": node.id, "version": node.version, "mount": found.here.mount,
                   "path": request.node_path.raw.hex(), "identity": node.identity, "sha256": node.sha256},
    }  # fmt: skip
    if tree or node.size > parts.COPY_INLINE_BYTES or found.appears.mount != found.here.mount:
        intent["long"] = True
    if tree and node.below and not found.appears.whole_trees:
        intent["items"] = True
    if target is None:
        return intent | {"step": "create", "node": found.fresh_node, "version": 1}
    return parts.changes(target) | intent | {"step": "replace"}


def claims(request: Request, found: Situation) -> list[Claim]:
    """A file is one thing: what is read of it is compared with the record. A tree has to hold still."""
    node = found.here.node
    source = [parts.here(request, subtree=True)] if node and node.kind is NodeKind.DIRECTORY else []
    return [*source, parts.at_target(request, subtree=True)]
