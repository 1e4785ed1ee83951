"""What a process knows of itself, and of the servers and mounts that it asks: for the metrics."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from api.dispatch.dispatch import Dispatch
from api.services import Load, MountSeen
from schema.mounts import Mount
from schema.store.pool import Pool
from workers.engine.engine import Engine
from workers.engine.health import Health
from workers.engine.served import ServedMounts

T = TypeVar("T")


class Vitals:
    """Of an API process."""

    def __init__(self, pool: Pool, engine: Engine, dispatch: Dispatch, served: ServedMounts, health: Health) -> None:
        self._pool, self._engine, self._dispatch, self._served, self._health = pool, engine, dispatch, served, health

    def pools(self) -> Mapping[str, Mapping[str, int]]:
        return {"api": self._pool.get_stats(), "engine": self._engine.pool.get_stats()}

    def loads(self) -> Sequence[Load]:
        """Of every mount of this host: one that is idle has a line too, and says so."""
        held = self._dispatch.load()
        return [Load(mount.tenant, mount.mount_key, *held.get(mount.id, (0, 0))) for mount in self._served.here()]

    async def servers(self) -> Mapping[str, bool]:
        states = await self._health.servers()
        return {server: state == "ok" for server, state in states.items() if state != "inline"}

    async def mounts(self) -> Sequence[MountSeen]:
        return await _mounts(self._health, self._served)


class WorkerVitals:
    """The same of a worker process, for its pages. They are served on another loop than the engine's, which is asked."""

    def __init__(self, engine: Engine, served: ServedMounts, health: Health) -> None:
        self._engine, self._served, self._health = engine, served, health

    async def report(self) -> Mapping[str, Any]:
        return await self._on_engine(self._health.report())

    async def mounts(self) -> list[MountSeen]:
        return await self._on_engine(_mounts(self._health, self._served))

    def pools(self) -> Mapping[str, Mapping[str, int]]:
        return {"engine": self._engine.pool.get_stats()}

    def queues(self) -> int:
        return self._engine.queues

    async def _on_engine(self, question: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(question, self._engine.loop))


async def _mounts(health: Health, served: ServedMounts) -> list[MountSeen]:
    seen = []
    for mount, state in await health.mounts():
        stuck = served.stuck(mount.id)
        count = stuck.count if stuck else 0
        seen.append(MountSeen(mount.tenant, mount.mount_key, _health(mount, state, count), count))
    return seen


def _health(mount: Mount, state: str, stuck: int) -> str:
    if mount.state == "inactive":
        return "inactive"
    if state != "ok" or not mount.serving:
        return "offline"
    return "online" if mount.state == "active" and not stuck else "degraded"
