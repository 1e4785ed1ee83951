"""Files are read in chunks: many small ones together, a large one alone."""

from activities.drift.hashing import chunks


def test_a_chunk_has_no_more_than_its_files_and_bytes() -> None:
    small, large = 1 << 10, 60 << 20
    assert [len(one) for one in chunks([(n, small) for n in range(130)])] == [64, 64, 2]
    assert list(chunks([(0, large), (1, large), (2, small), (3, 200 << 20), (4, small)])) == [[0], [1, 2], [3], [4]]
    assert list(chunks([])) == []
