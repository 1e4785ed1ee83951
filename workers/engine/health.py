"""What readiness reports: each server this process depends on, and the worker of its host, asked now and briefly."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from psycopg_pool import PoolTimeout

from activities.threads import MountThreads
from schema import errors
from schema.mounts import Mount
from schema.settings import Settings
from schema.store import events
from schema.store import watchers as watcher_store
from schema.store import workers as worker_store
from schema.store.pool import Pool
from workers.buses.redis import RedisBus
from workers.engine.engine import Engine
from workers.engine.presence import SILENT_SECONDS
from workers.engine.served import ServedMounts

_PATIENCE_SECONDS = 1.5
_TEMPORAL_TIMEOUT = timedelta(seconds=_PATIENCE_SECONDS)
_NO_WORKER = (
    "No worker of this host runs. Start one (`.venv/bin/python -m workers.worker`) with the settings of this service."
)
_NO_WATCHER = (
    "No watcher of this host runs. Start one (`.venv/bin/python -m workers.watcher`) with the settings of this service, or set "
    "FILESTORE_WATCH=false."
)


@dataclass(frozen=True, slots=True)
class Dependency:
    name: str
    setting: str
    """The setting that says where the server is"""


POSTGRES = Dependency("Postgres", "FILESTORE_DATABASE_URL")
TEMPORAL = Dependency("Temporal", "TEMPORAL_ADDRESS")
REDIS = Dependency("Redis", "REDIS_URL")
NATS = Dependency("NATS", "NATS_URL")


@dataclass(frozen=True, slots=True)
class Amiss:
    """Why there is no answer, as a sentence."""

    cause: str


class Health:
    def __init__(
        self, settings: Settings, pool: Pool, engine: Engine, served: ServedMounts, threads: MountThreads
    ) -> None:
        """All questions run on the loop that `pool` belongs to."""
        self._settings, self._pool, self._engine, self._served = settings, pool, engine, served
        self._threads = threads
        self._asking: dict[Hashable, asyncio.Future[Any]] = {}

    async def report(self) -> dict[str, Any]:
        """`ok` or a cause for postgres, temporal, redis (`inline` without one), nats where there is one, the worker and the watcher
        (`off` where it is switched off); mounts by key; the feed's lag."""
        postgres, servers, mounts, watcher = await asyncio.gather(
            self._feed(), self.servers(), self.mounts(), self._watcher_state()
        )
        return {
            "postgres": _word(postgres),
            **servers,
            "watcher": watcher,
            "mounts": {mount.mount_key: self._shown(mount, state) for mount, state in mounts},
            "outbox": None if isinstance(postgres, Amiss) else postgres,
        }

    async def servers(self) -> Mapping[str, str]:
        """`ok` or a cause, for Temporal, Redis, NATS and the worker of this host; `inline` where there is no Redis; NATS is left
        out where there is none."""
        temporal, redis, nats, worker = await asyncio.gather(
            self._asked("temporal", TEMPORAL, self._temporal),
            self._redis_state(),
            self._nats_state(),
            self._worker_state(),
        )
        return {"temporal": _word(temporal), "redis": redis, **nats, "worker": worker}

    async def mounts(self) -> list[tuple[Mount, str]]:
        """The mounts of this host, each with `ok` or a cause. A disk that hangs costs its own mount a thread, and no more."""
        here = self._served.here()
        return list(zip(here, await asyncio.gather(*map(self._mount, here)), strict=True))

    def _shown(self, mount: Mount, state: str) -> str:
        """The state of a mount in words: of its storage, and of leftovers there that can not be cleared."""
        stuck = self._served.stuck(mount.id)
        if state != "ok" or stuck is None:
            return state
        return (
            f"degraded: {stuck.count} leftovers of commands can not be cleared, the oldest since {stuck.since:%Y-%m-%d %H:%M}. "
            f"They are tried again. {stuck.problem}"
        )

    async def _feed(self) -> dict[str, Any] | Amiss:
        async def ask() -> dict[str, Any]:
            async with self._pool.connection(timeout=_PATIENCE_SECONDS) as connection:
                return asdict(await events.lag(connection))

        lag: dict[str, Any] | Amiss = await self._asked("feed", POSTGRES, ask)
        return lag

    async def _temporal(self) -> None:
        # On the engine's loop: the client belongs to it.
        if self._engine.client is None:
            raise ConnectionError("there is no connection yet")
        check = self._engine.client.service_client.check_health(retry=False, timeout=_TEMPORAL_TIMEOUT)
        future = asyncio.run_coroutine_threadsafe(check, self._engine.loop)
        if not await asyncio.wrap_future(future):
            raise ConnectionError("it says that it does not serve")

    async def _redis_state(self) -> str:
        if self._settings.redis_url == "inline":
            return "inline"

        async def ask() -> None:
            bus = RedisBus(self._settings.redis_url, self._settings.events_channel)
            try:
                await bus.ping()
            finally:
                await bus.close()

        return _word(await self._asked("redis", REDIS, ask))

    async def _nats_state(self) -> dict[str, str]:
        if not self._settings.nats_url:
            return {}
        place = urlsplit(self._settings.nats_url)

        async def ask() -> None:
            reader, writer = await asyncio.open_connection(place.hostname or "127.0.0.1", place.port or 4222)
            try:
                if not (await reader.readline()).startswith(b"INFO "):
                    raise ConnectionError("what listens there is no NATS")
            finally:
                writer.close()

        return {"nats": _word(await self._asked("nats", NATS, ask))}

    async def _worker_state(self) -> str:
        async def ask() -> worker_store.SignOfLife | None:
            async with self._pool.connection(timeout=_PATIENCE_SECONDS) as connection:
                return await worker_store.latest(connection, self._settings.host_id)

        sign = await self._asked("worker", POSTGRES, ask)
        if isinstance(sign, Amiss):
            return "Nothing is known of the worker, because Postgres does not tell."
        return worker_word(sign)

    async def _watcher_state(self) -> str:
        if not self._settings.watch:
            return "off"
        if not any(mount.backend_kind == "local" and mount.serving for mount in self._served.here()):
            return "ok"

        async def ask() -> float | None:
            async with self._pool.connection(timeout=_PATIENCE_SECONDS) as connection:
                return await watcher_store.silent_seconds(connection, self._settings.host_id)

        silent = await self._asked("watcher", POSTGRES, ask)
        if isinstance(silent, Amiss):
            return "Nothing is known of the watcher, because Postgres does not tell."
        return watcher_word(silent)

    async def _asked(self, name: str, server: Dependency, question: Callable[[], Awaitable[Any]]) -> Any:
        """The answer, or why there is none in time. A question that hangs is not cancelled: that may take longer than
        to wait for it. Until it ends the next caller waits for the same one."""
        asking = self._asking.get(name) or self._ask(name, question())
        done, _ = await asyncio.wait([asking], timeout=_PATIENCE_SECONDS)
        error = asking.exception() if done else TimeoutError()
        return asking.result() if error is None else Amiss(sentence(server, error))

    def _ask(self, name: Hashable, question: Awaitable[Any]) -> "asyncio.Future[Any]":
        asking = self._asking[name] = asyncio.ensure_future(question)
        asking.add_done_callback(partial(self._ended, name))
        return asking

    def _ended(self, name: Hashable, asking: "asyncio.Future[Any]") -> None:
        self._asking.pop(name, None)
        if not asking.cancelled():
            asking.exception()  # no caller may be left

    async def _mount(self, mount: Mount) -> str:
        looking = self._asking.get(mount.id) or self._ask(mount.id, self._threads.run(mount.id, self._look, mount))
        done, _ = await asyncio.wait([looking], timeout=_PATIENCE_SECONDS)
        state: str = looking.result() if done else f"Its storage did not answer within {_PATIENCE_SECONDS:g} s."
        return state

    def _look(self, mount: Mount) -> str:
        try:
            self._served.of(mount.id).check()
        except errors.FilestoreError as error:
            return f"{error.code}: {error.message}"
        except Exception as error:
            return f"Its storage can not be looked at: {_text(error)}."
        return "ok"


