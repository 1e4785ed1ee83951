"""An intent, as stored in a command's row, read back as the task an executor understands."""

from activities.executors.base import Identity, Step, Task
from schema.ids import CommandId
from schema.paths import NodePath
from schema.store.record import Row


def task_of(row: Row, *, first: bool = False) -> Task | None:
    """None for a command that has nothing to do on the storage.

    `first`: nobody can have acted on this intent yet. The row's attempt does not tell: it also counts attempts that failed
    before, each with an intent of its own.
    """
    intent = row.intent
    if intent["step"] in ("none", "describe"):
        return None
    # A refused command never acted; what is left of it is what a failed create leaves: its stage.
    step = Step.CREATE if intent["step"] == "refused" else Step(intent["step"])
    at = NodePath(bytes.fromhex(intent["at"])) if "at" in intent else row.path
    return Task(
        command=row.id,
        step=step,
        path=row.path if step is Step.MOVE else at,
        stage=CommandId(intent["stage"]) if intent.get("stage") else None,
        staged=_identity(intent.get("staged")),
        expected=_identity(intent.get("expected")),
        trash=intent.get("trash"),
        attempt=1 if first else 2,
        target=at if step is Step.MOVE else None,
        replaced=_identity(intent["replaced"]["expected"]) if "replaced" in intent else None,
        tree=bool(intent.get("tree")),
        place=bytes.fromhex(intent["place"]) if step is Step.RESTORE else None,
        items=row.by_item,
        lent=bool(intent.get("lent")),
    )


def departure_of(row: Row, *, items: bool = False) -> Task:
    """The source of a move to another mount, which goes to the trash once it is recorded as gone: a directory with all
    below it, in one step or item by item."""
    departs = row.intent["departs"]
    return Task(
        command=row.id,
        step=Step.DELETE,
        path=NodePath(bytes.fromhex(departs["path"])),
        expected=_identity(departs["expected"]),
        trash=departs["trash"],
        attempt=2,
        tree=departs["tree"],
        items=items,
    )


def _identity(facts: list[int | str] | None) -> Identity | None:
    return Identity.of_facts(facts) if facts else None
