"""The judge: what a look has seen, against the record as it is when the look is concluded. One table of verdicts. Pure.

Names in `code` are rules of the drift protocol. A conclusion that has to wait is not drawn; the next look draws it. What
depends on it waits, too, to the fixpoint (`together`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from schema.drift.sightings import Believed, FileKey, Record, Sighting, SightState, same_file, takes_identity, unchanged
from schema.nodes import NodeKind, NodeState

Parent = int | bytes
"""A directory of the record by its id, or a new one by its path"""
Place = tuple[Parent, bytes]


class DriftVerdict(StrEnum):
    NOTHING = "nothing"
    """Neither the record nor the storage has anything here"""
    SAME = "same"
    """The node's own file, with the content that the record has; its times may be other ones"""
    CHANGED = "changed"
    """The node's own file, with other content"""
    REPLACED = "replaced"
    """Another file lies at the node's name, and the node's own is nowhere: the name goes on"""
    MOVED = "moved"
    """The file of a node that had another place"""
    NEW = "new"
    LEFT = "left"
    """The node's file is elsewhere: what becomes of the node is decided where its file arrived"""
    GONE = "gone"
    STILL_MISSING = "still_missing"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    """Other bytes, and nothing else says that the file was written to"""
    LINKED = "linked"
    """Another name of a file that is a node already, or of one that is not: one file is one node"""
    UNSURE = "unsure"
    """Only a look that covers every place can tell what has become of the node"""


@dataclass(frozen=True, slots=True)
class Conclusion:
    verdict: DriftVerdict
    sighting: Sighting
    parent: Parent
    node: Believed | None = None
    displaces: Believed | None = None
    """The node that had this name, and whose file is nowhere: it becomes MISSING and gives its name up (`noname`)."""


@dataclass(frozen=True, slots=True)
class Judgement:
    conclusions: Sequence[Conclusion]
    """Directories come before what they hold"""
    waiting: Sequence[bytes]
    """Places of which nothing could be said now"""


@dataclass(frozen=True, slots=True)
class Scope:
    """`whole`: every place of the mount was looked at, and no directory changed meanwhile but those that sightings name."""

    whole: bool


_ENTERED = (
    DriftVerdict.SAME,
    DriftVerdict.REPLACED,
    DriftVerdict.MOVED,
    DriftVerdict.NEW,
    DriftVerdict.GONE,
    DriftVerdict.STILL_MISSING,
    DriftVerdict.UNSURE,
)
"""Of a directory: what is below it can be judged"""
_PASSES = 20


def judge(sightings: Iterable[Sighting], record: Record, scope: Scope) -> Judgement:
    ordered = sorted(sightings, key=lambda sighting: (sighting.depth, sighting.path))
    looked: dict[Place, Sighting] = {(one.within, one.name): one for one in ordered if one.within is not None}
    for _ in range(_PASSES):
        # Where a directory went decides which node a name below it means; and whether a node has left its name decides whether
        # it moved. So all names are placed again until that changes nothing.
        run = _Pass(ordered, record, scope, looked)
        run.judge()
        if run.placed.keys() == looked.keys():
            break
        looked = run.placed
    run.wait_together()
    kept = [run.acts[sighting.path] for sighting in ordered if sighting.path in run.acts]
    waiting = [sighting.path for sighting in ordered if sighting.path not in run.acts]
    return Judgement(kept, waiting)


