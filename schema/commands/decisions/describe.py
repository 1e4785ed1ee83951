"""Describe: metadata is set and unset. Nothing happens on the storage."""

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command
from schema.commands.decisions import parts
from schema.commands.intents import Describe, Intent
from schema.commands.situations import Situation
from schema.nodes import NODE_METADATA_MAX


def refuse(request: Command, found: Situation) -> errors.FilestoreError | None:
    node = found.here.node
    if node is None or request.node_id not in (None, node.id):
        return errors.NodeNotFound("The node is no longer at this path. Read it again.", path=request.path)
    return parts.stale(request, node) or _too_much(found)


def _too_much(found: Situation) -> errors.PayloadTooLarge | None:
    """Each change writes all of it again: to the journal, the outbox, the versions. Less than there is, is never too much."""
    before, after = found.metadata or (0, 0)
    if after <= max(before, NODE_METADATA_MAX):
        return None
    return errors.PayloadTooLarge(
        f"The metadata of this node would have {after} bytes; {NODE_METADATA_MAX} is the most. "
        "Unset some of its keys, or keep what is large in a file.",
        bytes=after,
    )


def intend(request: Command, found: Situation) -> Intent:
    node = found.here.node
    assert node is not None
    return Describe(**{**parts.changes(node), "expected": None}, parent=parts.parent_of(found.here))


def claims(request: Command, found: Situation) -> list[Claim]:
    return [parts.here(request)]
