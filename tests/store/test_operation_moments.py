"""Whatever is asked for, dies or comes late, at any moment: the tree ends as it was, or as the items say, and each is counted."""

import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from activities.operations.chunk import NextStep
from schema.commands.command import CommandKind
from schema.commands.payloads import Begun
from schema.errors import WrongState
from schema.ids import MountId
from schema.operations.control import Control
from schema.operations.operation import (
    ItemKind,
    ItemState,
    Operation,
    OperationItem,
    OperationKind,
    OperationState,
    Options,
)
from schema.operations.selection import Selection
from schema.paths import NodePath
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, make_mount, mkdir, upload
from tests.store.operation_rows import Runner, asked_for, lies, now, set_row, steered, undo_of

Tree = dict[str, tuple[str, int]]
CONTROLS = (Control.PAUSE, Control.RESUME, Control.RESUME, Control.ROLLBACK, Control.CANCEL, Control.RETRY)
KINDS = (
    {"kind": OperationKind.COPY, "target_path": NodePath(b"e/copy")},
    {"kind": OperationKind.MOVE, "target_path": NodePath(b"e"), "selection": Selection(paths=("d/p", "d/a", "d/q"))},
    {"kind": OperationKind.MOVE, "target_path": NodePath(b"e/kept"), "selection": Selection(include=("f*",))},
    {"kind": OperationKind.DELETE, "selection": Selection(kinds=("file", "directory"), include=("p/**", "q", "q/**"))},
    {"kind": OperationKind.DELETE, "selection": Selection(paths=("d/p", "d/a"))},
)


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol) -> MountId:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    for names in (("d", "e"), ("d/p", "d/q"), ("d/p/r",)):
        await protocol.run(mount, *[mkdir(mount, name) for name in names])
    files = ("d/a", "d/f", "d/p/f", "d/p/g", "d/p/r/f", "d/p/r/h", "d/q/f")
    await protocol.run(mount, *[upload(mount, name, size) for size, name in enumerate(files, 10)])
    return mount


@dataclass
class Chance:
    """Runners, requests and a stranger at one operation, one step at a time."""

    runner: Runner
    dice: random.Random
    operation: Operation
    handed: list[NextStep] = field(default_factory=list)
    flying: list[Begun] = field(default_factory=list)
    hung: Begun | None = None

    async def step(self) -> None:
        match self.dice.choice(("look", "look", "begin", "begin", "end", "end", "ask", "lose", "time", "hang")):
            case "look":
                self.handed.append(await self.runner.next(self.operation))
            case "begin" if self.handed:
                step = self.handed.pop(self.dice.randrange(len(self.handed)))
                if step.commands:
                    self.flying.append(await self.runner.begin(step))
            case "end" if self.flying:
                await self.runner.end(self.flying.pop(self.dice.randrange(len(self.flying))))
            case "ask":
                with suppress(WrongState):
                    await steered(self.runner.pool, self.operation, self.dice.choice(CONTROLS))
            case "lose":
                self.handed.clear()
            case "time":
                await self.runner.time_passes(self.operation)
            case "hang" if self.hung is None:
                await self.hang()
            case "hang" if self.hung is not None and self.dice.random() < 0.5:
                await self.runner.end(self.hung)
                self.hung = None
        await self.holds()

    async def hang(self) -> None:
        """Somebody describes a file, and takes long."""
        path = self.dice.choice(("d/p/f", "d/q/f", "d/a", "d/p/r/h"))
        command = asked(CommandKind.DESCRIBE, self.operation.mount_id, path)
        self.hung = await self.runner.protocol.begin(self.operation.mount_id, [command])

    async def holds(self) -> None:
        row, items = await now(self.runner.pool, self.operation)
        are = Counter(item.state for item in items)
        counts = (row.done, row.failed, row.skipped, row.reversed, row.in_flight)
        states = (ItemState.DONE, ItemState.FAILED, ItemState.SKIPPED, ItemState.REVERSED, ItemState.RUNNING)
        assert counts == tuple(are[state] for state in states)
        rests = row.state.ended or row.state is OperationState.PAUSED
        assert not (rests and row.in_flight), "what was reported to rest still changes something"

    async def to_rest(self) -> Operation:
        """All that flies ends, and what is paused goes on."""
        for begun in (*self.flying, *([self.hung] if self.hung else [])):
            await self.runner.end(begun)
        self.flying, self.hung = [], None
        with suppress(WrongState):
            await steered(self.runner.pool, self.operation, Control.RESUME)
        for step in self.handed:  # they come late
            if step.commands:
                await self.runner.end(await self.runner.begin(step))
        if not (await now(self.runner.pool, self.operation))[0].state.ended:
            await self.runner.to_the_end(self.operation)
        await self.holds()
        return (await now(self.runner.pool, self.operation))[0]


def applied(tree: Tree, items: list[OperationItem], gone: Tree, *, down: bool) -> Tree:
    """The tree as these items leave it. `gone`: what deletions took away."""
    tree = dict(tree)
    for item in sorted(items, key=lambda one: one.item, reverse=down):
        if item.state is not ItemState.DONE:
            continue
        path, target = item.path.text, (item.target or item.path).text
        below = {p: v for p, v in tree.items() if p == path or p.startswith(path + "/")}
        match item.kind:
            case ItemKind.MKDIR:
                tree[path] = ("directory", 0)
            case ItemKind.COPY | ItemKind.MOVE:
                tree |= {target + p[len(path) :]: v for p, v in below.items()}
            case ItemKind.RESTORE:
                tree |= {p: v for p, v in gone.items() if p == path or (item.nodes > 1 and p.startswith(path + "/"))}
        if item.kind in (ItemKind.MOVE, ItemKind.DELETE):
            gone |= below
            for p in below:
                del tree[p]
    return tree


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seed", range(60))
async def test_the_tree_is_what_the_items_say_at_whatever_moment_something_happens(
    pool: Pool, protocol: Protocol, tree: MountId, seed: int
) -> None:
    dice, runner = random.Random(seed), Runner(pool, protocol)
    before, gone = await lies(pool, tree), Tree()
    lying = before
    operation = await asked_for(
        pool, tree, options=Options(concurrency=dice.choice((1, 3, 64))), **KINDS[seed % len(KINDS)]
    )
    for _ in range(3):  # it, its undo, and the undo of that
        assert await runner.plan(operation) == "running"
        chance = Chance(runner, dice, operation)
        for _ in range(dice.randrange(5, 45)):
            await chance.step()
        ended = await chance.to_rest()
        items = (await now(pool, operation))[1]
        lying = applied(lying, items, gone, down=ended.descends)
        assert await lies(pool, tree) == lying, (seed, ended.state, [(i.item, i.kind, i.state, i.code) for i in items])
        if ended.state is OperationState.ROLLED_BACK:
            assert not any(item.state is ItemState.DONE for item in items)
        if not ended.done or ended.undone:
            break
        operation = await undo_of(pool, operation)
    await set_row(pool, operation, "claimed = false")
