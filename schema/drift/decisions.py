"""What a person may decide about a finding, and what follows from it. Pure."""

from collections.abc import Mapping
from enum import StrEnum

from schema.drift.acts import DriftKind
from schema.errors import InvalidRequest


class DriftDecision(StrEnum):
    ACCEPT = "accept"
    """What lies there is right: the record follows it"""
    RESTORE = "restore"
    """What the record says is right: our copy goes back"""
    QUARANTINE = "quarantine"
    """What lies there goes out of the way, and is kept"""
    IGNORE = "ignore"
    """Neither: the place is left alone, up to a time"""


_FITTING: Mapping[DriftKind, frozenset[DriftDecision]] = {
    DriftKind.NEW: frozenset({DriftDecision.ACCEPT, DriftDecision.QUARANTINE, DriftDecision.IGNORE}),
    DriftKind.CHANGED: frozenset({DriftDecision.ACCEPT, DriftDecision.RESTORE, DriftDecision.IGNORE}),
    DriftKind.MISSING: frozenset({DriftDecision.ACCEPT, DriftDecision.RESTORE, DriftDecision.IGNORE}),
    DriftKind.MOVED: frozenset({DriftDecision.ACCEPT, DriftDecision.IGNORE}),
    DriftKind.UNREADABLE: frozenset({DriftDecision.IGNORE}),
    DriftKind.DAMAGED: frozenset({DriftDecision.ACCEPT, DriftDecision.RESTORE, DriftDecision.IGNORE}),
    DriftKind.LINKED: frozenset({DriftDecision.IGNORE}),
}


def check_fits(kind: DriftKind, decision: DriftDecision) -> None:
    """Raises InvalidRequest."""
    if decision not in _FITTING[kind]:
        fitting = ", ".join(sorted(_FITTING[kind]))
        raise InvalidRequest(f"A finding of the kind {kind.value!r} can not be decided so. It takes: {fitting}.")
