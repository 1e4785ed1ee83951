"""Read and write configured mounts. Their secrets lie sealed in a table of their own: `schema/secrets` opens them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schema.freezes import Freeze
from schema.ids import MountId
from schema.mounts import Mount
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("mounts")


@dataclass(frozen=True, slots=True)
class NewMount:
    """A mount as a client asked for it. The code that builds this has checked it."""

    mount_key: str
    backend_kind: str
    root_path: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    access_mode: str = "rw"
    state: str = "active"
    state_reason: str | None = None
    display_name: str | None = None
    description: str | None = None
    contact: str | None = None
    labels: Sequence[str] = ()
    tenant: str = "main"
    direct_reads: bool = False
    """Its storage hands out content itself, under a link"""


@dataclass(frozen=True, slots=True)
class LockedMount:
    """A mount held still until the transaction ends. `busy`: a command of it is running."""

    mount: Mount
    config: Mapping[str, Any]
    busy: bool


@dataclass(frozen=True, slots=True)
class MountPage:
    """A page of a list: `items` is JSON text, the elements of an array without its brackets."""

    items: str
    total: int


def _mount(row: Mapping[str, Any]) -> Mount:
    """Only commands are told of a freeze: executors serve reads all the same."""
    values = {name: row[name] for name in Mount.__dataclass_fields__ if name != "freeze"}
    freeze = row.get("freeze")
    return Mount(**values, freeze=None if freeze is None else Freeze.of_json(freeze))


async def find(connection: Connection, mount: MountId, tenant: str) -> Mount | None:
    cursor = await connection.execute(SQL["find"], {"id": mount, "tenant": tenant})
    row = await cursor.fetchone()
    return _mount(row) if row else None


async def every(connection: Connection) -> list[Mount]:
    """Every mount of every tenant, for the processes that serve them."""
    cursor = await connection.execute(SQL["all"])
    return [_mount(row) for row in await cursor.fetchall()]


async def others(connection: Connection, mount: MountId) -> list[Mount]:
    """Those that this one must not meet: files belong to one mount. Of two that are registered at once the later one gives way."""
    cursor = await connection.execute(SQL["others"], {"id": mount})
    return [_mount(row) for row in await cursor.fetchall()]


async def resting(connection: Connection) -> set[MountId]:
    """Those that are switched off and have nothing under way."""
    cursor = await connection.execute(SQL["resting"])
    return {MountId(row["id"]) for row in await cursor.fetchall()}


async def show(connection: Connection, mount: MountId, tenant: str) -> str | None:
    """A mount as clients read it, as JSON text."""
    page = await listed(connection, tenant, only=mount)
    return page.items or None


async def listed(
    connection: Connection,
    tenant: str,
    *,
    kinds: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    access_modes: Sequence[str] | None = None,
    search: str | None = None,
    limit: int = 1,
    offset: int = 0,
    only: MountId | None = None,
    among: Collection[MountId] | None = None,
    without: Collection[MountId] = (),
) -> MountPage:
    """`among`: only these. None: all of the tenant. `without`: and none of these."""
    values = {
        "tenant": tenant,
        "id": only,
        "ids": None if among is None else sorted(among),
        "without": sorted(without),
        "kinds": kinds,
        "states": states,
        "access_modes": access_modes,
        "search": search,
        "limit": limit,
        "offset": offset,
    }
    cursor = await connection.execute(SQL["list"], values)
    row = await cursor.fetchone()
    assert row is not None
    return MountPage(row["items"] or "", row["total"])


async def create(connection: Connection, new: NewMount, host_id: str) -> MountId | None:
    """A mount that is not finished: it has no root and no secrets yet, and is inactive. Asked again after a crash: the same one.

    None: the key is taken by another mount.
    """
    values = {
        "tenant": new.tenant,
        "mount_key": new.mount_key,
        "backend_kind": new.backend_kind,
        "root_path": new.root_path,
        "bucket": new.bucket,
        "prefix": new.prefix,
        "config": json.dumps(dict(new.config)),
        "access_mode": new.access_mode,
        "display_name": new.display_name,
        "description": new.description,
        "contact": new.contact,
        "labels": list(new.labels),
        "host_id": host_id,
        "direct_reads": new.direct_reads,
    }
    cursor = await connection.execute(SQL["create"], values)
    row = await cursor.fetchone()
    if row is None:
        cursor = await connection.execute(SQL["unfinished"], values)
        row = await cursor.fetchone()
    if row is None:
        return None
    return MountId(row["id"])


async def has_uuid(connection: Connection, mount_uuid: str) -> bool:
    """A mount of this service is the one that a sentinel names."""
    row = await (await connection.execute(SQL["has_uuid"], {"uuid": mount_uuid})).fetchone()
    return bool(row and row["has"])


async def adopt(connection: Connection, mount: MountId, mount_uuid: str) -> None:
    """An unfinished mount is the one that the sentinel on its storage names."""
    await connection.execute(SQL["adopt"], {"id": mount, "uuid": mount_uuid})


async def holds_nodes(connection: Connection, mount: MountId) -> bool:
    row = await (await connection.execute(SQL["holds_nodes"], {"id": mount})).fetchone()
    return bool(row and row["holds"])


async def remove(connection: Connection, mount: MountId) -> None:
    """Forget a mount that is held still. Nothing on its storage is touched."""
    await connection.execute(SQL["remove"], {"id": mount})


async def finished(connection: Connection, tenant: str, mount_key: str) -> MountId | None:
    """The mount under this key, if there is one and it has its root."""
    cursor = await connection.execute(SQL["finished"], {"tenant": tenant, "mount_key": mount_key})
    row = await cursor.fetchone()
    return MountId(row["id"]) if row else None


async def give_up(connection: Connection, mount: MountId) -> None:
    """Take back what `create` wrote, where the storage could not be prepared."""
    await connection.execute(SQL["give_up"], {"id": mount})


async def record_root(connection: Connection, mount: MountId, identity: Sequence[int | str] | None) -> None:
    """The root as a node. `identity` is `Identity.facts()` as the storage tells it; None where there is none."""
    device, inode, birth, size, mtime, ctime, _, mode, links = identity or (None,) * 9
    values = {
        "mount": mount, "device": device, "inode": inode, "birth": birth, "size": size, "mtime": mtime, "ctime": ctime,
        "mode": mode, "links": links,
    }  # fmt: skip
    await connection.execute(SQL["record_root"], values)


async def lock(connection: Connection, mount: MountId, tenant: str) -> LockedMount | None:
    cursor = await connection.execute(SQL["lock"], {"id": mount, "tenant": tenant})
    row = await cursor.fetchone()
    return LockedMount(_mount(row), row["config"], row["busy"]) if row else None


async def update(connection: Connection, mount: MountId, changes: Mapping[str, Any]) -> None:
    """Change these columns. The caller has checked them."""
    await connection.execute(SQL["update"], {"id": mount, "changes": json.dumps(dict(changes))})


async def keep_secrets(connection: Connection, mount: MountId, secrets: Mapping[str, str | None]) -> None:
    """Store or, where the value is None, withdraw secrets, sealed as they are. Those that are not named stay."""
    gone = [name for name, value in secrets.items() if value is None]
    kept = {name: value for name, value in secrets.items() if value is not None}
    if gone:
        await connection.execute(SQL["forget_secrets"], {"id": mount, "names": gone})
    if kept:
        values = {"id": mount, "names": list(kept), "values": list(kept.values())}
        await connection.execute(SQL["keep_secrets"], values)
