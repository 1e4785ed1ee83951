"""Mounts as this process knows them: commands look a mount up without asking Postgres each time.

`begin` decides on the row itself, so what is a few seconds old here can only be refused there, never let through.
"""

from time import monotonic

from psycopg import InterfaceError, OperationalError

from schema.errors import BackendNotFound
from schema.ids import MountId
from schema.mounts import Mount
from schema.store import mounts
from schema.store.pool import Pool

FRESH_SECONDS = 5.0
GRACE_SECONDS = 1.0
"""Who finds it too old asks again; meanwhile the others go on with it."""


class KnownMounts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known: dict[tuple[str, MountId], tuple[Mount, float]] = {}

    async def get(self, mount: MountId, tenant: str, *, fresh: bool = False) -> Mount:
        """Raises BackendNotFound, for another tenant's mount too. While Postgres is away, what was known last holds."""
        known, until = self._known.get((tenant, mount), (None, 0.0))
        now = monotonic()
        if fresh or known is None or until < now:
            if known is not None and until < now:
                self._known[tenant, mount] = known, now + GRACE_SECONDS
            known = await self._ask(mount, tenant, known)
        if known is None:
            raise BackendNotFound(backendMountId=mount)
        return known

    async def _ask(self, mount: MountId, tenant: str, known: Mount | None) -> Mount | None:
        try:
            async with self._pool.connection() as connection:
                found = await mounts.find(connection, mount, tenant)
        except (OperationalError, InterfaceError):
            if known is None:
                raise
            found = known
        if found is None:
            self._known.pop((tenant, mount), None)
        else:
            self._known[tenant, mount] = found, monotonic() + FRESH_SECONDS
        return found

    def forget(self) -> None:
        self._known.clear()
