"""Undo by selection as a judgement: which items put changes of the journal back, from which versions, and what is left."""

from dataclasses import replace
from typing import Any

import pytest

from schema.commands.command import CommandKind
from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind, ItemState, OperationItem
from schema.operations.undo import LEFT, TreeNode, UndoPlanner, left, listed, taken_apart
from schema.operations.undo_changes import Departed, JournalChange, NodePlace, Replaced, Run, RunVersion
from schema.operations.undo_passed import Passed
from schema.paths import NodePath

HOME, AWAY = MountId(1), MountId(2)
K, P, S = CommandKind, ItemKind, ItemState
NODE = NodeId(7)
PLACE = NodePlace(parent=NodeId(1), name=b"f")


def change(entry: int, kind: CommandKind, version: int, **values: Any) -> JournalChange:
    told: dict[str, Any] = {
        "command": CommandId("0" * 32), "mount": HOME, "node": NODE, "node_kind": NodeKind.FILE,
        "previous": version - 1 or None, "path": NodePath(b"f"), "was": PLACE, "at": PLACE,
    }  # fmt: skip
    return JournalChange(entry=entry, kind=kind, version=version, **(told | values))


def version(number: int, what: str = "") -> RunVersion:
    """`what`: c has content, m metadata, d deletes. Its entry is ten times its number."""
    content = "c" in what
    return RunVersion(number, number * 10, deletes="d" in what, content=content, metadata=content or "m" in what)


def run(*versions: RunVersion, **values: Any) -> Run:
    return Run(values.pop("current", versions[0].version if versions else 9), versions, **values)


def planned(changes: list[JournalChange], runs: dict[NodeId, Run], **values: Any) -> UndoPlanner:
    planner = UndoPlanner(0, runs, values.pop("mounts", [HOME]), **values)
    planner.add(changes)
    return planner


def told(planner: UndoPlanner) -> list[tuple[Any, ...]]:
    return [
        (one.item.kind, one.item.path.text, one.item.version, *([one.item.code] if one.item.code else []))
        for one in planner.steps
    ]  # fmt: skip


# Single changes


@pytest.mark.parametrize(("done", "of", "expected"), [
    (change(10, K.UPLOAD, 1), run(version(1), made=True), (P.DELETE, "f", 1)),
    (change(10, K.CREATE_DIRECTORY, 1), run(version(1), made=True), (P.DELETE, "f", 1)),
    (change(10, K.COPY, 1, target=NodePath(b"g")), run(version(1), made=True), (P.DELETE, "g", 1)),
    (change(40, K.DELETE, 4), run(version(4, "d")), (P.RESTORE, "f", 4)),
    (change(40, K.RESTORE, 4, revived=True), run(version(4)), (P.DELETE, "f", 4)),
    (change(40, K.MOVE, 4, target=NodePath(b"g")), run(version(4)), (P.MOVE, "g", 4)),
    (change(40, K.UPLOAD, 4), run(version(4, "c"), same_metadata=True), (P.RESTORE, "f", 4)),
    (change(40, K.DESCRIBE, 4), run(version(4, "m")), (P.DESCRIBE, "f", 4)),
])  # fmt: skip
def test_each_change_has_its_reversal(done: JournalChange, of: Run, expected: tuple[Any, ...]) -> None:
    assert told(planned([done], {NODE: of})) == [expected]


def test_changes_of_content_and_metadata_go_back_at_once_to_before_the_first_of_them() -> None:
    versions = [version(6, "m"), version(5, "c"), version(4, "c"), version(3, "m")]
    changes = [
        change(60, K.DESCRIBE, 6), change(50, K.UPLOAD, 5, followed=True, superseded=True),
        change(40, K.UPLOAD, 4, followed=True, superseded=True), change(30, K.DESCRIBE, 3, followed=True, superseded=True),
    ]  # fmt: skip
    planner = planned(changes, {NODE: run(*versions)})
    assert told(planner) == [(P.RESTORE, "f", 6), (P.DESCRIBE, "f", 7)]
    assert [one.item.content_version for one in planner.steps] == [3, 2]
    assert [one.content for one in planner.steps] == [3, None], "metadata needs no content that is kept"


