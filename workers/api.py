"""The API process: `python -m workers.api`. HTTP on the main thread, the engine on its own. SIGTERM drains and exits 0."""

import asyncio
import signal
from functools import partial

import structlog
import uvicorn

from activities.executors import prepare_storage, prove_storage
from activities.executors.base import Executor, Identity
from api.app import create_app
from api.dispatch.dispatch import Dispatch
from api.events.feed import Feed
from api.http.protocol import LimitedProtocol, Limits
from api.observe.metrics.counts import Counts
from api.services import Services
from api.uploads.tus import expiry
from schema.mounts import Mount
from schema.settings import Settings
from schema.store.pool import make_pool
from workers.buses.redis import RedisWakeups
from workers.engine.engine import Engine
from workers.engine.health import Health
from workers.engine.served import ServedMounts
from workers.engine.vitals import Vitals
from workers.process import first_run, limits, logs

log = structlog.get_logger("api")


class RouteExecutors:
    """`Executors` for the routes, on the mounts this process serves."""

    def __init__(self, served: ServedMounts, engine: Engine, spool_path: str) -> None:
        self._served, self._engine, self._spool_path = served, engine, spool_path

    def of(self, mount: Mount) -> Executor:
        self._served.learn(mount)
        return self._served.of(mount.id)

    def register(self, mount: Mount) -> Identity | None:
        return prepare_storage(mount, self._spool_path)

    def prove(self, mount: Mount) -> Identity | None:
        return prove_storage(mount, self._spool_path)

    async def refresh(self) -> None:
        self._engine.refresh()


class Server(uvicorn.Server):
    """Drains commands before connections close: who waits for an answer gets it. Streams, which have no end, end first."""

    def __init__(self, config: uvicorn.Config, engine: Engine, feed: Feed) -> None:
        super().__init__(config)
        self._engine, self._feed = engine, feed

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        for server in self.servers:
            server.close()
        self._feed.close()
        await asyncio.to_thread(self._engine.drain)
        await super().shutdown(sockets)  # type: ignore[arg-type]


def http_limits(settings: Settings) -> Limits:
    return Limits(
        line_max=settings.http_line_max_bytes,
        head_max=settings.http_head_max_bytes,
        headers_max=settings.http_headers_max,
        head_seconds=settings.http_head_seconds,
        body_seconds=settings.http_body_seconds,
        write_seconds=settings.http_write_seconds,
        rate_min=settings.http_rate_min,
        connections_max=settings.http_connections_max,
        always=frozenset((b"/health", b"/ready")),
    )


async def serve(settings: Settings) -> None:
    served = ServedMounts(settings.host_id, settings.spool_path)
    entries = first_run.read_mounts(settings.backends_path)
    first_run.withhold(served, entries)
    counts = Counts()
    dispatch = Dispatch(settings, served, counts.list_started)
    engine = Engine(settings, served, dispatch)
    pool = make_pool(settings.database_url, name="filestore-api", min_size=2, max_size=8)
    await pool.open(wait=False)
    engine.start()
    executors = RouteExecutors(served, engine, settings.spool_path)
    wakeups = None if settings.redis_url == "inline" else RedisWakeups(settings.redis_url, settings.events_channel)
    health = Health(settings, pool, engine, served)
    services = Services(
        settings, pool, dispatch, executors, health, announce=engine.announce, wakeups=wakeups,
        vitals=Vitals(pool, engine, dispatch, served, health),
    )  # fmt: skip
    first = asyncio.create_task(first_run.prepare(settings, pool, executors, served, entries))
    app = create_app(services, counts)
    expiring = asyncio.create_task(expiry.expire_for_ever(app.state.front))
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, loop="none", ws="none",
        http=partial(LimitedProtocol, limits=http_limits(settings), refused=counts.refused),  # type: ignore[arg-type]
        timeout_keep_alive=settings.http_keep_alive_seconds,
        lifespan="off", access_log=False, log_level="warning", server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = Server(config, engine, app.state.feed)
    try:
        await server.serve()
    finally:
        first.cancel()
        expiring.cancel()
        await asyncio.to_thread(engine.stop)
        await pool.close()


def main() -> int:
    settings = Settings()  # type: ignore[call-arg]
    logs.configure(settings.log_format)
    limits.raise_descriptors()
    import uvloop

    # uvicorn raises the signal again once it has shut down; that is not an error of ours.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    uvloop.run(serve(settings))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
