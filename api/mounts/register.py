"""Mounts are registered and changed. Secrets go in and never come out."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psycopg.errors import UniqueViolation

from activities.executors.contract.identity import Identity
from activities.executors.kinds import kind_of
from api.mounts.bodies import MountChanges, MountFields, NewMountBody
from api.services import ExecutorsOfMounts, Front
from schema.errors import BackendNotFound, ChildrenExist, ContentHeld, InvalidRequest, PathBusy
from schema.ids import MountId
from schema.mounts import Mount
from schema.principals import Principal
from schema.secrets.keyring import Keyring, sealed_all
from schema.settings import Settings
from schema.store import begin, holds, mounts, object_locks, projects
from schema.store.mounts import LockedMount, NewMount
from schema.store.pool import Pool

if TYPE_CHECKING:
    from schema.store.connection import Connection

WriteAct = Callable[..., Awaitable[None]]
"""Takes the connection, the mount, and what the act tells: `payload`, `before`, `after`"""
_SECRET = re.compile(r"secret|password|passphrase|token|credential|access_?key|private_?key", re.IGNORECASE)
"""Names in `config` whose values are secrets."""
_PLACE = {"root_path", "bucket", "prefix", "config"}
"""What says where the files are, and how they are reached."""


async def register(
    settings: Settings, pool: Pool, executors: ExecutorsOfMounts, new: NewMount, keys: Keyring, *, adopt: bool = False,
    act: WriteAct | None = None,
) -> MountId:  # fmt: skip
    """Make a mount. `act`: writes it down as what an administrator did. `adopt`: where the storage says that it is a mount that
    this service does not know, it is that one from now on. Its row comes first, inactive, then its storage, then its root; a
    crash between them leaves a mount that the same request finishes.

    Raises InvalidRequest, and what the storage says: MountOffline, StorageFull.
    """
    kind_of(new.backend_kind).check_place(new)
    async with pool.connection() as connection, connection.transaction():
        id = await mounts.create(connection, new, settings.host_id)
        if id is not None:
            await mounts.keep_secrets(connection, id, await asyncio.to_thread(sealed_all, keys, id, new.secrets))
        mount = await mounts.find(connection, id, new.tenant) if id else None
    if mount is None:
        raise InvalidRequest(f"There is a mount with the key {new.mount_key!r} already.", field="mountKey")
    try:
        if adopt:
            mount = await _adopted(pool, executors, mount)
        async with pool.connection() as connection:
            others = await mounts.others(connection, mount.id)
        root = await _prepare(executors, mount, others)
        proof = await asyncio.to_thread(executors.prove_locks, mount)
    except Exception:
        async with pool.connection() as connection:
            await mounts.give_up(connection, mount.id)
        raise
    async with pool.connection() as connection, connection.transaction():
        await mounts.record_root(connection, mount.id, root.facts() if root else None)
        if proof is not None:
            await object_locks.keep_proof(connection, mount.id, proof)
        await mounts.update(connection, mount.id, {"state": new.state, "state_reason": new.state_reason})
        if act is not None:
            await act(connection, mount.id, after=await _shown(connection, mount))
    await executors.refresh()
    return mount.id


async def _adopted(pool: Pool, executors: ExecutorsOfMounts, mount: Mount) -> Mount:
    told = await asyncio.to_thread(executors.sentinel, mount)
    if told in (None, mount.mount_uuid) or not _is_uuid(told or ""):
        return mount
    async with pool.connection() as connection, connection.transaction():
        if await mounts.has_uuid(connection, told or ""):
            raise InvalidRequest(
                "The storage is a mount of this service already. Take that mount, or choose another place."
            )
        await mounts.adopt(connection, mount.id, told or "")
        found = await mounts.find(connection, mount.id, mount.tenant)
    assert found is not None
    return found


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


async def remove(front: Front, principal: Principal, id: MountId, act: WriteAct, *, forget: bool) -> None:
    """Forget a mount: nothing on its storage is touched. One change of one row, however much it holds; what refers to it stays as
    history, and no request finds it. Raises BackendNotFound, PathBusy, ChildrenExist."""
    async with front.services.pool.connection() as connection, connection.transaction():
        await begin.lock_mounts(connection, {id})  # no `begin` has looked at it and not written yet
        locked = await mounts.lock(connection, id, principal.tenant)
        if locked is None:
            raise BackendNotFound(backendMountId=id)
        if locked.busy:
            raise PathBusy("Commands of this mount are still running. Try again when they have ended.")
        if not forget and await mounts.holds_nodes(connection, id):
            raise ChildrenExist(
                "The mount has nodes. Send forget=true to remove it all the same: its files stay where they are, and are not "
                "known any more.",
                backendMountId=id,
            )
        if names := await projects.on_mount(connection, id):
            raise ChildrenExist(
                f"Projects keep their cold contents on the mount: {', '.join(names)}. Delete them first.",
                backendMountId=id,
            )
        if await holds.on_mount(connection, id):
            raise ContentHeld(
                "Something on the mount is held, or locks of a hold that ended are still taken off, while the mount is "
                "active. "
                "GET /v1/holds?ended=true lists it.",
                backendMountId=id,
            )
        await act(connection, id, before=await _shown(connection, locked.mount))
        await mounts.remove(connection, id)


async def _shown(connection: Connection, mount: Mount) -> dict[str, Any]:
    """As clients read it: without its secrets."""
    shown = await mounts.show(connection, mount.id, mount.tenant)
    return json.loads(shown) if shown else {}


async def _prepare(executors: ExecutorsOfMounts, mount: Mount, others: Sequence[Mount]) -> Identity | None:
    """In a thread: storage can be slow."""
    return await asyncio.to_thread(executors.register, mount, others)


def new_mount(body: NewMountBody, tenant: str) -> NewMount:
    """A body as the store takes it, its secrets apart."""
    public, secrets = split_config(body.config or {})
    return NewMount(
        mount_key=body.mount_key,
        backend_kind=body.backend_kind,
        root_path=body.root_path,
        bucket=body.bucket,
        prefix=body.prefix,
        config=public,
        secrets={name: value for name, value in secrets.items() if value is not None},
        access_mode=body.access_mode or "rw",
        state=body.state or "active",
        state_reason=body.state_reason,
        display_name=body.display_name,
        description=body.description,
        contact=body.contact,
        labels=body.labels or (),
        direct_reads=kind_of(body.backend_kind).direct_reads,
        tenant=tenant,
    )


def names_secrets(body: MountChanges) -> bool:
    return any(_SECRET.search(name) for name in body.config or {})


async def change(front: Front, principal: Principal, id: MountId, body: MountChanges, act: WriteAct) -> None:
    changes = body.model_dump(exclude_unset=True)
    _refuse_nulls(changes)
    if "retention" in changes:
        changes["retention"] = body.retention.model_dump(exclude_none=True) if body.retention else {}
    config, named = split_config(changes.pop("config") or {}) if "config" in changes else (None, {})
    if config is not None:
        changes["config"] = config
    secrets = await asyncio.to_thread(sealed_all, front.services.keys, id, named)
    tried = await _try(front, principal, id, changes, secrets) if secrets else None
    async with front.services.pool.connection() as connection:
        try:
            async with connection.transaction():
                locked = await mounts.lock(connection, id, principal.tenant)
                if locked is None:
                    raise BackendNotFound(backendMountId=id)
                if tried is not None and tried != locked.mount:
                    raise PathBusy("The mount is being changed by others. Try again when they have ended.")
                moved = _moved(locked, changes)
                if moved is not None:
                    changes["epoch"] = moved.epoch
                if _PLACE & changes.keys() or secrets:
                    kind_of(locked.mount.backend_kind).check_place(_after(locked.mount, changes, secrets))
                before = await _shown(connection, locked.mount)
                await mounts.update(connection, id, changes)
                await mounts.keep_secrets(connection, id, secrets)
                told = {"payload": {"credentials": sorted(secrets)}} if secrets else {}
                await act(connection, id, before=before, after=await _shown(connection, locked.mount), **told)
                # As it is from now on, with its new credentials.
                after = moved and await mounts.find(connection, id, principal.tenant)
                if after is not None:
                    # The mount is inactive and held still: only its own administrator waits for this transaction.
                    root = await _prepare(front.services.executors, after, await mounts.others(connection, id))
                    await mounts.record_root(connection, id, root.facts() if root else None)
                    await object_locks.doubt(connection, id)
        except UniqueViolation as error:
            raise InvalidRequest("There is a mount with this key already.", field="mountKey") from error


async def _try(
    front: Front, principal: Principal, id: MountId, changes: Mapping[str, Any], secrets: Mapping[str, str | None]
) -> Mount:
    """Where the place stays, its storage must show the mount under the new secrets; at another place that is seen when it is
    prepared. The mount as it was then. Raises InvalidRequest, MountOffline."""
    mount = await front.mounts.get(id, principal.tenant, fresh=True)
    # The epoch tells rows that were read late from this one.
    after = replace(_after(mount, changes, secrets), epoch=mount.epoch + 1)
    kind = kind_of(mount.backend_kind)
    kind.check_place(after)
    if kind.direct_reads and _where(after) == _where(mount):
        await asyncio.to_thread(front.services.executors.prove, after)
    return mount


def _refuse_nulls(changes: Mapping[str, Any]) -> None:
    for name in ("mount_key", "access_mode", "state", "labels"):
        if name in changes and changes[name] is None:
            raise InvalidRequest(f"{MountFields.model_fields[name].alias} can not be null.", field=name)


def _moved(locked: LockedMount, changes: Mapping[str, Any]) -> Mount | None:
    """The mount at its new place; None where the place stays. Raises InvalidRequest, PathBusy."""
    mount = locked.mount
    moved = replace(_after(mount, changes, {}), epoch=mount.epoch + 1)
    # Another place is another set of files; how it is reached is not.
    if _where(moved) == _where(mount):
        return None
    if mount.state != "inactive":
        raise InvalidRequest(
            "The place of a mount changes only while it is inactive; set its state first.", field="state"
        )
    if locked.busy:
        raise PathBusy("Commands of this mount are still running. Try again when they have ended.")
    return moved


def _after(mount: Mount, changes: Mapping[str, Any], secrets: Mapping[str, str | None]) -> Mount:
    """Where the mount lies after the changes."""
    held = {name: value for name, value in {**mount.secrets, **secrets}.items() if value is not None}
    return replace(mount, **{name: changes[name] for name in _PLACE & changes.keys()}, secrets=held)


def _where(mount: Mount) -> tuple[object, ...]:
    return mount.root_path, mount.bucket, mount.prefix, mount.config.get("endpoint")


def split_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str | None]]:
    """What may be shown, and what may not; a secret that is null is withdrawn. Raises InvalidRequest."""
    public, secrets = dict[str, Any](), dict[str, str | None]()
    for name, value in config.items():
        if not _SECRET.search(name):
            _refuse_hidden_secrets(name, value)
            public[name] = value
        elif value is None or isinstance(value, str):
            secrets[name] = value
        else:
            raise InvalidRequest(f"config.{name} is a secret, so it is a text.", field=f"config.{name}")
    return public, secrets


def _refuse_hidden_secrets(name: str, value: Any) -> None:
    """Secrets inside of other values would be shown to every reader of the mount."""
    if isinstance(value, str) and "://" in value and "@" in value.partition("://")[2].partition("/")[0]:
        raise InvalidRequest(
            f"config.{name} is an address with a password in it; send secrets by name.", field=f"config.{name}"
        )
    if isinstance(value, dict):
        for inner, held in value.items():
            if _SECRET.search(inner):
                raise InvalidRequest(
                    f"config.{name}.{inner}: send secrets at the top of config.", field=f"config.{name}"
                )
            _refuse_hidden_secrets(f"{name}.{inner}", held)
    if isinstance(value, list):
        for held in value:
            _refuse_hidden_secrets(name, held)
