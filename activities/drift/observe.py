"""`begin_look`, `read_look`, `conclude_look`: a look at a mount in three steps. Each can be repeated, and is the same look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.drift.reading import LookReader
from schema.drift.looks import LookPlace, LookState
from schema.errors import MountOffline
from schema.faults import areach
from schema.ids import MountId
from schema.store import conclude as conclude_store
from schema.store import drift_hints
from schema.store import looks as store
from schema.store.judged import BeyondRecord, JudgedMismatch

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.connection import Connection
    from schema.store.pool import Pool

_HINTS = 1000
"""The most hints of one look"""
_ATTEMPTS = 5
_UNREPEATABLE = "40001"
OWN = "filestore"
"""Who looks, where no client asked for it"""


@dataclass(frozen=True, slots=True)
class LookOrder:
    """A look that is to begin. `places` None: those of the hints that wait."""

    mount: MountId
    reason: str
    principal: str = OWN
    whole: bool = False
    by_hand: bool = False
    paths: list[str] = field(default_factory=list)
    """hex; each with all below it where `subtree` says so"""
    subtree: bool = False
    hinted: bool = False
    allows: int = 0
    """So many changes a person has said yes to"""
    key: str = ""
    """Of this order: it begins one look, however often it is asked for"""


@dataclass(frozen=True, slots=True)
class LookEnd:
    """What came of it. `unsure`: only a look at everything can tell; `again`: another one has to confirm that something is gone."""

    look: int
    state: str
    counts: dict[str, int] = field(default_factory=dict)
    changes: int = 0
    unsure: bool = False
    again: bool = False
    waiting: int = 0
    problem: str = ""


class Observe:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads, announce: Callable[[], None]) -> None:
        """`announce`: called when there are new events."""
        self._pool, self._executors, self._threads, self._announce = pool, executors, threads, announce

    @activity.defn(name="begin_look")
    async def begin(self, order: LookOrder) -> int | None:
        """The generation. None: no hint waits."""
        async with self._pool.connection() as connection, connection.transaction():
            look = await store.of_key(connection, order.key) if order.key else None
            if look is None:
                look = await self._begin(connection, order)
        if look is not None:
            await areach("drift.begun")
        return look

    async def _begin(self, connection: Connection, order: LookOrder) -> int | None:
        places = [LookPlace(bytes.fromhex(path), order.subtree) for path in order.paths]
        if order.hinted:
            await self._end_interrupted(connection, order.mount)
            hints = await drift_hints.take(connection, order.mount, _HINTS)
            places = [LookPlace(hint.path, hint.subtree) for hint in hints]
        if not places and order.hinted:
            return None
        if order.allows:
            await store.forget_released(connection, order.mount)
        return await store.begin(
            connection,
            order.mount,
            places,
            reason=order.reason,
            principal=order.principal,
            whole=order.whole,
            by_hand=order.by_hand,
            allows=order.allows,
            key=order.key or None,
            hinted=order.hinted,
        )

    async def _end_interrupted(self, connection: Connection, mount: MountId) -> None:
        """One run at a time takes the hints of a mount: a look that an earlier one has left says nothing any more."""
        for look in await store.interrupted(connection, mount):
            await store.give_up(connection, look, LookState.FAILED, "The run that it was of has ended.")
            await store.forget_reading(connection, look)

    @activity.defn(name="read_look")
    async def read(self, look: int) -> bool:
        """False: the mount was not there for all of it, and the look is thrown away."""
        async with self._pool.connection() as connection:
            found = await store.find(connection, look)
        if found.state is not LookState.READING:
            return not found.state.ended
        try:
            reader = LookReader(self._pool, self._threads, self._executors.of(found.mount), found)
            await reader.read()
        except MountOffline as error:
            await self._give_up(look, LookState.DISCARDED, str(error))
            return False
        await areach("drift.read")
        return True

    async def _give_up(self, look: int, state: LookState, problem: str) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            await store.give_up(connection, look, state, problem)
            await store.forget_reading(connection, look)

    @activity.defn(name="discard_look")
    async def discard(self, look: int, problem: str) -> None:
        await self._give_up(look, LookState.DISCARDED, problem)

    @activity.defn(name="answer_of_look")
    async def answer(self, look: int) -> bool | None:
        """Of a look that a brake holds: a person has said yes, or no; None: neither."""
        async with self._pool.connection() as connection:
            found = await store.find(connection, look)
        return False if found.state.ended else (True if found.released_by is not None else None)

    @activity.defn(name="conclude_look")
    async def conclude(self, look: int) -> LookEnd:
        beyond = set[bytes]()
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._conclude(look, beyond)
            except BeyondRecord as error:
                beyond.add(error.path)
            except conclude_store.LookOverrun as error:
                await self._give_up(look, LookState.DISCARDED, str(error))
                return LookEnd(look, LookState.DISCARDED, problem=str(error))
            except Exception as error:
                if not isinstance(error, JudgedMismatch) and getattr(error, "sqlstate", None) != _UNREPEATABLE:
                    raise
        return await self._conclude(look, beyond)

    async def _conclude(self, look: int, beyond: AbstractSet[bytes]) -> LookEnd:
        async with self._pool.connection() as connection:
            found = await store.find(connection, look)
            if found.state is not LookState.READING:
                ending = found.ending or {"counts": dict(found.counts or {})}
                return LookEnd(look, found.state, **ending, problem=found.problem or "")
            async with conclude_store.one_snapshot(connection, found.mount):
                concluded = await conclude_store.conclude(connection, found, datetime.now(UTC), beyond)
                await areach("drift.judged")
            if concluded.held:
                await store.hold(connection, look, _plan(concluded))
            await store.forget_reading(connection, look)
        await areach("drift.concluded")
        self._announce()
        state = LookState.WAITING if concluded.held else LookState.CONCLUDED
        return LookEnd(look, state, **concluded.ending)


def _plan(concluded: conclude_store.Concluded) -> Mapping[str, Any]:
    """What a look would do, for the person who says yes to it."""
    outcome = concluded.outcome
    paths = dict.fromkeys(act.sighting.path.split(b"\0")[0].decode("utf-8", "replace") for act in outcome.acts)
    examples: Sequence[str] = list(paths)[:20]
    return {"changes": outcome.changes, "nodes": concluded.nodes, "counts": dict(outcome.counts), "examples": examples}
