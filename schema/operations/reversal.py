"""How what an item has done is put back: as an item of the same kinds, so that an undo can be undone. Pure."""

from schema.ids import MountId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind, OperationItem
from schema.paths import NodePath


def reversal(done: OperationItem, item: int) -> OperationItem:
    """`done` has taken effect; `item` is the number of what puts it back. It goes only from the version that was left."""
    at = done.target or done.path
    on = done.appears_on
    match done.kind:
        case ItemKind.MOVE:
            return _from(done, item, ItemKind.MOVE, at, mount=on, target=done.path, target_mount=done.mount)
        case ItemKind.DELETE:
            return _from(done, item, ItemKind.RESTORE, done.path, mount=on)
        case ItemKind.DESCRIBE | ItemKind.TAG:
            assert done.left_version is not None
            return _from(done, item, done.kind, done.path, mount=on, content_version=done.left_version - 1)
        case ItemKind.COPY | ItemKind.RESTORE if done.replaced_version is not None:
            return _from(done, item, ItemKind.RESTORE, at, mount=on, content_version=done.replaced_version)
        case ItemKind.COPY | ItemKind.RESTORE | ItemKind.MKDIR:
            return _from(done, item, ItemKind.DELETE, at, mount=on)
        case ItemKind.VERIFY | ItemKind.PURGE | ItemKind.IMPORT | ItemKind.FORGET:
            raise AssertionError("it has no reversal: an operation of this kind is not undone")


def _from(
    done: OperationItem,
    item: int,
    kind: ItemKind,
    path: NodePath,
    *,
    mount: MountId | None,
    target: NodePath | None = None,
    target_mount: MountId | None = None,
    content_version: int | None = None,
) -> OperationItem:
    return OperationItem(
        item=item,
        kind=kind,
        path=path,
        target=target,
        mount=mount,
        target_mount=target_mount,
        node_id=done.left_node,
        node_kind=NodeKind.DIRECTORY if done.kind is ItemKind.MKDIR else done.node_kind,
        version=done.left_version,
        content_version=content_version,
        size=done.size,
        nodes=done.nodes,
    )
