"""Gathering: what rests becomes a hint, what is written to waits, no event is forgotten, and memory stays bounded."""

from hypothesis import example, given
from hypothesis import strategies as st

from schema.drift.fold import fold
from schema.drift.gather import Gathering, Names, Pace
from schema.drift.hints import Hint, Reason

PACE = Pace(quiet=1.0, rest=5.0, longest=20.0, most=1000)
CHANGED, GONE, STORM, LOST = Reason.CHANGED, Reason.GONE, Reason.STORM, Reason.LOST


def hints(gathering: Gathering, now: float) -> set[tuple[bytes, bool]]:
    return {(one.hint.path, one.hint.subtree) for one in gathering.take(now)}


def test_a_name_is_spoken_of_once_it_rests() -> None:
    gathering = Gathering(PACE)
    gathering.note((b"a",), CHANGED, 0.0)
    gathering.note((b"a",), CHANGED, 0.9)

    assert hints(gathering, 1.8) == set()
    assert hints(gathering, 1.9) == {(b"a", False)}
    assert hints(gathering, 99.0) == set() and len(gathering) == 0


def test_a_name_under_writing_rests_longer_until_it_is_closed() -> None:
    gathering = Gathering(PACE)
    gathering.note((b"a",), CHANGED, 0.0, writing=True)
    gathering.note((b"b",), CHANGED, 0.0, writing=True)
    gathering.note((b"b",), CHANGED, 2.0, writing=False)

    assert hints(gathering, 3.0) == {(b"b", False)}
    assert hints(gathering, 5.0) == {(b"a", False)}


def test_a_file_that_is_written_without_end_is_spoken_of_all_the_same() -> None:
    gathering, spoken = Gathering(PACE), []
    for second in range(60):
        gathering.note((b"log",), CHANGED, float(second), writing=True)
        spoken += gathering.take(float(second))

    assert len(spoken) in (2, 3)


def test_a_hint_for_a_tree_swallows_what_waits_and_what_comes_below_it() -> None:
    gathering = Gathering(PACE)
    gathering.note((b"a", b"x"), CHANGED, 0.0)
    gathering.note((b"b",), CHANGED, 0.0)
    gathering.note((b"a",), LOST, 0.5, subtree=True)
    gathering.note((b"a", b"y", b"z"), CHANGED, 0.9)

    assert len(gathering) == 2
    assert hints(gathering, 1.8) == {(b"b", False)}
    assert hints(gathering, 1.9) == {(b"a", True)}


def test_what_waits_below_a_moved_directory_goes_along() -> None:
    gathering = Gathering(PACE)
    gathering.note((b"a", b"x"), CHANGED, 0.0)
    gathering.note((b"ab",), CHANGED, 0.0)
    gathering.moved((b"a",), (b"c", b"d"), 0.1)

    assert hints(gathering, 50.0) == {(b"a", False), (b"ab", False), (b"c/d", False), (b"c/d/x", False)}


def test_a_moved_directory_that_a_hint_for_a_tree_covered_is_looked_at_as_a_whole() -> None:
    gathering = Gathering(PACE)
    gathering.note((b"a",), LOST, 0.0, subtree=True)
    gathering.moved((b"a", b"x"), (b"b",), 0.1)

    assert hints(gathering, 50.0) == {(b"a", True), (b"b", True)}


def test_what_is_given_back_keeps_its_first_moment() -> None:
    gathering = Gathering(PACE)
    gathering.note((b"a",), CHANGED, 0.0)
    for second in range(1, 20):
        for rested in gathering.take(float(second)):
            gathering.give_back(rested, float(second))
    gathering.note((b"a",), CHANGED, 19.9, writing=True)

    assert hints(gathering, 20.0) == {(b"a", False)}


def test_a_storm_in_one_directory_takes_the_memory_of_one_hint() -> None:
    gathering = Gathering(PACE)
    gathering.note((b"quiet", b"file"), CHANGED, 0.0)
    for n in range(100_000):
        gathering.note((b"deep", b"storm", b"%d" % n), CHANGED, 0.0)
        assert len(gathering) <= PACE.most

    assert hints(gathering, 50.0) == {(b"quiet/file", False), (b"deep/storm", True)}


def test_a_storm_over_many_directories_becomes_the_tree_they_lie_in() -> None:
    gathering = Gathering(PACE)
    for n in range(3000):
        gathering.note((b"tree", b"%d" % n, b"file"), CHANGED, 0.0)

    assert hints(gathering, 50.0) == {(b"tree", True)}


def test_a_path_of_thousands_of_names_takes_no_stack() -> None:
    gathering, deep = Gathering(PACE), (b"d",) * 5000
    gathering.note(deep, CHANGED, 0.0)

    assert hints(gathering, 1.0) == {(b"/".join(deep), False)}


