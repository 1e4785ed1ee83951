"""How far a scan of a bucket is, by the directories that are behind a key."""

from collections.abc import Sequence

from activities.executors.s3.shares import Shares

TREE: dict[str, Sequence[str] | None] = {
    "m/": ["m/a/", "m/b/", "m/c/", "m/d/"],
    "m/b/": ["m/b/x/", "m/b/y/"],
    "m/c/": None,
}


def shares(asked: list[str]) -> Shares:
    def folders_in(prefix: str) -> Sequence[str] | None:
        asked.append(prefix)
        return TREE.get(prefix, [])

    return Shares(folders_in, "m/")


def test_each_directory_counts_as_much_as_the_one_beside_it() -> None:
    asked = list[str]()
    told = [shares(asked).behind(key) for key in ("m/a/1", "m/b/x/1", "m/b/y/1", "m/c/q/1", "m/d/1")]
    assert told == [None, 0.25, 0.375, 0.5, 0.75], "too many directories say nothing of themselves"


def test_it_never_goes_back_and_asks_once_while_a_directory_lasts() -> None:
    asked = list[str]()
    scan = shares(asked)
    assert [scan.behind(key) for key in ("m/b/y/1", "m/b/y/2", "m/file", "m/b/y/3")] == [0.375] * 4
    assert asked == ["m/", "m/b/", "m/b/"], "a file at the top says nothing of what is below"
