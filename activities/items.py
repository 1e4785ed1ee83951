"""The items of a tree that goes item by item, out of a command's row and its plan. For `stage` and `finish`."""

from dataclasses import replace

from activities.commands import tasks
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Source
from activities.executors.contract.task import Task
from schema import errors
from schema.commands.intents import Appears, Changes, Restore, copied_of
from schema.paths import NodePath
from schema.store.record import Row
from schema.store.trees import Planned

DIRECTORY = Identity(0, 0, 0, 0, 0, 0, True)
"""The identity of a directory on storage that knows no directories"""


def task_of(row: Row) -> Task:
    task = tasks.task_of(row)
    assert task is not None, "only what acts on the storage has items"
    return task


def planned_node(row: Row) -> int:
    """The directory whose content is planned."""
    source = copied_of(row.intent)
    if source is not None and source.node is not None:
        return source.node
    assert isinstance(row.intent, Appears | Changes), "a refused command plans nothing"
    return row.intent.node


def source_of(row: Row, entry: Planned) -> Source:
    """Raises VersionConflict where the record is not sure of what lies there."""
    restores, relative = isinstance(row.intent, Restore), b"/" + entry.path
    if entry.identity is None or (entry.state != "active" and not restores):
        raise errors.VersionConflict(
            f"{entry.shown} is {entry.state} in the record. Reconcile it first; nothing was changed.", path=entry.shown
        )
    staged = None if entry.staged is None else Identity.of_facts(entry.staged)
    source = Source(entry.path, entry.kind, Identity.of_facts(entry.identity), sha256=entry.sha256, staged=staged)
    if isinstance(row.intent, Restore):
        return replace(source, place=bytes.fromhex(row.intent.place) + relative)
    copied = copied_of(row.intent)
    root = row.path.raw if copied is None or copied.path is None else bytes.fromhex(copied.path)
    return replace(source, path=NodePath(root + relative))
