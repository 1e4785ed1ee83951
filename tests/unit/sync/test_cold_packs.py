"""Packs of small contents in the cold store: each is found again, by its row and without it."""

import pytest

from activities.executors.contract.cold import ColdFile
from activities.executors.s3.archived import Thawing, archived_of
from activities.sync.sweeps import strays
from schema.sync.cold_packs import ColdPlace, KnownPack, index_of, laid_out, member_key, place_of, rewrites


def test_each_content_is_where_its_row_and_the_index_say() -> None:
    contents = {"a" * 64: b"one", "b" * 64: b"", "c" * 64: b"three"}
    pack, starts = laid_out(contents)
    for sha, start, length in index_of(pack):
        assert starts[sha] == start and pack[start : start + length] == contents.pop(sha)
    assert contents == {}


def test_what_is_no_pack_has_no_index() -> None:
    with pytest.raises(ValueError, match="no pack"):
        index_of(b"content")


@pytest.mark.parametrize("pack", ["t/main/p/objects/packs/ab", "t/odd#3/p/objects/packs/ab"])
def test_a_key_says_whether_a_content_lies_in_a_pack(pack: str) -> None:
    assert place_of(member_key(pack, 17)) == ColdPlace(pack, 17)
    assert place_of(pack) == ColdPlace(pack) and not place_of(pack).packed


def test_a_pack_is_no_stray_while_something_in_it_has_a_row() -> None:
    files = [ColdFile("p/packs/a", 9.0), ColdFile("p/packs/b", 9.0)]
    assert strays(files, {}, {"p/packs/a"}) == ["p/packs/b"]


@pytest.mark.parametrize(
    ("headers", "state"),
    [
        ({}, Thawing.READABLE),
        ({"x-amz-storage-class": "STANDARD_IA"}, Thawing.READABLE),
        ({"x-amz-storage-class": "GLACIER"}, Thawing.FROZEN),
        ({"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "ARCHIVE_ACCESS"}, Thawing.FROZEN),
        ({"x-amz-storage-class": "DEEP_ARCHIVE", "x-amz-restore": 'ongoing-request="true"'}, Thawing.ASKED),
        (
            {"x-amz-storage-class": "GLACIER", "x-amz-restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec"'},
            Thawing.READABLE,
        ),
    ],
)
def test_the_head_of_an_object_says_whether_it_can_be_read(headers: dict[str, str], state: Thawing) -> None:
    assert archived_of(headers) is state


def test_packs_of_which_little_is_needed_are_written_anew_in_groups_of_a_size() -> None:
    packs = [KnownPack(str(n), 12 << 20, live << 20) for n, live in enumerate([5, 6, 3, 5, 0, 12])]
    groups = [[pack.key for pack in group] for group in rewrites(packs, 0.5)]
    assert groups == [["0", "2"], ["3", "4"]]
    assert list(rewrites(packs, 0.0)) == []
