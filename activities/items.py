"""The items of a tree that goes item by item, out of a command's row and its plan. For `stage` and `finish`."""

from dataclasses import replace

from activities.commands import tasks
from activities.executors.base import Identity, Source, Step, Task
from schema import errors
from schema.paths import NodePath
from schema.store.record import Row
from schema.store.trees import Planned

DIRECTORY = Identity(0, 0, 0, 0, 0, 0, True)
"""What storage that knows no directories has to say of one"""


def task_of(row: Row) -> Task:
    task = tasks.task_of(row)
    assert task is not None, "only what acts on the storage has items"
    return task


def planned_node(row: Row) -> int:
    """The directory whose content is planned."""
    node: int = row.intent["source"]["node"] if "source" in row.intent else row.intent["node"]
    return node


def source_of(row: Row, entry: Planned) -> Source:
    """Raises VersionConflict where the record is not sure of what lies there."""
    restores, relative = row.intent["step"] == Step.RESTORE, b"/" + entry.path
    if entry.identity is None or (entry.state != "active" and not restores):
        raise errors.VersionConflict(
            f"{entry.shown} is {entry.state} in the record. Reconcile it first; nothing was changed.", path=entry.shown
        )
    source = Source(entry.path, entry.kind, Identity.of_facts(entry.identity), sha256=entry.sha256)
    if restores:
        return replace(source, place=bytes.fromhex(row.intent["place"]) + relative)
    root = bytes.fromhex(row.intent["source"]["path"]) if "source" in row.intent else row.path.raw
    return replace(source, path=NodePath(root + relative))
