"""Upload: a new file, or a new version of one."""

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command
from schema.commands.decisions import parts
from schema.commands.intents import Create, Intent
from schema.commands.situations import Situation
from schema.nodes import NodeKind


def refuse(request: Command, found: Situation) -> errors.FilestoreError | None:
    if problem := parts.no_room(request, found.here):
        return problem
    node = found.here.node
    if node is None:
        return parts.stale(request, None)
    if node.kind is NodeKind.DIRECTORY:
        return errors.NotADirectory("There is a directory at this path; a file can not replace it.", path=request.path)
    if problem := parts.stale(request, node):
        return problem
    names_it = request.if_version is not None or request.if_hash is not None or request.if_exists
    if request.must_be_new or not (request.overwrite or names_it):
        return parts.taken(request, node)
    return None if node.is_certain else parts.uncertain(node)


def intend(request: Command, found: Situation) -> Intent:
    node, parent = found.here.node, parts.parent_of(found.here)
    new = Create(
        node=found.fresh_node, version=1, kind=NodeKind.FILE, size=request.size, sha256=request.sha256, parent=parent
    )
    return new if node is None else parts.onto(new, node)


def claims(request: Command, found: Situation) -> list[Claim]:
    return [parts.here(request)]
