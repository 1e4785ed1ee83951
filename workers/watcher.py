"""The watcher process: `python -m workers.watcher`. It watches the local mounts of this host, takes notifications of buckets from a
queue where there is one, and says where a look is due. It changes nothing. SIGTERM ends it with 0."""

import asyncio
import os
import signal
from collections.abc import Coroutine, Iterator
from typing import Any

import structlog

from schema.settings import Settings
from schema.version import VERSION
from workers import wiring
from workers.process import limits, logs
from workers.watching import notifications

log = structlog.get_logger("watcher")


async def serve(settings: Settings) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    parts = wiring.watcher_parts(settings)
    if parts.watches is None:
        log.warning("FILESTORE_WATCH is off: no local mount is watched, audits alone find what changes")
    await parts.pool.open(wait=False)
    running = [asyncio.create_task(one) for one in _work(parts)]
    await stop.wait()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    if parts.queue is not None:
        await parts.queue.close()
    await parts.pool.close()


def _work(parts: wiring.WatcherParts) -> Iterator[Coroutine[Any, Any, None]]:
    yield parts.looks.run()
    yield parts.canaries.run()
    if parts.watches is not None:
        yield parts.watches.run()
    if parts.queue is not None:
        yield notifications.follow(parts.queue, parts.pool, parts.looks.wanted)


def main() -> int:
    settings = logs.settings()
    limits.raise_descriptors()
    log.info("started", process="watcher", pid=os.getpid(), version=VERSION, host_id=settings.host_id)
    asyncio.run(serve(settings))
    log.info("stopped", process="watcher", pid=os.getpid())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
