"""Manifests: a page is a function of what is there, a commit writes few, and none is too large for a message."""

import random
from collections.abc import Mapping

import pytest

from schema.sync import manifests
from schema.sync.manifests import PageMissing, empty_root, find, find_path, listed, update, walk
from schema.sync.trees import TreeEntry, a_directory, a_file
from tests.unit.sync.world import content, edit, random_tree

MESSAGE_MAX = 1 << 20


class Pages:
    def __init__(self) -> None:
        self.root, page = empty_root()
        self.held = {self.root: page}
        self.files = self.size = 0

    def load(self, sha: str) -> bytes:
        if sha not in self.held:
            raise PageMissing(sha)
        return self.held[sha]

    def change(self, changes: Mapping[bytes, TreeEntry | None]) -> dict[str, bytes]:
        """The pages that were not there before."""
        made = update(self.load, self.root, changes)
        new = {sha: page for sha, page in made.written.items() if sha not in self.held}
        self.held |= made.written
        self.root, self.files, self.size = made.root, made.files, made.size
        return new


def test_changes_lead_to_the_pages_of_the_same_tree_made_at_once() -> None:
    for seed in range(60):
        random_ = random.Random(seed)
        tree, pages = random_tree(random_), Pages()
        pages.change(dict(tree))
        for _ in range(8):
            before = dict(tree)
            edit(tree, random_, "x")
            pages.change({p: tree.get(p) for p in before.keys() | tree.keys() if before.get(p) != tree.get(p)})
            at_once = Pages()
            at_once.change(dict(tree))
            assert pages.root == at_once.root, seed
            assert dict(walk(pages.load, pages.root)) == tree, seed
            files = [entry for entry in tree.values() if not entry.directory]
            assert (pages.files, pages.size) == (len(files), sum(entry.size for entry in files)), seed


@pytest.fixture(scope="module")
def large() -> Pages:
    pages = Pages()
    pages.change({b"d": a_directory()} | {b"d/file-%05d" % n: content(n) for n in range(12_000)})
    return pages


def test_a_large_directory_is_in_ranges_and_a_change_writes_one_of_them(large: Pages) -> None:
    assert max(len(page) for page in large.held.values()) < MESSAGE_MAX
    before = large.root
    new = large.change({b"d/file-06000": content("new")})
    assert len(new) == 3  # the range, the page of ranges, the root
    assert sum(map(len, new.values())) < MESSAGE_MAX // 2
    large.change({b"d/file-06000": content(6000)})
    assert large.root == before


def test_names_of_a_large_directory_are_found_and_listed_from_anywhere(large: Pages) -> None:
    folder = find_path(large.load, large.root, b"d")
    assert folder is not None and (folder.files, folder.size) == (12_000, large.size)
    found = find(large.load, folder.sha, b"file-09876")
    assert found is not None and found.sha == content(9876).sha
    assert find(large.load, folder.sha, b"a") is None and find(large.load, folder.sha, b"z") is None
    assert [one.name for one in listed(large.load, folder.sha, b"file-08000", 2)] == [b"file-08001", b"file-08002"]


def test_a_directory_that_shrinks_has_the_pages_of_one_that_never_was_large(large: Pages) -> None:
    shrunk = Pages()
    shrunk.held, shrunk.root = dict(large.held), large.root
    shrunk.change({b"d/file-%05d" % n: None for n in range(50, 12_000)})
    small = Pages()
    small.change({b"d": a_directory()} | {b"d/file-%05d" % n: content(n) for n in range(50)})
    assert shrunk.root == small.root


def test_random_changes_of_a_large_directory_lead_to_the_same_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """With small ranges, so that cuts come and go."""
    monkeypatch.setattr(manifests, "SPLIT", 20)
    monkeypatch.setattr(manifests, "_RANGE", 8)
    random_, tree, pages = random.Random(1), dict[bytes, TreeEntry](), Pages()
    for _ in range(150):
        changes: dict[bytes, TreeEntry | None] = {}
        for _ in range(random_.randrange(1, 12)):
            name = b"%03d" % random_.randrange(200)
            changes[name] = None if random_.random() < 0.4 else content(random_.random())
        pages.change(changes)
        for name, entry in changes.items():
            if entry is None:
                tree.pop(name, None)
            else:
                tree[name] = entry
        at_once = Pages()
        at_once.change(dict(tree))
        assert pages.root == at_once.root


def test_a_path_deeper_than_calls_can_be_is_written_and_read() -> None:
    pages, path = Pages(), b"/".join([b"d"] * 1500)
    pages.change(
        {b"/".join([b"d"] * depth): a_directory(0o700) for depth in range(1, 1500)} | {path: a_file("a" * 64, 3)}
    )
    found = find_path(pages.load, pages.root, path)
    assert found is not None and found.size == 3
    assert (pages.files, pages.size) == (1, 3)


def test_names_that_are_no_text_come_back_as_they_were() -> None:
    pages = Pages()
    pages.change({b"\xff\xfe": content(1), 'é\n"'.encode(): content(2)})
    assert {entry.name for entry in listed(pages.load, pages.root)} == {b"\xff\xfe", 'é\n"'.encode()}
