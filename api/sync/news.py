"""Wakes those that wait for changes of a project: by the doorbell of the hot store, and by looking where that is silent."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from activities.sync.hot import HotUnavailable

if TYPE_CHECKING:
    from activities.sync.hot import HotStores

LOOK_SECONDS = 0.5
"""The bell may be missed: so often it is looked at what there is"""
_AGAIN_SECONDS = 5.0


class ProjectNews:
    """On the loop of the routes."""

    def __init__(self, hots: HotStores) -> None:
        self._hots = hots
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening = set[str]()
        self._again_at: dict[str, float] = {}

    def rang(self, project: str) -> None:
        for event in self._waiting.get(project, ()):
            event.set()

    @asynccontextmanager
    async def listening(self, tenant: str, project: str) -> AsyncIterator[asyncio.Event]:
        """Set when the bell rings, from now on: a commit between a look at the record and the wait behind it is heard."""
        await self._listen(tenant)
        event = asyncio.Event()
        self._waiting[project].add(event)
        try:
            yield event
        finally:
            self._waiting[project].discard(event)
            if not self._waiting[project]:
                del self._waiting[project]

    async def _listen(self, tenant: str) -> None:
        now = asyncio.get_running_loop().time()
        if tenant in self._listening or now < self._again_at.get(tenant, 0.0):
            return
        self._again_at[tenant] = now + _AGAIN_SECONDS
        try:
            await self._hots.of(tenant).ring(self.rang)
            self._listening.add(tenant)
        except HotUnavailable:
            return


async def heard(rung: asyncio.Event, seconds: float) -> None:
    """For the bell, or for so long, or until it is time to look."""
    with suppress(TimeoutError):
        async with asyncio.timeout(min(seconds, LOOK_SECONDS)):
            await rung.wait()
    rung.clear()
