"""The watcher process: `python -m workers.watcher`. It watches the local mounts of this host, and says where a look is due. It
changes nothing. SIGTERM ends it with 0."""

import asyncio
import os
import signal

import structlog

from api.app import VERSION
from schema.settings import Settings
from workers import wiring
from workers.process import limits, logs

log = structlog.get_logger("watcher")


async def serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    if not settings.watch:
        log.warning("FILESTORE_WATCH is off: no mount is watched, audits alone find what changes")
        await stop.wait()
        return
    watches, pool = wiring.watches(settings)
    await pool.open(wait=False)
    running = asyncio.create_task(watches.run())
    await stop.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await pool.close()


def main() -> int:
    settings = logs.settings()
    limits.raise_descriptors()
    log.info("started", process="watcher", pid=os.getpid(), version=VERSION, host_id=settings.host_id)
    asyncio.run(serve(settings))
    log.info("stopped", process="watcher", pid=os.getpid())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