NAME = st.sampled_from([b"a", b"b", b"ab", b"\xff"])
PATH = st.lists(NAME, max_size=4).map(tuple)
EVENT = st.tuples(st.sampled_from(["note", "tree", "move", "take", "back"]), PATH, PATH)


def below(path: Names) -> bytes:
    return b"/".join(path)


SIX_NAMES: list[tuple[str, Names, Names]] = [
    ("note", path, ()) for path in [(), (b"a",), (b"b",), (b"ab",), (b"a", b"a"), (b"a", b"b")]
]


@example(SIX_NAMES, 4)
@example(SIX_NAMES, 1)
@given(st.lists(EVENT, max_size=60), st.integers(1, 40))
def test_no_place_is_forgotten_whatever_the_order(events: list[tuple[str, Names, Names]], most: int) -> None:
    """A model that follows moves says where each change lies in the end: a hint of the end, or one taken before the move, covers
    it. The note that goes beyond `most` folds before it returns, so no more than `most` wait after any event."""
    gathering = Gathering(Pace(quiet=1.0, rest=5.0, longest=20.0, most=most))
    waiting: set[Names] = set()
    for now, (what, path, other) in enumerate(events):
        if what == "take":
            taken = [one.hint for one in gathering.take(float(now))]
            waiting = {one for one in waiting if not any(hint.covers(below(one)) for hint in taken)}
        elif what == "back":
            for rested in gathering.take(float(now)):
                gathering.give_back(rested, float(now))
        elif what == "move":
            if not path or other[: len(path)] == path:
                continue
            gathering.moved(path, other, float(now))
            waiting = {other + one[len(path) :] if one[: len(path)] == path else one for one in waiting} | {path, other}
        else:
            gathering.note(path, CHANGED, float(now), subtree=what == "tree")
            waiting.add(path)
        assert len(gathering) <= most
    last = [one.hint for one in gathering.take(1e9)]

    assert [one for one in waiting if not any(hint.covers(below(one)) for hint in last)] == []
    assert len(gathering) == 0
    paths = [hint.path for hint in last]
    assert len(paths) == len(set(paths))


def broad(names: Names, most: int) -> int:
    return most


def narrow(names: Names, most: int) -> int:
    return min(most, 1)


def test_few_hints_stay_as_they_are() -> None:
    few = [Hint(b"a/%d" % n, False, CHANGED) for n in range(64)]
    assert sorted(fold(few, narrow), key=lambda one: one.path) == sorted(few, key=lambda one: one.path)


def test_many_hints_of_a_narrow_tree_are_one() -> None:
    many = [Hint(b"a/%d/%d" % (n % 7, n), False, CHANGED) for n in range(500)]
    assert fold(many, narrow) == [Hint(b"a/%d" % n, True, STORM) for n in range(7)]


def test_many_hints_in_many_directories_are_the_narrowest_tree_that_holds_them_all() -> None:
    many = [Hint(b"x/a/%d/f" % n, False, CHANGED) for n in range(500)] + [Hint(b"x/b", False, CHANGED)]
    assert sorted(fold(many, narrow), key=lambda one: one.path) == [
        Hint(b"x/a", True, STORM),
        Hint(b"x/b", False, CHANGED),
    ]


def test_many_hints_of_a_broad_tree_become_the_narrow_trees_in_it() -> None:
    def breadth(names: Names, most: int) -> int:
        return min(most, 3 if names[:1] == (b"a",) else 10_000)

    many = [Hint(b"a/%d" % n, False, CHANGED) for n in range(500)] + [
        Hint(b"b/%d" % n, False, GONE) for n in range(100)
    ]
    folded = fold(many, breadth)
    assert Hint(b"a", True, STORM) in folded and len(folded) == 101


def test_a_hint_for_a_tree_takes_those_below_it() -> None:
    both = [Hint(b"a/x", False, CHANGED), Hint(b"a", True, LOST), Hint(b"ab", False, CHANGED)]
    assert sorted(fold(both, broad), key=lambda one: one.path) == [both[1], both[2]]


@given(st.lists(st.tuples(PATH, st.booleans()), max_size=60), st.integers(0, 8), st.integers(0, 12))
def test_folding_covers_what_there_was(places: list[tuple[Names, bool]], few: int, size: int) -> None:
    there = [Hint(below(path), subtree, CHANGED) for path, subtree in places]
    folded = fold(there, lambda names, most: min(most, size), few)

    assert all(any(one.covers(hint.path) and one.subtree >= hint.subtree for one in folded) for hint in there)
    assert len(folded) <= len({hint.path for hint in there})
