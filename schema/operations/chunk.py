"""Which of the next items can go in one list. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from schema.nodes import NodeKind
from schema.operations.operation import CHANGED, ItemKind, ItemState, Operation, OperationItem
from schema.paths import NodePath

PATHS_MAX = 32 * 1024
"""The most bytes of paths in one list, so that what Temporal keeps of it stays small"""


def together(
    steps: Sequence[OperationItem], unfinished: Sequence[OperationItem] = (), *, room: int = 64, bytes_most: int
) -> list[OperationItem]:
    """Those that go next, at most `room`; of the files so many bytes, unless a single one has more. `steps`: in the order in
    which the operation walks. `unfinished`: of the items before the last of them those that are in flight or wait for a busy path.

    What builds on an item before it waits for that: a directory is there before what it holds, or goes after it, and a name is
    free before another node takes it. The commands of one list are decided on what was before all of them."""
    ground, taken, size, paths = _Ground(), list[OperationItem](), 0, 0
    waiting = {one.item for one in unfinished}
    for step in _walk(steps, unfinished):
        builds = ground.carries(step)
        ground.add(step)
        if builds or step.item in waiting:
            continue
        if taken and taken[0].appears_on != step.appears_on:
            break  # a list is of one mount
        size, paths = size + step.size, paths + sum(map(_written, _places(step)))
        if len(taken) == room or (taken and (size > bytes_most or paths > PATHS_MAX)):
            break
        taken.append(step)
    return taken


def alike(items: Sequence[OperationItem]) -> list[OperationItem]:
    """The first of them, and those behind it that are carried out as it is: by commands, or as records of the Metastore."""
    return list(takewhile(lambda one: (one.kind is ItemKind.TAG) is (items[0].kind is ItemKind.TAG), items))


def _walk(steps: Sequence[OperationItem], unfinished: Sequence[OperationItem]) -> list[OperationItem]:
    """What is in flight first: nothing goes where that is at work. Then all the others in the order of the steps."""
    down = len(steps) > 1 and steps[0].item > steps[-1].item
    running = [one for one in unfinished if one.state is ItemState.RUNNING]
    others = [*steps, *(one for one in unfinished if one.state is not ItemState.RUNNING)]
    return running + sorted(others, key=lambda one: one.item, reverse=down)


@dataclass(slots=True)
class _Ground:
    """Where items are that others may build on."""

    places: set[NodePath] = field(default_factory=set)
    directories: set[NodePath] = field(default_factory=set)
    above: set[NodePath] = field(default_factory=set)
    """The directories above those places"""

    def carries(self, step: OperationItem) -> bool:
        for place in _places(step):
            if place in self.places or not self.directories.isdisjoint(place.ancestors()):
                return True
            if changes_directories(step) and place in self.above:
                return True
        return False

    def add(self, step: OperationItem) -> None:
        places = _places(step)
        self.places.update(places)
        if changes_directories(step):
            self.directories.update(places)
        for place in places:
            self.above.update(place.ancestors())


def until_a_stop(
    operation: Operation, items: Sequence[OperationItem], given_up: Mapping[int, tuple[ItemState, str, str]]
) -> tuple[list[OperationItem], dict[int, tuple[ItemState, str, str]]]:
    """Where a changed item stops the operation: what comes before it goes, and the stop comes when it is the first."""
    at = next((n for n, one in enumerate(items) if given_up.get(one.item, ("", ""))[1] in CHANGED), None)
    if at is None or operation.options.on_changed != "stop" or operation.back:
        return list(items), dict(given_up)
    going = items[: max(at, 1)]
    return list(going), {one.item: given_up[one.item] for one in going if one.item in given_up}


def _written(path: NodePath) -> int:
    """About how many bytes of JSON. What is no text is written twice: for people, and exactly."""
    return len(path.raw) if path.b64 is None else 5 * len(path.raw)


def changes_directories(step: OperationItem) -> bool:
    return step.node_kind is NodeKind.DIRECTORY


def _places(item: OperationItem) -> list[NodePath]:
    return [item.path] if item.target is None else [item.path, item.target]
