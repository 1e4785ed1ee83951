"""Describe: metadata is set and unset. Nothing happens on the storage."""

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command
from schema.commands.decisions import parts
from schema.commands.intents import Describe, Intent
from schema.commands.situations import Situation


def refuse(request: Command, found: Situation) -> errors.FilestoreError | None:
    node = found.here.node
    if node is None or request.node_id not in (None, node.id):
        return errors.NodeNotFound("The node is no longer at this path. Read it again.", path=request.path)
    return parts.stale(request, node)


def intend(request: Command, found: Situation) -> Intent:
    node = found.here.node
    assert node is not None
    return Describe(**{**parts.changes(node), "expected": None}, parent=parts.parent_of(found.here))


def claims(request: Command, found: Situation) -> list[Claim]:
    return [parts.here(request)]
