"""A worker's signs of life in Postgres: an API process reads them there, and says when no worker does its part."""

import asyncio
import os
import uuid

import structlog

from schema.store import workers as store
from workers.engine.engine import Engine

log = structlog.get_logger("presence")

EVERY_SECONDS = 2.0
SILENT_SECONDS = 10.0
"""A worker that was not heard of for so long is stopped, dead, or can not reach Postgres."""


async def run(engine: Engine) -> None:
    """On the engine's loop, until it is cancelled."""
    process = f"{os.getpid()}@{engine.settings.host_id}/{uuid.uuid4().hex[:8]}"
    failing = False
    try:
        while True:
            try:
                async with engine.pool.connection() as connection:
                    await store.beat(connection, process, engine.settings.host_id, connected=engine.client is not None)
                failing = False
            except Exception as error:
                if not failing:
                    log.warning("a sign of life could not be written", error=repr(error))
                failing = True
            await asyncio.sleep(EVERY_SECONDS)
    except asyncio.CancelledError:
        await _leave(engine, process)
        raise


async def _leave(engine: Engine, process: str) -> None:
    """A courtesy: other processes see at once that this worker is gone, and not only after some silence."""
    try:
        async with asyncio.timeout(1), engine.pool.connection(timeout=1) as connection:
            await store.leave(connection, process)
    except Exception as error:
        log.info("the last sign of life stays", error=repr(error))