class _Pass:
    def __init__(
        self, ordered: Sequence[Sighting], record: Record, scope: Scope, looked: Mapping[Place, Sighting]
    ) -> None:
        self._ordered, self._record, self._whole, self._looked = ordered, record, scope.whole, looked
        self._by_path = {sighting.path: sighting for sighting in ordered}
        self._seen: defaultdict[FileKey, list[Sighting]] = defaultdict(list)
        for sighting in ordered:
            if sighting.there and sighting.key is not None:
                # `whose`: a file that changes still says whose it is.
                self._seen[sighting.key].append(sighting)
        self._at: dict[tuple[int | None, bytes], Believed] = {}
        self._owners: defaultdict[FileKey, list[Believed]] = defaultdict(list)
        for node in record.nodes:
            self._at[node.parent, node.name] = node
            if node.key is not None:
                self._owners[node.key].append(node)  # `revive`: missing nodes too
        self.acts: dict[bytes, Conclusion] = {}
        self.placed: dict[Place, Sighting] = {}
        self._needs: dict[bytes, tuple[bytes, int]] = {}
        """Of a name: the other name at which this node has to arrive in the same commit"""

    def judge(self) -> None:
        for sighting in self._ordered:
            parent = self._parent(sighting)
            if parent is None:
                continue
            self.placed[parent, sighting.name] = sighting
            if (act := self._one(sighting, parent)) is not None:
                self.acts[sighting.path] = act

    def _parent(self, sighting: Sighting) -> Parent | None:
        """The directory this name is in. None: what that is can not be said now."""
        above = self._by_path.get(sighting.above)
        if above is None or not above.path:
            return sighting.within
        act = self.acts.get(above.path)
        if act is None or act.verdict not in _ENTERED:
            return None
        if sighting.there and above.kind != NodeKind.DIRECTORY:
            return None  # what was a directory when this was seen in it is none any more
        if act.verdict is DriftVerdict.NEW:
            return above.path
        # A file that the record has at the name of a directory can hold nothing: what becomes of it is not said yet.
        return act.node.id if act.node is not None and act.node.is_directory else None

    # One name

    def _one(self, sighting: Sighting, parent: Parent) -> Conclusion | None:
        here = self._at.get((parent, sighting.name)) if isinstance(parent, int) else None
        if not sighting.path:
            return None
        if sighting.waits or (here is not None and here.busy):
            return None  # `claimed`, `since`, `version`
        if sighting.state is SightState.ABSENT:
            return self._absent(sighting, parent, here)
        if sighting.state is SightState.UNREADABLE:
            own = here if here is not None and here.path == sighting.path else None  # a key that is no path has no node
            return Conclusion(DriftVerdict.UNREADABLE, sighting, parent, own)
        if sighting.state is SightState.CHANGING:
            return None
        if sighting.key is not None and sighting.key in self._record.held:
            return None  # `intent`
        return self._present(sighting, parent, here)

    def _absent(self, sighting: Sighting, parent: Parent, here: Believed | None) -> Conclusion | None:
        if here is None:
            return Conclusion(DriftVerdict.NOTHING, sighting, parent)
        arrived = self._elsewhere(here, sighting)
        if arrived is not None:
            self._needs[sighting.path] = arrived.path, here.id
            return Conclusion(DriftVerdict.LEFT, sighting, parent, here)
        if here.is_missing:
            return Conclusion(DriftVerdict.STILL_MISSING, sighting, parent, here)
        if not sighting.stable:
            return None  # `stable`
        return Conclusion(DriftVerdict.GONE if self._whole else DriftVerdict.UNSURE, sighting, parent, here)  # `wide`

    def _present(self, sighting: Sighting, parent: Parent, here: Believed | None) -> Conclusion | None:
        if here is not None and same_file(here, sighting):
            return Conclusion(_content(here, sighting), sighting, parent, here)
        owner = self._owner(sighting)
        if owner is not None and owner.busy:
            return None
        if owner is None and len(self._places(sighting)) > 1:
            return self._linked(sighting, parent, here)  # `both_ends`
        if owner is None and here is not None and takes_identity(here, sighting):
            return Conclusion(DriftVerdict.SAME, sighting, parent, here)  # `adopt`
        if owner is not None and not self._left(owner, sighting):
            return self._linked(sighting, parent, here)
        arrived = self._elsewhere(here, sighting) if here is not None else None
        if arrived is not None and here is not None:
            self._needs[sighting.path] = arrived.path, here.id
            here = None
        if here is not None and not (self._whole and sighting.stable):
            return None if here.is_missing else Conclusion(DriftVerdict.UNSURE, sighting, parent, here)
        if owner is not None:
            return Conclusion(DriftVerdict.MOVED, sighting, parent, owner, here)
        if here is None:
            return Conclusion(DriftVerdict.NEW, sighting, parent)
        if here.kind != sighting.kind:
            return Conclusion(DriftVerdict.NEW, sighting, parent, None, here)
        return Conclusion(DriftVerdict.REPLACED, sighting, parent, here)

    def _linked(self, sighting: Sighting, parent: Parent, here: Believed | None) -> Conclusion | None:
        """Two names of one file, for good; or a file that was renamed under our eyes, or from where nothing was looked at: that
        waits."""
        certain = self._whole or len(self._places(sighting)) > 1
        if certain and sighting.links > 1 and sighting.kind != NodeKind.DIRECTORY:
            return Conclusion(DriftVerdict.LINKED, sighting, parent, here)
        return None

    # Which file is whose

    def _places(self, sighting: Sighting) -> list[Sighting]:
        return self._seen[sighting.key] if sighting.key is not None else [sighting]

    def _elsewhere(self, node: Believed, sighting: Sighting) -> Sighting | None:
        """Where the node's own file was seen, if not here (`id_first`)."""
        places = self._seen.get(node.key, []) if node.key is not None else []
        return next((one for one in places if one.path != sighting.path and one.kind == node.kind), None)

    def _owner(self, sighting: Sighting) -> Believed | None:
        """The node whose file this is, as the record is now (`now`); of several, one that is not at its own name any more."""
        owners = [o for o in self._owners.get(sighting.key, ()) if o.kind == sighting.kind] if sighting.key else []
        return next((owner for owner in owners if self._left(owner, sighting)), owners[0] if owners else None)

    def _left(self, owner: Believed, sighting: Sighting) -> bool:
        """The owner is not at its own name: that was looked at, and the file is nowhere else."""
        if len(self._places(sighting)) > 1:
            return False
        if owner.is_missing:
            return True
        own = self._looked.get((owner.parent, owner.name)) if owner.parent is not None else None
        return own is not None and own.path != sighting.path and own.state in (SightState.ABSENT, SightState.SEEN)

    # Who waits for another that waits

    def wait_together(self) -> None:
        """`together`: to the fixpoint. A swap is a circle, and passes whole."""
        while out := [path for path, act in self.acts.items() if not self._may_stay(path, act)]:
            for path in out:
                del self.acts[path]

    def _may_stay(self, path: bytes, act: Conclusion) -> bool:
        above = self._by_path.get(act.sighting.above) if path else None
        if above is not None and above.path and above.path not in self.acts:
            return False
        if path not in self._needs:
            return True
        other, node = self._needs[path]
        arrival = self.acts.get(other)
        return (
            arrival is not None
            and arrival.verdict is DriftVerdict.MOVED
            and arrival.node is not None
            and arrival.node.id == node
        )


