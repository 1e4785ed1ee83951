"""What lies in directories is found by one pass over the paths, however many directories there are."""

import random

from schema.sync.trees import below


def test_what_lies_in_directories_is_found_at_any_depth() -> None:
    paths = [b"a", b"a/b", b"a/b/c", b"ab", b"ab/c", b"d/e/f", b"d"]
    assert below(paths, [b"a"]) == {b"a/b", b"a/b/c"}
    assert below(paths, [b"d/e", b"ab"]) == {b"d/e/f", b"ab/c"}
    assert below(paths, []) == set()


def test_many_directories_are_found_as_few_are() -> None:
    rng = random.Random(15)
    names = [bytes([97 + rng.randrange(3)]) for _ in range(6)]
    paths = [b"/".join(rng.choices(names, k=rng.randint(1, 6))) for _ in range(300)]
    many = {b"/".join(rng.choices(names, k=rng.randint(1, 4))) for _ in range(40)}
    one_by_one = {path for directory in many for path in below(paths, [directory])}
    assert below(paths, many) == one_by_one
