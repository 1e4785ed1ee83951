"""An intent, as stored in a command's row, read back as the task an executor understands."""

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Step, Task
from schema.commands import intents
from schema.commands.intents import (
    Changes,
    Create,
    Describe,
    Facts,
    Move,
    Nothing,
    RefusedIntent,
    Replace,
    Restore,
    Revive,
    expected_of,
    is_tree,
)
from schema.paths import NodePath
from schema.store.record import Row


def task_of(row: Row, *, first: bool = False) -> Task | None:
    """None for a command that has nothing to do on the storage.

    `first`: no process can have acted on this intent yet. The row's attempt does not tell: it also counts attempts that failed
    before, each with an intent of its own.
    """
    intent = row.intent
    if isinstance(intent, Nothing | Describe):
        return None
    # A refused command never acted; what is left of it is what a failed create leaves: its stage.
    step = Step.CREATE if isinstance(intent, RefusedIntent | Revive) else Step(intent.step)
    at = _at(row)
    replaced = intent.replaced if isinstance(intent, Move) else None
    return Task(
        command=row.id,
        step=step,
        path=row.path if step is Step.MOVE else at,
        stage=intent.stage,
        staged=_identity(intent.staged),
        expected=_identity(expected_of(intent)),
        trash=intent.trash,
        attempt=1 if first else 2,
        target=at if step is Step.MOVE else None,
        replaced=_identity(replaced.expected) if replaced else None,
        tree=is_tree(intent),
        place=bytes.fromhex(intent.place) if isinstance(intent, Restore) else None,
        items=row.by_item,
        expected_sha256=_digest(intent.before.sha256 if isinstance(intent, Replace | Changes) else None),
        replaced_sha256=_digest(replaced.sha256 if replaced else None),
        borrowed=intent.borrowed,
        proven=intent.heal is not None,
    )


def _at(row: Row) -> NodePath:
    """Where something appears."""
    intent = row.intent
    at = intent.at if isinstance(intent, Create | Replace | Move | Restore) else None
    return row.path if at is None else NodePath(bytes.fromhex(at))


def departure_of(row: Row, *, items: bool = False) -> Task:
    """The source of a move to another mount, which goes to the trash once it is recorded as gone: a directory with all
    below it, in one step or item by item."""
    departs = intents.departure_of(row.intent)
    assert departs is not None, "only a move to another mount has a source that goes"
    return Task(
        command=row.id,
        step=Step.DELETE,
        path=NodePath(bytes.fromhex(departs.path)),
        expected=_identity(departs.expected),
        trash=departs.trash,
        attempt=2,
        tree=departs.tree,
        items=items,
        expected_sha256=_digest(departs.sha256),
    )


def _digest(sha256: str | None) -> bytes | None:
    return bytes.fromhex(sha256) if sha256 else None


def _identity(facts: Facts | None) -> Identity | None:
    return Identity.of_facts(facts) if facts else None
