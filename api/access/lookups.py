"""Answers of Postgres that hold for a while. One request at a time asks for an answer anew."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Generic, TypeVar

from psycopg import InterfaceError, OperationalError

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Holding:
    """How long an answer holds, in seconds."""

    fresh: float
    grace: float
    """A request that finds an older answer asks again; meanwhile the others use the old one."""
    stale: float = inf
    """How long it holds while Postgres can not be asked"""


@dataclass(slots=True)
class Lookup(Generic[V]):
    found: V
    fresh_until: float
    stale_until: float


class Lookups(Generic[K, V]):
    def __init__(self, most: int) -> None:
        """`most`: beyond so many answers all are forgotten."""
        self._most = most
        self._known: dict[K, Lookup[V]] = {}

    async def find(
        self, key: K, ask: Callable[[], Awaitable[V | None]], holding: Holding, *, anew: bool = False
    ) -> V | None:
        """None: there is none. Raises what `ask` raises; where Postgres is away, only if no answer holds any longer."""
        known, now = self._known.get(key), monotonic()
        if known is not None and now < known.fresh_until and not anew:
            return known.found
        if known is not None and now >= known.fresh_until:
            known.fresh_until = min(now + holding.grace, known.stale_until)
        try:
            found = await ask()
        except (OperationalError, InterfaceError):
            if known is None or monotonic() >= known.stale_until:
                raise
            return known.found
        self._keep(key, found, holding)
        return found

    def _keep(self, key: K, found: V | None, holding: Holding) -> None:
        if found is None:
            self._known.pop(key, None)
            return
        if len(self._known) >= self._most:
            self._known.clear()
        now = monotonic()
        self._known[key] = Lookup(found, now + holding.fresh, now + holding.stale)

    def forget(self) -> None:
        self._known.clear()
