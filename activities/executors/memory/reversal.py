"""Takes a step back, where no other program has been there since."""

import threading

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Result, Step, Unclear
from activities.executors.memory.attempt import MemoryAttempt
from activities.executors.memory.tree import Place


def reverse(step: MemoryAttempt, guard: threading.RLock) -> Result:
    with guard:
        own, found = step.look(step.own), step.look(step.there)
        if _is_before(step, own, found):
            return Done(step.look(step.path), recognised=True)
        if not _is_after(step, own, found):
            return Unclear("Another program has been there since, so the step was not taken back.")
        if step.task.replaced:
            if own:
                step.move(step.own, step.path)
            step.move(step.path, step.there, exchange=True)
        elif step.task.step in (Step.DELETE, Step.REPLACE):
            step.move(step.own, step.there, exchange=step.task.step is Step.REPLACE)
        else:
            step.move(step.there, step.own)
        return Done(step.look(step.path))


def _is_before(step: MemoryAttempt, own: Identity | None, found: Identity | None) -> bool:
    match step.task.step:
        case Step.CREATE:
            return step.staged.same_content(own) and not _filled(step, step.own)
        case Step.REPLACE:
            return step.staged.same_content(own) and step.expected.same_content(found)
        case Step.DELETE:
            return own is None and step.expected.same_content(found)
        case Step.RESTORE:
            return step.expected.same_content(own)
        case Step.MOVE if step.task.replaced:
            both = step.expected.same_content(step.look(step.path)) and step.replaced.same_content(found)
            return both and own is None
        case Step.MOVE:
            return step.expected.same_content(own) and not step.expected.same_inode(found)


def _is_after(step: MemoryAttempt, own: Identity | None, found: Identity | None) -> bool:
    match step.task.step:
        case Step.CREATE:
            return own is None and step.staged.same_content(found) and not _filled(step, step.there)
        case Step.REPLACE:
            return step.expected.same_content(own) and step.staged.same_content(found)
        case Step.DELETE:
            return step.expected.same_content(own) and found is None
        case Step.MOVE if step.task.replaced:
            rest = [one for one in (own, step.look(step.path)) if one]
            ours = step.expected.same_content(found) and len(rest) == 1
            return ours and step.replaced.same_content(rest[0])
        case Step.MOVE | Step.RESTORE:
            return own is None and step.expected.same_content(found)


def _filled(step: MemoryAttempt, place: Place) -> bool:
    return step.staged.directory and not step.task.tree and bool(step.executor.below(place))
