"""What a node reads of its folder is what it looked at, or nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.syncing.folder import NodeFolder, Unrest
from workers.syncing.state import stat_key

PIECE = 1 << 20
CONTENT = os.urandom(3 * PIECE + 5)


def rewrite(content: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_bytes(content)

    return change


def replace(content: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        other = path.with_name("other")
        other.write_bytes(content)
        other.rename(path)

    return change


CHANGES = {
    "rewritten": rewrite(os.urandom(len(CONTENT))),
    "shorter": rewrite(b"short"),
    "longer": rewrite(CONTENT + b"more"),
    "empty": rewrite(b""),
    "replaced by a shorter one": replace(b"short"),
    "replaced by a longer one": replace(CONTENT + b"more"),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_large_file_that_changed_since_it_was_looked_at_is_not_read(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """A request has said its size by then: another number of bytes would end the agent."""
    file = tmp_path / "f"
    file.write_bytes(CONTENT)
    key = stat_key(file.stat())
    folder = NodeFolder(str(tmp_path))
    assert b"".join(folder.pieces(b"f", key)) == CONTENT
    os.utime(file, ns=(1, 1))
    key = stat_key(file.stat())
    change(file)
    with pytest.raises(Unrest):
        next(folder.pieces(b"f", key))


@pytest.mark.parametrize("name", ["rewritten", "shorter", "longer", "empty"])
def test_a_large_file_that_changes_while_it_is_read_is_not_read_to_its_end(tmp_path: Path, name: str) -> None:
    file = tmp_path / "f"
    file.write_bytes(CONTENT)
    os.utime(file, ns=(1, 1))
    pieces = NodeFolder(str(tmp_path)).pieces(b"f", stat_key(file.stat()))
    read = next(pieces)
    CHANGES[name](file)
    with pytest.raises(Unrest):
        for piece in pieces:
            read += piece
    assert len(read) < len(CONTENT)
