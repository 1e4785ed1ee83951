"""Recomputes of rollups: what was asked for, how far it is, and what was found to be wrong."""

from dataclasses import dataclass
from enum import StrEnum

from schema.ids import MountId


class RecomputeState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (RecomputeState.QUEUED, RecomputeState.RUNNING)


@dataclass(frozen=True, slots=True)
class Excess:
    """What the totals of a directory say beyond what its children add up to."""

    directory: int
    shown: str
    """Its path, as text"""
    size_bytes: int
    file_count: int
    directory_count: int
    child_count: int

    @property
    def any(self) -> bool:
        return bool(self.size_bytes or self.file_count or self.directory_count or self.child_count)


@dataclass(frozen=True, slots=True)
class Recompute:
    """`below`: where its directory lies now, in stored form. `cursor`: the path below that down to which it has looked in this
    pass; None: it is at the beginning of one."""

    id: int
    mount: MountId
    directory: int
    state: RecomputeState
    below: bytes
    living: bool
    cursor: bytes | None
    waits: int
