"""A model of one object: its row, its real copies, and every process that touches them, a step at a time.

A process that dies is one that is never scheduled again: so a state in which a step was taken and the next one was not is in
here for every step. The row moves by `schema.sync.tiers` alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from schema.sync.tiers import LIVE, Tier, TierMove, TierStanding, moved

ABSENT = TierStanding()


@dataclass(frozen=True)
class ObjectWorld:
    """`hot`, `cold`: whether the copy is really there, as its generation; 0: it is not."""

    row: TierStanding = ABSENT
    hot: int = 0
    cold: int = 0
    cold_of_row: int = 0
    """The generation of the cold copy that the row names"""
    generation: int = 0
    old_reference: bool = False
    new_reference: bool = False
    writer: str = "asks"
    archiver: tuple[str, int] = ("idle", 0)
    evictor: tuple[str, int] = ("idle", 0)
    rehydrator: str = "idle"
    collector: tuple[str, int, int] = ("idle", 0, 0)
    faults: int = 1
    """So many copies a store may still lose"""

    @property
    def referenced(self) -> bool:
        return self.old_reference or self.new_reference


Process = Callable[[ObjectWorld], Iterator[tuple[str, ObjectWorld]]]


def _move(world: ObjectWorld, move: TierMove, **changes: object) -> ObjectWorld | None:
    row = moved(world.row, move)
    return None if row is None else replace(world, row=row, **changes)  # type: ignore[arg-type]


def writer(world: ObjectWorld) -> Iterator[tuple[str, ObjectWorld]]:
    """Asks whether the content is needed, puts it, and commits in one transaction with the row."""
    if world.writer == "asks":
        known = world.row.tier in LIVE or world.row.tier is Tier.CONDEMNED
        yield "writer asks", replace(world, writer="commits" if known else "puts")
    elif world.writer == "puts" and world.row.tier is not Tier.DELETING:
        copy = world.hot or world.generation + 1
        yield "writer puts", replace(world, writer="records", hot=copy, generation=max(copy, world.generation))
    elif world.writer == "records":
        after = _move(world, TierMove.PUT_HOT, writer="commits")
        yield "writer records", after or replace(world, writer="asks")
    elif world.writer == "commits":
        yield "writer commits", _commit(world)


def _commit(world: ObjectWorld) -> ObjectWorld:
    """The transaction looks at the row again, and at nothing that was known before."""
    if world.row.tier in LIVE:
        return replace(world, new_reference=True, writer="done")
    rescued = _move(world, TierMove.RESCUE)
    if rescued is not None and rescued.row.tier in LIVE:
        return replace(rescued, new_reference=True, writer="done")
    return replace(world, writer="asks")


def deleter(world: ObjectWorld) -> Iterator[tuple[str, ObjectWorld]]:
    if world.old_reference:
        yield "the old reference goes", replace(world, old_reference=False)


def archiver(world: ObjectWorld) -> Iterator[tuple[str, ObjectWorld]]:
    step, copy = world.archiver
    if step == "idle" and world.row.tier is Tier.HOT and world.hot:
        yield "archiver reads", replace(world, archiver=("read", world.generation + 1), generation=world.generation + 1)
    elif step == "read":
        yield "archiver puts", replace(world, cold=copy, archiver=("put", copy))
    elif step == "put":
        after = _move(world, TierMove.ARCHIVED, cold_of_row=copy) if world.cold == copy else None
        yield "archiver verifies and records", replace(after or world, archiver=("idle", 0))


def evictor(world: ObjectWorld) -> Iterator[tuple[str, ObjectWorld]]:
    """Verifies after the row says `evicting`, and deletes only what it saw before."""
    step, copy = world.evictor
    if step == "idle" and world.row.tier in (Tier.HOT_COLD, Tier.EVICTING):
        begun = world if world.row.tier is Tier.EVICTING else _move(world, TierMove.EVICT)
        assert begun is not None
        yield "evictor begins", replace(begun, evictor=("begun", world.hot))
    elif step == "begun" and world.row.tier is not Tier.EVICTING:
        yield "evictor gives up", replace(world, evictor=("idle", 0))
    elif step == "begun" and world.cold and world.cold == world.cold_of_row:
        yield "evictor verifies", replace(world, evictor=("verified", copy))
    elif step == "begun":
        after = _move(world, TierMove.EVICT_REFUSED) if world.hot else None
        yield "evictor refuses", replace(after or world, evictor=("idle", 0))
    elif step == "verified":
        gone = 0 if world.hot == copy else world.hot
        yield "evictor deletes", replace(world, hot=gone, evictor=("deleted", 0))
    elif step == "deleted":
        yield "evictor records", replace(_move(world, TierMove.EVICTED) or world, evictor=("idle", 0))


def rehydrator(world: ObjectWorld) -> Iterator[tuple[str, ObjectWorld]]:
    if world.rehydrator == "idle" and (begun := _move(world, TierMove.REHYDRATE)) and world.generation < 6:
        yield "rehydrator begins", replace(begun, rehydrator="begun")
    elif world.rehydrator == "begun" and world.cold and world.cold == world.cold_of_row:
        copy = world.hot or world.generation + 1
        yield "rehydrator puts", replace(world, hot=copy, generation=max(copy, world.generation), rehydrator="put")
    elif world.rehydrator == "begun":
        yield "rehydrator fails", replace(_move(world, TierMove.REHYDRATE_FAILED) or world, rehydrator="idle")
    elif world.rehydrator == "put":
        move = TierMove.REHYDRATED if world.hot else TierMove.REHYDRATE_FAILED
        yield "rehydrator records", replace(_move(world, move) or world, rehydrator="idle")


def collector(world: ObjectWorld) -> Iterator[tuple[str, ObjectWorld]]:
    """Condemns, waits, looks again, and deletes the copies that the row named: never a later one."""
    step, hot, cold = world.collector
    if step == "idle" and not world.referenced and (condemned := _move(world, TierMove.CONDEMN)):
        yield "collector condemns", replace(condemned, collector=("condemned", 0, 0))
    elif step == "condemned" and not world.referenced and (deleting := _move(world, TierMove.DELETE)):
        yield "collector goes on", replace(deleting, collector=("deleting", world.hot, world.cold_of_row))
    elif step == "condemned" and world.row.tier is not Tier.CONDEMNED:
        yield "collector gives up", replace(world, collector=("idle", 0, 0))
    elif step == "deleting":
        yield (
            "collector deletes hot",
            replace(world, hot=0 if world.hot == hot else world.hot, collector=("hot", hot, cold)),
        )
    elif step == "hot":
        gone = replace(world, cold=0 if world.cold == cold else world.cold)
        yield "collector deletes cold", replace(gone, collector=("cold", hot, cold))
        yield "collector deletes cold, and will again", replace(gone, collector=("hot late", hot, cold))
    elif step == "cold":
        after = _move(world, TierMove.DELETED, cold_of_row=0) or world
        yield "collector records", replace(after, collector=("done", 0, 0))
    elif step == "hot late":
        after = _move(world, TierMove.DELETED, cold_of_row=0) or world
        yield "collector records", replace(after, collector=("late", hot, cold))
    elif step == "late":
        gone = replace(world, cold=0 if world.cold == cold else world.cold)
        yield "a delete arrives once more", replace(gone, collector=("done", 0, 0))


def stores_that_lose(world: ObjectWorld) -> Iterator[tuple[str, ObjectWorld]]:
    """The hot store forgets; the cold one has another content than it said. What it loses in the moment between its verification
    and the deletion that follows, no protocol can save."""
    if world.faults and world.hot:
        yield "the hot store forgets", replace(world, hot=0, faults=world.faults - 1)
    if world.faults and world.cold and world.evictor[0] != "verified":
        yield "the cold store lies", replace(world, cold=0, faults=world.faults - 1)


PROCESSES: Mapping[str, Process] = {
    "writer": writer, "deleter": deleter, "archiver": archiver, "evictor": evictor, "rehydrator": rehydrator,
    "collector": collector,
}  # fmt: skip


def explore(
    start: ObjectWorld, processes: list[Process], holds: Callable[[ObjectWorld, ObjectWorld], bool], most: int = 400_000
) -> int:
    """How many states there are. Raises AssertionError with the way to a step that does not hold."""
    seen: dict[ObjectWorld, tuple[ObjectWorld, str] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        for process in processes:
            for label, after in process(world):
                if not holds(world, after):
                    raise AssertionError(" > ".join([*_way(seen, world), label]))
                if after not in seen:
                    seen[after] = (world, label)
                    waiting.append(after)
                    assert len(seen) < most, "there is no end of states"
    return len(seen)


def _way(seen: Mapping[ObjectWorld, tuple[ObjectWorld, str] | None], world: ObjectWorld) -> list[str]:
    way: list[str] = []
    while (step := seen[world]) is not None:
        world, label = step
        way.append(label)
    return list(reversed(way))
