"""What readiness reports: each server this process depends on, asked now and briefly."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from activities.threads import MountThreads
from schema import errors
from schema.ids import MountId
from schema.mounts import Mount
from schema.settings import Settings
from schema.store import events
from schema.store.pool import Pool
from workers.buses.redis import RedisBus
from workers.engine.engine import Engine
from workers.engine.served import ServedMounts

_PATIENCE_SECONDS = 1.5


class Health:
    def __init__(
        self, settings: Settings, pool: Pool, engine: Engine, served: ServedMounts, threads: MountThreads
    ) -> None:
        self._settings, self._pool, self._engine, self._served = settings, pool, engine, served
        self._threads = threads
        self._looking: dict[MountId, asyncio.Future[str]] = {}

    async def report(self) -> dict[str, Any]:
        """`ok` or a cause for postgres, temporal and redis (`inline` without one); mounts by id; the feed's lag."""
        postgres, servers, mounts = await asyncio.gather(_asked(self._feed), self.servers(), self.mounts())
        lag = postgres if isinstance(postgres, dict) else None
        return {
            "postgres": "ok" if lag is not None else postgres,
            **servers,
            "mounts": {mount.mount_key: self._told(mount, state) for mount, state in mounts},
            "outbox": lag,
        }

    async def servers(self) -> Mapping[str, str]:
        """`ok` or a cause, for Temporal and Redis; `inline` where there is no Redis."""
        temporal, redis = await asyncio.gather(_asked(self._temporal), self._redis_state())
        return {"temporal": temporal if isinstance(temporal, str) else "ok", "redis": redis}

    async def mounts(self) -> list[tuple[Mount, str]]:
        """The mounts of this host, each with `ok` or a cause. A disk that hangs costs its own mount a thread, and no more."""
        here = self._served.here()
        return list(zip(here, await asyncio.gather(*map(self._mount, here)), strict=True))

    def _told(self, mount: Mount, state: str) -> str:
        """Its storage, and what is amiss with what lies there."""
        stuck = self._served.stuck(mount.id)
        if state != "ok" or stuck is None:
            return state
        return (
            f"degraded: {stuck.count} leftovers of commands can not be cleared, the oldest since {stuck.since:%Y-%m-%d %H:%M}. "
            f"They are tried again. {stuck.problem}"
        )

    async def _feed(self) -> dict[str, Any]:
        async with self._pool.connection(timeout=_PATIENCE_SECONDS) as connection:
            return asdict(await events.lag(connection))

    async def _temporal(self) -> None:
        # On the engine's loop: the client belongs to it.
        if self._engine.client is None:
            raise errors.Unavailable("not connected")
        check = self._engine.client.service_client.check_health(retry=False)
        future = asyncio.run_coroutine_threadsafe(check, self._engine.loop)
        if not await asyncio.wrap_future(future):
            raise errors.Unavailable("not serving")

    async def _redis_state(self) -> str:
        if self._settings.redis_url == "inline":
            return "inline"
        bus = RedisBus(self._settings.redis_url, self._settings.events_channel)
        try:
            answer = await _asked(bus.ping)
        finally:
            await bus.close()
        return answer if isinstance(answer, str) else "ok"

    async def _mount(self, mount: Mount) -> str:
        looking = self._looking.get(mount.id)
        if looking is None:
            looking = self._looking[mount.id] = asyncio.ensure_future(self._threads.run(mount.id, self._look, mount))
            looking.add_done_callback(lambda _: self._looking.pop(mount.id, None))
        done, _ = await asyncio.wait([looking], timeout=_PATIENCE_SECONDS)
        return looking.result() if done else "its storage did not answer in time"

    def _look(self, mount: Mount) -> str:
        try:
            self._served.of(mount.id).check()
        except errors.FilestoreError as error:
            return f"{error.code}: {error.message}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "ok"


async def _asked(question: Callable[[], Awaitable[Any]]) -> Any:
    """The answer, or the cause as text when there is none in time."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await question()
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300] or type(error).__name__
