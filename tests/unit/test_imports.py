"""What an import makes of the names that a scan saw, and how the journal tells of it afterwards. Pure."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import count

import pytest

from activities.executors.contract.listing import Seen
from schema.check import EntryFacts, SnapshotFacts, replay
from schema.operations.imports import JudgedPage, Known, ParentFolder, within
from tests.unit.clean_record import NEW, T0, before, identity

ROOT = {b"": ParentFolder(1, 0, "")}


def seen(path: bytes, kind: str = "file", inode: int = 7, size: int = 5) -> Seen:
    return Seen(path, kind, tuple(identity(inode, size if kind == "file" else 0, kind == "directory")))


def known(entry: Seen, **changes: object) -> Known:
    device, inode, birth, size, mtime, *_ = entry.facts
    node = Known(4, entry.kind, 1, "", int(device), int(inode), int(birth), None, int(size), int(mtime))
    return node._replace(**changes)  # type: ignore[arg-type]


def judged(
    entries: Sequence[Seen], there: dict[bytes, Known] | None = None, busy: set[bytes] | None = None
) -> JudgedPage:
    judgement = JudgedPage(dict(ROOT), there or {}, busy or set(), set(), count(20))
    for entry in entries:
        judgement.add(entry)
    return judgement


def test_new_nodes_of_one_page_know_each_other_by_the_ids_they_get() -> None:
    found = judged([seen(b"d", "directory"), seen(b"d/e", "directory"), seen(b"d/e/f"), seen(b"g")])
    assert [(node.id, node.parent, node.name, node.depth, node.shown) for node in found.new] == [
        (20, 1, b"d", 1, "d/"), (21, 20, b"e", 2, "d/e/"), (22, 21, b"f", 3, ""), (23, 1, b"g", 1, ""),
    ]  # fmt: skip


def test_what_the_record_has_is_left_and_another_thing_at_its_name_is_told() -> None:
    file, folder = seen(b"f"), seen(b"d", "directory", 8)
    same = judged([file, folder, seen(b"d/new")], {b"f": known(file), b"d": known(folder, id=9, shown="d/")})
    assert same.already == 2 and [(node.parent, node.name) for node in same.new] == [(9, b"new")]
    for change in ({"inode": 99}, {"birth": 1}, {"size": 6}, {"mtime": 1}, {"kind": "symlink"}):
        other = judged([file], {b"f": known(file, **change)})
        assert [(item.code, item.state) for item in other.items] == [("VERSION_CONFLICT", "skipped")] and not other.new
    swapped = judged([folder, seen(b"d/below")], {b"d": known(folder, kind="file")})
    assert not swapped.new and not swapped.waits, "nothing is put into a directory that the record does not have"


@pytest.mark.parametrize("busy", [b"d/f", b"d"])
def test_names_that_commands_are_at_wait_with_all_below_them(busy: bytes) -> None:
    found = judged([seen(b"d", "directory"), seen(b"d/f"), seen(b"g")], busy={busy})
    assert found.waits == {busy} and b"g" in {node.name for node in found.new}


def test_a_name_whose_directory_is_not_there_waits_as_that_directory() -> None:
    found = judged([seen(b"moved/away/f"), seen(b"moved/away/g")])
    assert found.waits == {b"moved/away"} and not found.new


def test_names_beyond_what_the_record_holds_are_told_and_nothing_below_them_is_tried() -> None:
    deep = b"/".join([b"d" * 250] * 11)
    judgement = JudgedPage({**ROOT, deep.rpartition(b"/")[0]: ParentFolder(5, 10, "")}, {}, set(), set(), count())
    for entry in (seen(deep, "directory"), seen(deep + b"/f"), seen(b"n" * 1025)):
        judgement.add(entry)
    assert [item.code for item in judgement.items] == ["INVALID_PATH"] * 2 and not judgement.new and not judgement.waits


def test_within_means_the_path_itself_or_below() -> None:
    assert within(b"a/b", {b"a"}) and within(b"a", {b"a"}) and within(b"a", {b""})
    assert not within(b"ab", {b"a"}) and not within(b"a", {b"a/b"}) and not within(b"a", set())


def test_the_journal_makes_what_an_import_made_and_its_hashes_come_later() -> None:
    snapshots = [
        SnapshotFacts(7, 1, "page", "file", "active", 5, NEW, T0, T0 + timedelta(hours=1), parent=1, name=b"f"),
        SnapshotFacts(8, 1, "page", "directory", "active", 0, None, T0, parent=1, name=b"d"),
        SnapshotFacts(9, 1, "another", "file", "active", 1, NEW, T0, parent=1, name=b"x"),
    ]
    moved = {
        "id": 7, "parent": 8, "name": b"f".hex(), "kind": "file", "state": "active", "version": 2, "size": 5, "sha256": None,
    }  # fmt: skip
    entries = [
        EntryFacts(10, "page", 1, "succeeded", kind="import", also={"made": {"files": 1, "directories": 1, "size": 5}}),
        EntryFacts(11, "move", 1, "succeeded", node=7, before=before(7, 1, 5, None), after=moved),
        EntryFacts(12, "read", 1, "succeeded", kind="import", also={"hashed": {"7": NEW.hex()}}),
    ]
    images, findings = replay(entries, snapshots)
    assert findings == [] and set(images) == {7, 8}
    assert (images[7].parent, images[7].version, images[7].sha256) == (8, 2, NEW)
    assert replay(entries[:2], snapshots)[1] != [], "without the entry that has read it, the move was of other content"
