"""A finding is accepted: what it says lies there becomes the record. In the transaction of `one_snapshot`, like a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.drift.acts import Act, Deed, DriftKind, LookOutcome
from schema.drift.looks import Look
from schema.drift.sightings import Believed, Sighting
from schema.errors import StaleFinding
from schema.sql import load
from schema.store import judged
from schema.store.conclude import node_of
from schema.store.findings import HeldFinding

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("accept")


async def accept(connection: Connection, look: Look, finding: HeldFinding, sighting: Sighting) -> None:
    """`sighting`: what lies there now, looked at a moment ago. Raises StaleFinding, JudgedMismatch."""
    if finding.kind is DriftKind.MISSING:
        here = await _here(connection, look, finding)
        assert here is not None, "a missing node is found by its id"
        return await judged.delete(connection, look, here)
    await judged.write(connection, look, LookOutcome(acts=await acts(connection, look, finding, sighting)))


async def node(connection: Connection, look: Look, id: int) -> Believed | None:
    """A node as the record has it now."""
    row = await (await connection.execute(SQL["node"], {"id": id})).fetchone()
    return None if row is None else node_of(row, look)


async def acts(connection: Connection, look: Look, finding: HeldFinding, sighting: Sighting) -> list[Act]:
    """What makes a record of what lies there. Raises StaleFinding."""
    return await _acts(connection, finding, sighting, await _here(connection, look, finding))


async def _here(connection: Connection, look: Look, finding: HeldFinding) -> Believed | None:
    if finding.node is None:
        return None
    row = await (await connection.execute(SQL["node"], {"id": finding.node})).fetchone()
    if row is None or row["version"] != finding.node_version:
        raise StaleFinding()
    return node_of(row, look)


async def _acts(connection: Connection, finding: HeldFinding, sighting: Sighting, here: Believed | None) -> list[Act]:
    if here is not None and here.kind == sighting.kind:
        return [Act(Deed.CONTENT, sighting, here, here.parent or 0)]
    values = {
        "mount": finding.mount,
        "directory": sighting.above + b"/" if sighting.above else b"",
        "name": sighting.name,
    }
    row = await (await connection.execute(SQL["place"], values)).fetchone()
    if row is None or (row["node"] is not None and (here is None or row["node"] != here.id)):
        raise StaleFinding(
            "Its directory is not in the record, or another node has its name. Look at the inbox once more."
        )
    displaced = [Act(Deed.DISPLACE, sighting, here, row["parent"])] if here is not None else []
    return [*displaced, Act(Deed.CREATE, sighting, None, row["parent"])]
