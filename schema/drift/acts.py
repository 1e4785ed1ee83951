"""What becomes of conclusions under a mount's policy: acts on nodes, and findings for people. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from schema.drift.judge import Conclusion, DriftVerdict, Parent, missed
from schema.drift.looks import LookPlace
from schema.drift.policy import HEALING, DriftAction, Phase, Policy
from schema.drift.sightings import Believed, Sighting, unchanged
from schema.nodes import NodeKind, NodeState


class Deed(StrEnum):
    """What is written about one node."""

    CREATE = "create"
    CONTENT = "content"
    """The record follows what is there now, under the same node"""
    PLACE = "place"
    """The node goes where its file is"""
    STAMPS = "stamps"
    """Times, and that all is well again; no new version"""
    DOUBT = "doubt"
    """INCONSISTENT; no new version"""
    MISS = "miss"
    """MISSING"""
    DISPLACE = "displace"
    """MISSING, and without a name: another file has that now"""


CHANGES = (Deed.CONTENT, Deed.MISS, Deed.DISPLACE)
"""What a brake counts: nodes that are not afterwards what they were. New files and moved ones lose nothing."""


class FindingState(StrEnum):
    OPEN = "open"
    WAITING = "waiting"
    """It is decided, and waits for its heal"""
    HEALED = "healed"
    ACCEPTED = "accepted"
    IGNORED = "ignored"

    @property
    def stands(self) -> bool:
        return self in (FindingState.OPEN, FindingState.WAITING, FindingState.IGNORED)


class DriftKind(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    MISSING = "missing"
    MOVED = "moved"
    UNREADABLE = "unreadable"
    LINKED = "linked"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Act:
    deed: Deed
    sighting: Sighting
    node: Believed | None = None
    parent: Parent = 0
    missed_in: int | None = None
    content: bool = False
    """Of a node that goes elsewhere: its content is another one, too"""


@dataclass(frozen=True, slots=True)
class Report:
    """A finding that is to be opened, or renewed where it says something else by now."""

    kind: DriftKind
    path: bytes
    state: FindingState
    action: DriftAction
    node: Believed | None
    observed: Mapping[str, Any]

    @property
    def believed(self) -> Mapping[str, Any]:
        node = self.node
        if node is None:
            return {}
        return {
            "kind": node.kind, "state": node.state, "version": node.version, "sizeBytes": node.size,
            "contentHash": node.sha256.hex() if node.sha256 else None, "identity": list(node.facts),
        }  # fmt: skip


@dataclass(slots=True)
class LookOutcome:
    """All that one look makes of a mount, before any of it is written."""

    acts: list[Act] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    settled: list[bytes] = field(default_factory=list)
    """Places where all is well: findings about them are over"""
    counts: Counter[str] = field(default_factory=Counter)
    unsure: bool = False
    """Only a look at the whole mount can tell"""
    first_misses: bool = False
    """Another look has to confirm that something is gone"""

    @property
    def changes(self) -> int:
        return sum(act.deed in CHANGES for act in self.acts) + self.counts["missed"]


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a look acts."""

    policy: Policy
    generation: int
    by_hand: bool = False
    places: Sequence[LookPlace] = (LookPlace(b"", subtree=True),)
    """By hand only these are acted on, whatever else was looked at"""

    def acts_on(self, conclusion: Conclusion) -> bool:
        if self.policy.phase is Phase.ENFORCE:
            return True
        paths = [conclusion.sighting.path, *([conclusion.node.path] if conclusion.node is not None else [])]
        return self.by_hand and any(place.covers(path) for place in self.places for path in paths)


def weigh(conclusions: Sequence[Conclusion], terms: Terms) -> LookOutcome:
    """Conclusions come parents first."""
    return _Weighing(terms, conclusions).run()


