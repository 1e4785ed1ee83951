"""Heals: which findings wait for one, where copies lie, what a heal is when it begins and when it is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from schema import errors
from schema.commands.command import Command
from schema.commands.situations import KnownFinding, Situation
from schema.drift.acts import Deed, DriftKind, LookOutcome
from schema.drift.policy import Policy
from schema.drift.sightings import Believed, Sighting, SightState
from schema.ids import CommandId, MountId
from schema.sql import load
from schema.store import accept, conclude, findings, judged, looks

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("heals")
HEAL = "heal"
"""Why a look was begun: the place is looked at before it is healed"""
_TRIES_MOST = 8
"""After so many a person has to look"""
_PATIENT = frozenset(
    {
        error.code
        for error in (errors.MountOffline, errors.PathBusy, errors.Frozen, errors.StaleFinding, errors.Unavailable)
    }
)
"""Why something waits that is not to blame for it"""
_COPIES = 8


async def due_mounts(connection: Connection, mounts: Sequence[MountId]) -> list[MountId]:
    cursor = await connection.execute(SQL["due_mounts"], {"mounts": list(mounts)})
    return [MountId(row["id"]) for row in await cursor.fetchall()]


# The brake


@dataclass(frozen=True, slots=True)
class Unweighed:
    """A finding that policy alone decided, and no brake was asked about."""

    id: int
    action: str
    shown: str
    nodes: int


async def unweighed(connection: Connection, mount: MountId, limit: int) -> list[Unweighed]:
    cursor = await connection.execute(SQL["unweighed"], {"mount": mount, "limit": limit})
    return [Unweighed(row["id"], row["action"], row["shown"], row["nodes"]) for row in await cursor.fetchall()]


async def plan(connection: Connection, ids: Sequence[int], look: int) -> None:
    """`look`: the one that waits for a yes; 0: they may go."""
    await connection.execute(SQL["plan"], {"ids": list(ids), "plan": look})


async def answer(connection: Connection, mount: MountId, look: int, principal: str, *, yes: bool) -> bool:
    """False: this look waits for no answer any more."""
    if yes:
        values = {"look": look, "mount": mount, "principal": principal, "reason": HEAL}
        if not (await connection.execute(SQL["end_plan"], values)).rowcount:
            return False
    await connection.execute(SQL["answer"], {"look": look, "yes": yes})
    return True


# What is due


@dataclass(frozen=True, slots=True)
class DueFinding:
    """A finding that is to be healed now, and its node as the record has it."""

    id: int
    tenant: str
    path: bytes
    kind: DriftKind
    version: int
    node: int | None
    node_version: int | None
    node_kind: str | None
    size: int
    sha256: bytes | None
    observed: Mapping[str, Any]
    by: str | None
    tries: int
    mode: int | None = None
    """Of the node, as it was last seen: kind and permissions"""
    target: bytes | None = None
    """Of a symbolic link"""


async def due(connection: Connection, mount: MountId, limit: int) -> list[DueFinding]:
    cursor = await connection.execute(SQL["due"], {"mount": mount, "limit": limit})
    return [
        DueFinding(
            row["id"], row["tenant"], bytes(row["path"]), DriftKind(row["kind"]), row["version"], row["node_id"],
            row["node_version"], row["node_kind"], row["size_bytes"] or 0, row["sha256"], row["observed"],
            row["decided_by"], row["tries"], row["mode"], _bytes(row["target"]),
        )
        for row in await cursor.fetchall()
    ]  # fmt: skip


async def next_due(connection: Connection, mount: MountId) -> float | None:
    """Seconds. None: nothing waits."""
    row = await (await connection.execute(SQL["next_due"], {"mount": mount})).fetchone()
    return None if row is None or row["seconds"] is None else max(0.0, row["seconds"])


@dataclass(frozen=True, slots=True)
class KeptCopy:
    """Content that lies somewhere else: at a path, or at a place of a trash."""

    mount: MountId
    path: bytes | None
    place: bytes | None
    identity: Sequence[int | str]


async def copies(connection: Connection, mount: MountId, finding: DueFinding) -> list[KeptCopy]:
    values = {
        "mount": mount, "tenant": finding.tenant, "sha256": finding.sha256, "node": finding.node, "limit": _COPIES,
    }  # fmt: skip
    cursor = await connection.execute(SQL["copies"], values)
    return [
        KeptCopy(MountId(row["mount_id"]), _bytes(row["path"]), _bytes(row["place"]), row["identity"])
        for row in await cursor.fetchall()
    ]


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


# In the transaction of `begin`


async def look(
    connection: Connection, requests: Sequence[Command], found: Mapping[CommandId, Situation]
) -> dict[CommandId, Situation]:
    """The situations of heals know their findings. `heal_cas`: the lock of the mount is held, as it is where findings change."""
    ids = [request.finding for request in requests if request.finding is not None]
    if not ids:
        return dict(found)
    rows = {row["id"]: row for row in await (await connection.execute(SQL["known"], {"ids": ids})).fetchall()}
    limits = {mount: await _limits(connection, mount) for mount in {r.mount_id for r in requests if r.finding in rows}}
    return dict(found) | {
        request.id: replace(found[request.id], finding=_known(rows[request.finding], limits[request.mount_id]))
        for request in requests
        if request.finding in rows
    }


async def _limits(connection: Connection, mount: MountId) -> tuple[Policy, set[bytes]]:
    policy = (await looks.policy(connection, mount)).policy
    return policy, await conclude.ignored(connection, mount)


def _known(row: DictRow, limits: tuple[Policy, set[bytes]]) -> KnownFinding:
    policy, left_alone = limits
    path, seen = bytes(row["path"]), row["observed"]
    ignored = policy.ignores(path, datetime.now(UTC)) or any(one in left_alone for one in conclude.upwards(path))
    return KnownFinding(
        row["id"], path, row["kind"], row["version"], row["waits"], row["node_id"], row["node_version"],
        seen.get("kind", ""), seen.get("identity", ()), seen.get("contentHash"), ignored,
    )  # fmt: skip


# In the transaction of `commit`


async def accept_seen(connection: Connection, ids: Sequence[CommandId]) -> list[Believed]:
    """What these heals found becomes the record first, as it does when a person accepts it; then each is an ordinary command.
    Returns the nodes in whose places strays of another kind lay: they take their names back once those have left
    (`judged.take_names_back`). Raises StaleFinding, JudgedMismatch."""
    waiting = list[Believed]()
    for row in await (await connection.execute(SQL["healing"], {"ids": list(ids)})).fetchall():
        begun = await looks.find(connection, row["heal"]["look"])
        path, heal = bytes(row["path"]), row["heal"]
        [held] = await findings.lock(connection, [heal["finding"]])
        outcome = LookOutcome(settled=[path])
        if heal["facts"]:
            digest = bytes.fromhex(heal["sha256"]) if heal["sha256"] else None
            seen = Sighting(path, SightState.SEEN, heal["kind"], tuple(heal["facts"]), digest)
            acts = await accept.acts(connection, begun, held, seen)
            displaced = [act.node for act in acts if act.deed is Deed.DISPLACE and act.node is not None]
            await judged.give_up_names(connection, displaced)
            waiting += displaced
            outcome.acts = [act for act in acts if act.deed is not Deed.DISPLACE]
        await judged.write(connection, begun, outcome, {path: row["node"]})
    return waiting


# What became of it


@dataclass(frozen=True, slots=True)
class HealEnd:
    """How the command of a heal ended. `code` None: it has succeeded."""

    status: str
    code: str | None
    message: str
    retryable: bool


async def ends(connection: Connection, ids: Sequence[CommandId]) -> dict[CommandId, HealEnd]:
    """Of those that began."""
    cursor = await connection.execute(SQL["ends"], {"ids": list(ids)})
    return {
        CommandId(row["id"]): HealEnd(row["status"], row["code"], row["message"] or "", bool(row["retryable"]))
        for row in await cursor.fetchall()
    }


@dataclass(frozen=True, slots=True)
class HealProblem:
    """Why a finding was not healed. `final`: trying again does not help."""

    finding: int
    version: int
    code: str
    message: str
    final: bool


async def tried(connection: Connection, problems: Iterable[HealProblem]) -> None:
    tries = [
        {"finding": one.finding, "version": one.version, "final": one.final,
         "patient": one.code in _PATIENT, "problem": {"code": one.code, "message": one.message}}
        for one in problems
    ]  # fmt: skip
    if tries:
        values = {"tries": orjson.dumps(tries).decode(), "most": _TRIES_MOST}
        await connection.execute(SQL["tried"], values)


async def leave(connection: Connection, ids: Sequence[int]) -> None:
    """Places that the policy ignores by now."""
    await connection.execute(SQL["leave"], {"ids": list(ids)})


async def open_below(connection: Connection, healed: Sequence[int]) -> None:
    """Of directories among these that came back: what they held is due next."""
    await connection.execute(SQL["open_below"], {"findings": list(healed)})
