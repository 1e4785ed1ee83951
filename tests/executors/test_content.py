"""An open file knows whether another program has written into it since; renames and deletes do not concern it."""

from schema.paths import NodePath
from tests.executors.conftest import Bench


def test_what_is_written_into_is_no_longer_unchanged(bench: Bench) -> None:
    bench.outside.put(b"file", b"old content")
    content = bench.executor.open(NodePath(b"file"))
    assert content.read(0, 3) == b"old" and content.unchanged()
    bench.outside.edit(b"file", b"new content, longer")
    assert not content.unchanged()
    content.close()


def test_what_is_replaced_or_removed_stays_what_it_was(bench: Bench) -> None:
    bench.outside.put(b"file", b"old")
    content = bench.executor.open(NodePath(b"file"))
    bench.outside.put(b"file", b"new")
    assert content.unchanged() and content.read(0, 10) == b"old"
    bench.outside.remove(b"file")
    assert content.unchanged() and content.read(0, 10) == b"old"
    content.close()
