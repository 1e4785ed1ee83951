"""Prove the chain of seals, page by page: that each follows, that none is missing, and that what it covers is what it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from schema.audit.chain import (
    ChainHead,
    Seal,
    SealCopy,
    TamperFinding,
    check_copies,
    check_end,
    check_entries,
    check_seal,
)
from schema.store import audit

if TYPE_CHECKING:
    from schema.store.connection import Connection

PAGE = 20
"""Seals that are looked at in one statement"""
FINDINGS_MAX = 1000
"""So many are told; where there are more, the chain is worth nothing anyhow."""


@dataclass(frozen=True, slots=True)
class ChainProof:
    """How far it went. `last`: the seal up to which all was looked at. `also`: what that one's hash should have been. `done`: there
    are no more seals."""

    last: ChainHead = field(default_factory=ChainHead)
    also: bytes | None = None
    seals: int = 0
    entries: int = 0
    moved: int = 0
    """Entries that lie in an archive, and were not looked at"""
    findings: Sequence[TamperFinding] = ()
    done: bool = False


async def start(connection: Connection, number: int) -> ChainProof:
    """Behind this seal, which is believed. 0: from the first one."""
    if number == 0:
        return ChainProof()
    before = await audit.seals(connection, number - 1, 1)
    if not before or before[0].number != number:
        return ChainProof(ChainHead(number))
    return ChainProof(ChainHead(number, before[0].hash, before[0].last))


async def go_on(connection: Connection, proof: ChainProof, limit: int = PAGE) -> ChainProof:
    """Looks at the next page of seals, and at the end of the chain behind the last one."""
    page = await audit.seals(connection, proof.last.number, limit)
    head, _ = await audit.head(connection)
    there = [one for one in page if one.last > head.moved]
    found = await audit.entries_of(connection, there) if there else {}
    for seal in page:
        findings = [*proof.findings, *check_seal(proof.last, seal, also=proof.also)]
        if seal.number in found:
            findings += check_entries(seal, found[seal.number])
        proof = _behind(proof, seal, findings, moved=seal.number not in found)
    if len(page) == limit:
        return proof
    # The chain can have grown since its head was read, and the other way round: only what was there before counts.
    ended = [] if proof.last.number > head.number else check_end(head, proof.last)
    return replace(proof, findings=[*proof.findings, *ended][:FINDINGS_MAX], done=True)


def _behind(proof: ChainProof, seal: Seal, findings: Sequence[TamperFinding], *, moved: bool) -> ChainProof:
    expected = seal.expected_hash
    return replace(
        proof, last=ChainHead(seal.number, seal.hash, seal.last), also=None if expected == seal.hash else expected,
        seals=proof.seals + 1, entries=proof.entries + (0 if moved else seal.entries),
        moved=proof.moved + (seal.entries if moved else 0), findings=findings[:FINDINGS_MAX],
    )  # fmt: skip


async def compare(connection: Connection, copies: Sequence[SealCopy]) -> list[TamperFinding]:
    """The seals with those that were copied to another place."""
    newest = await audit.newest(connection)
    hashes = await audit.hashes(connection, [one.number for one in copies])
    return list(check_copies(copies, newest["number"] if newest else 0, hashes))
