"""The checker itself: it takes every history that could be, and refuses every one that could not, also when only one answer
in it is false. No service here: the histories are simulated."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.model import model, wire
from tests.model.clients import History, falsified, fields
from tests.model.linearizable import Invocation, Verdict, _Search, check, identities, observed, parts
from tests.model.model import ROOT, ModelAnswer, ModelCommand, ModelMount, NodeName
from tests.model.simulated import Simulation

TOPS = ("t", "u", "v")


def simulated(seed: int, clients: int = 12, each: int = 12, lost: float = 0.0) -> Simulation:
    history = History(wire.WirePlace(None), model.empty(), {ROOT: 0})  # type: ignore[arg-type]
    simulation = Simulation(history, seed, lost)
    simulation.run(clients, each, TOPS)
    return simulation


def verdict(operations: Sequence[Invocation], **rules: object) -> Verdict:
    return check(operations, model.empty(), {ROOT: 0}, **rules)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(8))
def test_what_could_be_is_taken_and_quickly(seed: int) -> None:
    operations = simulated(seed).history.operations
    began = time.monotonic()
    assert verdict(operations).ok
    done = {one.command.kind for one in operations if one.answer and not one.answer.code}
    assert len(done) >= 7, done
    assert len(operations) == 153 and time.monotonic() - began < 60, "a checker that tries every order takes for ever"


@pytest.mark.parametrize("seed", range(4))
def test_what_nobody_heard_of_may_have_happened_or_not(seed: int) -> None:
    operations = simulated(seed, lost=0.06).history.operations
    assert any(one.answer is None for one in operations) and verdict(operations).ok


def planted(seed: int) -> tuple[list[Invocation], dict[str, int]]:
    """A crowd, and then: a file is made, two replace its version 1, one reads it, it is deleted, one looks for it."""
    simulation = simulated(seed, 8, 8)
    operations = simulation.history.operations
    simulation.ask(ModelCommand("mkdir", "p"))
    made = simulation.ask(ModelCommand("upload", "p/f", content=b"old"))
    assert made.answer is not None
    places = {"made": len(operations) - 1}
    for name, command, after in (
        ("first", ModelCommand("upload", "p/f", content=b"new", if_match="1"), 0.01),
        ("second", ModelCommand("upload", "p/f", content=b"newer", if_match="1"), -0.09),
        ("read", ModelCommand("read", "p/f", node=made.answer.node), 0.01),
        ("get", ModelCommand("get", "p/f"), 0.01),
        ("list", ModelCommand("list", "p"), 0.01),
        ("move", ModelCommand("move", "p", "q"), 0.01),
        ("half", ModelCommand("list", "q"), 0.01),
        ("deleted", ModelCommand("delete", "q/f"), 0.01),
        ("gone", ModelCommand("get", "q/f"), 0.01),
    ):
        simulation.ask(command, after=after)
        places[name] = len(operations) - 1
    return operations, places


Lie = Callable[[list[Invocation], dict[str, int]], list[Invocation]]


def lie(name: str, make: Callable[[dict[str, ModelAnswer]], dict[str, object]]) -> Lie:
    def falsify(operations: list[Invocation], places: dict[str, int]) -> list[Invocation]:
        answers = {which: operations[place].answer for which, place in places.items()}
        return falsified(operations, places[name], **make(answers))  # type: ignore[arg-type]

    return falsify


def as_told(answer: ModelAnswer, **changes: object) -> dict[str, object]:
    changed = replace(answer, **changes)  # type: ignore[arg-type]
    return {field: getattr(changed, field) for field in ModelAnswer.__slots__}


LIES: dict[str, Lie] = {
    "both replaced version 1: an update is lost":
        lie("second", lambda given: as_told(given["first"], size=5, sha256=model.digest(b"newer"))),
    "the old content is read after the new one was acknowledged": lie("read", lambda given: {"sha256": model.digest(b"old")}),
    "the old version is shown after the new one was acknowledged":
        lie("get", lambda given: as_told(given["made"], status=200)),
    "a deleted file is found": lie("gone", lambda given: as_told(given["get"], path="q/f")),
    "a file that is there is not found": lie("get", lambda given: as_told(ModelAnswer(404, "NODE_NOT_FOUND"))),
    "the file was there, and is made anew": lie("first", lambda given: as_told(given["made"], node=999_999)),
    "another node is told of": lie("get", lambda given: {"node": given["half"].node or 999_999}),
    "the list shows a directory without what is in it": lie("half", lambda given: {"metadata": '[["q", 2]]'}),
    "the list shows what is not there": lie("list", lambda given: {"metadata": '[["p", 1], ["p/f", 2], ["p/g", 1]]'}),
    "the delete of what is there is refused": lie("deleted", lambda given: as_told(ModelAnswer(404, "NODE_NOT_FOUND"))),
    "the condition fails though nobody changed it": lie("first", lambda given: as_told(ModelAnswer(412, "VERSION_CONFLICT"))),
}  # fmt: skip


@pytest.mark.parametrize("which", LIES)
def test_one_false_answer_is_found(which: str) -> None:
    operations, places = planted(seed=5)
    assert verdict(operations).ok
    found = verdict(LIES[which](operations, places))
    assert not found.ok and found.stuck, which


def by_hand(operations: Sequence[Invocation], mount: ModelMount, known: dict[NodeName, int]) -> bool:
    """The definition and nothing else: every order there is."""
    search = _Search(operations, known, observed, 0)
    left = [one for one in operations if one.answer is not None]
    if not left:
        return True
    for one in operations:
        if all(one.sent <= other.answered for other in left):
            after = search._after(mount, one)
            if after is not None and by_hand([other for other in operations if other is not one], after, known):
                return True
    return False


def test_shortcuts_change_no_verdict() -> None:
    """Small histories, true and false, some of whose answers no client heard: the search says what all orders say."""
    seen = set()
    for seed in range(400):
        dice = random.Random(seed)
        simulation = Simulation(History(wire.WirePlace(None), model.empty(), {ROOT: 0}), seed, 0.25)  # type: ignore[arg-type]
        simulation.run(3, 2, ("t",))
        operations = simulation.history.operations
        heard = [place for place, one in enumerate(operations) if one.answer is not None]
        if heard and dice.random() < 0.7:
            other = operations[dice.choice(heard)].answer
            assert other is not None
            operations = falsified(operations, dice.choice(heard), **fields(other))
        known = identities(operations, {ROOT: 0})
        right = by_hand(operations, model.empty(), known)
        assert check(operations, model.empty(), {ROOT: 0}).ok is right, f"seed {seed}"
        seen.add(right)
    assert seen == {True, False}


def test_real_time_counts() -> None:
    """Two that do not overlap can not change places; two that do can."""
    made = ModelAnswer(201, None, 7, "d", "directory", "active", 1, 0, None, "{}")
    absent = ModelAnswer(404, "NODE_NOT_FOUND")
    mkdir, get = (
        Invocation("c1", ModelCommand("mkdir", "d"), 0, 1, made),
        Invocation("c2", ModelCommand("get", "d"), 2, 3, absent),
    )
    assert not verdict([mkdir, get]).ok
    assert verdict([mkdir, replace(get, sent=0.5)]).ok


def test_an_unknown_outcome_may_come_late_but_not_early() -> None:
    unknown = Invocation("c1", ModelCommand("mkdir", "d"), 1)
    there = ModelAnswer(200, None, 7, "d", "directory", "active", 1, 0, None, "{}")
    before = Invocation("c2", ModelCommand("get", "d"), 0, 0.5, there)
    assert not verdict([unknown, before]).ok
    after = [
        Invocation("c2", ModelCommand("get", "d"), 2, 3, ModelAnswer(404, "NODE_NOT_FOUND")),
        Invocation("c3", ModelCommand("get", "d"), 4, 5, there),
    ]
    assert verdict([unknown, *after]).ok
    assert not verdict(
        [unknown, *after, Invocation("c4", ModelCommand("get", "d"), 6, 7, ModelAnswer(404, "NODE_NOT_FOUND"))]
    ).ok


def test_who_had_to_ask_again_did_not_make_what_was_there() -> None:
    """A move that is answered from the record names a node that another one made: by its id it is still that one."""
    made = ModelAnswer(201, None, 7, "d", "directory", "active", 1, 0, None, "{}")
    moved = ModelAnswer(200, None, 7, "e", "directory", "active", 2, 0, None, "{}", idempotent=True)
    history = [
        Invocation("c1", ModelCommand("mkdir", "d"), 0, 1, made),
        Invocation("c2", ModelCommand("move", "d", "e"), 2, 3, moved, echo=True),
        Invocation("c3", ModelCommand("restore", "d", node=7), 4, 5, ModelAnswer(409, "NODE_EXISTS")),
    ]
    assert identities(history, {ROOT: 0}) == {ROOT: 0, "c1": 7}
    assert verdict(history).ok


def test_parts_are_searched_alone() -> None:
    """What shares no name at the top, not even through a move, is another history."""
    asked = [
        ModelCommand("mkdir", "a"),
        ModelCommand("mkdir", "b/x"),
        ModelCommand("move", "b/x", "c/x"),
        ModelCommand("get", "c"),
    ]
    found = parts([Invocation(f"c{n}", command, n) for n, command in enumerate(asked)])
    assert sorted(len(part) for part in found) == [1, 3]


def _version_stands_still(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    after, answer = observed(mount, command, name)
    if command.kind == "upload" and answer.status == 200:
        assert answer.node is not None
        return after.put(replace(after.nodes[answer.node], version=1)), replace(answer, version=1)
    return after, answer


def _nothing_is_taken(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    return observed(mount, replace(command, overwrite=True) if command.kind == "upload" else command, name)


def _conditions_are_ignored(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    return observed(mount, replace(command, if_match="*" if command.if_match else None), name)


def _full_directories_go(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    return observed(mount, replace(command, recursive=True), name)


def _metadata_is_forgotten(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    after, answer = observed(mount, command, name)
    if command.kind == "describe" and answer.status == 200:
        return mount, replace(answer, version=(answer.version or 1) - 1)
    return after, answer


ALTERED = (
    _version_stands_still,
    _nothing_is_taken,
    _conditions_are_ignored,
    _full_directories_go,
    _metadata_is_forgotten,
)


@pytest.mark.parametrize("rule", ALTERED, ids=lambda rule: rule.__name__.strip("_"))
def test_a_model_with_another_rule_takes_no_history_of_this_one(rule: model.Step) -> None:
    assert not verdict(simulated(3).history.operations, step=rule).ok
