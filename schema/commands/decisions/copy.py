"""Copy: a new node with the same content and metadata, or a new version of the file that is replaced by it."""

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command
from schema.commands.decisions import parts
from schema.commands.intents import Appears, CopySource, Create
from schema.commands.situations import KnownNode, Place, Situation
from schema.nodes import NodeKind


def refuse(request: Command, found: Situation) -> errors.FilestoreError | None:
    node = found.here.node
    if node is None:
        return errors.NodeNotFound(path=request.path)
    if problem := parts.stale(request, node):
        return problem
    if not node.is_certain:
        return parts.uncertain(node)
    if problem := parts.into_itself(request):
        return problem
    if problem := parts.too_deep(request, found):
        return problem
    return parts.no_room(request, found.appears) or parts.in_the_way(request, found.appears, node.kind)


def intend(request: Command, found: Situation) -> Appears:
    node, target = found.here.node, found.appears.node
    assert node is not None
    tree = node.kind is NodeKind.DIRECTORY
    long = tree or node.size > parts.COPY_INLINE_BYTES or found.appears.mount != found.here.mount
    new = Create(
        node=found.fresh_node,
        version=1,
        kind=node.kind,
        size=node.size,
        sha256=node.sha256,
        parent=parts.parent_of(found.appears),
        at=request.appears_at.raw.hex(),
        tree=tree,
        source=_source(request, node, found.here),
        long=long,
        items=tree and node.below > 0 and not found.appears.whole_trees,
    )
    return new if target is None else parts.onto(new, target)


def _source(request: Command, node: KnownNode, place: Place) -> CopySource:
    return CopySource(
        node=node.id, version=node.version, mount=place.mount, path=request.node_path.raw.hex(),
        identity=node.identity, sha256=node.sha256,
    )  # fmt: skip


def claims(request: Command, found: Situation) -> list[Claim]:
    """What is copied holds still until the copy is recorded: the copy is then what the source was at that moment. Others may
    copy it meanwhile."""
    return [parts.here(request, subtree=True, shared=True), parts.at_target(request, subtree=True)]
