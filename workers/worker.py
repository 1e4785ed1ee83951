"""The worker process: `python -m workers.worker`. Resumes, sweeps and publishes for the mounts of this host, and finishes what
an API process that died had begun. Its state is at FILESTORE_WORKER_PORT. SIGTERM drains and exits 0."""

import asyncio
import os
import signal
import socket

import structlog
import uvicorn

from schema.settings import Settings
from schema.version import VERSION
from workers import wiring
from workers.engine import background, presence
from workers.engine.engine import Engine
from workers.process import first_run, http, limits, logs, page

log = structlog.get_logger("worker")


async def serve(settings: Settings, parts: wiring.WorkerParts, listener: socket.socket | None) -> None:
    """Until SIGTERM."""
    if listener is None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await stop.wait()
        return
    app = page.app(parts.observed, parts.counts, VERSION, settings.metrics_token)
    await uvicorn.Server(http.config(app, settings, settings.worker_port, parts.counts.refused)).serve([listener])


def listen(settings: Settings) -> socket.socket | None:
    """None where the settings want none, and where the port is taken: then the log says so, and the work goes on."""
    if settings.worker_port == 0:
        return None
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.worker_port), family=family)
    except OSError as error:
        log.error("the worker can not say how it is", port=settings.worker_port, error=error.strerror)
        return None


def main() -> int:
    settings = logs.settings()
    limits.raise_descriptors()
    limits.collect_seldom()
    parts = wiring.worker_parts(settings)
    engine, served = parts.engine, parts.served
    entries = first_run.read_mounts(settings.backends_path)
    first_run.withhold(served, entries)

    async def background_work(engine: Engine) -> None:
        await asyncio.gather(
            background.run(engine),
            presence.run(engine),
            parts.telling.run(),
            parts.sealer.run(settings.audit_seal_seconds),
            first_run.follow_all(settings, engine.pool, served, entries),
        )

    # uvicorn raises the signal again once it has shut down; that is not an error of ours.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    listener = listen(settings)
    engine.start(background_work)
    port = settings.worker_port if listener else 0
    log.info("started", process="worker", pid=os.getpid(), version=VERSION, host_id=settings.host_id, port=port)
    asyncio.run(serve(settings, parts, listener))
    engine.stop()
    log.info("stopped", process="worker", pid=os.getpid())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
