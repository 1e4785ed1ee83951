"""Recompute and prove rollups, a page of directories at a time. Every function takes the caller's connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from schema.ids import MountId
from schema.locks import Lock
from schema.paths import NAME_MAX, NodePath
from schema.recomputes import Excess, Recompute, RecomputeState
from schema.sql import load
from schema.store.begin import lock_mounts
from schema.store.rollups import hold_fold
from schema.store.trees import allow_time

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("recomputes")

_EVERY_RUN = 2**63 - 1
"""No recompute is as late: nothing counts as proven"""
_CHILDREN = 100_000
"""All directories of a page together have about so many children at the most, or the page has one directory alone."""
_WAITS_MAX = 300
"""So often a recompute finds nothing to do but wait for commands that move what is wrong; then it gives up."""


@dataclass(frozen=True, slots=True)
class RecomputedPage:
    """`proven`: directories whose totals were right, or are now; `corrected`: those of them that were wrong. `busy`: wrong, and
    carried along by a command under way."""

    proven: int
    corrected: Sequence[Excess]
    busy: Sequence[Excess]
    at_end: bool
    """Nothing comes after it in this pass"""


@dataclass(frozen=True, slots=True)
class RecomputeEnd:
    """`above`: the directory over the recomputed one does not add up; `recompute`: what was asked for to heal that."""

    ended: bool
    above: Excess | None = None
    recompute: int | None = None


async def ask(connection: Connection, directory: int, principal: str, reason: str = "request") -> int | None:
    """The recompute of a directory, a new one or the one that is under way. None: the directory is gone."""
    values = {"directory": directory, "principal": principal, "reason": reason}
    row = await (await connection.execute(SQL["ask"], values)).fetchone()
    if row is None:
        row = await (await connection.execute(SQL["open_of"], {"directory": directory})).fetchone()
        return int(row["id"]) if row else None
    await connection.execute(SQL["await"], {"directory": directory})
    return int(row["id"])


async def find(connection: Connection, id: int) -> Recompute | None:
    row = await (await connection.execute(SQL["find"], {"id": id})).fetchone()
    if row is None:
        return None
    return Recompute(
        row["id"], MountId(row["mount_id"]), row["directory_id"], RecomputeState(row["state"]),
        bytes(row["directory_path"]), row["living"], None if row["cursor"] is None else bytes(row["cursor"]), row["waits"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecomputeDocument:
    """The JSON text that clients read, and where its directory lies now, which decides which principals may read it."""

    text: str
    mount: MountId
    path: NodePath


async def document(connection: Connection, id: int, tenant: str) -> RecomputeDocument | None:
    row = await (await connection.execute(SQL["document"], {"id": id, "tenant": tenant})).fetchone()
    if row is None:
        return None
    return RecomputeDocument(row["document"], MountId(row["mount_id"]), NodePath(bytes(row["path"])))


async def due(connection: Connection, mount: MountId, silent_seconds: float) -> list[int]:
    cursor = await connection.execute(SQL["due"], {"mount": mount, "silent": silent_seconds})
    return [row["id"] for row in await cursor.fetchall()]


async def advance(connection: Connection, run: Recompute, limit: int) -> RecomputedPage:
    """Look at the next `limit` directories, what lies deeper first; correct what is wrong with them, and remember how far that
    is. One transaction: a crash costs looking once more."""
    async with connection.transaction():
        await _lock(connection, run.mount)
        await allow_time(connection)
        looked, at_end = await _looked(connection, run.mount, run.below, run.cursor, limit, run=run.id)
        concerned = _concerned(looked)
        corrected, busy = await _correct(connection, run, concerned) if concerned else ([], [])
        waiting = {excess.directory for excess in busy}
        right = [excess.directory for excess, _ in looked if excess.directory not in waiting]
        cursor = None if at_end else looked[-1][1][len(run.below) :]
        await hold_fold(connection)
        await connection.execute(SQL["prove"], {"ids": right, "run": run.id})
        values = {"run": run.id, "cursor": cursor, "directories": len(right), "waits": int(bool(busy) and not right)}
        await connection.execute(SQL["advance"], values)
    return RecomputedPage(len(right), corrected, busy, at_end)


def _concerned(looked: Sequence[tuple[Excess, bytes]]) -> list[Excess]:
    """Those that are wrong, and those above them: one that agreed with a wrong child does not any more when that is right."""
    wrong = [path for excess, path in looked if excess.any]
    return [excess for excess, path in looked if any(one.startswith(path) for one in wrong)]


async def _correct(
    connection: Connection, run: Recompute, concerned: Sequence[Excess]
) -> tuple[list[Excess], list[Excess]]:
    """Those that are right now, and those that have to wait. Children first: what a directory says beyond them is known when they
    are right."""
    ids, shown = [excess.directory for excess in concerned], {excess.directory: excess.shown for excess in concerned}
    corrected: list[Excess] = []
    await lock_mounts(connection, [run.mount])
    await hold_fold(connection)
    while True:
        cursor = await connection.execute(SQL["correct"], {"ids": ids, "run": run.id})
        found = [(_excess(row, shown[row["id"]]), row["now"]) for row in await cursor.fetchall()]
        done = [excess for excess, now in found if now]
        corrected += done
        if not done:
            return corrected, [excess for excess, _ in found]


async def finish(connection: Connection, run: Recompute) -> RecomputeEnd:
    """End it, unless there is a directory that it has not proven: one that a command has carried past it, or that was found to
    be wrong since. In the caller's transaction, and with its event."""
    await _lock(connection, run.mount)
    await hold_fold(connection)
    await allow_time(connection)
    left, _ = await _looked(connection, run.mount, run.below, None, 1, run=run.id)
    if left:
        return RecomputeEnd(ended=False)
    await connection.execute(SQL["settle"], {"run": run.id, "mount": run.mount, **_range(run.below)})
    await _end(connection, run, RecomputeState.SUCCEEDED)
    row = await (await connection.execute(SQL["parent"], {"directory": run.directory})).fetchone()
    above = None if row is None else _excess(row, row["directory_text"])
    if above is None or not above.any:
        return RecomputeEnd(ended=True)
    return RecomputeEnd(True, above, await _report(connection, run.mount, [above]))


