"""Findings: the inbox, and what people decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.drift.acts import DriftKind, FindingState
from schema.ids import MountId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("findings")


@dataclass(frozen=True, slots=True)
class FindingFilter:
    ids: Sequence[int] | None = None
    mount: MountId | None = None
    kinds: Sequence[str] | None = None
    states: Sequence[str] | None = None
    path: NodePath | None = None

    def values(self) -> dict[str, Any]:
        return {
            "ids": None if self.ids is None else list(self.ids),
            "mount": self.mount,
            "kinds": None if self.kinds is None else list(self.kinds),
            "states": None if self.states is None else list(self.states),
            "path": self.path.raw if self.path is not None and self.path.raw else None,
        }


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """As clients read it, and where it is."""

    id: int
    mount: MountId
    path: NodePath
    document: Mapping[str, Any]


async def listed(
    connection: Connection, tenant: str, asked: FindingFilter, *, after: int, limit: int
) -> list[ShownFinding]:
    """By id, behind `after`."""
    values = {"tenant": tenant, "after": after, "limit": limit, **asked.values()}
    if asked.ids is None and asked.states is not None and all(FindingState(state).stands for state in asked.states):
        cursor = await connection.execute(SQL["standing"], values)
        values |= {"ids": [row["id"] for row in await cursor.fetchall()]}
    cursor = await connection.execute(SQL["documents"], values)
    return [
        ShownFinding(row["id"], MountId(row["mount_id"]), NodePath(bytes(row["path"])), row["document"])
        for row in await cursor.fetchall()
    ]


@dataclass(frozen=True, slots=True)
class HeldFinding:
    """A finding that a decision holds still."""

    id: int
    mount: MountId
    path: bytes
    kind: DriftKind
    state: FindingState
    version: int
    node: int | None
    node_version: int | None
    observed: Mapping[str, Any]


async def lock(connection: Connection, ids: Sequence[int]) -> list[HeldFinding]:
    cursor = await connection.execute(SQL["lock"], {"ids": list(ids)})
    return [
        HeldFinding(
            row["id"], MountId(row["mount_id"]), bytes(row["path"]), DriftKind(row["kind"]), FindingState(row["state"]),
            row["version"], row["node_id"], row["node_version"], row["observed"],
        )
        for row in await cursor.fetchall()
    ]  # fmt: skip


async def claimed(connection: Connection, mount: MountId, paths: Sequence[bytes]) -> set[bytes]:
    """Those at which a command works."""
    cursor = await connection.execute(SQL["claimed"], {"mount": mount, "paths": list(paths)})
    return {bytes(row["path"]) for row in await cursor.fetchall()}


async def decide(
    connection: Connection,
    ids: Sequence[int],
    state: FindingState,
    *,
    action: str,
    principal: str,
    until: datetime | None = None,
) -> None:
    values = {"ids": list(ids), "state": state, "action": action, "principal": principal, "until": until}
    await connection.execute(SQL["decide"], values)
