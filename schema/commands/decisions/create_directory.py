"""Create directory: the name must be free, and its parent there."""

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
    if found.here.node is not None:
        return parts.taken(request, found.here.node)
    return parts.stale(request, None)


def intend(request: Command, found: Situation) -> Intent:
    parent = parts.parent_of(found.here)
    return Create(node=found.fresh_node, version=1, kind=NodeKind.DIRECTORY, size=0, sha256=None, parent=parent)


def claims(request: Command, found: Situation) -> list[Claim]:
    return [parts.here(request)]
