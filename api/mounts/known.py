"""Mounts as this process knows them: commands look a mount up without asking Postgres each time.

`begin` decides on the row itself, so what is a few seconds old here can only be refused there, never let through.
"""

from api.access.lookups import Holding, Lookups
from schema.errors import BackendNotFound
from schema.ids import MountId
from schema.mounts import Mount
from schema.store import mounts
from schema.store.pool import Pool

HOLDING = Holding(fresh=5.0, grace=1.0)
CACHED_MAX = 10_000


class KnownMounts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lookups: Lookups[tuple[str, MountId], Mount] = Lookups(CACHED_MAX)

    async def get(self, mount: MountId, tenant: str, *, fresh: bool = False) -> Mount:
        """Raises BackendNotFound, for another tenant's mount too. While Postgres is away, what was known last holds."""
        found = await self._lookups.find((tenant, mount), lambda: self._ask(mount, tenant), HOLDING, anew=fresh)
        if found is None:
            raise BackendNotFound(backendMountId=mount)
        return found

    async def _ask(self, mount: MountId, tenant: str) -> Mount | None:
        async with self._pool.connection() as connection:
            return await mounts.find(connection, mount, tenant)

    def forget(self) -> None:
        self._lookups.forget()
