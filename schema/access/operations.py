"""Which actions an operation needs, and where, beside `operate`: those of the commands that it is made of."""

from collections.abc import Sequence

from schema.access.actions import Action
from schema.ids import MountId
from schema.operations.operation import Operation, OperationKind
from schema.paths import NodePath


def needs(operation: Operation) -> Sequence[tuple[Action, MountId, NodePath]]:
    """Each item is asked about by itself when its command begins."""
    mount, path = operation.mount_id, operation.path
    here: list[tuple[Action, MountId, NodePath]] = [("operate", mount, path), (_AT_PATH[operation.kind], mount, path)]
    if operation.subtrees is not None:
        return [("operate", *subtree) for subtree in operation.subtrees]
    if operation.target_path is None:
        return here
    return [*here, ("write", operation.target_mount or mount, operation.target_path)]


_AT_PATH: dict[OperationKind, Action] = {
    OperationKind.COPY: "read",
    OperationKind.MOVE: "move",
    OperationKind.DELETE: "delete",
    OperationKind.DESCRIBE: "describe",
    OperationKind.TAG: "describe",
    OperationKind.RESTORE: "restore",
    OperationKind.UNDO: "operate",
    OperationKind.VERIFY: "read",
    OperationKind.PURGE: "delete",
    OperationKind.IMPORT: "reconcile",
}