def hopeless(run: Recompute) -> bool:
    return run.waits >= _WAITS_MAX


async def give_up(connection: Connection, run: Recompute, state: RecomputeState, code: str | None) -> None:
    """It has no answer: its directory is gone, or it has waited for too long. In the caller's transaction."""
    await connection.execute(SQL["doubt"], {"directory": run.directory})
    await _end(connection, run, state, code)


async def _end(connection: Connection, run: Recompute, state: RecomputeState, code: str | None = None) -> None:
    await connection.execute(SQL["end"], {"run": run.id, "state": state, "code": code})


async def forget(connection: Connection, keep: timedelta, limit: int) -> int:
    """How many of those that ended long ago are gone now."""
    return (await connection.execute(SQL["forget"], {"keep": keep.total_seconds(), "limit": limit})).rowcount


# The proof: the same look, without a pen


async def position(connection: Connection, mount: MountId) -> bytes | None:
    row = await (await connection.execute(SQL["position"], {"mount": mount})).fetchone()
    return None if row is None or row["cursor"] is None else bytes(row["cursor"])


@dataclass(frozen=True, slots=True)
class ProvenPage:
    looked: int
    wrong: Sequence[Excess]
    at_end: bool
    recompute: int | None
    """What was asked for to heal it"""


async def prove(connection: Connection, mount: MountId, limit: int) -> ProvenPage:
    """Look at the next `limit` directories of a mount. What is wrong is marked so, and all of the mount is to be recomputed: a
    difference is never expected, so it is not expected to be the only one."""
    async with connection.transaction():
        await _lock(connection, mount)
        await allow_time(connection)
        looked, at_end = await _looked(connection, mount, b"", await position(connection, mount), limit)
        wrong = [excess for excess, _ in looked if excess.any]
        values = {"mount": mount, "cursor": None if at_end else looked[-1][1], "whole": at_end}
        recompute = await _report(connection, mount, wrong) if wrong else None
        await connection.execute(SQL["proceed"], {**values, "directories": len(looked), "differences": len(wrong)})
    return ProvenPage(len(looked), wrong, at_end, recompute)


async def _report(connection: Connection, mount: MountId, wrong: Sequence[Excess]) -> int | None:
    await hold_fold(connection)
    await connection.execute(SQL["mark"], {"ids": [excess.directory for excess in wrong]})
    root = await (await connection.execute(SQL["root"], {"mount": mount})).fetchone()
    return None if root is None else await ask(connection, root["id"], "filestore", "proof")


# What both look at


async def _lock(connection: Connection, mount: MountId) -> None:
    await connection.execute(SQL["lock"], {"lock": Lock.RECOMPUTE, "mount": mount})


async def _looked(
    connection: Connection, mount: MountId, below: bytes, cursor: bytes | None, limit: int, *, run: int = _EVERY_RUN
) -> tuple[list[tuple[Excess, bytes]], bool]:
    """The next directories, each with its path in stored form; and whether no other comes after them."""
    values = {"mount": mount, "run": run, "limit": limit, "children": _CHILDREN, **_range(below)}
    if cursor is not None:
        values["high"] = below + cursor
    rows = await (await connection.execute(SQL["page"], values)).fetchall()
    at_end = not rows or len(rows) == rows[0]["there"] < limit
    return [(_excess(row, row["directory_text"]), bytes(row["directory_path"])) for row in rows], at_end


def _range(below: bytes) -> dict[str, bytes]:
    """'0' comes right after '/'. No name is longer than this many 0xff."""
    return {"low": below, "high": below[:-1] + b"0" if below else b"\xff" * (NAME_MAX + 1)}


def _excess(row: DictRow, shown: str) -> Excess:
    return Excess(
        row["id"], shown, row["size_bytes"], row["file_count"], row["directory_count"], row["child_count"]
    )  # fmt: skip
