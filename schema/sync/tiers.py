"""Where the content of an object is: the states that its row can have, and every move between them.

    absent -> hot -> hot_cold -> evicting -> cold -> (restoring ->) rehydrating -> hot_cold
    hot, hot_cold, cold, missing -> condemned -> deleting -> absent

A move is a compare-and-set on the row: it holds only from the states it names. What it allows to do to a copy is done after it and
before the next one, so a process that dies in between leaves a state that says what may be half done. `schema/store/objects.py`
writes no state but by these moves; `tests/unit/sync/test_tiers.py` explores them with every process dying at every step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Tier(StrEnum):
    ABSENT = "absent"
    """There is no row"""
    HOT = "hot"
    """In the hot store alone: not archived yet"""
    HOT_COLD = "hot_cold"
    EVICTING = "evicting"
    """The cold copy is verified and the hot one deleted, in this order; it may be in either place"""
    COLD = "cold"
    RESTORING = "restoring"
    """The cold store brings it back from an archive class"""
    REHYDRATING = "rehydrating"
    """Cold, and on its way into the hot store"""
    MISSING = "missing"
    """It was looked for and is in neither store; a node that has it is asked for it"""
    CONDEMNED = "condemned"
    """Nothing refers to it; a commit that does brings it back as it was"""
    DELETING = "deleting"
    """Its copies are being deleted: there is no way back, and who has the content puts it anew afterwards"""


class TierMove(StrEnum):
    PUT_HOT = "put_hot"
    PUT_COLD = "put_cold"
    ARCHIVED = "archived"
    EVICT = "evict"
    EVICTED = "evicted"
    EVICT_REFUSED = "evict_refused"
    """The cold copy was not what it should be: the hot one stays, and is archived anew"""
    RESTORE = "restore"
    REHYDRATE = "rehydrate"
    REHYDRATED = "rehydrated"
    REHYDRATE_FAILED = "rehydrate_failed"
    HOT_LOST = "hot_lost"
    COLD_LOST = "cold_lost"
    CONDEMN = "condemn"
    RESCUE = "rescue"
    DELETE = "delete"
    DELETED = "deleted"


HAS_HOT = frozenset({Tier.HOT, Tier.HOT_COLD})
"""The hot copy may be relied on, for as long as the hot store keeps its data"""
HAS_COLD = frozenset({Tier.HOT_COLD, Tier.EVICTING, Tier.COLD, Tier.RESTORING, Tier.REHYDRATING})
"""The cold copy was verified when it was made"""
LIVE = HAS_HOT | HAS_COLD
"""A commit may refer to it"""

_T = Tier
MOVES: Mapping[TierMove, Mapping[Tier, Tier]] = {
    TierMove.PUT_HOT: {_T.ABSENT: _T.HOT, _T.MISSING: _T.HOT, _T.COLD: _T.HOT_COLD},
    TierMove.PUT_COLD: {_T.ABSENT: _T.COLD, _T.MISSING: _T.COLD, _T.HOT: _T.HOT_COLD},
    TierMove.ARCHIVED: {_T.HOT: _T.HOT_COLD},
    TierMove.EVICT: {_T.HOT_COLD: _T.EVICTING},
    TierMove.EVICTED: {_T.EVICTING: _T.COLD},
    TierMove.EVICT_REFUSED: {_T.EVICTING: _T.HOT},
    TierMove.RESTORE: {_T.COLD: _T.RESTORING},
    TierMove.REHYDRATE: {_T.COLD: _T.REHYDRATING, _T.RESTORING: _T.REHYDRATING},
    TierMove.REHYDRATED: {_T.REHYDRATING: _T.HOT_COLD},
    TierMove.REHYDRATE_FAILED: {_T.REHYDRATING: _T.COLD, _T.RESTORING: _T.COLD},
    TierMove.HOT_LOST: {_T.HOT: _T.MISSING, _T.HOT_COLD: _T.COLD},
    TierMove.COLD_LOST: {_T.HOT_COLD: _T.HOT, _T.COLD: _T.MISSING},
    TierMove.CONDEMN: {tier: _T.CONDEMNED for tier in (_T.HOT, _T.HOT_COLD, _T.COLD, _T.MISSING)},
    TierMove.DELETE: {_T.CONDEMNED: _T.DELETING},
    TierMove.DELETED: {_T.DELETING: _T.ABSENT},
}
"""By move, from which state to which. A rescue alone is not here: it leads back to the state the row was in."""


@dataclass(frozen=True, slots=True)
class TierStanding:
    """A row. `was`: of a condemned one, what it is again if it is needed after all."""

    tier: Tier = Tier.ABSENT
    was: Tier = Tier.ABSENT


def moved(standing: TierStanding, move: TierMove) -> TierStanding | None:
    """None: the row is in no state that this move begins from."""
    if move is TierMove.RESCUE:
        return TierStanding(standing.was) if standing.tier is Tier.CONDEMNED else None
    target = MOVES[move].get(standing.tier)
    if target is None:
        return None
    return TierStanding(target, standing.tier if move is TierMove.CONDEMN else Tier.ABSENT)


def begins_from(move: TierMove) -> list[Tier]:
    return [Tier.CONDEMNED] if move is TierMove.RESCUE else list(MOVES[move])
