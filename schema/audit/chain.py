"""How a seal is made of entries and of the seal before it, and what a difference says. The same for entries that lie in an
archive: whatever has their lines, in order, can be compared with a seal.

    leaf   = SHA-256 of an entry's line
    root   = SHA-256 of all of `id (8 bytes) || leaf`, by id
    leaves = all of `id (8 bytes) || the first 8 bytes of leaf`, by id: they name the entry that differs
    hash   = SHA-256 of the seal's own text, with the hash of the seal before it
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

FORMAT = 1
"""Of lines: another one when an entry has more columns. Seals say theirs."""
FIRST = bytes(32)
"""What comes before the first seal"""
_LEAF = 8


@dataclass(frozen=True, slots=True)
class SealedEntries:
    """What is made of entries. `last`: the id of the last one."""

    entries: int
    last: int
    root: bytes
    leaves: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """Over the entries behind `after` up to `last`, as they were at `sealed_at`."""

    number: int
    after: int
    last: int
    entries: int
    root: bytes
    leaves: bytes
    previous: bytes
    sealed_at: datetime
    format: int = FORMAT
    hash: bytes = b""

    @property
    def text(self) -> bytes:
        """What its hash is of."""
        leaves, at = hashlib.sha256(self.leaves).hexdigest(), self.sealed_at.astimezone(UTC).isoformat()
        fields = (self.number, self.after, self.last, self.entries, self.root.hex(), leaves, self.previous.hex(), at)
        return "\n".join(["filestore seal", str(self.format), *map(str, fields)]).encode()

    @property
    def expected_hash(self) -> bytes:
        return hashlib.sha256(self.text).digest()

    def sealed(self) -> "Seal":
        return replace(self, hash=self.expected_hash)


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last seal, as it is remembered apart from the seals. `moved`: entries up to this id lie in an archive."""

    number: int = 0
    hash: bytes = FIRST
    last: int = 0
    moved: int = 0


class TamperKind(StrEnum):
    CHANGED_ENTRY = "changedEntry"
    MISSING_ENTRY = "missingEntry"
    ADDED_ENTRY = "addedEntry"
    CHANGED_SEAL = "changedSeal"
    MISSING_SEAL = "missingSeal"
    BROKEN_ORDER = "brokenOrder"
    """A seal does not follow the one before it"""
    MISSING_END = "missingEnd"
    """Seals that were made are not there any more"""
    OTHER_COPY = "otherCopy"
    """The copy of a seal that lies elsewhere is another one: the chain was made anew"""


@dataclass(frozen=True, slots=True)
class TamperFinding:
    """Where the chain and the journal are not what they were. `seal` and `entry` name the place."""

    kind: TamperKind
    seal: int
    entry: int | None
    message: str


def seal_of(lines: Iterable[tuple[int, bytes]]) -> SealedEntries:
    """Of entries by id, each with its line."""
    root, leaves, entries, last = hashlib.sha256(), bytearray(), 0, 0
    for id, line in lines:
        leaf, name = hashlib.sha256(line).digest(), id.to_bytes(8, "big")
        root.update(name + leaf)
        leaves += name + leaf[:_LEAF]
        entries, last = entries + 1, id
    return SealedEntries(entries, last, root.digest(), bytes(leaves))


def following(head: ChainHead, made: SealedEntries, at: datetime) -> Seal:
    """The seal behind this one."""
    return Seal(
        head.number + 1, head.last, made.last, made.entries, made.root, made.leaves, head.hash, at
    ).sealed()  # fmt: skip


def check_seal(before: ChainHead, seal: Seal, *, also: bytes | None = None) -> Iterator[TamperFinding]:
    """The seal for itself, and that it follows. `also`: what the hash of the seal before should have been, where that was
    changed: then this one is in order."""
    if seal.number > before.number + 1:
        first, last = before.number + 1, seal.number - 1
        yield TamperFinding(TamperKind.MISSING_SEAL, first, None, f"Seals {first} to {last} are missing.")
    elif seal.after != before.last or seal.previous not in (before.hash, also):
        yield TamperFinding(
            TamperKind.BROKEN_ORDER, seal.number, None, f"Seal {seal.number} does not follow seal {before.number}."
        )
    if seal.hash != seal.expected_hash:
        yield TamperFinding(
            TamperKind.CHANGED_SEAL,
            seal.number,
            None,
            f"Seal {seal.number} of {seal.sealed_at:%Y-%m-%d %H:%M:%S} was changed.",
        )


def check_entries(seal: Seal, found: SealedEntries) -> Iterator[TamperFinding]:
    """The entries that it covers, as they are now."""
    if found.root == seal.root and found.entries == seal.entries:
        return
    sealed, there = _by_id(seal.leaves), _by_id(found.leaves)
    for id in sorted(sealed.keys() | there.keys()):
        if id not in there:
            yield TamperFinding(TamperKind.MISSING_ENTRY, seal.number, id, f"Entry {id} of the journal is missing.")
        elif id not in sealed:
            yield TamperFinding(TamperKind.ADDED_ENTRY, seal.number, id, f"Entry {id} came after its place was sealed.")
        elif sealed[id] != there[id]:
            yield TamperFinding(TamperKind.CHANGED_ENTRY, seal.number, id, f"Entry {id} of the journal was changed.")


def _by_id(leaves: bytes) -> dict[int, bytes]:
    size = 8 + _LEAF
    parts = [leaves[at : at + size] for at in range(0, len(leaves), size)]
    return {int.from_bytes(part[:8], "big"): part[8:] for part in parts}


def check_end(head: ChainHead, last: ChainHead) -> Iterator[TamperFinding]:
    """`head`: the last seal as it is remembered; `last`: the last one that is there."""
    if last.number < head.number:
        first = last.number + 1
        yield TamperFinding(
            TamperKind.MISSING_END, first, None, f"Seals {first} to {head.number} are missing at the end."
        )
    elif (last.number, last.hash) != (head.number, head.hash):
        yield TamperFinding(
            TamperKind.OTHER_COPY,
            last.number,
            None,
            f"Seal {last.number} is not the one that is remembered as the last.",
        )


@dataclass(frozen=True, slots=True)
class SealCopy:
    """A seal as it was written to another place."""

    number: int
    hash: bytes


def check_copies(copies: Sequence[SealCopy], head: int, hashes: dict[int, bytes]) -> Iterator[TamperFinding]:
    """`head`: the number of the last seal that is there; `hashes`: of those that have copies."""
    for copy in copies:
        if copy.number > head:
            yield TamperFinding(
                TamperKind.MISSING_END, head + 1, None, f"Seal {copy.number} was copied, and seals end with {head}."
            )
            return
        if hashes.get(copy.number) not in (None, copy.hash):
            yield TamperFinding(
                TamperKind.OTHER_COPY, copy.number, None, f"Seal {copy.number} is not the one that was copied."
            )
            return
