"""The API process: `python -m workers.api`. HTTP on the main thread, the engine on its own. SIGTERM drains and exits 0."""

import asyncio
import os
import signal
from functools import partial

import structlog
import uvicorn

from activities.access.carry_out import CarryOut
from api.access.carry_out import carry_out
from api.app import create_app
from api.events.feed import Feed
from api.uploads.tus import expiry
from schema.settings import Settings
from schema.version import VERSION
from workers import wiring
from workers.engine.engine import Engine
from workers.engine.loops import OnLoop
from workers.process import first_run, http, limits, logs

log = structlog.get_logger("api")


class Server(uvicorn.Server):
    """Drains commands before connections close: a waiting client gets its answer. Streams have no end, so they end first."""

    def __init__(self, config: uvicorn.Config, engine: Engine, feed: Feed) -> None:
        super().__init__(config)
        self._engine, self._feed = engine, feed

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        for server in self.servers:
            server.close()
        self._feed.close()
        await asyncio.to_thread(self._engine.drain)
        await super().shutdown(sockets)  # type: ignore[arg-type]


async def serve(settings: Settings) -> None:
    parts = wiring.api_parts(settings)
    services, engine, pool = parts.services, parts.engine, parts.services.pool
    entries = first_run.read_mounts(settings.backends_path)
    first_run.withhold(parts.served, entries)
    await pool.open(wait=False)
    app = create_app(services, parts.counts)
    engine.start(acts=CarryOut(OnLoop(asyncio.get_running_loop(), partial(carry_out, app))))
    first = asyncio.create_task(first_run.prepare(settings, pool, services.executors, parts.served, entries))
    expiring = asyncio.create_task(expiry.expire_for_ever(app.state.front))
    server = Server(http.config(app, settings, settings.port, parts.counts.refused), engine, app.state.feed)
    log.info(
        "started", process="api", pid=os.getpid(), version=VERSION, host_id=settings.host_id, host=settings.host,
        port=settings.port,
    )  # fmt: skip
    try:
        await server.serve()
    finally:
        first.cancel()
        expiring.cancel()
        await asyncio.to_thread(engine.stop)
        await pool.close()
        log.info("stopped", process="api", pid=os.getpid())


def main() -> int:
    settings = logs.settings()
    limits.raise_descriptors()
    limits.collect_seldom()
    import uvloop

    # uvicorn raises the signal again once it has shut down; that is not an error of ours.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    uvloop.run(serve(settings))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
