"""Places of a look: one that lies in another tree of the same look is looked at with that."""

from schema.drift.looks import LookPlace, outermost


def test_places_in_a_tree_of_the_look_are_left_out_and_neighbours_are_not() -> None:
    tree, beside, name = LookPlace(b"a/b", True), LookPlace(b"a/bc"), LookPlace(b"a")
    inside = [LookPlace(b"a/b/c"), LookPlace(b"a/b/c/d", True)]
    assert outermost([inside[0], tree, beside, *inside[1:], name]) == [tree, beside, name]
    assert outermost([*inside, tree, LookPlace(b"", True), name]) == [LookPlace(b"", True)]
    assert outermost([LookPlace(b""), name]) == [LookPlace(b""), name]