def sentence(server: Dependency, error: BaseException) -> str:
    """What is amiss with a server, and where to look next."""
    silent = isinstance(error, TimeoutError | PoolTimeout)
    what = f"did not answer within {_PATIENCE_SECONDS:g} s" if silent else f"is not reachable: {_text(error)}"
    return f"{server.name} {what}. Check that it runs, and that {server.setting} names it."


def worker_word(sign: worker_store.SignOfLife | None) -> str:
    """`ok`, or what is amiss with the worker of this host."""
    if sign is None:
        return _NO_WORKER
    if sign.silent_seconds > SILENT_SECONDS:
        return (
            f"The worker of this host was last heard of {sign.silent_seconds:.0f} s ago: it is stopped, dead, or can not "
            "reach Postgres. Look at its log, and start it again."
        )
    if not sign.connected:
        return "The worker of this host is not connected to Temporal. Check TEMPORAL_ADDRESS and the log of the worker."
    return "ok"


def watcher_word(silent: float | None) -> str:
    """`ok`, or what is amiss with the watcher of this host."""
    if silent is None:
        return _NO_WATCHER
    if silent > watcher_store.SILENT_SECONDS:
        return (
            f"The watcher of this host was last heard of {silent:.0f} s ago: it is stopped, dead, or can not reach Postgres. Look "
            "at its log, and start it again. Until then audits alone find what changes."
        )
    return "ok"


def _word(answer: object) -> str:
    return answer.cause if isinstance(answer, Amiss) else "ok"


def _text(error: BaseException) -> str:
    """One line without a full stop, whatever the client of a server says."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")[:200]
