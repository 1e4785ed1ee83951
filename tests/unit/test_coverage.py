"""The subtrees that an undo by selection claims: all places of its items lie below them, and they are few."""

import pytest

from schema.ids import MountId
from schema.operations.coverage import SUBTREES_MOST, Coverage, common
from schema.operations.operation import ItemKind, ItemState, OperationItem
from schema.paths import ROOT, NodePath

HOME, AWAY = MountId(1), MountId(2)


def item(path: str, target: str | None = None, **values: object) -> OperationItem:
    to = None if target is None else NodePath(target.encode())
    return OperationItem(item=0, kind=ItemKind.MOVE, path=NodePath(path.encode()), target=to, **values)  # type: ignore[arg-type]


def covered(*items: OperationItem) -> set[tuple[int, str]]:
    coverage = Coverage(HOME)
    for one in items:  # page by page
        coverage = Coverage.of_json(HOME, coverage.to_json())
        coverage.add([one])
    return {(mount, path.text) for mount, path in coverage.trees}


def test_it_is_where_items_are_and_where_they_go_on_their_mounts() -> None:
    there = item("b", "c", mount=AWAY, target_mount=AWAY)
    assert covered(item("a/f", "a/g"), there) == {(1, "a/f"), (1, "a/g"), (2, "b"), (2, "c")}


def test_what_lies_below_another_place_is_covered_by_that() -> None:
    assert covered(item("a/b/c"), item("a"), item("a/d"), item("ab")) == {(1, "a"), (1, "ab")}


def test_what_does_not_go_needs_nothing() -> None:
    assert covered(item("a", state=ItemState.SKIPPED), item("b", state=ItemState.FAILED)) == set()


@pytest.mark.parametrize(("paths", "expected"), [
    ([f"d/e/{n}" for n in range(100)], {(1, "d/e")}),
    ([f"d/{n}/x" for n in range(40)] + [f"d/{n}/y" for n in range(40)], {(1, f"d/{n}") for n in range(40)}),
    ([f"{n}" for n in range(65)], {(1, "")}),
])  # fmt: skip
def test_too_many_are_taken_together_by_their_directories(paths: list[str], expected: set[tuple[int, str]]) -> None:
    found = covered(*map(item, paths))
    assert found == expected and len(found) <= SUBTREES_MOST


def test_single_commands_have_the_deepest_directory_around_them_on_each_mount() -> None:
    places = {AWAY: [NodePath(b"x/f")], HOME: [NodePath(b"a/b/f"), NodePath(b"a/b/g"), NodePath(b"a/c")]}
    assert common(places) == [(HOME, NodePath(b"a")), (AWAY, NodePath(b"x"))]
    assert common({HOME: []}) == [(HOME, ROOT)]
