"""How far a consumer of the feed is, and how it stands, in one word."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["off", "following", "catching up", "behind", "stalled"]

STALLED_SECONDS = 30.0
"""There is something to take in, and nothing was taken in for so long."""
BEHIND_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Following:
    """Behind by `last - position` events, the oldest of which waits for `lag_seconds`. `loading`: it takes in what no event
    tells, before it goes on with the events."""

    position: int
    last: int
    loading: bool
    records: int
    moved_at: datetime | None
    looked_at: datetime | None
    idle_seconds: float | None
    lag_seconds: float | None
    problem: str | None

    @property
    def caught_up(self) -> bool:
        return self.position == self.last and not self.loading

    def state(self, *, on: bool = True) -> State:
        """`stalled`: somebody has to look at a process; all else comes to an end by itself."""
        if not on:
            return "off"
        if self.caught_up:
            return "following"
        waits = self.lag_seconds or 0.0
        idle = waits if self.idle_seconds is None else min(waits, self.idle_seconds)
        if idle > STALLED_SECONDS:
            return "stalled"
        if self.loading:
            return "catching up"
        return "behind" if waits > BEHIND_SECONDS else "following"
