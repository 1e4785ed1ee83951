"""What the API process knows of itself, and of the servers and mounts that it asks: for the metrics."""

from collections.abc import Mapping, Sequence

from api.dispatch.dispatch import Dispatch
from api.services import Load, MountSeen
from schema.mounts import Mount
from schema.store.pool import Pool
from workers.engine.engine import Engine
from workers.engine.health import Health
from workers.engine.served import ServedMounts


class Vitals:
    def __init__(self, pool: Pool, engine: Engine, dispatch: Dispatch, served: ServedMounts, health: Health) -> None:
        self._pool, self._engine, self._dispatch, self._served, self._health = pool, engine, dispatch, served, health

    def pools(self) -> Mapping[str, Mapping[str, int]]:
        return {"api": self._pool.get_stats(), "engine": self._engine.pool.get_stats()}

    def loads(self) -> Sequence[Load]:
        """Of every mount of this host: one that is idle has a line too, and says so."""
        held = self._dispatch.load()
        return [Load(mount.tenant, mount.mount_key, *held.get(mount.id, (0, 0))) for mount in self._served.here()]

    async def servers(self) -> Mapping[str, bool]:
        told = await self._health.servers()
        return {server: state == "ok" for server, state in told.items() if state != "inline"}

    async def mounts(self) -> Sequence[MountSeen]:
        return [self._seen(mount, state) for mount, state in await self._health.mounts()]

    def _seen(self, mount: Mount, state: str) -> MountSeen:
        stuck = self._served.stuck(mount.id)
        count = stuck.count if stuck else 0
        return MountSeen(mount.tenant, mount.mount_key, _health(mount, state, count), count)


def _health(mount: Mount, state: str, stuck: int) -> str:
    if mount.state == "inactive":
        return "inactive"
    if state != "ok" or not mount.serving:
        return "offline"
    return "online" if mount.state == "active" and not stuck else "degraded"
