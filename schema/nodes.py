"""Node kinds and states, and the one table of legal transitions (the database enforces the same one)."""

from enum import StrEnum

NODE_METADATA_MAX = 512 * 1024
"""Bytes of a node's metadata, as the record writes it. What one request may bring (256 KiB, written without blanks) always fits."""


class NodeKind(StrEnum):
    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"
    """Recorded, never followed."""
    SPECIAL = "special"
    """FIFO, socket or device: recorded, never opened."""


class NodeState(StrEnum):
    ACTIVE = "active"
    INCONSISTENT = "inconsistent"
    MISSING = "missing"
    DELETED = "deleted"


TRANSITIONS: dict[tuple[NodeState, NodeState], str] = {
    (NodeState.ACTIVE, NodeState.INCONSISTENT): "drift detected",
    (NodeState.ACTIVE, NodeState.DELETED): "command delete",
    (NodeState.INCONSISTENT, NodeState.ACTIVE): "reconciliation success",
    (NodeState.INCONSISTENT, NodeState.MISSING): "path not found",
    (NodeState.INCONSISTENT, NodeState.DELETED): "command delete",
    (NodeState.MISSING, NodeState.ACTIVE): "restore or recreate",
    (NodeState.MISSING, NodeState.DELETED): "purge confirmed",
    (NodeState.DELETED, NodeState.ACTIVE): "restore",
}
