"""How far a long copy is: every item counts once, and every byte once, read here or copied by the storage."""

from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Source
from activities.progress import PROGRESS, Progress, counted, current, followed


class Bytes:
    """Content in memory."""

    def __init__(self, data: bytes) -> None:
        self._data, self.identity = data, identity(len(data))
        self.closed = False

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def unchanged(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def identity(size: int, *, directory: bool = False) -> Identity:
    return Identity(1, 2, 3, size, 5, 6, directory)


SOURCES = [
    Source(b"", "directory", identity(4096, directory=True)),
    Source(b"one", "file", identity(10)),
    Source("zw\u00f6".encode(), "file", identity(20)),
]


def test_an_item_counts_when_the_next_one_is_asked_for() -> None:
    progress = Progress()
    progress.expect(len(SOURCES))
    seen = []
    for _ in followed(SOURCES, "a", progress, streamed=False):
        seen.append((progress.items, progress.bytes, progress.path))
    assert seen == [(0, 0, "a"), (1, 0, "a/one"), (2, 10, "a/zwö")]
    assert progress.facts() == {"items": 3, "itemsTotal": 3, "bytes": 30, "path": "a/zwö"}


def test_bytes_that_pass_through_us_count_as_they_are_read_and_not_again() -> None:
    progress, content = Progress(), Bytes(b"0123456789")
    fetch = counted(lambda _: content, progress)
    for source in followed(SOURCES[1:2], "a", progress, streamed=True):
        opened = fetch(source)
        assert (opened.read(0, 4), progress.bytes) == (b"0123", 4)
        assert (opened.read(4, 100), progress.bytes) == (b"456789", 10)
        assert opened.identity == content.identity and opened.unchanged()
        opened.close()
    assert (progress.items, progress.bytes, content.closed) == (1, 10, True)


def test_an_activity_without_items_shows_nothing() -> None:
    assert Progress().facts() is None


def test_what_runs_in_no_activity_has_a_progress_of_its_own() -> None:
    current().done(1, 1)
    assert current().items == 0
    PROGRESS.set(mine := Progress())
    try:
        assert current() is mine
    finally:
        PROGRESS.set(None)