@pytest.mark.parametrize(("same", "kinds"), [
    ({"same_content": True}, [P.DESCRIBE]), ({"same_metadata": True}, [P.RESTORE]),
    ({"same_content": True, "same_metadata": True}, []),
])  # fmt: skip
def test_what_is_as_before_already_is_not_done(same: dict[str, bool], kinds: list[ItemKind]) -> None:
    planner = planned([change(40, K.UPLOAD, 4)], {NODE: run(version(4, "c"), **same)})
    assert [one.item.kind for one in planner.steps] == kinds


def test_what_the_selection_made_and_changed_is_only_removed() -> None:
    changes = [change(20, K.UPLOAD, 2), change(10, K.UPLOAD, 1, followed=True)]
    planner = planned(changes, {NODE: run(version(2, "c"), version(1), made=True)})
    assert told(planner) == [(P.DELETE, "f", 2)]


def test_each_step_goes_from_the_version_that_the_ones_before_it_leave() -> None:
    """Made, described, moved, deleted, restored: undone one by one."""
    versions = [version(5), version(4, "d"), version(3), version(2, "m"), version(1)]
    changes = [
        change(50, K.RESTORE, 5, revived=True, path=NodePath(b"g")), change(40, K.DELETE, 4, path=NodePath(b"g"), followed=True),
        change(30, K.MOVE, 3, target=NodePath(b"g"), followed=True), change(20, K.DESCRIBE, 2, followed=True),
        change(10, K.UPLOAD, 1, followed=True),
    ]  # fmt: skip
    planner = planned(changes, {NODE: run(*versions, made=True)})
    assert told(planner) == [(P.DELETE, "g", 5), (P.RESTORE, "g", 6), (P.MOVE, "g", 7), (P.DELETE, "f", 8)]


# What others did


def test_of_what_others_came_after_the_newest_change_is_listed_and_no_older_one() -> None:
    changes = [change(30, K.UPLOAD, 3), change(10, K.UPLOAD, 1, followed=True)]
    planner = planned(changes, {NODE: run(current=4)})
    assert told(planner) == [(P.RESTORE, "f", 3, "VERSION_CONFLICT")]
    assert planner.steps[0].item.state is S.SKIPPED and planner.steps[0].item.message == LEFT["VERSION_CONFLICT"]


def test_it_goes_back_to_before_the_latest_run_and_never_over_what_others_did_in_between() -> None:
    """Versions 1 and 2 are the selection's, 3 somebody else's, 4 the selection's again."""
    changes = [change(40, K.UPLOAD, 4), change(20, K.UPLOAD, 2, followed=True), change(10, K.UPLOAD, 1, followed=True)]
    planner = planned(changes, {NODE: run(version(4, "c"), same_metadata=True)})
    assert told(planner) == [(P.RESTORE, "f", 4)] and planner.steps[0].item.content_version == 3


def test_a_node_of_which_the_record_knows_nothing_any_more_is_listed() -> None:
    assert told(planned([change(10, K.DELETE, 3)], {})) == [(P.RESTORE, "f", 3, "VERSION_CONFLICT")]


def test_what_comes_back_asks_for_its_place_and_for_what_it_needs() -> None:
    moved = change(40, K.MOVE, 4, target=NodePath(b"g"))
    gone = change(30, K.DELETE, 3, node=NodeId(8))
    made = change(20, K.UPLOAD, 1, node=NodeId(9))
    runs = {NODE: run(version(4)), NodeId(8): run(version(3, "d")), NodeId(9): run(version(1), made=True)}
    steps = planned([moved, gone, made], runs).steps
    assert [(one.appears, one.content) for one in steps] == [(PLACE, None), (PLACE, 2), (None, None)]


