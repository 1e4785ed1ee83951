"""Looks: they begin, compare pages of a scan with the record, keep what they came upon, and end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from schema.drift.looks import Look, LookPlace, LookState
from schema.drift.policy import AuditTarget, Policy
from schema.drift.sightings import Sighting, SightState
from schema.ids import MountId
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("looks")


@dataclass(frozen=True, slots=True)
class MountPolicy:
    policy: Policy
    version: int = 0
    by: str | None = None


async def policy(connection: Connection, mount: MountId) -> MountPolicy:
    row = await (await connection.execute(SQL["policy"], {"mount": mount})).fetchone()
    if row is None:
        return MountPolicy(Policy())
    return MountPolicy(Policy.of_json(row["policy"]), row["policy_version"], row["policy_by"])


async def put_policy(connection: Connection, mount: MountId, policy: Policy, principal: str) -> None:
    told = orjson.dumps(policy.to_json()).decode()
    await connection.execute(SQL["put_policy"], {"mount": mount, "policy": told, "principal": principal})


async def audit_targets(connection: Connection, mounts: Sequence[MountId]) -> list[tuple[MountId, AuditTarget]]:
    """What the policies of these mounts want audited, and how often."""
    cursor = await connection.execute(SQL["audited_mounts"], {"mounts": list(mounts)})
    return [
        (MountId(row["mount_id"]), target)
        for row in await cursor.fetchall()
        for target in Policy.of_json(row["policy"]).audits
    ]


@dataclass(frozen=True, slots=True)
class Consistency:
    """How a mount, or a part of it, is. `found`: how often looks came to each verdict, of the whole mount."""

    last_audit: Mapping[str, Any] | None
    findings: Mapping[str, int]
    found: Mapping[str, int]
    healed: int
    open: int
    held: int
    hints: int

    @property
    def fresh_since(self) -> datetime | None:
        """Nothing in the record is older than this there."""
        return self.last_audit["startedAt"] if self.last_audit is not None else None


async def consistency(connection: Connection, mount: MountId, path: bytes) -> Consistency:
    row = await (await connection.execute(SQL["consistency"], {"mount": mount, "path": path})).fetchone()
    assert row is not None, "the mount was found a moment ago"
    audit = None
    if row["audit"] is not None:
        audit = {
            "look": row["audit"], "reason": row["reason"], "state": row["state"], "startedAt": row["started_at"],
            "endedAt": row["ended_at"], "seen": row["seen"], "counts": row["counts"] or {},
        }  # fmt: skip
    return Consistency(
        audit, row["findings"], row["found"] or {}, row["healed"], row["open"], row["held"], row["hints"]
    )


@dataclass(frozen=True, slots=True)
class DriftOfMount:
    """`audit_seconds`: since the last look at all of it began; None: there was none. `findings`: those that stand, by state.
    `healed`: those that are over because all is well again, as long as they are kept."""

    tenant: str
    mount_key: str
    found: Mapping[str, int]
    audit_seconds: float | None
    findings: Mapping[str, int]
    healed: int
    held: int
    hints: int
    hint_seconds: float


async def numbers(connection: Connection) -> list[DriftOfMount]:
    """Of all mounts."""
    rows = await (await connection.execute(SQL["numbers"])).fetchall()
    return [DriftOfMount(**row) for row in rows]


async def begin(
    connection: Connection,
    mount: MountId,
    places: Sequence[LookPlace],
    *,
    reason: str,
    principal: str,
    whole: bool,
    by_hand: bool = False,
    allows: int = 0,
    key: str | None = None,
    hinted: bool = False,
) -> int:
    """Before the storage is read. Returns the generation. `allows`: so many changes a person has said yes to. `key`: of the order:
    a second look of the same one can not begin. `hinted`: the places are those of hints that it took."""
    values = {
        "mount": mount, "reason": reason, "principal": principal, "by_hand": by_hand, "whole": whole, "allows": allows,
        "places": [place.path for place in places], "subtrees": [place.subtree for place in places],
        "key": key, "hinted": hinted,
    }  # fmt: skip
    row = await (await connection.execute(SQL["begin"], values)).fetchone()
    assert row is not None, "the mount was there a moment ago"
    return int(row["id"])


async def of_key(connection: Connection, key: str) -> int | None:
    row = await (await connection.execute(SQL["of_key"], {"key": key})).fetchone()
    return None if row is None else int(row["id"])


async def interrupted(connection: Connection, mount: MountId) -> list[int]:
    """Looks at hints that were begun and have not ended. At most one of them has a run that is at it."""
    rows = await (await connection.execute(SQL["interrupted"], {"mount": mount})).fetchall()
    return [row["id"] for row in rows]


async def find(connection: Connection, look: int) -> Look:
    row = await (await connection.execute(SQL["find"], {"look": look})).fetchone()
    assert row is not None, "looks are kept for longer than they take"
    return Look(
        row["id"], row["tenant"], MountId(row["mount_id"]), row["reason"], row["principal"], row["by_hand"], _places(row),
        row["whole"], LookState(row["state"]), row["entries"], row["conclusions"], [bytes(path) for path in row["claimed"]],
        row["started_at"], row["released_by"], row["plan"], row["counts"], row["ending"],
        row["problem"],
    )  # fmt: skip


def _places(row: DictRow) -> list[LookPlace]:
    return [LookPlace(bytes(path), subtree) for path, subtree in zip(row["places"], row["subtrees"], strict=True)]


# What the record has, while a look reads


@dataclass(frozen=True, slots=True)
class ListedDirectory:
    """A directory of the storage. `id` None: the record does not know it. `doubted`: it holds a node that is in doubt. `here`: the
    record does not know it at another path."""

    id: int | None
    fingerprint: bytes | None
    doubted: bool
    here: bool


async def directories(
    connection: Connection, mount: MountId, listed: Sequence[tuple[bytes, Sequence[int | str]]]
) -> list[ListedDirectory]:
    """Paths with the identity that the storage told, and an answer for each of them."""
    values = {
        "mount": mount,
        "paths": [path + b"/" if path else b"" for path, _ in listed],
        "devices": [facts[0] for _, facts in listed],
        "inodes": [facts[1] for _, facts in listed],
        "births": [facts[2] for _, facts in listed],
    }
    cursor = await connection.execute(SQL["directories"], values)
    rows = {row["n"]: row for row in await cursor.fetchall()}
    return [_listed(rows[n]) for n in range(1, len(listed) + 1)]


def _listed(row: DictRow) -> ListedDirectory:
    digest = row["fingerprint"]
    return ListedDirectory(row["id"], None if digest is None else bytes(digest), row["doubted"], row["here"])


@dataclass(frozen=True, slots=True)
class KnownDirectories:
    """A page of the directories of the record: `FolderPage` says what is in it. `last` None: there are no more."""

    count: int
    paths: bytes
    digests: bytes
    last: bytes | None


async def known_directories(
    connection: Connection, mount: MountId, first: bytes, beyond: bytes, most: int
) -> KnownDirectories:
    """Those from one path on and up to another, as the record has them: with a slash at their end."""
    values = {"mount": mount, "first": first, "beyond": beyond, "most": most}
    row = await (await connection.execute(SQL["known_directories"], values, binary=True)).fetchone()
    assert row is not None
    last = bytes(row["last"]) if row["taken"] == most else None
    return KnownDirectories(row["found"], bytes(row["paths"] or b""), bytes(row["digests"] or b""), last)


@dataclass(frozen=True, slots=True)
class LookPage:
    """Directories that a look has compared: their paths and change times in one piece each, and how many names lay in them.
    `cursor`: of a bucket, where its listing goes on."""

    paths: bytes
    times: bytes
    names: int
    cursor: bytes | None = None


async def put_page(connection: Connection, look: int, number: int, page: LookPage) -> None:
    values = {
        "look": look, "number": number, "paths": page.paths, "times": page.times, "names": page.names, "cursor": page.cursor,
    }  # fmt: skip
    await connection.execute(SQL["put_page"], values)


async def page(connection: Connection, look: int, number: int) -> LookPage:
    row = await (await connection.execute(SQL["page"], {"look": look, "number": number}, binary=True)).fetchone()
    assert row is not None, "pages live as long as their look"
    cursor = None if row["cursor"] is None else bytes(row["cursor"])
    return LookPage(bytes(row["paths"]), bytes(row["times"]), row["names"], cursor)


async def pages(connection: Connection, look: int) -> tuple[int, int]:
    """How many pages a look has compared, and how many names lay in them."""
    row = await (await connection.execute(SQL["pages"], {"look": look})).fetchone()
    assert row is not None
    return row["pages"], row["names"]


@dataclass(frozen=True, slots=True)
class BelievedChild:
    """A node as its directory holds it, with what was last seen of it."""

    id: int
    parent: int
    name: bytes
    kind: str
    facts: tuple[int | str, ...]
    at_rest: bool
    """Active, seen by a look, and missed by none: where its facts are the same, all is well"""


async def children(connection: Connection, directories: Sequence[int]) -> list[BelievedChild]:
    cursor = await connection.execute(SQL["children"], {"ids": list(directories)})
    return [_child(row) for row in await cursor.fetchall()]


async def children_between(connection: Connection, directory: int, after: bytes, upto: bytes) -> list[BelievedChild]:
    """Those with names behind one, up to another."""
    values = {"directory": directory, "after": after, "upto": upto}
    cursor = await connection.execute(SQL["children_between"], values)
    return [_child(row) for row in await cursor.fetchall()]


async def children_page(
    connection: Connection, directory: int, after: bytes, upto: bytes, most: int
) -> list[BelievedChild]:
    """The first of those with names behind one, up to another."""
    values = {"directory": directory, "after": after, "upto": upto, "most": most}
    cursor = await connection.execute(SQL["children_page"], values)
    return [_child(row) for row in await cursor.fetchall()]


async def children_named(connection: Connection, directory: int, names: Sequence[bytes]) -> list[BelievedChild]:
    cursor = await connection.execute(SQL["children_named"], {"directory": directory, "names": list(names)})
    return [_child(row) for row in await cursor.fetchall()]


async def child(connection: Connection, mount: MountId, directory: bytes, name: bytes) -> list[BelievedChild]:
    values = {"mount": mount, "directory": directory + b"/" if directory else b"", "name": name}
    cursor = await connection.execute(SQL["child"], values)
    return [_child(row) for row in await cursor.fetchall()]


def _child(row: DictRow) -> BelievedChild:
    at_rest = row["state"] == "active" and not row["provisional"] and row["missed_in"] is None
    facts: tuple[int | str, ...] = ()
    if row["inode"] is not None:
        facts = (
            row["device"], row["inode"], row["birth_ns"], row["observed_size"], row["observed_mtime_ns"],
            row["observed_ctime_ns"], int(row["kind"] == "directory"), row["observed_mode"], row["observed_links"],
        )  # fmt: skip
        if row["s3_etag"] is not None:
            facts = (*facts, row["s3_etag"])
    return BelievedChild(row["id"], row["parent_id"], bytes(row["name"]), row["kind"], facts, at_rest)


# What a look came upon


async def put_entries(connection: Connection, look: int, sightings: Sequence[Sighting], page: int = 0) -> None:
    """`page`: of the look, that came upon them."""
    if not sightings:
        return
    entries = [
        {
            "path": one.path.hex(), "within": one.within, "state": one.state, "kind": one.kind, "facts": one.facts,
            "sha256": one.sha256.hex() if one.sha256 else None, "stable": one.stable, "code": one.code, "message": one.message,
            "target": None if one.target is None else one.target.hex(),
        }
        for one in {one.path: one for one in sightings}.values()
    ]  # fmt: skip
    values = {"look": look, "page": page, "entries": orjson.dumps(entries).decode()}
    await connection.execute(SQL["put_entries"], values)


async def entries(connection: Connection, look: int) -> list[Sighting]:
    cursor = await connection.execute(SQL["entries"], {"look": look})
    return [
        Sighting(
            bytes(row["path"]), SightState(row["state"]), row["kind"], tuple(row["facts"]),
            None if row["sha256"] is None else bytes(row["sha256"]), row["within"], row["stable"],
            code=row["code"], message=row["message"], target=None if row["target"] is None else bytes(row["target"]),
        )
        for row in await cursor.fetchall()
    ]  # fmt: skip


async def known_hashes(
    connection: Connection, look: int, page: int
) -> dict[bytes, tuple[tuple[int | str, ...], bytes]]:
    """Facts and hash of what an earlier execution of this look has read, from this page on."""
    cursor = await connection.execute(SQL["known_hashes"], {"look": look, "page": page})
    return {bytes(row["path"]): (tuple(row["facts"]), bytes(row["sha256"])) for row in await cursor.fetchall()}


async def matched(connection: Connection, digests: Mapping[int, bytes]) -> None:
    """In one order, so that looks that overlap do not wait for each other."""
    ids = sorted(digests)
    await connection.execute(SQL["matched"], {"ids": ids, "digests": [digests[id] for id in ids]})


async def absent(connection: Connection, look: int, after: bytes, most: int) -> list[tuple[bytes, bytes]]:
    """The key and the path of what was not there, behind a key."""
    cursor = await connection.execute(SQL["absent"], {"look": look, "after": after, "most": most})
    return [(bytes(row["key"]), bytes(row["path"])) for row in await cursor.fetchall()]


async def forget_keys(connection: Connection, look: int, keys: Sequence[bytes]) -> None:
    if keys:
        await connection.execute(SQL["forget_keys"], {"look": look, "keys": list(keys)})


async def forget_since(connection: Connection, look: int, page: int) -> None:
    """What was come upon from a page on."""
    await connection.execute(SQL["forget_since"], {"look": look, "page": page})


async def forget_entries(connection: Connection, look: int) -> None:
    await connection.execute(SQL["forget_entries"], {"look": look})


async def forget_reading(connection: Connection, look: int) -> None:
    """What it came upon, and how far it had come: it has ended."""
    await forget_entries(connection, look)
    await connection.execute(SQL["forget_pages"], {"look": look})


# How it goes on


async def read(connection: Connection, look: int, seen: int) -> None:
    await connection.execute(SQL["read"], {"look": look, "seen": seen})


async def hold(connection: Connection, look: int, plan: Mapping[str, Any]) -> None:
    await connection.execute(SQL["hold"], {"look": look, "plan": orjson.dumps(plan).decode()})


async def release(connection: Connection, mount: MountId, look: int, principal: str) -> bool:
    """False: it does not wait, or somebody else has said yes before."""
    cursor = await connection.execute(SQL["release"], {"look": look, "mount": mount, "principal": principal})
    return cursor.rowcount > 0


async def give_up(connection: Connection, look: int, state: LookState, problem: str) -> None:
    """It says nothing of its places: those of hints are hints again."""
    await connection.execute(SQL["give_up"], {"look": look, "state": state, "problem": problem})


@dataclass(frozen=True, slots=True)
class HeldLook:
    id: int
    mount: MountId
    reason: str
    plan: Mapping[str, Any]
    places: Sequence[LookPlace]


async def held(connection: Connection, mount: MountId) -> list[HeldLook]:
    cursor = await connection.execute(SQL["held"], {"mount": mount})
    return [
        HeldLook(row["id"], MountId(row["mount_id"]), row["reason"], row["plan"], _places(row))
        for row in await cursor.fetchall()
    ]


async def held_one(connection: Connection, look: int, tenant: str) -> Look | None:
    """None: no look of this id waits for a yes."""
    row = await (await connection.execute(SQL["find"], {"look": look})).fetchone()
    if row is None or row["tenant"] != tenant or row["state"] != LookState.WAITING:
        return None
    return await find(connection, look)


async def forget_released(connection: Connection, mount: MountId) -> None:
    """Looks that a person has released are over when the look begins that their yes allows."""
    await connection.execute(SQL["forget_released"], {"mount": mount})
