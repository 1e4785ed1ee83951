"""Object Lock of buckets: what was proved of it, and the versions of objects that holds have locked there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from schema.access.object_locks import KEPT, DueHold, HeldObject, LockedObject, LockProof
from schema.ids import MountId
from schema.paths import NodePath
from schema.sql import load
from schema.store import past, trash
from schema.store.trash import KeptUntil

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("object_locks")
_LAST_NAME = b"\xff" * 256
"""No file of a directory comes behind this"""

Place = tuple[bytes, bytes]
"""A directory, as it is stored, and a name in it"""


async def proof(connection: Connection, mount: MountId, seconds: float = 0) -> tuple[LockProof | None, bool]:
    """And whether it is older than that, or missing."""
    row = await (await connection.execute(SQL["proof"], {"mount": mount, "seconds": seconds})).fetchone()
    if row is None:
        return None, True
    return LockProof(**{name: row[name] for name in LockProof.__dataclass_fields__}), row["old"]


async def keep_proof(connection: Connection, mount: MountId, proof: LockProof) -> None:
    await connection.execute(SQL["keep_proof"], {"mount": mount, **asdict(proof)})


@dataclass(frozen=True, slots=True)
class LockingMount:
    """For the metrics."""

    tenant: str
    mount_key: str
    lost: bool
    """Its bucket does not keep any more what it was seen to keep"""


async def every(connection: Connection) -> list[LockingMount]:
    rows = await (await connection.execute(SQL["every"])).fetchall()
    return [LockingMount(row["tenant"], row["mount_key"], row["lost"]) for row in rows]


async def doubt(connection: Connection, mount: MountId) -> None:
    """The mount lies elsewhere now."""
    await connection.execute(SQL["doubt"], {"mount": mount})


async def due_mounts(connection: Connection, mounts: Sequence[MountId], seconds: float) -> list[MountId]:
    """Of these, those in buckets where something is to be done. `seconds`: after so long a proof is old."""
    cursor = await connection.execute(SQL["due_mounts"], {"mounts": list(mounts), "seconds": seconds})
    return [MountId(row["id"]) for row in await cursor.fetchall()]


async def begin(connection: Connection, hold: int) -> None:
    await connection.execute(SQL["begin"], {"hold": hold})


async def wake(connection: Connection, hold: int) -> None:
    await connection.execute(SQL["wake"], {"hold": hold})


async def due(connection: Connection, mount: MountId) -> DueHold | None:
    row = await (await connection.execute(SQL["due"], {"mount": mount})).fetchone()
    if row is None:
        return None
    ended = bool(row["ended"])
    directory, name, goes_on = row["lock_directory"], row["lock_name"], (row["lock_state"] == "unlocking") == ended
    after = (bytes(directory), bytes(name)) if goes_on and directory is not None and name is not None else None
    return DueHold(
        row["id"], MountId(row["mount_id"]), NodePath(bytes(row["path"])), row["kind"], row["until"], ended, after
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class HeldPage:
    """`after`: the place that the next page begins behind. None: this is the last one."""

    files: Sequence[HeldObject]
    after: Place | None


async def page(connection: Connection, hold: DueHold, limit: int) -> HeldPage:
    """The file at its path comes first, then those below it, then what the trash keeps of them."""
    if hold.after is not None and hold.after[0] == KEPT:
        return await _kept_page(connection, hold, hold.after[1], limit)
    living = await _living_page(connection, hold, limit)
    return HeldPage(living.files, living.after or (KEPT, b""))


async def _kept_page(connection: Connection, hold: DueHold, after: bytes, limit: int) -> HeldPage:
    """Of a directory that was deleted all that lies in it, however much that is."""
    root = await past.root_of(connection, hold.mount)
    if root is None:
        return HeldPage([], None)
    found = await trash.kept(
        connection, hold.mount, root, hold.path, after=_read_kept(after), limit=limit, expired=True
    )
    entries = json.dumps([{"node": one.node, "version": one.version} for one in found.entries])
    rows = await (await connection.execute(SQL["kept"], {"entries": entries})).fetchall()
    files = [HeldObject(hold.path, "", row["size"], "", bytes(row["place"])) for row in rows]
    return HeldPage(files, None if found.end is None else (KEPT, _written_kept(found.end)))


def _written_kept(place: KeptUntil) -> bytes:
    return json.dumps([place.until.isoformat(), place.node, place.version]).encode()


def _read_kept(written: bytes) -> KeptUntil:
    if not written:
        return trash.LAST
    until, node, version = json.loads(written)
    return KeptUntil(datetime.fromisoformat(until), node, version)


async def _living_page(connection: Connection, hold: DueHold, limit: int) -> HeldPage:
    low = hold.path.as_directory
    first = await _file_at(connection, hold) if hold.after is None else []
    after = hold.after or (low, b"")
    high = low[:-1] + b"0" if low else b"\xff" * 256
    values = {"mount": hold.mount, "directory": after[0], "name": after[1], "high": high, "limit": limit}
    rows = await (await connection.execute(SQL["page"], values)).fetchall()
    files = [*first, *(_held(row) for row in rows)]
    if len(rows) == limit:
        return HeldPage(files, (bytes(rows[-1]["directory"]), bytes(rows[-1]["name"])))
    behind = await (await connection.execute(SQL["behind"], values)).fetchone()
    return HeldPage(files, None if behind is None else (bytes(behind["directory_path"]), _LAST_NAME))


async def _file_at(connection: Connection, hold: DueHold) -> list[HeldObject]:
    if hold.path.depth == 0:
        return []
    values = {"mount": hold.mount, "directory": hold.path.parent.as_directory, "name": hold.path.name}
    rows = await (await connection.execute(SQL["file_at"], values)).fetchall()
    return [_held(row) for row in rows]


def _held(row: DictRow) -> HeldObject:
    path = NodePath(bytes(row["directory"]) + bytes(row["name"]))
    return HeldObject(path, row["etag"] or "", row["size"], row["version"] or "")


async def note(connection: Connection, hold: DueHold, objects: Sequence[LockedObject]) -> int:
    """How many of them were not noted yet. Before they are locked."""
    return (await connection.execute(SQL["note"], {**_named(hold, objects), "legal": hold.legal})).rowcount


async def locked(
    connection: Connection, hold: DueHold, noted: int, failed: Sequence[LockedObject], after: Place | None,
    problem: str | None, seconds: float,
) -> None:  # fmt: skip
    """`failed`: those that were noted and could not be locked. `after`: as in `HeldPage`. `seconds`: then all of it is looked at
    again, for what has come since."""
    directory, name = after or (None, None)
    values = {
        **_named(hold, failed), "noted": noted, "directory": directory, "name": name, "done": after is None,
        "problem": problem, "seconds": seconds,
    }  # fmt: skip
    await connection.execute(SQL["locked"], values)


async def to_unlock(connection: Connection, hold: DueHold, limit: int) -> list[tuple[LockedObject, bool]]:
    """And whether the lock comes off: no other hold needs it."""
    key, version = (part.decode() for part in hold.after or (b"", b""))
    values = {"hold": hold.id, "mount": hold.mount, "after_key": key, "after_version": version, "limit": limit}
    rows = await (await connection.execute(SQL["to_unlock"], values)).fetchall()
    return [(LockedObject(row["object_key"], row["version_id"]), row["goes"]) for row in rows]


async def unlocked(
    connection: Connection, hold: DueHold, gone: Sequence[LockedObject], last: LockedObject | None, problem: str | None,
    seconds: float,
) -> None:  # fmt: skip
    """`last`: the version that the next page begins behind. None: this was the end; what is left is tried again in `seconds`."""
    after = (None, None) if last is None else (last.key.encode(), last.version.encode())
    async with connection.transaction():
        dropped = (await connection.execute(SQL["drop"], _named(hold, gone))).rowcount
        values = {
            "hold": hold.id, "gone": dropped, "directory": after[0], "name": after[1], "at_end": last is None, "problem": problem,
            "seconds": seconds,
        }  # fmt: skip
        await connection.execute(SQL["unlocked"], values)


def _named(hold: DueHold, objects: Sequence[LockedObject]) -> dict[str, object]:
    return {
        "hold": hold.id, "keys": [one.key for one in objects], "versions": [one.version for one in objects],
    }  # fmt: skip