def test_a_file_whose_name_was_taken_returns_behind_the_move() -> None:
    gone = Replaced(node=NodeId(8), version=3, size=5, place=PLACE)
    done = change(40, K.MOVE, 4, path=NodePath(b"f"), target=NodePath(b"g"), replaced=gone)
    planner = planned([done], {NODE: run(version(4)), NodeId(8): run(version(4))})
    assert told(planner) == [(P.MOVE, "g", 4), (P.RESTORE, "g", 4)]
    assert planner.steps[1].item.node_id == 8 and planner.steps[1].content == 3
    again = planned([done], {NODE: run(version(4)), NodeId(8): run()})
    assert told(again) == [(P.MOVE, "g", 4), (P.RESTORE, "g", 4, "VERSION_CONFLICT")]


# Trees in which something else lies now


def tree(entry: int, kind: CommandKind, number: int, **values: Any) -> JournalChange:
    return change(entry, kind, number, **{"node_kind": NodeKind.DIRECTORY, "nodes": 3} | values)


def test_a_tree_goes_as_a_whole_while_nothing_else_is_in_it() -> None:
    planner = planned([tree(10, K.COPY, 1, target=NodePath(b"g"))], {NODE: run(version(1), made=True)})
    assert told(planner) == [(P.DELETE, "g", 1)] and planner.steps[0].item.nodes == 3


@pytest.mark.parametrize(("kind", "number", "values"), [
    (K.COPY, 1, {"target": NodePath(b"g")}), (K.RESTORE, 4, {"revived": True}),
])  # fmt: skip
def test_one_that_was_made_or_brought_back_is_taken_apart_and_the_page_ends_there(
    kind: CommandKind, number: int, values: dict[str, Any]
) -> None:
    done, older = tree(40, kind, number, **values), change(10, K.UPLOAD, 1, node=NodeId(9))
    runs = {NODE: Run(number, [RunVersion(number, 40)]), NodeId(9): run(version(1), made=True)}
    planner = planned([done, older], runs, blocked={40})
    assert planner.apart == done and told(planner) == []


def test_a_deletion_and_the_return_from_it_cancel_each_other_out() -> None:
    changes = [
        tree(50, K.RESTORE, 5, revived=True), tree(40, K.DELETE, 4, followed=True),
        change(10, K.CREATE_DIRECTORY, 3, previous=None, node_kind=NodeKind.DIRECTORY, followed=True),
    ]  # fmt: skip
    versions = [version(5), version(4, "d"), RunVersion(3, 10)]
    planner = planned(changes, {NODE: run(*versions, made=True)}, blocked={50})
    assert told(planner) == [(P.DELETE, "f", 5)], "from the version that it has now"
    assert planner.passed.entries == {40, 50}
    elsewhere = [replace(changes[0], at=NodePlace(parent=NodeId(2), name=b"f")), *changes[1:]]
    assert planned(elsewhere, {NODE: run(*versions, made=True)}, blocked={50}).apart is not None, (
        "it came back elsewhere"
    )


def test_a_directory_that_moved_stays_and_what_came_before_goes_back_where_it_is_now() -> None:
    changes = [
        tree(40, K.MOVE, 2, path=NodePath(b"a"), target=NodePath(b"b")),
        change(30, K.UPLOAD, 1, node=NodeId(9), path=NodePath(b"a/f")),
        change(20, K.UPLOAD, 1, node=NodeId(10), path=NodePath(b"ab")),
        change(10, K.CREATE_DIRECTORY, 1, node_kind=NodeKind.DIRECTORY, path=NodePath(b"a"), followed=True),
    ]  # fmt: skip
    made = run(version(1), made=True)
    runs = {NODE: run(RunVersion(2, 40), RunVersion(1, 10), made=True), NodeId(9): made, NodeId(10): made}
    planner = planned(changes, runs, blocked={40})
    assert told(planner) == [
        (P.MOVE, "b", 2, "VERSION_CONFLICT"), (P.DELETE, "b/f", 1), (P.DELETE, "ab", 1), (P.DELETE, "b", 2),
    ]  # fmt: skip
    again = Passed.of_json(planner.passed.to_json())
    assert again == planner.passed and again.placed(changes[1]).path == NodePath(b"b/f")


