"""From the body of a command to its submission: one function for each kind. All of them raise FilestoreError."""

from dataclasses import dataclass
from typing import Any

import orjson

from api.commands import headers as intake
from api.commands.bodies import Deletion, NewDirectory, NodeMetadata, Relocation, Restoration
from api.commands.fingerprint import sealed, spelled
from api.commands.headers import CommandHeaders
from api.services import Front
from api.submission import Submission
from schema import paths
from schema.access.actions import Action
from schema.commands.command import CommandKind
from schema.errors import InvalidPath, InvalidRequest, NodeNotFound, NotSupported
from schema.ids import MountId, NodeId
from schema.paths import ROOT, NodePath
from schema.principals import Principal, authorise, readable
from schema.store import nodes


@dataclass(frozen=True, slots=True)
class Asker:
    """The principal that asks, and what the headers say."""

    front: Front
    principal: Principal
    asked: CommandHeaders


@dataclass(frozen=True, slots=True)
class Named:
    """A node as the client named it: by its id, or by its path."""

    mount: MountId
    path: NodePath
    id: NodeId | None = None
    """None: whichever is at the path"""
    deleted: bool = False


async def create_directory(asker: Asker, body: NewDirectory) -> Submission:
    path = paths.decode(body.path, body.path_b64)
    mount = await _mount(asker, body.backend_mount_id, "write", path)
    return _submission(asker, CommandKind.CREATE_DIRECTORY, mount, path, metadata=body.metadata)


async def delete(asker: Asker, body: Deletion) -> Submission:
    _nothing_appears(asker)
    path = paths.decode(body.path, body.path_b64)
    mount = await _mount(asker, body.backend_mount_id, "delete", path)
    return _submission(asker, CommandKind.DELETE, mount, path, recursive=body.recursive)


async def move(asker: Asker, body: Relocation) -> Submission:
    return await _relocate(asker, CommandKind.MOVE, "move", body)


async def copy(asker: Asker, body: Relocation) -> Submission:
    return await _relocate(asker, CommandKind.COPY, "read", body)


async def _relocate(asker: Asker, kind: CommandKind, source_needs: Action, body: Relocation) -> Submission:
    path, target = paths.decode(body.path, body.path_b64), _target(body.target_path, body.target_path_b64)
    mount = await _mount(asker, body.backend_mount_id, source_needs, path)
    target_mount = await _mount(asker, body.target_backend_mount_id or mount, "write", target)
    if mount == target_mount and path == target:
        raise InvalidRequest("path and targetPath are the same: there is nothing to do.", targetPath=target.text)
    if mount == target_mount and target.raw.startswith(path.as_directory):
        raise InvalidRequest("targetPath lies below path: nothing can go into itself.", targetPath=target.text)
    return _submission(asker, kind, mount, path, target=target, target_mount=target_mount, overwrite=body.overwrite)


async def describe(asker: Asker, body: NodeMetadata) -> Submission:
    _nothing_appears(asker)
    changes = _changes(body)
    named = await _named(asker, body, "describe")
    if named.path == ROOT:
        raise NotSupported("The root of a mount takes no metadata.")
    if named.deleted and asker.asked.key is None:
        # With a key the answer may be the one it got before the node was deleted: then the record decides.
        raise NodeNotFound("The node is deleted. Restore it first.", nodeId=named.id)
    return _submission(
        asker, CommandKind.DESCRIBE, named.mount, named.path, metadata=changes, node=named.id,
        by_id=named.id is not None,
    )  # fmt: skip


def _changes(body: NodeMetadata) -> dict[str, Any]:
    given, gone = body.set or {}, body.unset or []
    if both := sorted(given.keys() & gone):
        raise InvalidRequest("A key can not be in set and in unset at once.", keys=both[:20])
    return {"set": given, "unset": gone}


async def restore(asker: Asker, body: Restoration) -> Submission:
    named = await _named(asker, body, "restore")
    if named.path == ROOT:
        raise InvalidPath("The path is empty; the root of a mount can not be changed.")
    target = None
    if body.target_path is not None or body.target_path_b64 is not None:
        target = _target(body.target_path, body.target_path_b64)
        authorise(asker.principal, "restore", named.mount, target)
    node = named.id
    if body.version is not None:
        _nothing_appears(asker)
        if target is not None:
            raise InvalidRequest("version brings back content to where its node lies: leave targetPath out.")
    elif node is None:
        node = await _last_deleted(asker, named)
    return _submission(
        asker, CommandKind.RESTORE, named.mount, named.path, target=target, node=node, content_version=body.version,
        by_id=named.id is not None,
    )  # fmt: skip


# Parts


async def _mount(asker: Asker, id: int, needs: Action, path: NodePath) -> MountId:
    mount = await asker.front.mounts.get(MountId(id), asker.principal.tenant)
    authorise(asker.principal, needs, mount.id, path)
    return mount.id


def _target(path: str | None, b64: str | None) -> NodePath:
    try:
        return paths.decode(path, b64)
    except InvalidPath as error:
        raise InvalidPath(error.message, field="targetPath") from error


async def _named(asker: Asker, body: NodeMetadata | Restoration, needs: Action) -> Named:
    by_path = body.path is not None or body.path_b64 is not None
    if by_path == (body.node_id is not None):
        raise InvalidRequest(
            "Name the node by nodeId, or by path (or pathB64).", fields=[{"field": "nodeId", "message": "or path"}]
        )
    if body.node_id is None:
        path = paths.decode(body.path, body.path_b64, allow_root=True)
        return Named(await _mount(asker, body.backend_mount_id, needs, path), path)
    mount = await asker.front.mounts.get(MountId(body.backend_mount_id), asker.principal.tenant)
    async with asker.front.services.pool.connection() as connection:
        found = await nodes.file(connection, NodeId(body.node_id), asker.principal.tenant)
    if found is None or found.mount != mount.id or not readable(asker.principal, mount.id, found.path):
        raise NodeNotFound(nodeId=body.node_id, backendMountId=mount.id)
    authorise(asker.principal, needs, mount.id, found.path)
    return Named(mount.id, found.path, found.id, found.state == "deleted")


async def _last_deleted(asker: Asker, named: Named) -> NodeId | None:
    """Where no node was deleted, the living one: the record says that it is not deleted, or that it was restored
    before. None: no node was ever there. With a key the record decides, because the command may have its answer from a
    time when there was one."""
    tenant = asker.principal.tenant
    async with asker.front.services.pool.connection() as connection:
        found = await nodes.latest_deleted(connection, named.mount, named.path, tenant)
        found = found or await nodes.by_path(connection, named.mount, named.path, tenant)
    if found is not None:
        return NodeId(orjson.loads(found.document)["id"])
    if asker.asked.key is None:
        raise NodeNotFound("Nothing was deleted at this path.", backendMountId=named.mount, path=named.path.text)
    return None


def _nothing_appears(asker: Asker) -> None:
    if asker.asked.must_be_new:
        raise InvalidRequest("If-None-Match: * asks for a free name; this command gives nothing a name.")


def _submission(
    asker: Asker, kind: CommandKind, mount: MountId, path: NodePath, *, by_id: bool = False, **fields: Any
) -> Submission:
    command = intake.command(kind, mount, path, asker.principal, asker.asked, **fields)
    metadata = fields.get("metadata")
    wait = intake.wait(asker.front.services.settings, asker.asked)
    return Submission(sealed(command, spelled(metadata), by_id=by_id), metadata, wait_seconds=wait)
