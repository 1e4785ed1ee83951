"""Which directories of a copy go as one item, with all that they hold. Pure."""

from dataclasses import dataclass

from schema.operations.operation import Operation, OperationKind

NODES_LEAST = 100
"""A smaller one goes file by file: that takes no time, and says more"""
NODES_MOST = 10_000
BYTES_MOST = 256 * 1024 * 1024
"""So that a pause or a stop is reached soon: what is in flight ends first"""
FLAT_MOST, FLAT_BYTES_MOST = 250_000, 1024 * 1024 * 1024
"""Of a directory that holds files alone: what it holds can not be cut at directories, and file by file takes far longer."""


@dataclass(frozen=True, slots=True)
class Subtree:
    """What a directory holds, itself included."""

    nodes: int
    size: int
    flat: bool
    """No directories"""
    plain: bool
    """Nothing but files and directories of which the record is certain: nothing that a copy would refuse"""


def may_go_whole(operation: Operation) -> bool:
    """Only where all of a subtree is copied. Limits count files: where some are set, files are the items."""
    options = operation.options
    limited = options.files_per_second is not None or options.bytes_per_second is not None
    return operation.kind is OperationKind.COPY and not operation.selection.narrows and not limited


def goes_whole(subtree: Subtree) -> bool:
    most, size = (FLAT_MOST, FLAT_BYTES_MOST) if subtree.flat else (NODES_MOST, BYTES_MOST)
    return NODES_LEAST <= subtree.nodes <= most and subtree.size <= size and subtree.plain
