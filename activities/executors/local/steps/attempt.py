"""One execution of one visible step on a local disk, whichever it is: taken, looked at again, or taken back."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from activities.executors.contract.task import Done, Result, Step, Task, Unclear
from activities.executors.local.disk import Disk, split_place, trash_name
from activities.executors.local.errors import BUSY
from activities.executors.local.steps.appear import LocalCreate, LocalReplace
from activities.executors.local.steps.ends import ROUNDS, Ends, LookAgain
from activities.executors.local.steps.move import LocalMove, MoveOnto
from activities.executors.local.steps.trash import LocalDelete, LocalRestore
from schema.paths import RESERVED


class Visible(Protocol):
    """What each step can do. All of it looks at the disk: nothing is remembered from an earlier execution."""

    def act(self) -> Result:
        """Look, act, look at what came out, put back what was not expected. Raises LookAgain while nothing is taken."""
        ...

    def is_before(self) -> bool:
        """Everything lies as it did before the step."""
        ...

    def is_after(self) -> bool:
        """Everything lies as the step left it."""
        ...

    def back(self) -> None:
        """Move what one end holds to the other. Raises FileNotFoundError, FileExistsError."""
        ...

    def forth(self) -> None: ...


def act(disk: Disk, task: Task) -> Result:
    result = _taken(disk, task)
    # What a replace took out waits in the stage until the record is committed. Nothing else leaves a trace.
    return replace(result, leaves=task.step is Step.REPLACE) if isinstance(result, Done) else result


def _taken(disk: Disk, task: Task) -> Result:
    with Ends(disk, task) as ends:
        step = _visible(ends)
        for _ in range(ROUNDS):
            with suppress(LookAgain):
                return step.act()
            ends.leave()
    return BUSY


def reverse(disk: Disk, task: Task) -> Result:
    """The step taken back. Like the step itself it looks first, and looks at what came out."""
    with Ends(disk, task) as ends:
        try:
            return _reversed(ends, _visible(ends))
        except LookAgain:
            return Unclear("The path changed while it was looked at, so the step was not taken back.")


def _reversed(ends: Ends, step: Visible) -> Result:
    if step.is_before():
        return _settled(ends, recognised=True)
    if not step.is_after():
        return Unclear("Another program has been there since, so the step was not taken back.")
    with suppress(FileNotFoundError, FileExistsError):
        step.back()
        if step.is_before():
            return _settled(ends, recognised=False)
        step.forth()
    return Unclear("Another program was there while the step was taken back, so it stands.")


def _settled(ends: Ends, recognised: bool) -> Done:
    ends.settle()
    return Done(ends.look(ends.path), recognised)


def _visible(ends: Ends) -> Visible:
    match ends.task.step:
        case Step.CREATE:
            return LocalCreate(ends)
        case Step.REPLACE:
            return LocalReplace(ends)
        case Step.DELETE:
            return LocalDelete(ends)
        case Step.MOVE:
            return LocalMove(ends) if ends.task.replaced is None else MoveOnto(ends)
        case Step.RESTORE:
            return LocalRestore(ends)


def flush(disk: Disk, tasks: Sequence[Task]) -> None:
    """Every folder whose names these steps changed, once each: first where something appears, then where it left.

    A moved directory needs no flush of its own: where it holds a "..", the file system changes that in one transaction
    with the two names. What lies below it is not touched by a move.
    """
    for folder in dict.fromkeys(folder for task in tasks for folder in _folders(task)):
        disk.sync_beneath(folder)
    if any(task.step in (Step.CREATE, Step.REPLACE) for task in tasks):
        disk.sync(disk.stage)
    days = (trash_name(task)[0] for task in tasks if task.step is Step.DELETE or task.replaced is not None)
    for day in dict.fromkeys(days):
        disk.sync_day(day)


def _folders(task: Task) -> Iterator[bytes]:
    """The folders below the root, but for the stage and the days of the trash: those are flushed by their own names."""
    if task.target is not None:
        yield task.target.parent.raw
    yield task.path.parent.raw
    if task.step is Step.RESTORE:
        folder, _ = split_place(task.place or b"")
        yield b"/".join(filter(None, (RESERVED, b"trash", folder)))
