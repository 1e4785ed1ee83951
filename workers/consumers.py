"""The process of the consumers: `python -m workers.consumers [metastore] [timestore]`. Without a name, those that are switched on.
Any number of them may run: one at a time takes in a batch. Its state is at FILESTORE_CONSUMERS_PORT. SIGTERM drains and exits 0."""

import argparse
import asyncio
import os
import signal
import socket

import structlog
import uvicorn

from schema.settings import Settings
from schema.version import VERSION
from workers import wiring
from workers.process import consumers_page, following, http, limits, logs

log = structlog.get_logger("consumers")


async def serve(settings: Settings, parts: wiring.ConsumerParts, listener: socket.socket | None) -> None:
    """Until SIGTERM."""
    await parts.pool.open()
    moved = [asyncio.Event() for _ in parts.consumers]
    work = [
        following.follow(one, wake, settings.events_poll_seconds)
        for one, wake in zip(parts.consumers, moved, strict=True)
    ]
    work += [following.listen(parts.wakeups, moved)] if parts.wakeups is not None else []
    tasks = [asyncio.create_task(one) for one in (*work, *parts.upkeep())]
    await _page_until_told(settings, parts, listener)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await parts.pool.close()


async def rebuild(parts: wiring.ConsumerParts) -> int:
    assert parts.timestore is not None
    await parts.pool.open()
    rows = await parts.timestore.rebuild()
    await parts.pool.close()
    log.info("the Timestore is written anew", rows=rows)
    return 0


async def _page_until_told(settings: Settings, parts: wiring.ConsumerParts, listener: socket.socket | None) -> None:
    if listener is None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await stop.wait()
        return
    app = consumers_page.app(parts.consumers, VERSION, settings.metrics_token)
    await uvicorn.Server(http.config(app, settings, settings.consumers_port, lambda reason: None)).serve([listener])


def listen(settings: Settings) -> socket.socket | None:
    """None where the settings want none, and where the port is taken: then the log says so, and the work goes on."""
    if settings.consumers_port == 0:
        return None
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.consumers_port), family=family)
    except OSError as error:
        log.error("the consumers can not say how they are", port=settings.consumers_port, error=error.strerror)
        return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.consumers")
    parser.add_argument("names", nargs="*", help=f"only these: {', '.join(wiring.CONSUMERS)}")
    parser.add_argument("--rebuild", action="store_true", help="write the Timestore anew from the journal, and end")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in wiring.CONSUMERS]:
        parser.error(f"there is no consumer {unknown[0]!r}")
    settings = logs.settings()
    limits.raise_descriptors()
    if arguments.rebuild:
        return asyncio.run(rebuild(wiring.consumer_parts(settings, ["timestore"])))
    parts = wiring.consumer_parts(settings, arguments.names)
    shown = [one.name for one in parts.consumers]
    log.info("started", process="consumers", pid=os.getpid(), version=VERSION, consumers=shown)
    # uvicorn raises the signal again once it has shut down; that is not an error of ours.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    asyncio.run(serve(settings, parts, listen(settings)))
    log.info("stopped", process="consumers", pid=os.getpid())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
