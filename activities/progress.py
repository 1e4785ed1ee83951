"""How far a long activity is: items, bytes, and what it is at. Temporal shows it beside the running activity, because every
heartbeat carries it (`workers/process/beats.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from temporalio import activity

if TYPE_CHECKING:
    from activities.executors.contract.executor import Content, Fetch
    from activities.executors.contract.identity import Identity
    from activities.executors.contract.stage import Source


@dataclass(slots=True)
class Progress:
    """The progress of one activity. Threads write it: each number is one assignment, and a heartbeat may be a little
    late."""

    items: int = 0
    items_total: int = 0
    bytes: int = 0
    path: str = ""

    def facts(self) -> dict[str, Any] | None:
        """None where there is nothing to show."""
        if not self.path:
            return None
        return {"items": self.items, "itemsTotal": self.items_total, "bytes": self.bytes, "path": self.path}

    def expect(self, items: int) -> None:
        self.items_total += items

    def at(self, path: str) -> None:
        self.path = path

    def done(self, items: int, size: int) -> None:
        self.items += items
        self.bytes += size


PROGRESS: ContextVar[Progress | None] = ContextVar("progress", default=None)
"""The progress of the activity that runs here; set around each of them."""


def current() -> Progress:
    """The progress of this activity, or one that is shown nowhere."""
    return PROGRESS.get() or Progress()


def beat_once() -> None:
    """A heartbeat with how far this activity is."""
    facts = current().facts()
    activity.heartbeat(*([] if facts is None else [facts]))


def followed(sources: Iterable[Source], top: str, progress: Progress, *, streamed: bool) -> Iterator[Source]:
    """The same sources; each counts as done when the next one is asked for. `streamed`: its bytes were counted as they passed."""
    for source in sources:
        progress.at(_shown(top, source.relative))
        yield source
        progress.done(1, 0 if streamed or source.identity.directory else source.identity.size)


def _shown(top: str, relative: bytes) -> str:
    below = relative.decode("utf-8", "replace")
    return f"{top}/{below}" if below else top


class CountedContent:
    """Content whose bytes count as they are read."""

    def __init__(self, content: Content, progress: Progress) -> None:
        self._content, self._progress = content, progress
        self.identity: Identity = content.identity

    def read(self, offset: int, length: int) -> bytes:
        piece = self._content.read(offset, length)
        self._progress.done(0, len(piece))
        return piece

    def unchanged(self) -> bool:
        return self._content.unchanged()

    def close(self) -> None:
        self._content.close()


def counted(fetch: Fetch, progress: Progress) -> Fetch:
    """The same, whose bytes count."""

    def opened(source: Source) -> Content:
        return CountedContent(fetch(source), progress)

    return opened
