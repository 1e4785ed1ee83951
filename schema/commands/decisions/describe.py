"""Describe: metadata is set and unset. Nothing happens on the storage."""

from typing import Any

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Request
from schema.commands.decisions import parts
from schema.commands.situations import Situation


def refuse(request: Request, found: Situation) -> errors.FilestoreError | None:
    node = found.here.node
    if node is None or request.node_id not in (None, node.id):
        return errors.NodeNotFound("The node is no longer at this path. Read it again.", path=request.path)
    return parts.stale(request, node)


def intend(request: Request, found: Situation) -> dict[str, Any]:
    node = found.here.node
    assert node is not None
    return parts.changes(node) | {"step": "describe", "parent": parts.parent_of(found.here), "expected": None}


def claims(request: Request, found: Situation) -> list[Claim]:
    return [parts.here(request)]
