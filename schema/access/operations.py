"""Which actions an operation needs, and where, beside `operate`: those of the commands that it is made of."""

from collections.abc import Sequence

from schema.access.actions import Action
from schema.operations.operation import Operation, OperationKind
from schema.paths import NodePath


def needs(operation: Operation) -> Sequence[tuple[Action, NodePath]]:
    """On its mount. Each item is asked about by itself when its command begins."""
    here: list[tuple[Action, NodePath]] = [("operate", operation.path), (_AT_PATH[operation.kind], operation.path)]
    return here if operation.target_path is None else [*here, ("write", operation.target_path)]


_AT_PATH: dict[OperationKind, Action] = {
    OperationKind.COPY: "read",
    OperationKind.MOVE: "move",
    OperationKind.DELETE: "delete",
    OperationKind.DESCRIBE: "describe",
    OperationKind.RESTORE: "restore",
    OperationKind.UNDO: "operate",
    OperationKind.IMPORT: "reconcile",
}
