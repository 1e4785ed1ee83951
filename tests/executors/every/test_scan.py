"""Every executor: what a scan tells, and where it goes on."""

import itertools

import pytest

from activities.executors.contract.listing import ScanPage, Seen
from schema.errors import MountOffline, NodeNotFound
from schema.paths import ROOT, NodePath
from tests.executors.conftest import Bench

TREE = {b"a", b"a-b", b"a-b/file", b"a/b", b"a/b/c", b"a/b/c/deep", b"a/b/second", b"a/.filestore", b"z", b"z/last"}


@pytest.fixture
def tree(bench: Bench) -> Bench:
    for folder in (b"a", b"a-b", b"a/b", b"a/b/c", b"z"):
        bench.has(folder, None)
    for file in (b"a-b/file", b"a/b/c/deep", b"a/b/second", b"a/.filestore"):
        bench.has(file, b"ours")
    bench.outside.put(b"z/last", b"a stranger's")
    bench.staged(b"invisible")
    return bench


def scanned(bench: Bench, path: bytes = b"", after: bytes = b"", most: int = 3) -> list[ScanPage]:
    return list(bench.executor.scan(NodePath(path), after, most))


def paths(pages: list[ScanPage]) -> list[bytes]:
    return [seen.path for page in pages for seen in page.entries]


def test_a_scan_tells_each_name_once_and_parents_first(tree: Bench) -> None:
    told = paths(scanned(tree))
    assert len(told) == len(TREE) and set(told) == TREE
    assert all(b"/" not in path or path.rpartition(b"/")[0] in told[:n] for n, path in enumerate(told))


def test_a_scan_tells_the_identities_of_a_walk(tree: Bench) -> None:
    walked = {entry.path.raw: (entry.kind, entry.identity) for entry in tree.executor.walk() if entry.path != ROOT}
    told = {seen.path: (seen.kind, seen.identity) for page in scanned(tree) for seen in page.entries}
    assert told == walked


def test_a_page_has_no_more_names_than_were_asked_for_but_for_directories_on_the_way(tree: Bench) -> None:
    for most in (1, 2, 5):
        pages = scanned(tree, most=most)
        assert all(len(page.entries) <= 2 * most + 3 for page in pages) and len(pages) > 1
    assert len(paths(scanned(tree, most=5000))) == len(TREE)


def test_from_every_cursor_on_a_scan_tells_all_that_was_not_told(tree: Bench) -> None:
    pages = scanned(tree, most=1)
    for n, page in enumerate(pages):
        rest = scanned(tree, after=page.cursor, most=1) if page.cursor else scanned(tree, most=1)
        assert set(paths(pages[: n + 1])) | set(paths(rest)) == TREE
    assert len(paths(scanned(tree, after=pages[-1].cursor))) < len(TREE) / 2, "it goes on, and does not begin anew"


def test_a_scan_of_a_subtree_tells_the_way_to_it_and_nothing_beside_it(tree: Bench) -> None:
    assert set(paths(scanned(tree, b"a/b"))) == {b"a", b"a/b", b"a/b/c", b"a/b/c/deep", b"a/b/second"}


def test_a_scan_of_a_file_tells_the_way_and_itself(tree: Bench) -> None:
    assert paths(scanned(tree, b"a/b/second")) == [b"a", b"a/b", b"a/b/second"]


def test_nothing_is_told_of_a_place_where_nothing_lies(tree: Bench) -> None:
    with pytest.raises(NodeNotFound):
        scanned(tree, b"a/nothing")


def test_a_storage_with_directories_tells_of_each_that_its_listing_held_still(whole: Bench) -> None:
    for folder in (b"a", b"a/b", b"z"):
        whole.has(folder, None)
    told = {folder.path: folder for page in scanned(whole) for folder in page.folders}
    assert set(told) == {b"", b"a", b"a/b", b"z"} and all(folder.stable for folder in told.values())
    seen = {seen.path: seen.facts for page in scanned(whole) for seen in page.entries}
    assert {path: folder.facts for path, folder in told.items() if path} == seen


def test_a_scan_survives_what_appears_and_vanishes_meanwhile(tree: Bench) -> None:
    pages = tree.executor.scan(ROOT, most=1)
    first = next(pages)
    tree.outside.remove(b"z/last")
    tree.outside.put(b"z/new", b"x")
    told = set(paths([first, *pages]))
    assert told >= TREE - {b"z/last", b"z"}


def test_names_that_no_command_takes_are_told_as_they_are(bench: Bench) -> None:
    bench.outside.make_folder(b"back\\slash")
    bench.outside.put(b"back\\slash/line\nfeed", b"x")
    assert set(paths(scanned(bench))) == {b"back\\slash", b"back\\slash/line\nfeed"}


def test_a_scan_of_nothing_tells_nothing(bench: Bench) -> None:
    assert paths(scanned(bench)) == []


def test_seen_and_identity_say_the_same(bench: Bench) -> None:
    known = bench.has(b"file", b"content")
    told = list(itertools.chain(*(page.entries for page in scanned(bench))))
    assert told == [Seen(b"file", "file", tuple(known.facts()))] or told[0].identity.same_content(known)


def test_an_empty_directory_is_told(bench: Bench) -> None:
    bench.has(b"folder", None)
    assert [(seen.path, seen.kind) for page in scanned(bench) for seen in page.entries] == [(b"folder", "directory")]


def test_a_mount_that_went_away_is_no_empty_one(tree: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = tree.executor.scan(ROOT, most=1)
    next(pages)

    def away() -> None:
        raise MountOffline

    for name in ("check", "sure"):
        monkeypatch.setattr(getattr(tree.executor, "store", tree.executor), name, away, raising=False)
    with pytest.raises(MountOffline):
        list(pages)
