"""Scrub: contents are read again in rounds, so that each byte was read within a promised time. How fast, and how far. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

LEAST_RATE = 1024 * 1024
"""Bytes in a second, where no rate is set: a small mount is not read over hours"""
_SHARE = 2
"""A round takes this part of the promised time, and the next one begins after as long: between two readings of one file lie at
most two such parts."""


@dataclass(frozen=True, slots=True)
class ScrubRound:
    """One reading of all that a mount holds, in the order of directories and names."""

    started_at: str
    directory: str = ""
    """hex, and ..."""
    name: str = ""
    """... hex: it goes on after this file"""
    files: int = 0
    size: int = 0
    damaged: int = 0
    ended_at: str | None = None
    by: str = ""
    """The run that has ended it: it begins no other one"""

    @property
    def began(self) -> datetime:
        return datetime.fromisoformat(self.started_at)

    @property
    def after(self) -> tuple[bytes, bytes]:
        return bytes.fromhex(self.directory), bytes.fromhex(self.name)


@dataclass(frozen=True, slots=True)
class ScrubProgress:
    """`last`: the latest round that came to its end."""

    now: ScrubRound | None = None
    last: ScrubRound | None = None

    def to_json(self) -> dict[str, Any]:
        return {"now": _told(self.now), "last": _told(self.last)}

    @classmethod
    def of_json(cls, stored: Mapping[str, Any] | None) -> "ScrubProgress":
        stored = stored or {}
        return cls(_read(stored.get("now")), _read(stored.get("last")))

    @property
    def damaged(self) -> int:
        return sum(one.damaged for one in (self.last, self.now) if one is not None)

    def begun(self, at: datetime) -> "ScrubProgress":
        """The round that goes on, or a new one."""
        return self if self.now is not None else ScrubProgress(ScrubRound(at.isoformat()), self.last)

    def ended(self, at: datetime, by: str = "") -> "ScrubProgress":
        if self.now is None:
            return self
        return ScrubProgress(None, replace(self.now, ended_at=at.isoformat(), by=by))

    def ended_by(self, run: str) -> "ScrubRound | None":
        """The round that this run has ended, where its answer was lost."""
        return self.last if self.now is None and self.last is not None and run and self.last.by == run else None


def _told(one: ScrubRound | None) -> dict[str, Any] | None:
    return None if one is None else asdict(one)


def _read(stored: Mapping[str, Any] | None) -> ScrubRound | None:
    return None if stored is None else ScrubRound(**stored)


def pause(every_seconds: int) -> timedelta:
    """Between the beginnings of two rounds."""
    return timedelta(seconds=max(1.0, every_seconds / _SHARE))


def rate(total_bytes: int, every_seconds: int, given: int | None) -> float:
    """Bytes in a second: what was set, or else as slow as the promise allows."""
    if given is not None:
        return float(given)
    return max(LEAST_RATE, total_bytes * _SHARE / every_seconds)


def coverage(progress: ScrubProgress, total_bytes: int, every_seconds: int, now: datetime) -> float:
    """The share of all bytes that were read within the promised time."""
    since = now - timedelta(seconds=every_seconds)
    rounds = [one for one in (progress.last, progress.now) if one is not None and one.began >= since]
    if any(one.ended_at is not None for one in rounds):
        return 1.0
    if not total_bytes:
        return 1.0 if rounds else 0.0
    return min(1.0, sum(one.size for one in rounds) / total_bytes)


def oldest(progress: ScrubProgress) -> datetime | None:
    """Nothing was read before this. None: not all of it was read yet."""
    return None if progress.last is None else progress.last.began.astimezone(UTC)