class _Weighing:
    def __init__(self, terms: Terms, conclusions: Sequence[Conclusion]) -> None:
        self._terms, self._policy, self._conclusions = terms, terms.policy, conclusions
        self._out = LookOutcome()
        self._covered: set[bytes] = set()
        """Directories of which a finding, or their own state, speaks for all below them"""
        self._needed = self._directories_of_moves()

    def run(self) -> LookOutcome:
        for conclusion in self._conclusions:
            self._one(conclusion)
        return self._out

    def _directories_of_moves(self) -> set[bytes]:
        """New directories into which nodes have moved: a node follows its file, so they come into the record whatever the policy
        for new ones is."""
        needed: set[bytes] = set()
        for conclusion in self._conclusions:
            parent = conclusion.parent
            if conclusion.verdict is DriftVerdict.MOVED:
                while isinstance(parent, bytes) and parent not in needed:
                    needed.add(parent)
                    parent = parent.rpartition(b"/")[0]
        return needed

    def _one(self, conclusion: Conclusion) -> None:
        sighting = conclusion.sighting
        if sighting.above in self._covered and conclusion.verdict is not DriftVerdict.MOVED:
            if sighting.kind == NodeKind.DIRECTORY or (conclusion.node is not None and conclusion.node.is_directory):
                self._covered.add(sighting.path)
            if conclusion.verdict is not DriftVerdict.GONE:
                return
        self._VERDICTS[conclusion.verdict](self, conclusion)

    # The rows of the table

    def _same(self, conclusion: Conclusion) -> None:
        node, sighting = conclusion.node, conclusion.sighting
        assert node is not None
        self._out.settled.append(sighting.path)
        if node.state != NodeState.ACTIVE or node.missed_in is not None or not _as_stored(node, sighting):
            self._out.counts["touched"] += 1
            self._out.acts.append(Act(Deed.STAMPS, sighting, node, conclusion.parent))

    def _changed(self, conclusion: Conclusion) -> None:
        self._out.counts["changed"] += 1
        if self._does(DriftKind.CHANGED, conclusion):
            self._out.settled.append(conclusion.sighting.path)
            self._out.acts.append(Act(Deed.CONTENT, conclusion.sighting, conclusion.node, conclusion.parent))

    def _moved(self, conclusion: Conclusion) -> None:
        self._out.counts["moved"] += 1
        node, sighting = conclusion.node, conclusion.sighting
        assert node is not None
        if not self._terms.acts_on(conclusion):
            return self._report(DriftKind.MOVED, conclusion, DriftAction.ASK, FindingState.OPEN)
        content = sighting.kind == NodeKind.FILE and node.sha256 != sighting.sha256
        self._displace(conclusion)
        self._out.settled.append(sighting.path)
        self._out.acts.append(Act(Deed.PLACE, sighting, node, conclusion.parent, content=content))

    def _new(self, conclusion: Conclusion) -> None:
        self._out.counts["new"] += 1
        sighting = conclusion.sighting
        needed = sighting.path in self._needed and self._terms.acts_on(conclusion)
        if needed or self._does(DriftKind.NEW, conclusion):
            self._displace(conclusion)
            self._out.settled.append(sighting.path)
            self._out.acts.append(Act(Deed.CREATE, sighting, None, conclusion.parent))
        elif sighting.kind == NodeKind.DIRECTORY:
            self._covered.add(sighting.path)

    def _gone(self, conclusion: Conclusion) -> None:
        node, sighting = conclusion.node, conclusion.sighting
        assert node is not None
        top = sighting.above not in self._covered
        if node.is_directory:
            self._covered.add(sighting.path)
        if not self._terms.acts_on(conclusion):
            self._out.counts["missing"] += 1
            return self._report(DriftKind.MISSING, conclusion, DriftAction.ASK, FindingState.OPEN) if top else None
        after = missed(node, self._terms.generation)
        if after is None:
            self._out.counts["missed"] += 1
            self._out.first_misses = True
        elif after.state == NodeState.MISSING:
            self._out.counts["missing"] += 1
            self._out.acts.append(Act(Deed.MISS, sighting, node, conclusion.parent, node.missed_in))
            if top:
                self._stands(conclusion)
        else:
            self._out.counts["missed"] += 1
            self._out.first_misses = True
            self._out.acts.append(Act(Deed.DOUBT, sighting, node, conclusion.parent, after.missed_in))

    def _stands(self, conclusion: Conclusion) -> None:
        """What the policy says of a node that is MISSING: a finding, unless that is enough by itself. What a directory held whose
        name another file has waits for that; and what has no name itself can go back to none."""
        action, nameless = self._policy.on_missing, b"\0" in conclusion.sighting.path
        if nameless and (action in HEALING or b"\0" in conclusion.sighting.above):
            action = DriftAction.MARK
        if self._terms.acts_on(conclusion) and action in HEALING:
            self._report(DriftKind.MISSING, conclusion, DriftAction.RESTORE, FindingState.WAITING)
        elif self._terms.acts_on(conclusion) and action is DriftAction.ASK:
            self._report(DriftKind.MISSING, conclusion, action, FindingState.OPEN)
        if conclusion.node is not None and conclusion.node.is_directory:
            self._covered.add(conclusion.sighting.path)

    def _unreadable(self, conclusion: Conclusion) -> None:
        self._out.counts["unreadable"] += 1
        self._report(DriftKind.UNREADABLE, conclusion, self._policy.on_unreadable, FindingState.OPEN)

    def _damaged(self, conclusion: Conclusion) -> None:
        """No program has meant it: the record follows it on no policy, and our copy comes back if there is one."""
        self._out.counts["damaged"] += 1
        acts = self._terms.acts_on(conclusion)
        action, state = (DriftAction.RESTORE, FindingState.WAITING) if acts else (DriftAction.ASK, FindingState.OPEN)
        self._report(DriftKind.DAMAGED, conclusion, action, state)
        self._doubt(conclusion)

    def _linked(self, conclusion: Conclusion) -> None:
        self._out.counts["linked"] += 1
        self._report(DriftKind.LINKED, conclusion, DriftAction.ASK, FindingState.OPEN)
        self._doubt(conclusion)

    def _unsure(self, conclusion: Conclusion) -> None:
        self._out.unsure = True
        self._doubt(conclusion)

    def _settled(self, conclusion: Conclusion) -> None:
        self._out.settled.append(conclusion.sighting.path)

    _VERDICTS: ClassVar = {
        DriftVerdict.SAME: _same,
        DriftVerdict.CHANGED: _changed,
        DriftVerdict.REPLACED: _changed,
        DriftVerdict.MOVED: _moved,
        DriftVerdict.NEW: _new,
        DriftVerdict.GONE: _gone,
        DriftVerdict.STILL_MISSING: _stands,
        DriftVerdict.UNREADABLE: _unreadable,
        DriftVerdict.LINKED: _linked,
        DriftVerdict.DAMAGED: _damaged,
        DriftVerdict.UNSURE: _unsure,
        DriftVerdict.LEFT: _settled,
        DriftVerdict.NOTHING: _settled,
    }

    # What the policy says

    def _does(self, kind: DriftKind, conclusion: Conclusion) -> bool:
        """The record follows at once. Otherwise there is a finding, and the node is in doubt."""
        if not self._terms.acts_on(conclusion):
            self._report(kind, conclusion, DriftAction.ASK, FindingState.OPEN)
            return False
        action = self._policy.on_new if kind is DriftKind.NEW else self._policy.on_changed
        if action is DriftAction.IMPORT or (action in HEALING and _has_nothing_to_heal(conclusion)):
            return True
        if action in HEALING:
            action = DriftAction.QUARANTINE if kind is DriftKind.NEW else DriftAction.RESTORE
        state = FindingState.WAITING if action in HEALING else FindingState.OPEN
        self._report(kind, conclusion, action, state)
        self._doubt(conclusion)
        return False

    def _doubt(self, conclusion: Conclusion) -> None:
        node = conclusion.node or conclusion.displaces
        if self._terms.acts_on(conclusion) and node is not None and node.state == NodeState.ACTIVE:
            self._out.acts.append(Act(Deed.DOUBT, conclusion.sighting, node, conclusion.parent))

    def _displace(self, conclusion: Conclusion) -> None:
        if conclusion.displaces is not None:
            self._out.counts["displaced"] += 1
            self._out.acts.append(Act(Deed.DISPLACE, conclusion.sighting, conclusion.displaces, conclusion.parent))

    def _report(self, kind: DriftKind, conclusion: Conclusion, action: DriftAction, state: FindingState) -> None:
        self._out.reports.append(
            Report(
                kind,
                conclusion.sighting.path,
                state,
                action,
                conclusion.node or conclusion.displaces,
                observed(conclusion.sighting),
            )
        )


