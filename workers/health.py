"""What readiness reports: each server this process depends on, asked now and briefly."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from schema import errors
from schema.settings import Settings
from schema.store import events
from schema.store.pool import Pool
from workers.engine import Engine
from workers.redis_bus import RedisBus
from workers.served import ServedMounts

_PATIENCE_SECONDS = 1.5


class Health:
    def __init__(self, settings: Settings, pool: Pool, engine: Engine, served: ServedMounts) -> None:
        self._settings, self._pool, self._engine, self._served = settings, pool, engine, served

    async def report(self) -> dict[str, Any]:
        """`ok` or a cause for postgres, temporal and redis (`inline` without one); mounts by id; the feed's lag."""
        postgres, temporal, redis, mounts = await asyncio.gather(
            _asked(self._feed), _asked(self._temporal), self._redis_state(), asyncio.to_thread(self._mounts)
        )
        lag = postgres if isinstance(postgres, dict) else None
        return {
            "postgres": "ok" if lag is not None else postgres,
            "temporal": temporal if isinstance(temporal, str) else "ok",
            "redis": redis,
            "mounts": mounts,
            "outbox": lag,
        }

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

    def _mounts(self) -> dict[str, str]:
        states: dict[str, str] = {}
        for mount in self._served.here():
            try:
                self._served.of(mount.id).check()
                states[mount.mount_key] = "ok"
            except errors.FilestoreError as error:
                states[mount.mount_key] = f"{error.code}: {error.message}"
        return states


async def _asked(question: Callable[[], Awaitable[Any]]) -> Any:
    """The answer, or the cause as text when there is none in time."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await question()
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300] or type(error).__name__
