"""Each kind of operation that takes content away, at each moment at which a hold can come: what is held stays as it is."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest

from schema.ids import MountId
from schema.operations.operation import Operation, OperationKind, Options
from schema.operations.selection import Selection
from schema.paths import NodePath
from schema.store import begin, holds
from schema.store.pool import Pool
from tests.store.helpers import Protocol, make_mount, mkdir, upload
from tests.store.operation_rows import Runner, asked_for, lies, now, undo_of

Moment = Literal["before its plan", "before it begins", "after its first items", "after a list was lost"]
MOMENTS: tuple[Moment, ...] = ("before its plan", "before it begins", "after its first items", "after a list was lost")
Kept = dict[str, tuple[str, int]]


class Grown:
    """`d` with files, of which `d/keep/f` and what `e/f` has instead are to stay."""

    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.mount, self.runner, self.protocol = pool, mount, Runner(pool, protocol), protocol

    async def hold(self) -> None:
        async with self.pool.connection() as connection, connection.transaction():
            await begin.lock_mounts(connection, {self.mount})
            for path in (b"d/keep", b"e/z"):
                await holds.create(connection, "main", self.mount, NodePath(path), "legal", "case 1", None, "ann")

    async def kept(self) -> Kept:
        """With its node and version: nothing else lies there now."""
        query = """SELECT p.directory_path || n.name AS path, n.id, n.version FROM filestore.nodes n
                     JOIN filestore.nodes p ON p.id = n.parent_id WHERE n.mount_id = %s AND n.state <> 'deleted'"""
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(query, [self.mount])).fetchall()
        found = {bytes(row["path"]).decode(): (row["id"], row["version"]) for row in rows}
        return {path: found[path] for path in ("d/keep", "d/keep/f", "e/z") if path in found}

    async def to_the_end(self, operation: Operation) -> None:
        await self.runner.to_the_end(operation)


def deletes(**values: Any) -> Callable[[Grown], Awaitable[Operation]]:
    async def make(grown: Grown) -> Operation:
        return await asked_for(grown.pool, grown.mount, kind=OperationKind.DELETE, **values)

    return make


async def undoes(grown: Grown) -> Operation:
    """Of a move that has brought `d` and all of it: its way back would take it away."""
    moved = await asked_for(
        grown.pool, grown.mount, kind=OperationKind.MOVE, path=NodePath(b"d"), target_path=NodePath(b"there")
    )
    await grown.runner.plan(moved)
    await grown.to_the_end(moved)
    back = await undo_of(grown.pool, moved)
    await grown.runner.plan(back)
    await grown.to_the_end(back)  # it lies at `d` again
    return await undo_of(grown.pool, back)


SELECTED = Selection(paths=("d/a", "d/b", "d/keep", "d/c"))
KINDS: dict[str, Callable[[Grown], Awaitable[Operation]]] = {
    "delete of a tree": deletes(),
    "delete of a selection": deletes(selection=SELECTED),
    "delete of files": deletes(selection=Selection(include=("**/*",), kinds=("file",))),
    "move": lambda grown: asked_for(
        grown.pool, grown.mount, kind=OperationKind.MOVE, target_path=NodePath(b"there"), selection=SELECTED
    ),
    "move onto a file": lambda grown: asked_for(
        grown.pool, grown.mount, kind=OperationKind.MOVE, target_path=NodePath(b"e"), path=NodePath(b"x"),
        options=Options(on_conflict="overwrite"), selection=Selection(paths=("x/z", "x/y")),
    ),
    "copy onto a file": lambda grown: asked_for(
        grown.pool, grown.mount, kind=OperationKind.COPY, target_path=NodePath(b"e"), path=NodePath(b"x"),
        options=Options(on_conflict="overwrite"),
    ),
    "undo": undoes,
}  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_held_stays(pool: Pool, protocol: Protocol, kind: str, moment: Moment) -> None:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    for names in (("d", "e", "x"), ("d/keep",)):
        await protocol.run(mount, *[mkdir(mount, name) for name in names])
    await protocol.run(mount, *[upload(mount, n) for n in ("d/a", "d/b", "d/c", "d/keep/f", "e/z", "x/z", "x/y")])
    grown = Grown(pool, protocol, mount)
    operation = await KINDS[kind](grown)
    if moment == "before its plan":
        await grown.hold()
    was = await grown.kept()
    assert len(was) == 3
    await grown.runner.plan(operation)
    if moment == "before it begins":
        await grown.hold()
    if moment in ("after its first items", "after a list was lost"):
        held = await _in_the_middle(grown, operation, lost=moment == "after a list was lost")
        if not held:
            return  # it takes all of it in its first list: there is no middle
        was = await grown.kept()
    await grown.to_the_end(operation)
    assert await grown.kept() == was, (await now(pool, operation), await lies(pool, mount))


async def _in_the_middle(grown: Grown, operation: Operation, *, lost: bool) -> bool:
    """Hold it after the first list was handed out: carried out, or lost with its process, so that it is handed out again."""
    step = await grown.runner.next(operation)
    first = step.commands[:1]
    begun = await grown.protocol.begin(step.mount_id, first)
    async with grown.pool.connection() as connection:
        taken = await holds.taken_now(connection, grown.mount, NodePath(b"d/keep")) or await holds.taken_now(
            connection, grown.mount, NodePath(b"e/z")
        )
    if taken:  # then no hold is made: the route says 409
        await grown.runner.end(begun)
        return False
    await grown.hold()
    if not lost:
        await grown.runner.end(begun)
    else:  # its process dies after `begin`; another one resumes it
        await grown.runner.end(begun)
        again = await grown.protocol.begin(step.mount_id, first, "cmd/another")
        assert not again.go
    return len(await grown.kept()) == 3
