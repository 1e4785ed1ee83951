"""A directory as a scan told it beside the same directory in the record: which names are not just as the record has them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from activities.executors.contract.listing import Seen, Unseen
from schema.drift.sightings import Sighting, SightState, same_facts
from schema.nodes import NodeKind
from schema.store.looks import BelievedChild


@dataclass(frozen=True, slots=True)
class Listing:
    """A directory whose names were told, each of them, and what could not be looked at in it."""

    path: bytes
    facts: Sequence[int | str]
    stable: bool
    entries: Sequence[Seen]
    unseen: Sequence[Unseen] = ()
    digest: bytes = b""
    """Of all that the listing says: two listings with the same one say the same. Empty: it is always compared name by name"""

    def slices(self, names: int) -> Iterator[tuple["Listing", bytes, bytes]]:
        """Parts of so many names, each with the name it comes after and the last one that belongs to it."""
        entries, after = sorted(self.entries, key=lambda entry: entry.path), b""
        for start in range(0, len(entries), names):
            part = entries[start : start + names]
            upto = part[-1].path.rpartition(b"/")[2] if start + names < len(entries) else LAST_NAME
            unseen = [one for one in self.unseen if after < one.path.rpartition(b"/")[2] <= upto]
            yield replace(self, entries=part, unseen=unseen), after, upto
            after = upto


def told_digest(entries: Sequence[Seen]) -> bytes:
    """Of a directory whose storage makes none."""
    told = [(_name(entry.path), entry.facts) for entry in entries]
    return blake2b(repr(sorted(told)).encode(), digest_size=16).digest()


LAST_NAME = b"\xff" * 1025
"""Comes after every name"""


@dataclass(frozen=True, slots=True)
class ComparedListing:
    sightings: Sequence[Sighting]
    """What differs, or may"""
    same: bool
    """All of it is as the record has it, and the record has read it itself"""
    strangers: Sequence[bytes]
    """The directories in it that are not those that the record has at their names"""
    turned: Sequence[bytes] = ()
    """Where the record has a node of another kind, or two were told: in a bucket both can lie there"""


def compare(listing: Listing, within: int | None, children: Iterable[BelievedChild]) -> ComparedListing:
    known = {child.name: child for child in children}
    sightings = [one for entry in listing.entries if (one := _sighting(listing, entry, within, known)) is not None]
    told = {entry.path for entry in listing.entries} | {one.path for one in listing.unseen}
    for child in known.values():
        path = _below(listing.path, child.name)
        if path not in told:
            sightings.append(Sighting(path, SightState.ABSENT, within=within, stable=listing.stable))
    sightings += [_unseen(one, within) for one in listing.unseen if one.path != listing.path]
    turned = _turned(listing, known, twice=len(told) < len(listing.entries) + len(listing.unseen))
    return ComparedListing(sightings, not sightings and within is not None, _strangers(listing, known), turned)


def _turned(listing: Listing, known: Mapping[bytes, BelievedChild], *, twice: bool) -> list[bytes]:
    kinds = {name: child.kind for name, child in known.items()}
    turned = [entry.path for entry in listing.entries if kinds.get(_name(entry.path), entry.kind) != entry.kind]
    if twice:
        turned += [path for path, times in Counter(entry.path for entry in listing.entries).items() if times > 1]
    return turned


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def is_at(child: BelievedChild, entry: Seen) -> bool:
    """The directory that the record has at this name lies there."""
    return child.kind == NodeKind.DIRECTORY and child.facts[:3] == tuple(entry.facts[:3])


def _strangers(listing: Listing, known: Mapping[bytes, BelievedChild]) -> list[bytes]:
    return [
        entry.path
        for entry in listing.entries
        if entry.kind == NodeKind.DIRECTORY
        and ((child := known.get(_name(entry.path))) is None or not is_at(child, entry))
    ]


def _sighting(
    listing: Listing, entry: Seen, within: int | None, known: Mapping[bytes, BelievedChild]
) -> Sighting | None:
    child = known.get(_name(entry.path))
    if child is not None and child.kind == entry.kind and _as_read(child, entry):
        return None
    return Sighting(
        entry.path, SightState.SEEN, entry.kind, entry.facts, None, within, listing.stable, target=entry.target
    )


def _as_read(child: BelievedChild, entry: Seen) -> bool:
    directory = entry.kind == NodeKind.DIRECTORY
    return (
        child.at_rest and bool(child.facts) and same_facts(child.facts, entry.facts, directory=directory, proven=True)
    )


def _unseen(one: Unseen, within: int | None) -> Sighting:
    return Sighting(one.path, SightState.UNREADABLE, within=within, code=one.code, message=one.message)


def _below(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
