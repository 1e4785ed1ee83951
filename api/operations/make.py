"""From a body to an operation: what is asked for, whether it makes sense, under which key."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from api.operations.bodies import NewOperation
from api.services import Front
from schema import paths
from schema.access.operations import needs
from schema.errors import IdempotencyConflict, InvalidRequest, NotFound, NotSupported
from schema.ids import MountId, new_command_id
from schema.operations.control import Control, not_put_back, refused
from schema.operations.operation import Operation, OperationKind, OperationState
from schema.operations.undo_selection import UndoSelection
from schema.paths import ROOT, NodePath, parse
from schema.principals import Principal, authorise, readable
from schema.store import operations as store

if TYPE_CHECKING:
    from schema.store.connection import Connection


async def operation_of(front: Front, principal: Principal, body: NewOperation, correlation: str | None) -> Operation:
    """Raises FilestoreError."""
    kind = OperationKind(body.kind)
    path = (
        ROOT if body.path is None and body.path_b64 is None else paths.decode(body.path, body.path_b64, allow_root=True)
    )
    target = None
    if body.target_path is not None or body.target_path_b64 is not None:
        target = paths.decode(body.target_path, body.target_path_b64, allow_root=True)
    selection = body.selection.meant()
    for one in selection.paths:
        if not _inside(parse(one), path):
            raise _invalid("selection.paths", "Each of these paths lies below `path`.")
    mount = MountId(body.backend_mount_id)
    await front.mounts.get(mount, principal.tenant)
    there = None
    if body.target_backend_mount_id is not None and body.target_backend_mount_id != mount:
        there = MountId(body.target_backend_mount_id)
        await front.mounts.get(there, principal.tenant)
    operation = Operation(
        id=str(new_command_id()), tenant=principal.tenant, principal=principal.name, token_id=principal.token_id,
        kind=kind, mount_id=mount, path=path, target_path=target, target_mount=there, selection=selection,
        options=replace(body.options.meant(), as_of=body.as_of),
        metadata=body.metadata.model_dump() if body.metadata else None, plan_only=body.plan_only,
        record=body.record.meant() if body.record else None,
        correlation_id=correlation,
    )  # fmt: skip
    for action, on, place in needs(operation):
        authorise(principal, action, on, place)
    _sensible(operation)
    if (operation.record or selection.records) and not front.services.settings.metastore:
        raise NotSupported("The Metastore is switched off here: FILESTORE_METASTORE is false.")
    if kind is OperationKind.IMPORT:
        state = OperationState.PLANNED if body.plan_only else OperationState.RUNNING
        return replace(operation, state=state)
    return operation


def _sensible(operation: Operation) -> None:
    """Raises InvalidRequest."""
    relocates = operation.kind in (OperationKind.COPY, OperationKind.MOVE)
    if relocates is (operation.target_path is None):
        raise _invalid("targetPath", "A copy or a move needs a targetPath, and nothing else has one.")
    if (operation.kind is OperationKind.DESCRIBE) is (operation.metadata is None):
        raise _invalid("metadata", "`describe` needs `metadata` with `set` or `unset`, and nothing else has it.")
    if (operation.kind is OperationKind.TAG) is (operation.record is None):
        raise _invalid("record", "`tag` needs a `record` that says what to change, and nothing else has it.")
    if operation.selection.records is not None and operation.kind in (OperationKind.RESTORE, OperationKind.PURGE):
        raise _invalid(
            "selection.records", "What lies in the trash is not selected by its records. Name paths, or times."
        )
    if operation.kind is OperationKind.IMPORT and (operation.selection.narrows or operation.selection.paths):
        raise _invalid(
            "selection", "An import takes everything below its path. Name a path, and leave the selection out."
        )
    if operation.kind is not OperationKind.IMPORT and operation.options.hashes != "later":
        raise _invalid("options.hashes", "Only an import has hashes to make.")
    options = operation.options
    if (options.as_of is not None or options.remove_new) and operation.kind is not OperationKind.RESTORE:
        raise _invalid("asOf", "Only `restore` goes back to a time.")
    if options.as_of is not None and (operation.selection.narrows or operation.selection.paths):
        raise _invalid("selection", "A subtree goes back to a time as a whole: name its path, without a selection.")
    if (options.older_than is not None or options.keep_bytes is not None) and operation.kind is not OperationKind.PURGE:
        raise _invalid("options.olderThan", "Only `purge` goes by age and size.")
    if options.remove_new and options.as_of is None:
        raise _invalid("options.removeNew", "It belongs to `asOf`: without a time nothing is new.")
    whole_root = operation.path == ROOT and not operation.selection.narrows and not operation.selection.paths
    if whole_root and operation.kind in (OperationKind.MOVE, OperationKind.DELETE):
        raise _invalid("path", "The root of a mount can not go. Name a path, or a selection.")
    if operation.target_mount is not None and operation.target_path is None:
        raise _invalid("targetBackendMountId", "Only a copy or a move goes to another mount.")
    same = operation.target_mount is None
    if same and operation.target_path is not None and _inside(operation.target_path, operation.path):
        raise _invalid("targetPath", "The target lies inside of what is copied or moved.")


def _inside(path: NodePath, tree: NodePath) -> bool:
    return path == tree or path.is_below(tree)


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, fields=[{"field": field, "message": message}])


async def create(connection: Connection, operation: Operation, key: str | None, asked: object) -> tuple[str, bool]:
    """The id of the operation, and whether it is new: the same request under its key joins the one that is there. Raises
    IdempotencyConflict."""
    hash = hash_of(asked)
    if await store.create(connection, operation, key or operation.id, hash):
        return operation.id, True
    known = await store.of_key(connection, operation.tenant, operation.principal, key or operation.id)
    if known is None or known[1] != hash:
        raise IdempotencyConflict()
    return known[0], False


def hash_of(asked: object) -> str:
    """What tells a request from another one under the same key."""
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def undo_of(principal: Principal, original: Operation, *, plan_only: bool, correlation: str | None = None) -> Operation:
    """The operation that puts back what `original` has done. Raises WrongState: it has not ended, or is undone
    already; NotSupported, Forbidden."""
    if original.forgets:
        raise not_put_back(original)
    if original.kind is OperationKind.IMPORT:
        authorise(principal, "reconcile", original.mount_id, original.path)
    if original.tags:
        authorise(principal, "describe", original.mount_id, original.path)
    if not original.state.ended or original.undone or not original.done or not original.kind.can_be_undone:
        raise refused(original, Control.UNDO)
    return Operation(
        id=str(new_command_id()), tenant=principal.tenant, principal=principal.name, token_id=principal.token_id,
        kind=OperationKind.UNDO, mount_id=original.mount_id, path=original.path, target_path=original.target_path,
        target_mount=original.target_mount,
        # Of an undo by selection a node can have several items: only the journal says how they follow each other.
        undo=None if original.undo is None else UndoSelection(operation_id=original.id, mounts=original.undo.mounts),
        subtrees=original.subtrees,
        plan_only=plan_only, undoes=original.id, undoes_turn=original.turn, correlation_id=correlation,
    )  # fmt: skip


async def locked(connection: Connection, id: str, principal: Principal) -> Operation:
    """To be steered. Raises NotFound, Forbidden."""
    found = await store.lock(connection, id)
    if found is None or found.operation.tenant != principal.tenant:
        raise NotFound("There is no such operation.")
    operation = found.operation
    if not all(readable(principal, *claim) for claim in [(operation.mount_id, operation.path), *operation.claims]):
        raise NotFound("There is no such operation.")
    for subtree in operation.subtrees or [(operation.mount_id, operation.path)]:
        authorise(principal, "operate", *subtree)
    return operation
