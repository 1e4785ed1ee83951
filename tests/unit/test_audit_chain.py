"""The chain of seals: what was changed, taken away, added or put in another order is found, and the place is named."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from schema.audit.chain import (
    ChainHead,
    Seal,
    SealCopy,
    TamperKind,
    check_copies,
    check_end,
    check_entries,
    check_seal,
    following,
    seal_of,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
LINES = [(id, f'[{id}, "x"]'.encode()) for id in (1, 2, 5, 6, 9)]


def chain(number: int = 3) -> list[Seal]:
    head, seals = ChainHead(), list[Seal]()
    for n in range(number):
        lines = [(id + 10 * n, line) for id, line in LINES]
        seals.append(following(head, seal_of(lines), AT + timedelta(seconds=n)))
        head = ChainHead(seals[-1].number, seals[-1].hash, seals[-1].last)
    return seals


def found(seals: list[Seal]) -> list[tuple[str, int]]:
    head, also, told = ChainHead(), None, list[tuple[str, int]]()
    for seal in seals:
        told += [(one.kind.name, one.seal) for one in check_seal(head, seal, also=also)]
        also = None if seal.hash == seal.expected_hash else seal.expected_hash
        head = ChainHead(seal.number, seal.hash, seal.last)
    return told


def test_a_chain_as_it_was_made_has_no_finding() -> None:
    seals = chain()
    assert found(seals) == [] and [one.number for one in seals] == [1, 2, 3]
    assert list(check_entries(seals[0], seal_of(LINES))) == []


@pytest.mark.parametrize(
    "change",
    [{"root": b"r" * 32}, {"leaves": b"l" * 80}, {"entries": 4}, {"hash": b"h" * 32}, {"format": 2},
     {"sealed_at": AT - timedelta(seconds=1)}],
)  # fmt: skip
def test_a_changed_seal_is_named_and_no_other(change: dict[str, object]) -> None:
    seals = chain()
    seals[1] = replace(seals[1], **change)  # type: ignore[arg-type]
    assert found(seals) == [("CHANGED_SEAL", 2)]


def test_a_seal_that_was_changed_and_hashed_anew_breaks_the_next_one() -> None:
    seals = chain()
    seals[1] = replace(seals[1], root=b"r" * 32).sealed()
    assert found(seals) == [("BROKEN_ORDER", 3)]


def test_a_missing_seal_and_another_order_are_named() -> None:
    one, two, three = chain()
    assert found([one, three]) == [("MISSING_SEAL", 2)]
    assert found([one, replace(three, number=2), replace(two, number=3)])[0] == ("BROKEN_ORDER", 2)


def test_entries_that_differ_are_named() -> None:
    seal = chain(1)[0]
    lines = dict(LINES)

    def told(**changed: bytes | None) -> list[tuple[str, int | None]]:
        now = {**lines, **{int(id[1:]): line for id, line in changed.items()}}
        there = sorted((id, line) for id, line in now.items() if line is not None)
        return [(one.kind.name, one.entry) for one in check_entries(seal, seal_of(there))]

    assert told(_5=b"other") == [("CHANGED_ENTRY", 5)]
    assert told(_2=None) == [("MISSING_ENTRY", 2)]
    assert told(_9=None) == [("MISSING_ENTRY", 9)], "the end of a seal, too"
    assert told(_7=b"[7]") == [("ADDED_ENTRY", 7)]
    assert told(_1=lines[2], _2=lines[1]) == [("CHANGED_ENTRY", 1), ("CHANGED_ENTRY", 2)]


def test_an_end_that_was_taken_away_is_named() -> None:
    one, two, three = chain()
    head = ChainHead(3, three.hash, three.last)
    assert list(check_end(head, head)) == []
    [finding] = check_end(head, ChainHead(2, two.hash, two.last))
    assert (finding.kind, finding.seal) == (TamperKind.MISSING_END, 3)
    [finding] = check_end(head, ChainHead(3, one.hash, 3))
    assert finding.kind is TamperKind.OTHER_COPY


def test_copies_find_what_a_database_that_was_made_anew_hides() -> None:
    seals = chain()
    hashes = {one.number: one.hash for one in seals}
    copies = [SealCopy(one.number, one.hash) for one in seals]
    assert list(check_copies(copies, 3, hashes)) == []
    [finding] = check_copies(copies, 2, {1: hashes[1], 2: hashes[2]})
    assert (finding.kind, finding.seal) == (TamperKind.MISSING_END, 3)
    [finding] = check_copies(copies, 3, hashes | {2: b"other"})
    assert (finding.kind, finding.seal) == (TamperKind.OTHER_COPY, 2)
