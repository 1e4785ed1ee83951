"""What a commit does to the tree as it is, and that nodes which plan, commit and follow end up with one tree."""

import random

import pytest

from schema.sync.changes import ChangeKind, PathChange, change_of, dump_changes, load_changes
from schema.sync.commits import CHANGED, IN_THE_WAY, NO_DIRECTORY, NOT_EMPTY, REFUSED, judge, other_than_asked, touched
from schema.sync.merge import ConflictRule
from schema.sync.plan import plan, settled
from schema.sync.trees import Tree, TreeEntry, a_directory, a_file
from tests.unit.sync.world import contents, edit, is_whole, random_tree, take

X, Y, Z = (a_file(letter * 64, 1) for letter in "abc")
LAST = ConflictRule.LAST


def put(path: bytes, entry: TreeEntry, base: str = "", *, checked: bool = True) -> PathChange:
    return PathChange(ChangeKind.PUT, path, None, entry.sha, entry.size, entry.mode, base, checked)


def delete(path: bytes, base: str = "") -> PathChange:
    return PathChange(ChangeKind.DELETE, path, base=base)


def test_a_put_makes_the_directories_above_it() -> None:
    judged = judge({}, [put(b"a/b/f", X)], LAST, "n1")
    assert judged.tree == {b"a": a_directory(), b"a/b": a_directory(), b"a/b/f": X}
    assert [one.kind for one in judged.applied] == ["mkdir", "mkdir", "put"]


@pytest.mark.parametrize(
    ("rule", "tree", "loser", "kept_as"),
    [
        (ConflictRule.LAST, {b"f": Y}, Z, None),
        (ConflictRule.KEEP_BOTH, {b"f": Z, b"f.conflict-n1-bbbbbbbb": Y}, Y, b"f.conflict-n1-bbbbbbbb"),
        (ConflictRule.REFUSE, {b"f": Z}, Y, None),
    ],
)
def test_a_conflict_is_decided_by_the_rule_and_names_the_loser(
    rule: ConflictRule, tree: Tree, loser: TreeEntry, kept_as: bytes | None
) -> None:
    judged = judge({b"f": Z}, [put(b"f", Y, X.sha)], rule, "n1")
    (conflict,) = judged.conflicts
    assert (judged.tree, conflict.loser, conflict.kept_as) == (tree, loser, kept_as)
    assert [reason for _, reason in judged.left_out] == ([REFUSED] if rule is ConflictRule.REFUSE else [])


def test_a_change_that_says_no_base_is_no_conflict() -> None:
    assert judge({b"f": Z}, [put(b"f", Y, checked=False)], LAST, "n1").conflicts == []


@pytest.mark.parametrize(
    ("tree", "change", "reason"),
    [
        ({b"f": Y}, delete(b"f", X.sha), CHANGED),
        ({b"d": a_directory(), b"d/f": X}, delete(b"d"), NOT_EMPTY),
        ({b"f": X}, put(b"f/g", Y), NO_DIRECTORY),
        ({b"d": a_directory()}, put(b"d", Y), IN_THE_WAY),
        ({b"f": X}, PathChange(ChangeKind.MKDIR, b"f", mode=0o755), IN_THE_WAY),
    ],
)
def test_what_has_no_place_is_left_out(tree: Tree, change: PathChange, reason: str) -> None:
    judged = judge(tree, [change], LAST, "n1")
    assert (judged.tree, judged.applied, [why for _, why in judged.left_out]) == (tree, [], [reason])


def test_a_directory_goes_with_what_was_in_it_whatever_the_order() -> None:
    tree = {b"d": a_directory(), b"d/e": a_directory(), b"d/e/f": X}
    assert judge(tree, [delete(b"d"), delete(b"d/e"), delete(b"d/e/f", X.sha)], LAST, "n1").tree == {}