def _has_nothing_to_heal(conclusion: Conclusion) -> bool:
    """A directory in the place of a directory: our copy of one is no other. And a directory of a bucket, which is nothing but a
    name. What they hold is judged by itself."""
    node, sighting = conclusion.node, conclusion.sighting
    if sighting.kind != NodeKind.DIRECTORY:
        return False
    is_a_name = sighting.key is None and conclusion.displaces is None
    return node.is_directory if node is not None else is_a_name


def observed(sighting: Sighting) -> Mapping[str, Any]:
    """What lies there, as a finding tells it. Nothing: nothing lies there."""
    told: dict[str, Any] = {}
    if sighting.there:
        told = {"kind": sighting.kind, "identity": list(sighting.facts)}
        if sighting.facts:
            told["sizeBytes"] = int(sighting.facts[3])
        if sighting.sha256 is not None:
            told["contentHash"] = sighting.sha256.hex()
        if sighting.target is not None:
            told["target"] = sighting.target.decode("utf-8", "replace")
    if sighting.code:
        told |= {"code": sighting.code, "message": sighting.message}
    return told


def _as_stored(node: Believed, sighting: Sighting) -> bool:
    if node.is_directory:
        return list(node.facts[:3]) == list(sighting.facts[:3])
    return unchanged(node, sighting.facts) and list(node.facts[7:9]) == list(sighting.facts[7:9])
