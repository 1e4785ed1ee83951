"""An intent, as stored in a command's row, read back as the task an executor understands."""

from activities.executors.base import Identity, Step, Task
from schema.ids import CommandId
from schema.store.commands import Row


def task_of(row: Row, *, first: bool = False) -> Task | None:
    """None for a command that has nothing to do on the storage.

    `first`: nobody can have acted on this intent yet. The row's attempt does not tell: it also counts attempts that failed
    before, each with an intent of its own.
    """
    intent = row.intent
    if intent["step"] == "none":
        return None
    # A refused command never acted; what is left of it is what a failed create leaves: its stage.
    step = Step.CREATE if intent["step"] == "refused" else Step(intent["step"])
    return Task(
        command=row.id,
        step=step,
        path=row.path,
        stage=CommandId(intent["stage"]) if intent.get("stage") else None,
        staged=Identity.of_facts(intent["staged"]) if intent.get("staged") else None,
        expected=Identity.of_facts(intent["expected"]) if intent.get("expected") else None,
        trash=intent.get("trash"),
        attempt=1 if first else 2,
    )
