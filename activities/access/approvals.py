"""`pass_time`: what the time does to an approval. It expires, and people that it waits for are told again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from schema.faults import areach
from schema.store import approvals as store

if TYPE_CHECKING:
    from schema.store.pool import Pool


@dataclass(frozen=True, slots=True)
class ApprovalMoment:
    """How it stands now. `seconds`: until the time does something to it again."""

    state: str
    ended: bool
    seconds: float = 0


class PassTime:
    def __init__(self, pool: Pool, announce: Callable[[], None]) -> None:
        """`announce`: called when there are new events."""
        self._pool, self._announce = pool, announce

    @activity.defn(name="pass_time")
    async def look(self, approval: int) -> ApprovalMoment:
        """Doing it again is harmless: what was told stands in its row."""
        async with self._pool.connection() as connection:
            told = await store.pass_time(connection, approval)
            found = await store.moment(connection, approval)
        await areach("approval.passed")
        if told:
            self._announce()
        return ApprovalMoment("gone", True) if found is None else ApprovalMoment(*found)
