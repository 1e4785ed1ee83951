"""A look is concluded: judged on the record as it is now, and written, in one transaction under the lock of its mount."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString

import orjson

from schema.drift.acts import LookOutcome, Terms, weigh
from schema.drift.decisions import DriftDecision
from schema.drift.judge import Judgement, Scope, judge, lost
from schema.drift.looks import Blocked, Look
from schema.drift.policy import DriftAction, Phase
from schema.drift.sightings import PHANTOM, Believed, FileKey, Record, Sighting, SightState, key_of
from schema.errors import InvalidPath
from schema.ids import MountId
from schema.operations.imports import too_long
from schema.sql import load
from schema.store import drift_hints, judged, looks
from schema.store.begin import held_mount
from schema.store.drift_hints import Hint

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("conclude")
_DECIDED: Mapping[str, DriftAction] = {
    DriftDecision.ACCEPT: DriftAction.IMPORT,
    DriftDecision.QUARANTINE: DriftAction.QUARANTINE,
}
"""What a look does about what is new, because a person has decided about the directory it lies in: there, and no more"""
_ENDED_MOST = 1_000_000
_LONG = "Its name, or its path, is longer than the record can hold. Move it up, or give it a shorter name."
_HINTS = 1000
"""Places that wait and are noted for another look; an audit finds the rest."""


class LookOverrun(Exception):
    """So much was done beside a look that nothing it saw counts."""


@dataclass(frozen=True, slots=True)
class Concluded:
    """What came of a look. `held`: nothing was written, because a brake holds it."""

    outcome: LookOutcome
    waiting: Sequence[bytes]
    nodes: int
    held: bool = False

    @property
    def ending(self) -> dict[str, Any]:
        """What the look came to, by the names that a caller knows."""
        outcome = self.outcome
        return {
            "counts": dict(outcome.counts), "changes": outcome.changes, "unsure": outcome.unsure,
            "again": outcome.first_misses, "waiting": len(self.waiting),
        }  # fmt: skip


@asynccontextmanager
async def one_snapshot(connection: Connection, mount: MountId) -> AsyncIterator[None]:
    """The lock of the mount, and then a transaction that sees the record as it is once no `begin` is under way. Commands may end
    meanwhile; their claims are in the snapshot."""
    async with held_mount(connection, mount), connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


async def conclude(
    connection: Connection, look: Look, now: datetime, beyond: AbstractSet[bytes] = frozenset()
) -> Concluded:
    """In the transaction of `one_snapshot`. `beyond`: places that turned out to be deeper than the record reaches. Raises
    JudgedMismatch, BeyondRecord."""
    policy = (await looks.policy(connection, look.mount)).policy
    if decided := _DECIDED.get(look.reason):
        policy = replace(policy, phase=Phase.OBSERVE, on_new=decided, on_changed=DriftAction.IMPORT)
    terms = Terms(policy, look.id, look.by_hand, look.places)
    blocked, held = await _beside(connection, look)
    sightings = await _seen(connection, look, terms, now, beyond)
    sightings = [replace(one, waits=one.path in blocked) for one in sightings]
    judgement = await _judged(connection, look, sightings, blocked, held)
    conclusions = judgement.conclusions
    if decided:
        conclusions = [one for one in conclusions if terms.acts_on(one)]
    outcome = weigh(conclusions, terms)
    left_alone = await _left_alone(connection, look, terms, now)
    outcome.settled += await _over(connection, look, outcome, {one.path for one in sightings}, judgement, left_alone)
    nodes = await size(connection, look.mount)
    if look.whole and outcome.changes > look.allows and terms.policy.brake.holds(outcome.changes, nodes):
        return await _come_to(connection, look, Concluded(outcome, judgement.waiting, nodes, held=True))
    await judged.write(connection, look, outcome)
    phantoms = {one.path for one in sightings if one.code == PHANTOM}
    waiting = [path for path in judgement.waiting if path not in phantoms]
    await drift_hints.hint(connection, look.mount, [Hint(path, reason="waited") for path in waiting[:_HINTS]])
    return await _come_to(connection, look, Concluded(outcome, waiting, nodes))


async def _come_to(connection: Connection, look: Look, concluded: Concluded) -> Concluded:
    values = {"look": look.id, "ending": orjson.dumps(concluded.ending).decode()}
    await connection.execute(SQL["come_to"], values)
    return concluded


async def _seen(
    connection: Connection, look: Look, terms: Terms, now: datetime, beyond: AbstractSet[bytes]
) -> list[Sighting]:
    """What the look came upon, but for places that are ignored."""
    left_alone = await ignored(connection, look.mount)
    return [
        _held_by_the_record(one, beyond)
        for one in await looks.entries(connection, look.id)
        if not terms.policy.ignores(one.path, now) and not any(path in left_alone for path in upwards(one.path))
    ]


def _held_by_the_record(one: Sighting, beyond: AbstractSet[bytes]) -> Sighting:
    """Deeper down than the record reaches, or of a longer name, it is a finding."""
    if one.state is not SightState.SEEN or not (one.path in beyond or too_long(one.path, one.name, one.kind)):
        return one
    return replace(one, state=SightState.UNREADABLE, code=InvalidPath.code, message=_LONG)


async def ignored(connection: Connection, mount: MountId) -> set[bytes]:
    """Places that a person told Filestore to leave alone, each with all below it."""
    cursor = await connection.execute(SQL["ignored"], {"mount": mount})
    return {bytes(row["path"]) for row in await cursor.fetchall()}


async def _standing(connection: Connection, look: Look) -> list[bytes]:
    cursor = await connection.execute(SQL["standing"], {"mount": look.mount})
    return [bytes(row["path"]) for row in await cursor.fetchall()]


async def _left_alone(connection: Connection, look: Look, terms: Terms, now: datetime) -> set[bytes]:
    """Findings at places that the policy ignores: nothing is known of them, and they say so."""
    if not terms.policy.ignore:
        return set()
    ignored = [path for path in await _standing(connection, look) if terms.policy.ignores(path, now)]
    if ignored:
        await connection.execute(SQL["leave"], {"mount": look.mount, "paths": ignored})
    return set(ignored)


async def _over(
    connection: Connection,
    look: Look,
    outcome: LookOutcome,
    seen: AbstractSet[bytes],
    judgement: Judgement,
    left_alone: AbstractSet[bytes],
) -> list[bytes]:
    """Where findings stand, and the look covered the place and came upon nothing: neither there nor in the record is anything
    that differs."""
    standing = [path for path in await _standing(connection, look) if path not in left_alone]
    open_still = seen - set(outcome.settled) | set(judgement.waiting)
    covered = [path for path in standing if look.covers(path)]
    return [path for path in covered if not any(above in open_still for above in upwards(path))]


def upwards(path: bytes) -> Iterator[bytes]:
    """The path, and all above it but the root."""
    yield path
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


# Who works beside it


async def _beside(connection: Connection, look: Look) -> tuple[Blocked, frozenset[FileKey]]:
    claims = await (await connection.execute(SQL["claims"], {"mount": look.mount})).fetchall()
    values = {"mount": look.mount, "entries": look.entries, "most": _ENDED_MOST}
    since = await (await connection.execute(SQL["since"], values)).fetchall()
    if len(since) == _ENDED_MOST:
        raise LookOverrun(f"{_ENDED_MOST} commands have ended since the look began: it says nothing any more.")
    paths = [*look.claimed, *(bytes(row["path"]) for row in claims)]
    paths += [bytes(row[name]) for row in since for name in ("path", "target", "source") if row[name] is not None]
    nodes = sorted({node for row in since for node in row["nodes"]})
    return Blocked(paths), frozenset([*await _intents(connection, look.mount), *await _identities(connection, nodes)])


async def _intents(connection: Connection, mount: MountId) -> set[FileKey]:
    cursor = await connection.execute(SQL["intents"], {"mount": mount})
    return {key for row in await cursor.fetchall() for key in _keys([row["intent"], row["identity"]])}


def _keys(told: Any) -> Iterator[FileKey]:
    """Every identity that stands in an intent, wherever."""
    if isinstance(told, dict):
        for value in told.values():
            yield from _keys(value)
    elif isinstance(told, list):
        if len(told) >= 9 and all(isinstance(fact, int) for fact in told[:9]):
            if (key := key_of(told)) is not None:
                yield key
        else:
            for value in told:
                yield from _keys(value)


async def _identities(connection: Connection, nodes: Sequence[int]) -> list[FileKey]:
    if not nodes:
        return []
    cursor = await connection.execute(SQL["identities"], {"ids": list(nodes)})
    return [(row["device"], row["inode"], row["birth_ns"]) for row in await cursor.fetchall() if row["inode"]]


# What the record has


async def _judged(
    connection: Connection, look: Look, sightings: list[Sighting], blocked: Blocked, held: frozenset[FileKey]
) -> Judgement:
    found = await _believed(connection, look, sightings, blocked)
    record = Record(list(found.values()), held)
    if look.whole and (tops := lost(sightings, record)):
        below = await _below(connection, look, tops, sightings, blocked)
        known = {one.path for one in sightings}
        sightings = sightings + [
            Sighting(node.path, SightState.ABSENT, within=node.parent, waits=node.path in blocked)
            for node in below
            if node.path not in known
        ]
        # The path by which its entry goes tells a node apart from what has its name now; the record knows it by its own.
        found = {node.id: node for node in below} | found
        record = Record(list(found.values()), held)
    return judge(sightings, record, Scope(look.whole))


async def _believed(
    connection: Connection, look: Look, sightings: Sequence[Sighting], blocked: Blocked
) -> dict[int, Believed]:
    """The nodes of the files that were seen, and those at the names at which they were seen: a directory that moved is known by
    its file, and what it holds by that directory."""
    inodes = sorted({one.key[1] for one in sightings if one.key is not None})
    places = sorted({(one.within, one.name) for one in sightings if one.within is not None})
    rows = [
        *await _rows(connection, SQL["nodes_of"], {"mount": look.mount, "inodes": inodes}),
        *await _rows(connection, SQL["nodes_at"], {"parents": [p for p, _ in places], "names": [n for _, n in places]}),
    ]
    if look.whole:
        rows += await _rows(connection, SQL["nameless"], {"mount": look.mount})
    return {row["id"]: _node(row, look, blocked) for row in rows}


async def _below(
    connection: Connection,
    look: Look,
    tops: Sequence[tuple[Believed, bytes]],
    sightings: Sequence[Sighting],
    blocked: Blocked,
) -> list[Believed]:
    seen = sorted({one.key[1] for one in sightings if one.there and one.key is not None})
    values = {"tops": [node.id for node, _ in tops], "paths": [path for _, path in tops], "seen": seen}
    return [_node(row, look, blocked) for row in await _rows(connection, SQL["nodes_below"], values)]


async def _rows(connection: Connection, query: LiteralString, values: dict[str, Any]) -> list[DictRow]:
    return await (await connection.execute(query, values)).fetchall()


def node_of(row: DictRow, look: Look) -> Believed:
    """A node that nothing works at."""
    return _node(row, look, Blocked([]))


def _node(row: DictRow, look: Look, blocked: Blocked) -> Believed:
    path = bytes(row["path"])
    busy = path in blocked or (row["judged"] is not None and row["judged"] > look.conclusions)
    return Believed(
        row["id"], row["parent_id"], bytes(row["name"]), path, row["kind"], row["state"], row["version"],
        tuple(row["facts"] or ()), None if row["sha256"] is None else bytes(row["sha256"]), row["size_bytes"],
        row["provisional"], row["missed_in"], busy,
    )  # fmt: skip


async def size(connection: Connection, mount: MountId) -> int:
    row = await (await connection.execute(SQL["size"], {"mount": mount})).fetchone()
    return int(row["nodes"]) if row else 0
