"""The events of projects, told in the hot store as CloudEvents: in the order of the feed, each at least once under one id; and
what was done to projects, as the journal has it, in its audit stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from schema.store import project_acts, project_feed
from schema.sync.audit import entry_of
from schema.sync.happenings import SUBJECTS, cloud_event

if TYPE_CHECKING:
    from activities.sync.hot import HotStores
    from schema.store.pool import Pool

PAGE = 500
LOOK_SECONDS = 0.25
AGAIN_SECONDS = 2.0


class TellsProjects:
    def __init__(self, pool: Pool, hots: HotStores) -> None:
        self._pool, self._hots = pool, hots

    async def run(self) -> None:
        """Until it is cancelled. What could not be told is told later: the position moves behind what was acknowledged."""
        while True:
            try:
                told = await self.step() + await self.audit()
                pause = 0.0 if told else LOOK_SECONDS
            except asyncio.CancelledError:
                raise
            except Exception:  # Postgres or the hot store: both come back
                pause = AGAIN_SECONDS
            await asyncio.sleep(pause)

    async def step(self) -> int:
        """How many events of the feed were looked at. Raises HotUnavailable."""
        async with self._pool.connection() as connection, connection.transaction():
            after = await project_feed.take(connection)
            if after is None:
                return 0
            rows = await project_feed.page(connection, after, PAGE)
            events: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
            for row in rows:
                if row["type"] in SUBJECTS:
                    event = cloud_event(row["position"], row["tenant"], row["type"], row["data"], row["created_at"])
                    told = SUBJECTS[row["type"]], str(row["position"]), event
                    events.setdefault(row["tenant"], []).append(told)
            for tenant, some in events.items():
                await self._hots.of(tenant).tell(some)
            if rows:
                await project_feed.move(connection, rows[-1]["position"])
        return len(rows)

    async def audit(self) -> int:
        """How many entries of the journal went into the audit streams of their tenants. Raises HotUnavailable."""
        async with self._pool.connection() as connection, connection.transaction():
            after = await project_acts.take(connection)
            if after is None:
                return 0
            rows, upto = await project_acts.page(connection, after, PAGE)
            for tenant, some in groupby(sorted(rows, key=itemgetter("tenant", "id")), itemgetter("tenant")):
                await self._hots.of(tenant).note([(row["kind"], str(row["id"]), entry_of(row)) for row in some])
            if rows or upto > after + PAGE:
                await project_acts.move(connection, upto)
        return len(rows)
