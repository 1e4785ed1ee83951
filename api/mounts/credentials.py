"""The secrets of a mount are replaced: tried first, then written down, and never shown."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from activities.executors.kinds import kind_of
from api.mounts.register import WriteAct
from api.services import Front
from schema.errors import BackendNotFound, InvalidRequest, NotSupported, PathBusy
from schema.ids import MountId
from schema.mounts import Mount
from schema.principals import Principal
from schema.secrets.keyring import sealed_all
from schema.store import mounts

TRIES = 3
"""A mount that was changed while its new secrets were tried is tried again, so often."""


async def change(
    front: Front, principal: Principal, id: MountId, secrets: Mapping[str, str | None], act: WriteAct
) -> None:
    """Raises BackendNotFound, NotSupported, InvalidRequest, MountOffline, PathBusy."""
    if not secrets:
        raise InvalidRequest("Send at least one secret, or null to withdraw one.")
    for _ in range(TRIES):
        mount = await front.mounts.get(id, principal.tenant, fresh=True)
        if not kind_of(mount.backend_kind).direct_reads:
            raise NotSupported("A mount of this kind has no credentials.")
        sealed = await asyncio.to_thread(sealed_all, front.services.keys, id, secrets)
        await asyncio.to_thread(_try, front, _after(mount, sealed))
        if await _write(front, mount, sealed, act):
            return
    raise PathBusy("The mount is being changed by others. Try again when they have ended.")


def _after(mount: Mount, secrets: Mapping[str, str | None]) -> Mount:
    held = {name: value for name, value in {**mount.secrets, **secrets}.items() if value is not None}
    # The epoch tells rows that were read late from this one.
    return replace(mount, secrets=held, epoch=mount.epoch + 1)


def _try(front: Front, after: Mount) -> None:
    kind_of(after.backend_kind).check_place(after)
    front.services.executors.prove(after)


async def _write(front: Front, before: Mount, secrets: Mapping[str, str | None], act: WriteAct) -> bool:
    """False where the row has changed since it was read."""
    async with front.services.pool.connection() as connection, connection.transaction():
        locked = await mounts.lock(connection, before.id, before.tenant)
        if locked is None:
            raise BackendNotFound(backendMountId=before.id)
        if locked.mount != before:
            return False
        await mounts.update(connection, before.id, {"epoch": before.epoch + 1})
        await mounts.keep_secrets(connection, before.id, secrets)
        await act(connection, before.id, payload={"credentials": sorted(secrets)})
    return True
