"""All that a directory holds as one digest: its names, and of each which file it is, its size and its times.

Two listings with one digest are the same listing: whatever happens to a file moves its change time, in nanoseconds, and another
file has another inode. So the times of the directory itself are no shortcut here: they say nothing of what was written into a file.
"""

from array import array
from collections.abc import Sequence
from hashlib import blake2b

SIZE = 16
CHUNK = 2048
"""Names that go into the digest together"""
_SECOND = 1_000_000_000


class ListingDigest:
    """Fed with the names of one directory in the order of their bytes."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=SIZE)
        self._names: list[bytes] = []
        self._facts: list[Sequence[int]] = []
        self._foreign = False

    def add(self, name: bytes, facts: Sequence[int]) -> None:
        """`facts`: as `Identity.facts` says them."""
        self._foreign = self._foreign or facts[0] != 0
        self._names.append(name)
        self._facts.append(facts)
        if len(self._names) == CHUNK:
            self._flush()

    def end(self) -> bytes | None:
        """None: other file systems are mounted in it. It has no digest, and is always compared name by name."""
        if self._names:
            self._flush()
        return None if self._foreign else self._hash.digest()

    def _flush(self) -> None:
        facts = self._facts
        self._hash.update(
            joined(
                self._names,
                *(array("q", column).tobytes() for column in (
                    [one[1] for one in facts], [one[3] for one in facts],
                    [one[4] // _SECOND for one in facts], [one[4] % _SECOND for one in facts],
                    [one[5] // _SECOND for one in facts], [one[5] % _SECOND for one in facts],
                )),
            )
        )  # fmt: skip
        self._names, self._facts = [], []


def joined(names: Sequence[bytes], *columns: bytes) -> bytes:
    """What a chunk of names puts into the digest: the names, then inodes, sizes, and both times in seconds and the rest."""
    return b"\0".join([*names, *columns])
