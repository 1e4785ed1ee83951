"""One command after the other on two names, killed and repeated at random, while a stranger works there too.

Every content is a token of its own, so all of them can be accounted for after each command: what nobody but the
stranger destroyed is somewhere, once; a command that failed has left nothing visible; what a command replaced or
deleted is exactly what the record knew. The disk and the memory play the same games, and tell the same story.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Refused, Result, Step, Task, Unclear
from activities.executors.local.executor import LocalExecutor
from activities.executors.memory.executor import MemoryExecutor
from schema import faults
from tests.executors.conftest import MOUNT, Bench, OutsideDisk, OutsideMemory

NAMES = (b"name", b"other")
GAMES, COMMANDS = 500, 8


@dataclass(frozen=True)
class KnownFile:
    """What the record knows of a node."""

    identity: Identity
    content: bytes | None


class Killed(Exception):
    """The process died at a fault point."""


@dataclass
class Game:
    bench: Bench
    chance: random.Random
    record: dict[bytes, KnownFile] = field(default_factory=dict)
    trashed: dict[str, KnownFile] = field(default_factory=dict)
    written: list[bytes] = field(default_factory=list)
    gone: set[bytes] = field(default_factory=set)
    """What the stranger destroyed itself, and what we staged for a command that failed: only these may be nowhere."""
    order: dict[str, int] = field(default_factory=dict)
    """Ids of commands are random; what was trashed first is the same in each game."""
    story: list[str] = field(default_factory=list)

    def may(self, share: float) -> bool:
        return self.chance.random() < share

    def token(self, whose: str) -> bytes:
        self.written.append(f"{whose} {len(self.written)}".encode())
        return self.written[-1]

    # -- the stranger, at any moment: between the steps, and in the middle of them -------------------------------------

    def stranger(self) -> None:
        name = self.chance.choice(NAMES)
        outside, there = self.bench.outside, self.bench.outside.read(name)
        acts: dict[str, Callable[[], None]] = {"puts": lambda: outside.put(name, self.token("stranger's"))}
        if there is not None:
            self.gone.add(there)
            acts["edits"] = lambda: outside.edit(name, self.token("edited"))
            acts["removes"] = lambda: outside.remove(name)
        act = self.chance.choice(sorted(acts))
        self.story.append(f"stranger {act} {name.decode()}")
        acts[act]()

    def reach(self, point: str, subject: str = "") -> None:
        if self.may(0.25):
            self.stranger()
        if self.may(0.25):
            self.story.append(f"killed at {point}")
            raise Killed

    # -- a command, as the workflow runs it ----------------------------------------------------------------------------

    def command(self) -> None:
        task, content = self.intent()
        result = self.applied(task)
        taken_back = isinstance(result, Done) and self.may(0.2) and self.taken_back(task, result)
        failed = isinstance(result, Refused) or taken_back
        for _ in range(self.chance.choice((1, 2))):
            self.bench.executor.finish(task, not failed)
        if failed:
            self.failed(task, content)
        elif isinstance(result, Done):
            self.succeeded(task, result, content)
        else:
            self.catch_up()
        self.account()

    def intent(self) -> tuple[Task, bytes | None]:
        """The command, and the content it is about. What was restored before is not in the trash any more, and then that
        is what the restore must say."""
        name, other = self.chance.sample(NAMES, 2)
        there, onto = self.record.get(name), self.record.get(other)
        if there is None and self.trashed and self.may(0.5):
            place = self.chance.choice(sorted(self.trashed, key=lambda place: self.order[place]))
            self.story.append("restore")
            return self.bench.restore(place, name, self.trashed[place].identity), self.trashed[place].content
        if there is not None and self.may(0.3):
            self.story.append("move onto" if onto else "move")
            return self.bench.move(name, other, there.identity, onto.identity if onto else None), there.content
        if there is not None and self.may(0.5):
            self.story.append("delete")
            return self.bench.delete(name, there.identity), there.content
        content = self.token("ours")
        self.story.append("replace" if there else "create")
        task = self.bench.replace(name, content, there.identity) if there else self.bench.create(name, content)
        return task, content

    def applied(self, task: Task) -> Result:
        for attempt in range(1, 50):
            if self.may(0.2):
                self.stranger()
            try:
                result = self.bench.executor.act(replace(task, attempt=attempt))
            except Killed:
                continue
            outcome = result.code if isinstance(result, Refused) else type(result).__name__
            self.story.append(f"{outcome} {getattr(result, 'recognised', '')} {bool(getattr(result, 'drift', ''))}")
            assert not isinstance(result, Unclear) or task.step in (Step.MOVE, Step.RESTORE)
            if not self.may(0.2):
                return result
            self.story.append("killed before the commit")
        raise AssertionError("killed fifty times")

    def taken_back(self, task: Task, done: Done) -> bool:
        if self.may(0.3):
            self.stranger()
        before, result = self.everything(), self.bench.executor.reverse(task)
        self.story.append(f"reversed: {type(result).__name__}")
        if not isinstance(result, Done):
            assert self.everything() == before
            return False
        if task.step in (Step.REPLACE, Step.DELETE, Step.MOVE):
            assert self.record[task.path.raw].identity.same_content(result.identity)
        return True

    def failed(self, task: Task, content: bytes | None) -> None:
        """No effect, and the record catches up with the disk."""
        assert task.trash not in self.bench.outside.trash()
        if task.step in (Step.CREATE, Step.REPLACE) and content is not None:
            assert self.bench.outside.read(task.path.raw) != content
            self.gone.add(content)
        self.catch_up()

    def catch_up(self) -> None:
        found = {entry.path.raw: entry.identity for entry in self.bench.executor.walk()}
        self.record = {name: KnownFile(identity, self.bench.outside.read(name)) for name, identity in found.items()}
        kept = self.bench.outside.trash()
        self.trashed = {place: known for place, known in self.trashed.items() if place in kept}

    def succeeded(self, task: Task, done: Done, content: bytes | None) -> None:
        """What was there is in the trash, and is what the record knew; then the record knows what we put there."""
        target = task.target.raw if task.target else task.path.raw
        if task.trash:
            old, kept = self.record[target], self.bench.outside.trash().get(task.trash)
            assert kept == old.content or (task.step is Step.MOVE and done.drift)
            if kept == old.content:
                self.order[task.trash] = len(self.order)
                self.trashed[task.trash] = old
        if task.place:
            assert task.place.decode() not in self.bench.outside.trash()
            del self.trashed[task.place.decode()]
        self.record.pop(task.path.raw, None)
        self.record.pop(target, None)
        if done.identity is not None:
            self.record[target] = KnownFile(done.identity, content)
            assert done.drift or content in self.everything() or content in self.gone

    # -- what must hold after every command ----------------------------------------------------------------------------

    def everything(self) -> "Counter[bytes]":
        outside = self.bench.outside
        contents = [*map(outside.read, NAMES), *outside.stages().values(), *outside.trash().values()]
        return Counter(content for content in contents if content is not None)

    def account(self) -> None:
        assert self.bench.outside.stages() == {}
        everything = self.everything()
        assert set(self.written) - set(everything) <= self.gone
        assert not [content for content, times in everything.items() if times > 1]

    def play(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        monkeypatch.setattr(faults, "reach", self.reach)
        for _ in range(COMMANDS):
            self.command()
        return [*self.story, *sorted(content.decode() for content in self.everything())]


def on_disk(root: Path) -> Bench:
    root.mkdir()
    return Bench(LocalExecutor.register(str(root), MOUNT), OutsideDisk(root))


def in_memory(_: Path) -> Bench:
    executor = MemoryExecutor()
    return Bench(executor, OutsideMemory(executor))


def played(bench: Bench, seed: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    game = Game(bench, random.Random(seed))
    try:
        return game.play(monkeypatch)
    except AssertionError as error:
        raise AssertionError(f"game {seed}: {error}\n" + "\n".join(game.story)) from error


def test_no_byte_is_lost_and_no_effect_is_doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # processes die here, the power stays
    lines: Counter[str] = Counter()
    for seed in range(GAMES):
        disk = played(on_disk(tmp_path / str(seed)), seed, monkeypatch)
        assert disk == played(in_memory(tmp_path), seed, monkeypatch), f"game {seed}"
        lines.update(disk)
    rare = ["Done True False", "Done True True", "Done False True", "VERSION_CONFLICT  False", "NODE_EXISTS  False"]
    rare += [
        "move",
        "move onto",
        "restore",
        "Unclear  False",
        "CONTENT_EXPIRED  False",
        "STAGE_LOST  False",
        "NODE_NOT_FOUND  False",
        "reversed: Done",
        "reversed: Unclear",
    ]
    assert [line for line in rare if not lines[line]] == []
