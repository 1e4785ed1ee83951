"""Have a look begun at once where there are new hints. It is a courtesy: the worker finds hints that wait in its next sweep."""

import asyncio
from collections.abc import Sequence

import structlog
from temporalio.client import Client

from schema.ids import MountId
from schema.settings import Settings
from workflows.client import connect
from workflows.drift.start import look_at

log = structlog.get_logger("watcher")

_PATIENCE_SECONDS = 5.0


class LookStarts:
    """On one loop. Of a mount one start at a time: hints that come meanwhile are taken by the same look, or start the next."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._due: set[MountId] = set()
        self._some = asyncio.Event()

    def wanted(self, mounts: Sequence[MountId]) -> None:
        self._due.update(mounts)
        self._some.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            due, self._due = self._due, set()
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._start(due)
            except Exception as error:
                log.warning("a look waits for the background work", mounts=len(due), error=repr(error))

    async def _start(self, mounts: set[MountId]) -> None:
        if self._client is None:
            self._client = await connect(self._settings.temporal_address, self._settings.temporal_namespace)
        for mount in sorted(mounts):
            await look_at(self._client, mount)
