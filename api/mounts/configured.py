"""Mounts of a configuration file: registered once, and from then on they follow what the file says."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from activities.executors.contract.identity import Identity
from activities.executors.kinds import kind_of
from api.http.errors import invalid
from api.mounts.bodies import NewMountBody
from api.mounts.register import new_mount, register, split_config
from api.services import ExecutorsOfMounts
from schema.errors import InvalidRequest, MountOffline
from schema.ids import MountId
from schema.mounts import Mount
from schema.secrets.keyring import Keyring, of_mount, sealed_all
from schema.secrets.references import SecretUnreadable
from schema.settings import Settings
from schema.store import mounts, object_locks
from schema.store.pool import Pool

TENANT = "main"
"""The tenant whose mounts a file names."""

Prove = Callable[[Mount], Identity | None]
"""Reads the sentinel of a mount where its row will say it lies, and writes nothing; says which directory a local root is.
Raises MountOffline where there is none, or another mount's."""


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between a file's entry and a mount's row."""

    columns: Mapping[str, Any]
    secrets: Mapping[str, str | None]
    mount: Mount
    """As it will be"""
    moves: bool
    """It is reached in another way: place, account or credentials"""


async def register_configured(
    settings: Settings, pool: Pool, executors: ExecutorsOfMounts, keys: Keyring, entry: object
) -> Mount:
    """The mount of an entry, written like the body of POST /v1/backend-mounts. One that is there already follows it.

    Raises like `register` and `follow_configured`."""
    body = read_entry(entry)
    followed = await follow_configured(settings, pool, executors.prove, keys, entry)
    if followed is not None:
        return followed
    id = await register(settings, pool, executors, new_mount(body, TENANT), keys, adopt=body.adopt)
    mount = await _find(pool, id)
    assert mount is not None
    return mount


async def follow_configured(settings: Settings, pool: Pool, prove: Prove, keys: Keyring, entry: object) -> Mount | None:
    """Make a registered mount what its entry says; what the entry does not name stays. None: it is not registered yet.

    Another place is written down once the mount's own sentinel was read there. Raises InvalidRequest for an entry that can
    not be read, and MountOffline where the place could not be proved: the row is as before then.
    """
    body = read_entry(entry)
    while True:
        known = await _registered(pool, body.mount_key)
        if known is None:
            return None
        mount, shown = known
        if mount.host_id != settings.host_id:  # its own host can look at its storage, and follows its own file
            return mount
        change = await asyncio.to_thread(difference, mount, shown, body, keys)
        if change is None:
            return mount
        root = await asyncio.to_thread(_proved, prove, change.mount) if change.moves else None
        if await _write(pool, mount, change, root):
            return await _find(pool, mount.id)


def read_entry(entry: object) -> NewMountBody:
    """Raises InvalidRequest."""
    try:
        return NewMountBody.model_validate(entry)
    except ValidationError as error:
        raise invalid(error) from error


def difference(mount: Mount, shown: Mapping[str, Any], body: NewMountBody, keys: Keyring) -> Change | None:
    """`shown`: the mount as clients read it. Raises MountOffline where the file names a mount of another kind."""
    if body.backend_kind != mount.backend_kind:
        raise MountOffline(
            f"The configuration file says {body.backend_kind}, and the mount was registered as {mount.backend_kind}."
        )
    said = body.model_dump(include=body.model_fields_set - {"mount_key", "backend_kind", "config", "adopt"})
    aliases = {name: field.alias or name for name, field in NewMountBody.model_fields.items()}
    recorded = {name: shown[alias] for name, alias in aliases.items() if alias in shown} | {"state": mount.state}
    columns = {name: value for name, value in said.items() if _differs(name, value, recorded[name])}
    secrets = dict[str, str | None]()
    if body.config is not None:
        config, named = split_config(body.config)
        secrets = {name: value for name, value in named.items() if not _is_kept(keys, mount, name, value)}
        columns |= {"config": config} if config != mount.config else {}
    if not columns and not secrets:
        return None
    place = {name: columns[name] for name in ("root_path", "bucket", "prefix", "config") if name in columns}
    if not place and not secrets:
        return Change(columns, {}, mount, moves=False)
    sealed = sealed_all(keys, mount.id, secrets)
    kept = {name: value for name, value in {**mount.secrets, **sealed}.items() if value is not None}
    # The epoch tells rows that were read late from this one.
    after = replace(mount, **place, secrets=kept, epoch=mount.epoch + 1)
    return Change({**columns, "epoch": after.epoch}, sealed, after, moves=True)


def _is_kept(keys: Keyring, mount: Mount, name: str, told: str | None) -> bool:
    """Whether the row has this secret. One that can not be opened is written anew."""
    stored = mount.secrets.get(name)
    if stored is None or told is None:
        return stored == told
    try:
        return told in (stored, keys.open(of_mount(mount.id, name), stored))
    except SecretUnreadable:
        return False


def _differs(name: str, said: object, recorded: object) -> bool:
    if said is None and name in ("access_mode", "state", "labels"):  # the file leaves it open
        return False
    return said != recorded


def _proved(prove: Prove, mount: Mount) -> Identity | None:
    try:
        kind_of(mount.backend_kind).check_place(mount)
        return prove(mount)
    except InvalidRequest as error:
        raise MountOffline(f"What the configuration file says can not be used: {error.message}") from error


async def _registered(pool: Pool, key: str) -> tuple[Mount, Mapping[str, Any]] | None:
    async with pool.connection() as connection:
        id = await mounts.finished(connection, TENANT, key)
        mount = await mounts.find(connection, id, TENANT) if id else None
        shown = await mounts.show(connection, id, TENANT) if id else None
    return (mount, json.loads(shown)) if mount and shown else None


async def _find(pool: Pool, id: MountId) -> Mount | None:
    async with pool.connection() as connection:
        return await mounts.find(connection, id, TENANT)


async def _write(pool: Pool, before: Mount, change: Change, root: Identity | None) -> bool:
    """False where the row has changed since it was read."""
    async with pool.connection() as connection, connection.transaction():
        locked = await mounts.lock(connection, before.id, TENANT)
        if locked is None or locked.mount != before:
            return False
        await mounts.update(connection, before.id, change.columns)
        await mounts.keep_secrets(connection, before.id, change.secrets)
        if root is not None:
            await mounts.record_root(connection, before.id, root.facts())
        if change.moves:
            await object_locks.doubt(connection, before.id)
    return True
