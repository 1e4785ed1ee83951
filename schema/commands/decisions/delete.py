"""Delete: a file, an empty directory, or with `recursive` a full one. Deleting what was deleted before is no error."""

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command
from schema.commands.decisions import parts
from schema.commands.intents import Delete, Intent, Nothing
from schema.commands.situations import Situation
from schema.nodes import NodeKind


def refuse(request: Command, found: Situation) -> errors.FilestoreError | None:
    node = found.here.node
    if node is None:
        return None if found.here.gone else errors.NodeNotFound(path=request.path)
    if problem := parts.stale(request, node):
        return problem
    if node.has_children and not request.recursive:
        return errors.ChildrenExist(path=request.path)
    return None if node.is_certain else parts.uncertain(node)


def intend(request: Command, found: Situation) -> Intent:
    node, parent = found.here.node, parts.parent_of(found.here)
    if node is None:
        # Deleted before: nothing to do, and nothing wrong.
        gone = found.here.gone
        assert gone is not None
        return Nothing(node=gone.id, version=gone.version, parent=parent)
    way = parts.way(node, found.here)
    # Storage that knows no trees deletes an empty directory as one item, so that nothing unknown below it goes too.
    tree = request.recursive and node.kind is NodeKind.DIRECTORY and (found.here.whole_trees or way["items"])
    return Delete(**parts.changes(node), **way, parent=parent, tree=tree)


def claims(request: Command, found: Situation) -> list[Claim]:
    return [parts.here(request, subtree=True)]
