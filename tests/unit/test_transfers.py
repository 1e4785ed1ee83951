"""The parts of a transfer without a server: what is sent, what is missing, what is hashed beside it, what will be deleted."""

import errno
import hashlib
import io
import os
import random
from itertools import count
from pathlib import Path

import pytest
from filestore_sdk import errors
from filestore_sdk._sync import fetching, ranges
from filestore_sdk._sync.fetching import gaps
from filestore_sdk._sync.sending import CHUNK, Sending, TooSlow
from filestore_sdk.cli.doomed import IN_MEMORY, Doomed
from filestore_sdk.following import STEP, Arriving
from filestore_sdk.half_written import HalfWritten, begin
from filestore_sdk.requests import Request

CONTENT = random.Random(1).randbytes(3 * CHUNK + 5)


def test_a_body_is_counted_hashed_and_sent_again_from_its_start() -> None:
    told: list[int] = []
    body = Sending(io.BytesIO(b"before" + CONTENT), 6, len(CONTENT), progress=told.append)
    request = Request("PUT", "/f", content=body, key="k")
    assert request.broken and request.all_headers()["Content-Length"] == str(len(CONTENT))
    first = body.pieces()
    next(first)
    assert request.broken, "a server can not have done anything with a part"
    for _ in range(2):
        assert b"".join(body.pieces()) == CONTENT
        assert not request.broken and body.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert told[-1] == len(CONTENT)


def test_a_source_that_became_shorter_is_no_content() -> None:
    with pytest.raises(errors.Incomplete):
        list(Sending(io.BytesIO(CONTENT[:-1]), 0, len(CONTENT)).pieces())


@pytest.mark.parametrize(("seconds_a_piece", "goes"), [(0.5, True), (2.0, True), (4.0, False)])
def test_what_would_take_too_long_breaks_off_early(
    monkeypatch: pytest.MonkeyPatch, seconds_a_piece: float, goes: bool
) -> None:
    clock = count(0.0, seconds_a_piece)
    monkeypatch.setattr("filestore_sdk._sync.sending.time.monotonic", lambda: next(clock))
    body = Sending(io.BytesIO(CONTENT), 0, len(CONTENT), seconds=10.0)
    if goes:
        assert b"".join(body.pieces()) == CONTENT
        return
    with pytest.raises(TooSlow):
        list(body.pieces())
    assert body.sent == CHUNK, "after a second, not at the end"


def test_gaps_are_what_is_not_there_in_parts() -> None:
    assert gaps([], 10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert gaps([(6, 8), (0, 1)], 10, 4) == [(1, 5), (5, 6), (8, 10)]
    assert gaps([(0, 10)], 10, 4) == []
    assert gaps([(0, 3)], 10, 10) == [(3, 10)]


@pytest.mark.parametrize("order", ["as it lies", "in any order"])
def test_a_file_that_comes_in_pieces_is_written_and_has_the_digest_of_the_whole(tmp_path: Path, order: str) -> None:
    content = os.urandom(3 * STEP + 7)
    places = [(start, min(start + 100_000, len(content))) for start in range(200_000, len(content), 100_000)]
    if order == "in any order":
        random.Random(2).shuffle(places)
    half = begin(str(tmp_path / "f"))
    half.write([content[:200_000]], 0)
    arriving = Arriving(half, len(content))
    arriving.there(0, 200_000)
    for start, end in places:
        arriving.write([content[start : start + 7], content[start + 7 : end]], start)
    assert arriving.result() == hashlib.sha256(content).hexdigest()
    arriving.stop()
    half.publish()
    assert (tmp_path / "f").read_bytes() == content


def test_one_that_is_given_up_ends_and_writes_no_more(tmp_path: Path) -> None:
    half = begin(str(tmp_path / "f"))
    arriving = Arriving(half, 10)
    arriving.stop()
    half.discard()
    assert os.listdir(tmp_path) == []


def test_a_disk_that_refuses_is_an_error_of_the_next_piece_or_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(HalfWritten, "write", full)
    half = begin(str(tmp_path / "f"))
    arriving = Arriving(half, 10)
    with pytest.raises(OSError, match="no space"):
        for place in range(100):
            arriving.write([b"x"], place)
        arriving.result()
    arriving.stop()
    half.discard()


def test_a_file_that_was_cut_behind_our_back_is_an_error(tmp_path: Path) -> None:
    half = begin(str(tmp_path / "f"))
    arriving = Arriving(half, 10)
    arriving.there(0, 10)
    with pytest.raises(OSError, match="not there"):
        arriving.result()
    half.discard()


def test_what_will_be_deleted_is_kept_on_the_disk_with_any_name() -> None:
    doomed, names = Doomed(), ["a/b", "new\nline", "\udcff", '"', "ü"]
    for name in names:
        doomed.add(name, "file")
    assert [*doomed] == [(name, "file") for name in names] and len(doomed) == 5 and not Doomed()
    for number in range(IN_MEMORY // 10):
        doomed.add(f"{number}", "directory")
    assert doomed._kept._rolled, "no longer in memory"  # type: ignore[attr-defined]
    assert len([*doomed]) == len(doomed) == 5 + IN_MEMORY // 10


def test_ranges_are_as_large_as_documented() -> None:
    assert fetching.UNSURE < fetching.SMALL < fetching.PIECE


def test_ranges_join_where_little_lies_between_and_part_where_they_are_many() -> None:
    assert ranges.together([(5, 9), (0, 2), (3, 3)]) == [(0, 9)]
    far = [(number * 100_000, number * 100_000 + 10) for number in range(40)]
    assert ranges.together(far) == far
    assert list(map(len, ranges.requests(far))) == [32, 8]
    assert ranges.requests([(0, 15 << 20), (16 << 20, 19 << 20)]) == [[(0, 15 << 20)], [(16 << 20, 19 << 20)]]


def test_parts_are_found_whatever_their_bytes_are() -> None:
    head = b"\r\n--B\r\nContent-Type: x/y\r\nContent-Range: bytes %d-%d/99\r\n\r\n"
    body = head % (0, 6) + b"--B\r\n\r\n" + head % (50, 50) + b"z" + b"\r\n--B--\r\n"
    assert ranges.parsed(body, "multipart/byteranges; boundary=B") == {0: b"--B\r\n\r\n", 50: b"z"}
    assert ranges.parsed(body, "text/plain") == {}
