"""What projects need that no client asked for: one question for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schema.ids import MountId
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("project_due")


@dataclass(frozen=True, slots=True)
class DueProject:
    """`warm`: some content is hot alone. `idle`: some was not used for too long. `untold`: the hot store does not know the head.
    `over`: it was deleted, and its time is over. `undecided`: conflicts whose time is over. `uncollected`: what nothing needs was
    not looked for in too long a time."""

    id: int
    mount: MountId
    state: str
    evict_after: float | None
    untold: bool
    warm: bool
    idle: bool
    over: bool
    undecided: bool
    uncollected: bool
    jobs: Sequence[Mapping[str, Any]]


async def due(connection: Connection, mounts: Sequence[MountId], collect: float = 0.0) -> list[DueProject]:
    """`collect`: so many seconds may pass between two collections. 0: none is due."""
    rows = await (await connection.execute(SQL["due"], {"mounts": list(mounts), "collect": collect})).fetchall()
    return [
        DueProject(
            row["id"], MountId(row["mount_id"]), row["state"], row["evict_after_seconds"], row["untold"],
            row["warm"], row["idle"], row["over"], row["undecided"], row["uncollected"],
            row["jobs"],
        )
        for row in rows
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CrowdedProject:
    """More is hot of it than `hot_max` bytes."""

    id: int
    mount: MountId
    hot_max: int


async def crowded(connection: Connection, mounts: Sequence[MountId]) -> list[CrowdedProject]:
    rows = await (await connection.execute(SQL["crowded"], {"mounts": list(mounts)})).fetchall()
    return [CrowdedProject(row["id"], MountId(row["mount_id"]), row["hot_max_bytes"]) for row in rows]
