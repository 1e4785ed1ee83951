"""What a node has to do: its own tree, the project's and the last one they agreed on in; steps for each side out.

The steps of a side lead from what it is to what both become. They may be done in part, in any number of rounds: the next plan
begins from what is there then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from schema.sync.merge import Clash, ConflictRule, merge
from schema.sync.trees import Tree, TreeEntry, ancestors, deep_first, parent_of, shallow_first


class StepKind(StrEnum):
    DELETE = "delete"
    """A file, or a directory that is empty by then"""
    MKDIR = "mkdir"
    """Or give a directory other permissions"""
    PUT = "put"
    MOVE = "move"
    """A file of the same content leaves `source`"""


@dataclass(frozen=True, slots=True)
class SyncStep:
    """`before`: what stood at the path when this was planned; a step on anything else is not taken. `base`: what was agreed."""

    kind: StepKind
    path: bytes
    before: TreeEntry | None = None
    after: TreeEntry | None = None
    base: TreeEntry | None = None
    source: bytes | None = None


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """`local`: what this node does to its folder. `remote`: what it commits. Each in an order in which it can be done."""

    local: Sequence[SyncStep]
    remote: Sequence[SyncStep]
    clashes: Sequence[Clash]
    held: Collection[bytes]

    @property
    def empty(self) -> bool:
        return not self.local and not self.remote


def plan(local: Tree, remote: Tree, agreed: Tree, rule: ConflictRule, node: str) -> SyncPlan:
    merged = merge(local, remote, agreed, rule, node)
    here = _steps(local, merged.target, agreed, merged.held)
    there = _steps(remote, merged.target, agreed, merged.held)
    return SyncPlan(with_moves(here), with_moves(there), merged.clashes, merged.held)


def _steps(side: Tree, target: Tree, agreed: Tree, held: Collection[bytes]) -> list[SyncStep]:
    """Deletions first, the deepest before what holds them: a name may be a file's on one side and a directory's on the other."""
    changed = {path for path in side.keys() | target.keys() if side.get(path) != target.get(path) and path not in held}

    def steps(kind: StepKind, paths: Sequence[bytes]) -> list[SyncStep]:
        return [
            SyncStep(kind, path, _before(side, target, path, kind), target.get(path), agreed.get(path))
            for path in paths
        ]

    gone = [path for path in changed if _goes(side.get(path), target.get(path))]
    folders = [path for path in changed if path in target and target[path].directory]
    files = [path for path in changed if path in target and not target[path].directory]
    steps_of_all = steps(StepKind.DELETE, deep_first(gone)) + steps(StepKind.MKDIR, shallow_first(folders))
    return steps_of_all + steps(StepKind.PUT, sorted(files))


def _before(side: Tree, target: Tree, path: bytes, kind: StepKind) -> TreeEntry | None:
    """What was of another kind is deleted by then."""
    before = side.get(path)
    return None if kind is not StepKind.DELETE and _goes(before, target.get(path)) else before


def _goes(before: TreeEntry | None, after: TreeEntry | None) -> bool:
    return before is not None and (after is None or before.kind is not after.kind)


def with_moves(steps: Sequence[SyncStep]) -> list[SyncStep]:
    """A file that goes at one path and comes at another with the same content was moved: no byte has to travel. One that makes
    room for what comes in its place moves aside before all else: its content may be nowhere else."""
    reused = {step.path for step in steps if step.kind is StepKind.DELETE and step.after is not None}
    asides, steps = _asides(steps, reused)
    left = {_sha(step.before): step for step in steps if _leaves(step)}
    moved: dict[bytes, SyncStep] = {}
    for step in steps:
        if _appears(step, reused) and step.after and (gone := left.pop(step.after.sha, None)):
            moved[step.path] = gone
    return asides + _ordered([_moved(step, moved) for step in steps], {gone.path for gone in moved.values()})


def _asides(steps: Sequence[SyncStep], reused: Collection[bytes]) -> tuple[list[SyncStep], list[SyncStep]]:
    """The moves, and the other steps, to which their places look empty."""
    replaced = {(parent_of(step.path), _sha(step.before)): step for step in steps if _makes_room(step)}
    moves: dict[bytes, SyncStep] = {}
    for step in steps:
        if (
            _appears(step, reused)
            and step.after
            and (room := replaced.pop((parent_of(step.path), step.after.sha), None))
        ):
            moves[step.path] = SyncStep(StepKind.MOVE, step.path, None, step.after, step.base, room.path)
    emptied = {move.source for move in moves.values()}
    rest = [step for step in steps if step.path not in moves]
    rest = [step for step in rest if not (step.kind is StepKind.DELETE and step.path in emptied)]
    return list(moves.values()), [replace(step, before=None) if step.path in emptied else step for step in rest]


def _sha(entry: TreeEntry | None) -> str:
    return entry.sha if entry is not None else ""


def _makes_room(step: SyncStep) -> bool:
    """A file stands where something else is to stand."""
    before, after = step.before, step.after
    return before is not None and not before.directory and after is not None and after.sha != before.sha


def _appears(step: SyncStep, reused: Collection[bytes]) -> bool:
    """`reused`: the names that something of another kind has to leave first."""
    return step.kind is StepKind.PUT and step.before is None and step.path not in reused


def _leaves(step: SyncStep) -> bool:
    return step.kind is StepKind.DELETE and step.after is None and step.before is not None and not step.before.directory


def _moved(step: SyncStep, moved: Mapping[bytes, SyncStep]) -> SyncStep:
    gone = moved.get(step.path) if step.kind is StepKind.PUT else None
    if gone is None:
        return step
    return SyncStep(StepKind.MOVE, step.path, step.before, step.after, gone.base, gone.path)


_ORDER: Mapping[StepKind, int] = {StepKind.DELETE: 0, StepKind.MKDIR: 1, StepKind.MOVE: 2, StepKind.PUT: 4}
_LATE = 3
"""A directory goes after the files that move out of it"""


def _ordered(steps: Sequence[SyncStep], sources: Collection[bytes]) -> list[SyncStep]:
    above = {directory for source in sources for directory in ancestors(source)}

    def place(step: SyncStep) -> int:
        return _LATE if step.kind is StepKind.DELETE and step.path in above else _ORDER[step.kind]

    kept = [step for step in steps if not (step.kind is StepKind.DELETE and step.path in sources)]
    return sorted(kept, key=place)


def settled(local: Tree, remote: Tree, agreed: Tree) -> dict[bytes, TreeEntry]:
    """What is agreed on now: where both sides are the same, that; elsewhere what was agreed before."""
    kept = {path: entry for path, entry in agreed.items() if local.get(path) != remote.get(path)}
    return kept | {path: entry for path, entry in local.items() if remote.get(path) == entry}
