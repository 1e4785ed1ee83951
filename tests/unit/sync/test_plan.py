"""The planner on trees that have to do with each other: both sides become one, and nothing is lost on the way."""

import random
from collections.abc import Mapping, Sequence

import pytest

from schema.sync.merge import ConflictRule, conflict_name
from schema.sync.plan import StepKind, SyncStep, plan, settled
from schema.sync.trees import Tree, TreeEntry, a_directory, a_file
from tests.unit.sync.world import contents, edit, is_whole, random_tree, take_all

RULES = list(ConflictRule)
SEEDS = range(200)
X, Y, Z = (a_file(letter * 64, 1) for letter in "abc")


def grown(seed: int) -> tuple[random.Random, dict[bytes, TreeEntry], dict[bytes, TreeEntry], dict[bytes, TreeEntry]]:
    """An agreed tree, and two that grew out of it."""
    random_ = random.Random(seed)
    agreed = random_tree(random_)
    local, remote = dict(agreed), dict(agreed)
    for _ in range(random_.randrange(6)):
        edit(local, random_, "local")
    for _ in range(random_.randrange(6)):
        edit(remote, random_, "remote")
    return random_, local, remote, agreed


def edited(side: Tree, agreed: Tree) -> set[str]:
    return {entry.sha for path, entry in side.items() if not entry.directory and entry != agreed.get(path)}


@pytest.mark.parametrize("rule", RULES)
def test_one_plan_makes_one_tree_of_both(rule: ConflictRule) -> None:
    for seed in SEEDS:
        _, local, remote, agreed = grown(seed)
        made = plan(local, remote, agreed, rule, "n1")
        take_all(local, made.local)
        take_all(remote, made.remote)
        assert {**local, **{path: remote[path] for path in made.held}} == remote, seed
        assert is_whole(local), seed
        again = plan(local, remote, settled(local, remote, agreed), rule, "n1")
        assert again.empty, seed


@pytest.mark.parametrize("rule", RULES)
def test_no_content_of_either_side_is_lost(rule: ConflictRule) -> None:
    for seed in SEEDS:
        _, local, remote, agreed = grown(seed)
        mine, theirs = edited(local, agreed), edited(remote, agreed)
        made = plan(local, remote, agreed, rule, "n1")
        take_all(local, made.local)
        take_all(remote, made.remote)
        named = {clash.loser.sha for clash in made.clashes if clash.loser is not None}
        assert mine | theirs <= contents(local) | contents(remote) | named, seed


@pytest.mark.parametrize("rule", RULES)
def test_rounds_that_are_done_in_part_reach_a_fixpoint(rule: ConflictRule) -> None:
    """Each round either side stops anywhere, and for the first rounds programs go on writing."""
    for seed in range(120):
        random_, local, remote, agreed = grown(seed)
        for round_ in range(12):
            made = plan(local, remote, agreed, rule, "n1")
            last = round_ > 5
            take_all(local, made.local[: None if last else random_.randint(0, len(made.local))])
            take_all(remote, made.remote[: None if last else random_.randint(0, len(made.remote))])
            agreed = settled(local, remote, agreed)
            if round_ < 4:
                edit(local, random_, f"local {round_}")
                edit(remote, random_, f"remote {round_}")
        assert plan(local, remote, agreed, rule, "n1").empty, seed


def the_plan(
    local: Tree, remote: Tree, agreed: Tree, rule: ConflictRule = ConflictRule.LAST
) -> Mapping[str, list[str]]:
    made = plan(local, remote, agreed, rule, "n1")

    def shown(steps: Sequence[SyncStep]) -> list[str]:
        return [
            f"{one.kind} {(one.source + b' -> ' if one.source else b'').decode()}{one.path.decode()}" for one in steps
        ]

    return {"local": shown(made.local), "remote": shown(made.remote)}


@pytest.mark.parametrize(
    ("local", "remote", "agreed", "expected"),
    [
        ({b"f": X}, {}, {}, {"local": [], "remote": ["put f"]}),
        ({}, {b"f": X}, {}, {"local": ["put f"], "remote": []}),
        ({}, {b"f": X}, {b"f": X}, {"local": [], "remote": ["delete f"]}),
        ({b"f": X}, {}, {b"f": X}, {"local": ["delete f"], "remote": []}),
        ({b"f": X}, {b"f": X}, {}, {"local": [], "remote": []}),
        # A deletion does not beat an edit that it has not seen, on either side.
        ({}, {b"f": Y}, {b"f": X}, {"local": ["put f"], "remote": []}),
        ({b"f": Y}, {}, {b"f": X}, {"local": [], "remote": ["put f"]}),
        # A rename carries no bytes.
        ({b"g": X}, {b"f": X}, {b"f": X}, {"local": [], "remote": ["move f -> g"]}),
        ({b"f": X}, {b"g": X}, {b"f": X}, {"local": ["move f -> g"], "remote": []}),
        # A directory stays for what another server put into it.
        ({}, {b"d": a_directory(), b"d/f": X}, {b"d": a_directory()}, {"local": ["mkdir d", "put d/f"], "remote": []}),
        ({}, {b"d": a_directory()}, {b"d": a_directory()}, {"local": [], "remote": ["delete d"]}),
    ],
)
def test_what_is_done_where(
    local: Tree, remote: Tree, agreed: Tree, expected: Mapping[str, list[str]]
) -> None:  # fmt: skip
    assert the_plan(local, remote, agreed) == expected


def test_the_last_committer_wins_by_default_and_names_the_loser() -> None:
    made = plan({b"f": Y}, {b"f": Z}, {b"f": X}, ConflictRule.LAST, "n1")
    (clash,) = made.clashes
    assert (clash.loser, clash.kept_as) == (Z, None)
    assert [(step.kind, step.after, step.base) for step in made.remote] == [(StepKind.PUT, Y, X)]
    assert made.local == []


def test_both_are_kept_where_the_project_says_so() -> None:
    aside = conflict_name(b"f.txt", Y.sha, "n1")
    assert aside == b"f.conflict-n1-bbbbbbbb.txt"
    assert the_plan({b"f.txt": Y}, {b"f.txt": Z}, {}, ConflictRule.KEEP_BOTH) == {
        "local": ["move f.txt -> f.conflict-n1-bbbbbbbb.txt", "put f.txt"],
        "remote": ["put f.conflict-n1-bbbbbbbb.txt"],
    }


def test_a_conflict_that_is_refused_moves_neither_side() -> None:
    made = plan({b"f": Y, b"g": X}, {b"f": Z}, {b"f": X}, ConflictRule.REFUSE, "n1")
    assert (made.held, [step.path for step in made.remote], list(made.local)) == ({b"f"}, [b"g"], [])


def test_a_file_moves_aside_for_a_directory() -> None:
    made = the_plan({b"a": Y}, {b"a": a_directory(), b"a/b": Z}, {})
    assert made["local"] == ["move a -> a.conflict-n1-bbbbbbbb", "mkdir a", "put a/b"]
    assert made["remote"] == ["put a.conflict-n1-bbbbbbbb"]


def test_a_name_for_what_is_put_aside_is_no_longer_than_names_can_be() -> None:
    assert len(conflict_name(b"d/" + b"n" * 255, X.sha, "n1").split(b"/")[1]) == 255
