"""How much is left to do, as the record has it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("metrics")

MOST = 10_000
"""Nothing is counted further than this."""


@dataclass(frozen=True, slots=True)
class WorkCounts:
    """Of the whole installation. Seconds are those of the oldest; None where there is none."""

    position: int
    """The last one that an event was given"""
    unpositioned: int
    unpositioned_seconds: float | None
    unsent: int
    """Events with a position that Redis has not had"""
    unsent_seconds: float | None
    running: int
    """Commands with an intent that have not ended"""
    running_seconds: float | None
    untouched_seconds: float | None
    """Since the last sign of life of a process at work on such a command"""
    cleanups: int
    cleanups_seconds: float | None
    rollup_differences: int
    """Directories whose totals did not add up, as all proofs together have found"""
    rollups_invalid: int
    rollup_proof_seconds: float | None
    """Since the last proof of the mount that waits longest for its next"""


async def work(connection: Connection) -> WorkCounts:
    row = await (await connection.execute(SQL["work"], {"most": MOST})).fetchone()
    assert row is not None
    return WorkCounts(**{field.name: row[field.name] for field in fields(WorkCounts)})
