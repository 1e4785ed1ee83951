"""Scrub: the next contents to read, how far that is, and what was found damaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from schema.drift.acts import Act, Deed, Terms, weigh
from schema.drift.judge import Conclusion, DriftVerdict
from schema.drift.looks import LookPlace
from schema.drift.policy import Policy
from schema.drift.scrub import ScrubProgress, coverage
from schema.drift.sightings import Sighting, SightState
from schema.ids import MountId, NodeId
from schema.paths import NodePath
from schema.sql import load
from schema.store import accept, conclude, findings, judged, looks

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("scrub")
SCRUB = "scrub"
"""Why a look was begun: its bytes were read again"""
_LAST_NAME = b"\xff" * 256
"""No file of a directory comes behind this"""


async def scrubbed(connection: Connection, mounts: Sequence[MountId]) -> dict[MountId, Policy]:
    cursor = await connection.execute(SQL["scrubbed"], {"mounts": list(mounts)})
    return {MountId(row["mount_id"]): Policy.of_json(row["policy"]) for row in await cursor.fetchall()}


async def progress(connection: Connection, mount: MountId) -> tuple[ScrubProgress, int]:
    """How far it is, and how many bytes the mount has."""
    row = await (await connection.execute(SQL["progress"], {"mount": mount})).fetchone()
    return (ScrubProgress(), 0) if row is None else (ScrubProgress.of_json(row["scrub"]), row["total"])


@dataclass(frozen=True, slots=True)
class ScrubOfMount:
    """`coverage`: the share of its bytes that were read within the promised time. `damaged`: in the last two rounds."""

    tenant: str
    mount_key: str
    coverage: float
    damaged: int


async def every(connection: Connection) -> list[ScrubOfMount]:
    """Of the mounts that are scrubbed."""
    rows = await (await connection.execute(SQL["every"])).fetchall()
    return [_of_mount(row, datetime.now(UTC)) for row in rows]


def _of_mount(row: DictRow, now: datetime) -> ScrubOfMount:
    state, policy = ScrubProgress.of_json(row["scrub"]), Policy.of_json(row["policy"])
    covered = coverage(state, row["total"], policy.scrub_seconds or 1, now)
    return ScrubOfMount(row["tenant"], row["mount_key"], covered, state.damaged)


async def keep(connection: Connection, mount: MountId, now: ScrubProgress) -> None:
    await connection.execute(SQL["keep"], {"mount": mount, "scrub": orjson.dumps(now.to_json()).decode()})


@dataclass(frozen=True, slots=True)
class ScrubbedFile:
    """A file that is to be read, as the record has it."""

    node: NodeId
    version: int
    state: str
    path: NodePath
    size: int
    sha256: bytes | None
    identity: Sequence[int | str] | None
    checked: datetime | None


@dataclass(frozen=True, slots=True)
class ScrubPage:
    """`after`: the place that the next page begins behind. None: this is the last one."""

    files: Sequence[ScrubbedFile]
    after: tuple[bytes, bytes] | None


async def page(connection: Connection, mount: MountId, after: tuple[bytes, bytes], limit: int) -> ScrubPage:
    values = {"mount": mount, "directory": after[0], "name": after[1], "limit": limit}
    rows = await (await connection.execute(SQL["page"], values)).fetchall()
    files = [
        ScrubbedFile(
            NodeId(row["id"]), row["version"], row["state"], NodePath(bytes(row["directory"]) + bytes(row["name"])),
            row["size_bytes"], None if row["sha256"] is None else bytes(row["sha256"]), row["identity"], row["checked"],
        )
        for row in rows
    ]  # fmt: skip
    if len(rows) == limit:
        return ScrubPage(files, (bytes(rows[-1]["directory"]), bytes(rows[-1]["name"])))
    behind = await (await connection.execute(SQL["behind"], values)).fetchone()
    return ScrubPage(files, None if behind is None else (bytes(behind["directory_path"]), _LAST_NAME))


async def begin_look(connection: Connection, mount: MountId, path: bytes, principal: str) -> int:
    return await looks.begin(connection, mount, [LookPlace(path)], reason=SCRUB, principal=principal, whole=False)


async def damaged(connection: Connection, look: int, file: ScrubbedFile, seen: Sighting) -> bool:
    """In the transaction of `one_snapshot`. A finding, and the node is in doubt; policy says whether our copy comes back. False: a
    command works there, or the node is another one by now: nothing is said."""
    begun = await looks.find(connection, look)
    node = await accept.node(connection, begun, file.node)
    busy = await findings.claimed(connection, begun.mount, [seen.path])
    if node is None or busy or node.version != file.version or node.path != seen.path or node.state != "active":
        return False
    terms = Terms((await looks.policy(connection, begun.mount)).policy, look)
    left_alone = await conclude.ignored(connection, begun.mount)
    if any(path in left_alone for path in conclude.upwards(seen.path)):
        return False
    if seen.state is SightState.UNREADABLE:
        outcome = weigh([Conclusion(DriftVerdict.UNREADABLE, seen, node.parent or 0, node)], terms)
        # In doubt, so that each look reads it again until it can.
        outcome.acts.append(Act(Deed.DOUBT, seen, node))
        await judged.write(connection, begun, outcome)
    else:
        damage = Conclusion(DriftVerdict.DAMAGED, seen, node.parent or 0, node)
        await judged.write(connection, begun, weigh([damage], terms))
        values = {"node": node.id, "version": node.version, "ctime": int(seen.facts[5])}
        await connection.execute(SQL["seen_damaged"], values)
    await connection.execute(SQL["count_damaged"], {"mount": begun.mount})
    return True
