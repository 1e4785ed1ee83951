"""Which of the next items can go in one list. Pure."""

from collections.abc import Mapping, Sequence

from schema.nodes import NodeKind
from schema.operations.operation import CHANGED, ItemState, Operation, OperationItem
from schema.paths import NodePath


def together(steps: Sequence[OperationItem], *, bytes_most: int) -> list[OperationItem]:
    """As many from the front as do not build on each other and have so many bytes together; one at least.

    A directory comes before what it holds, or after it when it goes, and a name is free before another node takes it: the
    commands of one list are decided on what was before all of them."""
    taken, size = list[OperationItem](), 0
    for step in steps:
        size += step.size
        if taken and (size > bytes_most or any(_builds(step, other) for other in taken)):
            break
        taken.append(step)
    return taken


def until_a_stop(
    operation: Operation, items: Sequence[OperationItem], given_up: Mapping[int, tuple[ItemState, str, str]]
) -> tuple[list[OperationItem], dict[int, tuple[ItemState, str, str]]]:
    """Where a changed item stops the operation: what comes before it goes, and the stop comes when it is the first."""
    at = next((n for n, one in enumerate(items) if given_up.get(one.item, ("", ""))[1] in CHANGED), None)
    if at is None or operation.options.on_changed != "stop" or operation.back:
        return list(items), dict(given_up)
    going = items[: max(at, 1)]
    return list(going), {one.item: given_up[one.item] for one in going if one.item in given_up}


def changes_directories(step: OperationItem) -> bool:
    return step.node_kind is NodeKind.DIRECTORY


def _builds(one: OperationItem, other: OperationItem) -> bool:
    return _above(one, other) or _above(other, one) or not set(_places(one)).isdisjoint(_places(other))


def _above(one: OperationItem, other: OperationItem) -> bool:
    """`one` changes a directory, and `other` something below it."""
    return changes_directories(one) and any(below.is_below(above) for above in _places(one) for below in _places(other))


def _places(item: OperationItem) -> list[NodePath]:
    return [item.path] if item.target is None else [item.path, item.target]
