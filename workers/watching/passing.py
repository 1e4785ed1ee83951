"""Pass on what a watch has seen: what our own commands did is dropped, the rest becomes few hints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from activities.executors.contract.identity import Identity
from activities.executors.local.watch.mount import Delivered
from activities.executors.local.watch.seen import SeenName
from schema.drift.fold import Breadth, fold
from schema.drift.gather import Rested
from schema.drift.hints import Hint
from schema.drift.own import Own, There, whose, widened
from schema.ids import MountId
from schema.store import drift_hints, watchers
from schema.store.pool import Pool

if TYPE_CHECKING:
    from schema.store.connection import Connection

_NAMES_AT_ONCE, _HINTS_AT_ONCE = 1000, 5000


async def pass_on(pool: Pool, mount: MountId, seen: Sequence[SeenName], breadth: Breadth) -> Delivered:
    """Repeating it is harmless: of a place there is one hint."""
    hints = [one.rested.hint for one in seen if not one.sure]
    sure = [one for one in seen if one.sure]
    busy: list[Rested] = []
    async with pool.connection() as connection:
        for start in range(0, len(sure), _NAMES_AT_ONCE):
            await _judge(connection, mount, sure[start : start + _NAMES_AT_ONCE], hints, busy)
        own = len(seen) - len(hints) - len(busy)
        folded = fold(hints, breadth)
        for start in range(0, len(folded), _HINTS_AT_ONCE):
            await drift_hints.hint(connection, mount, folded[start : start + _HINTS_AT_ONCE])
    return Delivered(len(folded), own, busy)


async def _judge(
    connection: Connection, mount: MountId, seen: Sequence[SeenName], hints: list[Hint], busy: list[Rested]
) -> None:
    paths = [one.rested.hint.path for one in seen]
    for one, recorded in zip(seen, await watchers.recorded(connection, mount, paths), strict=True):
        there = _there(one.identity)
        match whose(there, recorded):
            case Own.BUSY:
                busy.append(one.rested)
            case Own.STRANGE:
                hints.append(widened(one.rested.hint, there, recorded))
            case Own.OURS:
                pass


def _there(found: Identity | None) -> There:
    if found is None:
        return There()
    facts = (found.device, found.inode, found.birth, found.size, found.mtime, found.ctime, found.mode)
    return There(facts, found.directory)