def test_moves_that_stay_are_followed_one_after_the_other() -> None:
    passed = Passed()
    passed.keep(tree(40, K.MOVE, 3, path=NodePath(b"b"), target=NodePath(b"c")))
    passed.keep(tree(30, K.MOVE, 2, path=NodePath(b"a"), target=NodePath(b"b")))
    older = change(20, K.MOVE, 1, path=NodePath(b"x"), target=NodePath(b"a/x"))
    assert passed.placed(older) == replace(older, target=NodePath(b"c/x"))
    assert passed.placed(replace(older, mount=AWAY)) == replace(older, mount=AWAY)


@pytest.mark.parametrize(("gone", "of", "expected"), [
    (False, run(version(1), made=True), (P.DELETE, 1, None)),
    (False, run(version(3, "d"), version(2), version(1), made=True), (P.DELETE, 5, None)),
    (False, run(current=2), (P.DELETE, 1, "VERSION_CONFLICT")),
    (False, None, (P.DELETE, 1, "VERSION_CONFLICT")),
    (True, run(current=2), None),
])  # fmt: skip
def test_of_a_tree_that_is_taken_apart_each_node_goes_that_nothing_else_has_changed(
    gone: bool, of: Run | None, expected: tuple[Any, ...] | None
) -> None:
    node = TreeNode(node=NODE, kind=NodeKind.FILE, version=1, name=b"f", gone=gone)
    item = taken_apart(node, NodePath(b"t/f"), None, of, ())
    assert (None if item is None else (item.kind, item.version, item.code)) == expected


# Between mounts


def crossed(**values: Any) -> JournalChange:
    source = Departed(node=NodeId(8), version=3, size=5, place=PLACE, mount=HOME)
    return change(50, K.MOVE, 1, mount=AWAY, path=NodePath(b"f"), target=NodePath(b"g"), departed=source, **values)


CROSSED = {NODE: run(version(1), made=True), NodeId(8): run(version(4))}


def test_what_moved_to_another_mount_returns_as_the_node_that_it_was_and_then_goes_over_there() -> None:
    returns, goes = [one.item for one in planned([crossed()], CROSSED, mounts=[HOME, AWAY]).steps]
    assert (returns.kind, returns.node_id, returns.version, returns.mount) == (P.RESTORE, 8, 4, None)
    assert (goes.kind, goes.node_id, goes.version, goes.mount, goes.needs) == (P.DELETE, NODE, 1, AWAY, returns.item)


def test_neither_half_goes_where_one_can_not() -> None:
    steps = planned([crossed()], CROSSED, mounts=[HOME, AWAY]).steps
    for refused in ({0: "NODE_EXISTS"}, {1: "CONTENT_EXPIRED"}):
        assert {one.code for one in listed(steps, refused)} == set(refused.values())
    assert {one.state for one in listed(steps, {})} == {S.PENDING}


@pytest.mark.parametrize(("values", "code"), [
    ({"mounts": [AWAY]}, "NOT_SUPPORTED"), ({"mounts": [HOME, AWAY], "blocked": {50}}, "VERSION_CONFLICT"),
])  # fmt: skip
def test_a_move_between_mounts_is_left_as_it_is_and_listed_once(values: dict[str, Any], code: str) -> None:
    steps = planned([crossed()], CROSSED, **values).steps
    assert [one.item.code for one in steps] == [code]


@pytest.mark.parametrize("lost", [NODE, NodeId(8)])
def test_both_nodes_of_a_move_between_mounts_have_to_be_as_it_left_them(lost: NodeId) -> None:
    planner = planned([crossed()], {**CROSSED, lost: run()}, mounts=[HOME, AWAY])
    assert [one.item.code for one in planner.steps] == ["VERSION_CONFLICT"]


def test_items_name_the_mount_only_where_it_is_not_the_operations_own() -> None:
    moved = change(40, K.MOVE, 4, mount=AWAY, target=NodePath(b"g"))
    (step,) = planned([moved], {NODE: run(version(4))}, mounts=[HOME, AWAY]).steps
    assert (step.item.mount, step.item.target_mount) == (AWAY, AWAY)


def test_what_is_left_says_why() -> None:
    item = OperationItem(item=1, kind=P.DELETE, path=NodePath(b"f"))
    for code, message in LEFT.items():
        assert left(item, code) == replace(item, state=S.SKIPPED, code=code, message=message)