def test_a_move_of_what_was_changed_meanwhile_takes_nothing_from_it() -> None:
    move = PathChange(ChangeKind.MOVE, b"g", b"f", X.sha, 1, 0o644, X.sha)
    judged = judge({b"f": Y}, [move], LAST, "n1")
    assert judged.tree == {b"f": Y, b"g": X}
    assert judge({b"f": X}, [move], LAST, "n1").tree == {b"g": X}


def test_changes_come_back_as_they_were_stored() -> None:
    changes = [put(b"\xff", X, Y.sha), PathChange(ChangeKind.MOVE, b"g", b"f", X.sha, 1, 0o644), delete(b"d")]
    assert load_changes(dump_changes(changes)) == changes


class Node:
    """A node as the agent is one: it plans on what it has seen, commits in pieces, and follows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.local: dict[bytes, TreeEntry] = {}
        self.seen: dict[bytes, TreeEntry] = {}
        self.agreed: dict[bytes, TreeEntry] = {}

    def round(self, project: "ProjectModel", random_: random.Random, *, whole: bool) -> None:
        if whole or random_.random() < 0.7:
            self.seen = dict(project.tree)
        made = plan(self.local, self.seen, self.agreed, project.rule, self.name)
        before = contents(self.local)
        for step in made.local[: None if whole else random_.randint(0, len(made.local))]:
            take(self.local, step)
        assert before - contents(self.local) <= project.history, "what goes here is in the history of the project"
        steps = made.remote[: None if whole else random_.randint(0, len(made.remote))]
        changes = [change_of(step) for step in steps]
        self.overlay(changes, project.commit(changes, self.name))
        if whole:
            self.seen = dict(project.tree)
        self.agreed = settled(self.local, self.seen, self.agreed)

    def overlay(self, changes: list[PathChange], other: set[bytes]) -> None:
        """What it has committed itself it has seen, though it has not followed that far. `other`: what went otherwise."""
        for change in changes:
            if change.source is not None and change.source not in other:
                self.seen.pop(change.source, None)
                self.agreed.pop(change.source, None)
            if change.path in other:
                continue
            if change.kind is ChangeKind.DELETE:
                self.seen.pop(change.path, None)
                self.agreed.pop(change.path, None)
            else:
                self.seen[change.path] = self.agreed[change.path] = change.entry


class ProjectModel:
    def __init__(self, rule: ConflictRule) -> None:
        self.rule, self.tree = rule, dict[bytes, TreeEntry]()
        self.losers: set[str] = set()
        self.history: set[str] = set()

    def commit(self, changes: list[PathChange], node: str) -> set[bytes]:
        """The paths that did not become what the node said."""
        known = touched(changes)
        judged = judge(self.tree, changes, self.rule, node)
        assert {path for path in judged.tree.keys() ^ self.tree.keys() if b".conflict-" not in path} <= known
        self.tree = judged.tree
        self.losers |= {one.loser.sha for one in judged.conflicts}
        self.history |= contents(self.tree)
        assert is_whole(self.tree)
        return other_than_asked(changes, judged)


@pytest.mark.parametrize("rule", [ConflictRule.LAST, ConflictRule.KEEP_BOTH])
def test_three_nodes_that_plan_on_old_views_end_with_one_tree_and_lose_nothing(rule: ConflictRule) -> None:
    for seed in range(60):
        random_ = random.Random(seed)
        project, nodes = ProjectModel(rule), [Node(f"n{number}") for number in range(3)]
        nodes[0].local = random_tree(random_)
        for _ in range(25):
            node = random_.choice(nodes)
            if random_.random() < 0.5:
                edit(node.local, random_, node.name)
            node.round(project, random_, whole=False)
        for _ in range(4):
            for node in nodes:
                node.round(project, random_, whole=True)
        assert all(node.local == project.tree for node in nodes), seed


def test_a_program_that_rewrites_one_path_never_conflicts_with_itself() -> None:
    random_ = random.Random(5)
    project, node = ProjectModel(LAST), Node("n1")
    for count in range(200):
        node.local[b"f"] = a_file(f"{count:064x}", 1)
        node.round(project, random_, whole=random_.random() < 0.5)
    assert project.losers == set()
