"""The judgements of operations: what is meant, how it is planned, steered, ended and put back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.operations.chunk import NextStep
from schema.commands.command import CommandKind
from schema.errors import WrongState
from schema.ids import MountId, NodeId, new_command_id
from schema.nodes import NodeKind, NodeState
from schema.operations.chunk import together, until_a_stop
from schema.operations.commands import command_of
from schema.operations.control import Control, Steered, steer
from schema.operations.operation import (
    ItemKind,
    ItemState,
    Operation,
    OperationItem,
    OperationKind,
    OperationState,
    Options,
    Want,
)
from schema.operations.planning import Occupant, Planner, alternatives, free_name, topmost
from schema.operations.reversal import reversal
from schema.operations.selection import PlannedNode, Selection, glob
from schema.operations.turn import Reached, reached
from schema.paths import ROOT, NodePath
from workflows.converter import SharedPayloadConverter

S = OperationState
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def operation(kind: OperationKind = OperationKind.COPY, **changes: Any) -> Operation:
    values: dict[str, Any] = {"path": NodePath(b"a"), "target_path": NodePath(b"z/copy")} | changes
    return Operation(
        id="01", tenant="main", principal="ann", token_id=1, kind=kind, mount_id=MountId(7), **values
    )  # fmt: skip


def node(path: str, kind: NodeKind = NodeKind.FILE, **changes: Any) -> PlannedNode:
    values: dict[str, Any] = {"id": NodeId(1), "state": NodeState.ACTIVE, "version": 3} | changes
    return PlannedNode(kind=kind, path=NodePath(path.encode()), **values)


# Selection

GLOBS = [
    ("*.csv", "x.csv", True), ("*.csv", "d/e/x.csv", True), ("*.csv", "x.csv.gz", False), ("d/*.csv", "d/x.csv", True),
    ("d/*.csv", "d/e/x.csv", False), ("d/**/*.csv", "d/e/f/x.csv", True), ("d/**/*.csv", "d/x.csv", True),
    ("d/**", "d/e/f", True), ("d/", "d/e/f", True), ("d/", "e/d/f", False), ("/d", "d", True), ("/d", "e/d", False),
    ("?.txt", "a.txt", True), ("?.txt", "ab.txt", False), ("[ab].txt", "b.txt", True), ("[!ab].txt", "b.txt", False),
    ("[!ab].txt", "c.txt", True), ("[x", "[x", True), ("a+b.(1)", "a+b.(1)", True), ("*", "any/thing", True),
    ("*.csv", "line\nbreak.csv", True), ("d/?", "d//", False),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "path", "fits"), GLOBS)
def test_globs(pattern: str, path: str, fits: bool) -> None:
    assert bool(glob(pattern).fullmatch(path)) is fits


SELECTED: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {}, True),
    ({"include": ("*.txt",)}, {}, True),
    ({"include": ("*.csv", "*.txt"), "exclude": ("f.*",)}, {}, False),
    ({"min_bytes": 10}, {"size": 9}, False),
    ({"min_bytes": 10, "max_bytes": 10}, {"size": 10}, True),
    ({"max_bytes": 10}, {"size": 11}, False),
    ({"modified_after": NOW}, {"modified": NOW}, False),
    ({"modified_after": NOW}, {"modified": NOW + timedelta(1)}, True),
    ({"modified_before": NOW}, {"modified": None}, False),
    ({"states": ("missing",)}, {}, False),
    ({"kinds": ("symlink",)}, {}, False),
    ({"metadata": {"a": 1}}, {"metadata": {"a": 1, "b": 2}}, True),
    ({"metadata": {"a": 1}}, {"metadata": {"a": "1"}}, False),
    ({"metadata": {"a": 1}}, {"metadata": None}, False),
]


@pytest.mark.parametrize(("conditions", "facts", "meant"), SELECTED)
def test_a_selection_takes_what_meets_every_condition(
    conditions: dict[str, Any], facts: dict[str, Any], meant: bool
) -> None:
    selection = Selection(**conditions)
    assert selection.takes(node("a/f.txt", **facts), NodePath(b"a")) is meant
    assert Selection.of_json(selection.to_json()) == selection


def test_directories_are_meant_without_conditions_or_by_name() -> None:
    directory = node("a/d", NodeKind.DIRECTORY)
    assert Selection().takes(directory, ROOT) and Selection(kinds=("directory",)).takes(directory, ROOT)
    assert not Selection(include=("*",)).takes(directory, ROOT)
    assert not Selection(paths=("a",)).narrows and Selection(max_bytes=0).narrows


# Planning

D = NodeKind.DIRECTORY


def planned(planner: Planner) -> list[tuple[int, str, str, int | None, str | None]]:
    return [(i.item, i.kind, (i.target or i.path).text, i.needs, i.code) for i in planner.items]


def test_a_copied_tree_is_directories_first_and_files_that_need_them() -> None:
    planner = Planner(operation(), NodePath(b"a"), 0)
    there = {NodePath(b"z/copy/b"): Occupant(D, 1)}
    for one in (node("a", D), node("a/f"), node("a/b", D), node("a/b/g"), node("a/c", D), node("a/c/h")):
        planner.add(one, there, whole=False)
    assert planned(planner) == [
        (0, "mkdir", "z/copy", None, None), (1, "copy", "z/copy/f", 0, None), (2, "copy", "z/copy/b/g", None, None),
        (3, "mkdir", "z/copy/c", 0, None), (4, "copy", "z/copy/c/h", 3, None),
    ]  # fmt: skip
    assert set(planner.made) == {b"z/copy", b"z/copy/c"}, "only what lies above the place that was reached"


def test_a_selection_makes_the_directories_that_its_files_need() -> None:
    planner = Planner(operation(selection=Selection(include=("*.csv",))), NodePath(b"a"), 5)
    planner.add(node("a/b/c/x.csv"), {}, whole=False)
    planner.add(node("a/b/c/y.csv"), {}, whole=False)
    assert planned(planner) == [
        (5, "mkdir", "z/copy", None, None), (6, "mkdir", "z/copy/b", 5, None), (7, "mkdir", "z/copy/b/c", 6, None),
        (8, "copy", "z/copy/b/c/x.csv", 7, None), (9, "copy", "z/copy/b/c/y.csv", 7, None),
    ]  # fmt: skip


CHOICES = [
    ("fail", NodeKind.FILE, ("z/copy/f", "NODE_EXISTS", "failed", None)),
    ("skip", NodeKind.FILE, ("z/copy/f", "NODE_EXISTS", "skipped", None)),
    ("overwrite", NodeKind.FILE, ("z/copy/f", None, "pending", 4)),
    ("overwrite", NodeKind.DIRECTORY, ("z/copy/f", "NOT_A_DIRECTORY", "failed", None)),
    ("rename", NodeKind.FILE, ("z/copy/f (1)", None, "pending", None)),
]


@pytest.mark.parametrize(("choice", "kind", "expected"), CHOICES)
def test_what_lies_at_a_target(choice: Any, kind: NodeKind, expected: tuple[object, ...]) -> None:
    planner = Planner(operation(options=Options(on_conflict=choice)), NodePath(b"a"), 0, {b"z/copy": None})
    planner.add(node("a/f"), {NodePath(b"z/copy/f"): Occupant(kind, 4)}, whole=True)
    [one] = planner.items
    assert one.target is not None
    assert (one.target.text, one.code, one.state, one.target_version) == expected


def test_what_goes_to_another_mount_says_so_and_comes_back_from_there() -> None:
    there, here = (
        MountId(8),
        operation(OperationKind.MOVE, target_mount=MountId(8), options=Options(on_conflict="overwrite")),
    )
    planner = Planner(here, NodePath(b"a"), 0)
    planner.add(node("a/f"), {NodePath(b"z/copy/f"): Occupant(NodeKind.FILE, 4)}, whole=True)
    mkdir, delete, move = planner.items
    assert [(one.kind, one.mount, one.target_mount) for one in planner.items] == [
        ("mkdir", there, None), ("delete", there, None), ("move", None, there),
    ]  # fmt: skip
    commands = [command_of(here, one, new_command_id()) for one in planner.items]
    assert [(one.mount_id, one.target_mount_id, one.runs_on) for one in commands] == [
        (there, None, there), (there, None, there), (7, there, there),
    ]  # fmt: skip
    back = [reversal(replace(one, left_node=NodeId(9), left_version=2), one.item) for one in (move, delete, mkdir)]
    assert [(one.kind, one.mount, one.target_mount) for one in back] == [
        ("move", there, None), ("restore", there, None), ("delete", there, None),
    ]  # fmt: skip
    assert command_of(here, back[0], new_command_id()).runs_on == 7
    assert together(back, bytes_most=10) == back[:1], "a list is of one mount"


def test_a_move_over_a_file_sends_that_one_to_the_trash_first() -> None:
    options = Options(on_conflict="overwrite")
    planner = Planner(operation(OperationKind.MOVE, options=options), NodePath(b"a"), 0, {b"z/copy": None})
    planner.add(node("a/f"), {NodePath(b"z/copy/f"): Occupant(NodeKind.FILE, 4, NodeId(8), 7)}, whole=True)
    old, new = planner.items
    assert (old.kind, old.path.text, old.node_id, old.version, old.size) == (ItemKind.DELETE, "z/copy/f", 8, 4, 7)
    assert (new.kind, new.needs, new.target_version) == (ItemKind.MOVE, old.item, None), "both can be put back"


def test_a_free_name_is_found_beside_the_taken_ones() -> None:
    taken = Occupant(NodeKind.FILE, 1)
    assert free_name(NodePath(b"d/a.tar.gz"), {NodePath(b"d/a.tar (1).gz"): taken}) == NodePath(b"d/a.tar (2).gz")
    assert free_name(NodePath(b".bashrc"), {}) == NodePath(b".bashrc (1)")
    every = {NodePath(b"a (%d)" % number): taken for number in range(1, 21)}
    assert free_name(NodePath(b"a"), every) is None


LONG = [
    (b"a" * 255, b"a" * 251 + b" (1)"),
    (b"a" * 251 + b".txt", b"a" * 247 + b" (1).txt"),
    ("\N{SNOWMAN}".encode() * 85, "\N{SNOWMAN}".encode() * 83 + b" (1)"),
    (b"x" + "\N{SNOWMAN}".encode() * 84, b"x" + "\N{SNOWMAN}".encode() * 83 + b" (1)"),
    (b"\xff" * 255, b"\xff" * 251 + b" (1)"),
    (b"a." + b"e" * 253, b"a." + b"e" * 249 + b" (1)"),
]


@pytest.mark.parametrize(("name", "other"), LONG)
def test_a_name_that_would_be_too_long_is_cut_between_two_characters(name: bytes, other: bytes) -> None:
    first, *_, last = alternatives(NodePath(b"d/" + name))
    assert first.name == other and len(last.name) <= 255


def test_two_items_of_a_plan_do_not_go_to_one_place() -> None:
    """`f.txt` is there; its other name is that of the next file."""
    there = {NodePath(b"z/copy/f.txt"): Occupant(NodeKind.FILE, 4)}
    planner = Planner(operation(options=Options(on_conflict="rename")), NodePath(b"a"), 0, {b"z/copy": None})
    for name in ("a/f.txt", "a/f (1).txt"):
        planner.add(node(name), there, whole=True)
    assert planned(planner) == [
        (0, "copy", "z/copy/f (1).txt", None, None), (1, "copy", "z/copy/f (1) (1).txt", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "state"), [("fail", "failed"), ("skip", "skipped"), ("overwrite", "failed"), ("rename", "pending")]
)
def test_what_an_earlier_page_brings_somewhere_is_in_the_way(choice: Any, state: str) -> None:
    planner = Planner(operation(options=Options(on_conflict=choice)), NodePath(b"a"), 9, {b"z/copy": None})
    planner.add(node("a/f"), {NodePath(b"z/copy/f"): Occupant(NodeKind.FILE, 3, item=2)}, whole=True)
    [one] = planner.items
    assert (one.state, one.code) == (state, None if choice == "rename" else "NODE_EXISTS")


def test_a_directory_that_an_earlier_page_makes_is_not_made_again() -> None:
    planner = Planner(operation(), NodePath(b"a"), 9)
    planner.add(node("a/f"), {NodePath(b"z/copy"): Occupant(D, 0, item=2)}, whole=False)
    assert planned(planner) == [(9, "copy", "z/copy/f", 2, None)]


def test_of_paths_within_each_other_the_topmost_counts() -> None:
    paths = [NodePath(path) for path in (b"a/b", b"c", b"a", b"a/b/c", b"ab", b"c")]
    assert topmost(paths) == [NodePath(b"c"), NodePath(b"a"), NodePath(b"ab")]


def test_a_target_that_no_path_can_name_is_refused_in_the_plan() -> None:
    planner = Planner(operation(target_path=NodePath(b"/".join([b"z" * 200] * 20))), NodePath(b"a"), 0)
    planner.add(node("a/" + "f" * 200), {}, whole=True)
    assert [(one.state, one.code) for one in planner.items] == [(ItemState.FAILED, "INVALID_PATH")]


# Steering

STEERED: list[tuple[OperationState, Want | None, Control, tuple[OperationState, Want | None] | None]] = [
    (S.PLANNED, None, Control.APPLY, (S.RUNNING, None)),
    (S.PLANNING, None, Control.APPLY, None),
    (S.RUNNING, None, Control.APPLY, None),
    (S.RUNNING, None, Control.PAUSE, (S.RUNNING, Want.PAUSE)),
    (S.WAITING, None, Control.PAUSE, (S.WAITING, Want.PAUSE)),
    (S.ROLLING_BACK, None, Control.PAUSE, (S.ROLLING_BACK, Want.PAUSE)),
    (S.PAUSED, None, Control.PAUSE, (S.PAUSED, None)),
    (S.CANCELLING, None, Control.PAUSE, None),
    (S.PLANNED, None, Control.PAUSE, None),
    (S.PAUSED, None, Control.RESUME, (S.RUNNING, None)),
    (S.RUNNING, Want.PAUSE, Control.RESUME, (S.RUNNING, None)),
    (S.RUNNING, None, Control.RESUME, None),
    (S.RUNNING, None, Control.CANCEL, (S.CANCELLING, None)),
    (S.RUNNING, Want.PAUSE, Control.CANCEL, (S.CANCELLING, None)),
    (S.PAUSED, None, Control.CANCEL, (S.CANCELLING, None)),
    (S.PLANNING, None, Control.CANCEL, (S.CANCELLED, None)),
    (S.PLANNED, None, Control.ROLLBACK, (S.CANCELLED, None)),
    (S.RUNNING, None, Control.ROLLBACK, (S.CANCELLING, Want.ROLLBACK)),
    (S.CANCELLING, None, Control.ROLLBACK, (S.CANCELLING, Want.ROLLBACK)),
    (S.CANCELLING, Want.ROLLBACK, Control.CANCEL, (S.CANCELLING, Want.ROLLBACK)),
    (S.SUCCEEDED, None, Control.CANCEL, None),
    (S.PARTIAL, None, Control.RETRY, (S.RUNNING, None)),
    (S.FAILED, None, Control.RETRY, (S.RUNNING, None)),
    (S.SUCCEEDED, None, Control.RETRY, None),
    (S.ROLLED_BACK, None, Control.RETRY, None),
    (S.CANCELLED, None, Control.RESUME, None),
]


@pytest.mark.parametrize(("state", "want", "control", "expected"), STEERED)
def test_what_a_request_changes(
    state: OperationState, want: Want | None, control: Control, expected: tuple[OperationState, Want | None] | None
) -> None:
    now = operation(state=state, want=want, turn=4)
    if expected is None:
        with pytest.raises(WrongState) as refused:
            steer(now, control)
        assert refused.value.details == {"state": state, "operationId": "01"}
    else:
        again = control is Control.RETRY
        assert steer(now, control) == Steered(*expected, turn=5 if again else 4, again=again)


def test_a_plan_that_was_refused_is_not_run_by_a_retry() -> None:
    with pytest.raises(WrongState):
        steer(operation(state=S.FAILED, started=False, failed=1), Control.RETRY)


def test_an_undo_of_what_went_on_is_neither_run_nor_retried() -> None:
    for state, control in ((S.PLANNED, Control.APPLY), (S.PARTIAL, Control.RETRY)):
        with pytest.raises(WrongState, match="undo it anew"):
            steer(operation(OperationKind.UNDO, state=state, stale=True), control)
    assert steer(operation(OperationKind.UNDO, state=S.PLANNED, stale=True), Control.CANCEL).state is S.CANCELLED


def test_what_went_backwards_goes_on_backwards_and_what_was_undone_is_not_retried() -> None:
    assert steer(operation(state=S.PAUSED, back=True), Control.RESUME).state is S.ROLLING_BACK
    assert steer(operation(state=S.PARTIAL, back=True), Control.RETRY).state is S.ROLLING_BACK
    with pytest.raises(WrongState):
        steer(operation(state=S.PARTIAL, undone=True), Control.RETRY)


# Between two chunks

TURNS: list[tuple[dict[str, Any], bool, Reached | None]] = [
    ({"state": S.RUNNING}, True, None),
    ({"state": S.RUNNING, "in_flight": 1}, False, None),
    ({"state": S.RUNNING, "in_flight": 1, "want": Want.PAUSE}, True, None),
    ({"state": S.RUNNING, "want": Want.PAUSE}, True, Reached(S.PAUSED, False)),
    ({"state": S.RUNNING, "want": Want.PAUSE}, False, Reached(S.PAUSED, False)),
    ({"state": S.ROLLING_BACK, "want": Want.PAUSE, "back": True}, True, Reached(S.PAUSED, True)),
    (
        {"state": S.RUNNING, "failed": 5, "failed_before": 3, "done": 1, "options": Options(max_errors=2)},
        True,
        Reached(S.PARTIAL, False),
    ),
    ({"state": S.RUNNING, "failed": 5, "failed_before": 4, "options": Options(max_errors=2)}, True, None),
    ({"state": S.RUNNING, "changed": 1}, True, None),
    ({"state": S.RUNNING, "changed": 1, "options": Options(on_changed="stop")}, True, Reached(S.FAILED, False)),
    ({"state": S.RUNNING, "changed": 1, "changed_before": 1, "options": Options(on_changed="stop")}, True, None),
    ({"state": S.CANCELLING}, True, Reached(S.CANCELLED, False)),
    ({"state": S.CANCELLING, "in_flight": 2}, True, None),
    ({"state": S.CANCELLING, "want": Want.ROLLBACK, "done": 3}, True, Reached(S.ROLLING_BACK, True)),
    ({"state": S.CANCELLING, "want": Want.ROLLBACK}, True, Reached(S.CANCELLED, False)),
    ({"state": S.RUNNING, "done": 3}, False, Reached(S.SUCCEEDED, False)),
    ({"state": S.RUNNING, "done": 3, "skipped": 1}, False, Reached(S.SUCCEEDED, False)),
    ({"state": S.RUNNING, "done": 3, "skipped": 1, "changed": 1}, False, Reached(S.PARTIAL, False)),
    ({"state": S.RUNNING, "done": 3, "failed": 1}, False, Reached(S.PARTIAL, False)),
    ({"state": S.RUNNING, "failed": 1}, False, Reached(S.FAILED, False)),
    ({"state": S.RUNNING}, False, Reached(S.SUCCEEDED, False)),
    ({"state": S.RUNNING, "failed": 2, "options": Options(max_errors=3)}, True, None),
    ({"state": S.RUNNING, "failed": 3, "done": 1, "options": Options(max_errors=3)}, True, Reached(S.PARTIAL, False)),
    ({"state": S.ROLLING_BACK, "back": True, "done": 1}, True, None),
    ({"state": S.ROLLING_BACK, "back": True, "reversed": 4}, False, Reached(S.ROLLED_BACK, True)),
    ({"state": S.ROLLING_BACK, "back": True, "reversed": 4, "failed": 1}, False, Reached(S.ROLLED_BACK, True)),
    ({"state": S.ROLLING_BACK, "back": True, "reversed": 4, "done": 1}, False, Reached(S.PARTIAL, True)),
]


@pytest.mark.parametrize(("row", "left", "expected"), TURNS)
def test_when_it_pauses_turns_back_and_ends(row: dict[str, Any], left: bool, expected: Reached | None) -> None:
    assert reached(operation(**row), left=left) == expected


def test_a_rollback_that_could_not_put_back_all_is_partial() -> None:
    back = operation(state=S.ROLLING_BACK, back=True, reversed=4, failed=1)
    assert reached(back, left=False, stuck=True) == Reached(S.PARTIAL, True)


# Putting back

DONE = OperationItem(
    item=4, kind=ItemKind.COPY, path=NodePath(b"a/f"), target=NodePath(b"z/f"), node_id=NodeId(1), version=3,
    state=ItemState.DONE, left_node=NodeId(9), left_version=6, size=5,
)  # fmt: skip
BACK: list[tuple[dict[str, Any], tuple[object, ...]]] = [
    ({}, ("delete", "z/f", None, 9, 6, None)),
    ({"replaced_version": 5}, ("restore", "z/f", None, 9, 6, 5)),
    ({"kind": ItemKind.MKDIR, "target": None}, ("delete", "a/f", None, 9, 6, None)),
    ({"kind": ItemKind.MOVE}, ("move", "z/f", "a/f", 9, 6, None)),
    ({"kind": ItemKind.DELETE, "target": None}, ("restore", "a/f", None, 9, 6, None)),
    ({"kind": ItemKind.RESTORE, "target": None}, ("delete", "a/f", None, 9, 6, None)),
    ({"kind": ItemKind.RESTORE, "target": None, "replaced_version": 5}, ("restore", "a/f", None, 9, 6, 5)),
    ({"kind": ItemKind.DESCRIBE, "target": None}, ("describe", "a/f", None, 9, 6, 5)),
]


@pytest.mark.parametrize(("changes", "expected"), BACK)
def test_how_an_item_is_put_back(changes: dict[str, Any], expected: tuple[object, ...]) -> None:
    back = reversal(replace(DONE, **changes), 0)
    shown = (
        back.kind,
        back.path.text,
        back.target and back.target.text,
        back.node_id,
        back.version,
        back.content_version,
    )
    assert shown == expected and back.state is ItemState.PENDING and back.size == 5


def test_the_command_of_an_item_names_the_versions_that_were_seen() -> None:
    item = replace(DONE, state=ItemState.PENDING, target_version=2)
    command = command_of(operation(turn=2), item, new_command_id())
    assert (command.kind, command.path, command.target, command.if_version) == (CommandKind.COPY, "a/f", "z/f", 3)
    assert (command.node_id, command.target_version) == (1, 2)
    assert command.overwrite and command.key == "operation/01/2/4" and (command.operation_id, command.item) == ("01", 4)
    other = command_of(operation(turn=3), item, new_command_id())
    assert other.key != command.key and other.hash != command.hash
    back = command_of(operation(turn=2, back=True), item, new_command_id())
    assert back.key == "operation/01/2/back/4", "what is put back is another command than what was done"
    careless = command_of(operation(options=Options(only_if_unchanged=False)), item, new_command_id())
    assert careless.if_version is None
    assert (
        command_of(operation(back=True, options=Options(only_if_unchanged=False)), item, new_command_id()).if_version
        == 3
    )


def test_an_item_belongs_to_the_work_the_principal_and_the_token_of_its_operation() -> None:
    command = command_of(operation(correlation_id="session 7"), DONE, new_command_id())
    assert (command.correlation_id, command.principal, command.token_id) == ("session 7", "ann", 1)


# What goes together


def item(path: str, kind: ItemKind = ItemKind.COPY, *, directory: bool = False, **changes: Any) -> OperationItem:
    node_kind = NodeKind.DIRECTORY if directory else NodeKind.FILE
    return OperationItem(item=0, kind=kind, path=NodePath(path.encode()), node_kind=node_kind, **changes)


TOGETHER: list[tuple[list[OperationItem], list[int]]] = [
    ([item("a/f"), item("a/g"), item("b")], [0, 1, 2]),
    ([item("d", ItemKind.MKDIR, directory=True), item("e", ItemKind.MKDIR, directory=True), item("f")], [0, 1, 2]),
    ([item("d", ItemKind.MKDIR, directory=True), item("x", target=NodePath(b"d/x")), item("y")], [0, 2]),
    ([item("d/x", ItemKind.DELETE), item("dx", ItemKind.DELETE), item("d", ItemKind.DELETE, directory=True)], [0, 1]),
    ([item("d/e", ItemKind.RESTORE, directory=True), item("d/e/f", ItemKind.RESTORE), item("d/e/f/g")], [0]),
    ([item("z", target=NodePath(b"a")), item("z", ItemKind.RESTORE)], [0]),
    ([item("a", size=60), item("b", size=40), item("c", size=1), item("d")], [0, 1]),
    ([item("a", size=1000), item("b")], [0]),
    ([item("a" * 4000), *[item(f"{n}" * 4000) for n in range(9)]], [0, 1, 2, 3, 4, 5, 6, 7]),
    ([], []),
]  # fmt: skip


def numbered(steps: list[OperationItem]) -> list[OperationItem]:
    return [replace(step, item=number) for number, step in enumerate(steps)]


@pytest.mark.parametrize(("steps", "taken"), TOGETHER)
def test_what_builds_on_something_else_is_not_in_one_list_with_it(steps: list[OperationItem], taken: list[int]) -> None:
    assert [one.item for one in together(numbered(steps), bytes_most=100)] == taken


@pytest.mark.parametrize("name", [b"x" * 4000, b"\xff" * 4000, b"\xff" * 250, b"x" * 250])
def test_a_list_stays_small_whatever_its_paths_are(name: bytes) -> None:
    steps = [
        replace(item(f"{n}/"), item=n, path=NodePath(b"%d/" % n + name), target=NodePath(b"t%d/" % n + name))
        for n in range(64)
    ]
    commands = [command_of(operation(), step, new_command_id()) for step in together(steps, bytes_most=100)]
    payload = SharedPayloadConverter().to_payload(NextStep(MountId(7), "running", commands))
    assert commands and len(payload.data) < 100 * 1024


def test_what_builds_on_an_item_that_is_not_through_waits_for_it_and_the_others_go_on() -> None:
    steps = numbered([
        item("d/e/x", ItemKind.DELETE), item("d/y", ItemKind.DELETE), item("d/e", ItemKind.DELETE, directory=True),
        item("b", ItemKind.DELETE), item("d", ItemKind.DELETE, directory=True),
    ])  # fmt: skip
    busy, ready = steps[:1], steps[1:]
    assert [one.item for one in together(ready, busy, bytes_most=100)] == [1, 3], "also the directory above that one"
    flies = [replace(steps[4], state=ItemState.RUNNING)]
    assert [one.item for one in together(steps[:4], flies, bytes_most=100)] == [3], (
        "what is in flight, wherever it stands"
    )
    later = [steps[2]]
    assert [one.item for one in together(steps[:2], later, bytes_most=100)] == [0, 1], "what comes later does not count"
    back = together(steps[:0:-1], steps[4:], bytes_most=100)
    assert [one.item for one in back] == [3], "backwards the last one is before the others"


def test_a_changed_tree_stops_the_operation_when_it_is_the_first_that_is_left() -> None:
    stop, trees = Options(on_changed="stop"), [replace(item("a"), item=n) for n in (4, 5, 6)]
    changed = {5: (ItemState.SKIPPED, "VERSION_CONFLICT", ""), 6: (ItemState.FAILED, "PATH_BUSY", "")}
    assert until_a_stop(operation(options=stop), trees, changed) == (trees[:1], {})
    assert until_a_stop(operation(options=stop), trees[1:], changed) == (trees[1:2], {5: changed[5]})
    assert until_a_stop(operation(), trees, changed) == (trees, changed)
    assert until_a_stop(operation(options=stop, back=True), trees, changed) == (trees, changed)
