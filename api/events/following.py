"""The feed from a position on, part by part, for as long as its reader stays and the token holds. How a part is written is
up to the answer: server-sent events or frames of a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from psycopg import InterfaceError, OperationalError

from api.events.feed import Feed
from schema.errors import FilestoreError, Unavailable
from schema.principals import Principal
from schema.store.events import Bounds, EventFilter, Placed, visible

AGAIN_SECONDS = 1.0
"""Postgres could not be asked: this is when the next try is."""


@dataclass(frozen=True, slots=True)
class ShownEvents:
    """Events, at least one."""

    events: list[Placed]


@dataclass(frozen=True, slots=True)
class LostEvents:
    """What came between these positions is not kept any more."""

    asked: int
    resumed: int


@dataclass(frozen=True, slots=True)
class QuietFeed:
    """There was nothing to show for a while. `moved`: there were events for others, up to here."""

    position: int
    moved: bool


class FollowedFeed:
    """`admitted` returns the principal as of now, and raises when the token does not hold any more."""

    def __init__(
        self,
        feed: Feed,
        wanted: EventFilter,
        after: int | None,
        bounds: Bounds,
        admitted: Callable[[], Awaitable[Principal]],
        heartbeat_seconds: float,
    ) -> None:
        self.feed = feed
        self.start = bounds.last if after is None else after
        self.refused = False
        """It ended because the token does not hold any more"""
        self._wanted, self._bounds = wanted, bounds
        self._admitted, self._heartbeat_seconds = admitted, heartbeat_seconds

    async def parts(self) -> AsyncIterator[ShownEvents | LostEvents | QuietFeed]:
        position, shown_at = self.start, monotonic()
        if position < self._bounds.first - 1:
            yield LostEvents(position, self._bounds.first - 1)
            position = self._bounds.first - 1
        shown = position
        while not self.feed.closed:
            try:
                part = await self.feed.part(position, self._wanted)
                principal = await self._admitted()
            except (OperationalError, InterfaceError, Unavailable):
                await self.feed.beyond(position, AGAIN_SECONDS)
                await asyncio.sleep(AGAIN_SECONDS / 10)
            except FilestoreError:
                self.refused = True  # nothing more is shown, and coming back is refused
                return
            else:
                if part.resumed is not None:
                    yield LostEvents(position, part.resumed)
                if events := [event for event in part.events if readable(principal, event)]:
                    yield ShownEvents(events)
                    shown, shown_at = part.events[-1].position, monotonic()
                if part.last == position:
                    await self.feed.beyond(position, self._heartbeat_seconds - (monotonic() - shown_at))
                position = part.last
                await asyncio.sleep(0)  # others follow too
            if monotonic() - shown_at >= self._heartbeat_seconds:
                # With the position, if there were events for others only: going on is cheap then, however long it was quiet.
                yield QuietFeed(position, moved=shown != position)
                shown, shown_at = position, monotonic()


def readable(principal: Principal, event: Placed) -> bool:
    return visible(principal.access, event)


def reset(asked: int, resumed: int) -> dict[str, int]:
    """What the answer says to a reader that asked for events that are gone."""
    return {"requestedAfter": asked, "resumedAfter": resumed}
