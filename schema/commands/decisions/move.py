"""Move: the same node under another name, and a directory with all below it. A file may take the place of a file."""

from dataclasses import replace

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command
from schema.commands.decisions import copy, parts
from schema.commands.intents import Intent, Move
from schema.commands.situations import Situation
from schema.nodes import NodeKind


def refuse(request: Command, found: Situation) -> errors.FilestoreError | None:
    """What stands against a copy stands against a move."""
    return copy.refuse(request, found)


def intend(request: Command, found: Situation) -> Intent:
    node, target = found.here.node, found.appears.node
    assert node is not None
    if found.appears.mount != found.here.mount:
        # Nothing can be renamed from one mount to another: the content appears there, then the source goes.
        departs = parts.leaves(node, found.here, request.node_path, item=1)
        return replace(copy.intend(request, found), departs=departs)
    return Move(
        **parts.changes(node),
        **parts.way(node, found.here),
        parent=parts.parent_of(found.appears),
        old_parent=parts.parent_of(found.here),
        at=request.appears_at.raw.hex(),
        tree=node.kind is NodeKind.DIRECTORY,
        replaced=parts.leaves(target, found.appears, request.appears_at, item=0) if target else None,
    )


def claims(request: Command, found: Situation) -> list[Claim]:
    return [parts.here(request, subtree=True), parts.at_target(request, subtree=True)]