def _content(node: Believed, sighting: Sighting) -> DriftVerdict:
    """`hash_decides`: another ctime is no drift by itself."""
    if sighting.kind != "file":
        return DriftVerdict.SAME
    if sighting.key is None and not sighting.sha256:
        return DriftVerdict.SAME if list(node.facts[9:10]) == list(sighting.facts[9:10]) else DriftVerdict.CHANGED
    if node.sha256 is None and list(node.facts[3:5]) == list(sighting.facts[3:5]):
        return DriftVerdict.SAME  # nobody has read it yet: there is no content that it could differ from
    if node.sha256 == sighting.sha256:
        return DriftVerdict.SAME
    return DriftVerdict.DAMAGED if unchanged(node, sighting.facts) else DriftVerdict.CHANGED


def missed(node: Believed, generation: int) -> Believed | None:
    """What becomes of a node that is gone: INCONSISTENT after the first look that misses it, MISSING after another one
    (`twice`, `gen`). None: this very look has said so already."""
    if node.missed_in is None or node.state == NodeState.ACTIVE:
        return replace(node, state=NodeState.INCONSISTENT.value, missed_in=generation)
    if node.missed_in == generation:
        return None
    return replace(node, state=NodeState.MISSING.value)


def lost(sightings: Iterable[Sighting], record: Record) -> list[tuple[Believed, bytes]]:
    """The directories that are nowhere any more: what they held was not listed, and is to be judged as absent. Each with the
    path by which its entries go: where another file has the name, that is one that no file can have."""
    seen = {sighting.key for sighting in sightings if sighting.there}
    at = {(node.parent, node.name): node for node in record.nodes}
    owned = {node.key for node in record.nodes if node.key is not None and node.is_directory}
    tops = [(node, node.path) for node in record.nodes if node.is_missing and b"\0" in node.path]
    for sighting in sightings:
        node = at.get((sighting.within, sighting.name)) if sighting.within is not None else None
        if node is None or same_file(node, sighting):
            continue
        if not sighting.there:
            tops.append((node, sighting.path))
        elif sighting.kind != NodeKind.DIRECTORY or sighting.key in owned:
            tops.append((node, nameless(node)))
    return [(node, path) for node, path in tops if node.is_directory and node.key not in seen]


def nameless(node: Believed) -> bytes:
    """The path of a node that gave its name up: no file system takes a NUL in a name."""
    return node.path if b"\0" in node.name else node.path + b"\0%d" % node.id
