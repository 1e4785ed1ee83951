"""A record and a storage with nothing wrong, and ways to plant something in them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from schema.check import (
    COMPLETED,
    CommandFacts,
    EntryFacts,
    EventFacts,
    ListedFacts,
    NodeFacts,
    RecordFacts,
    SnapshotFacts,
    StorageFacts,
    TotalsFacts,
)

T0 = datetime(2026, 1, 2, tzinfo=UTC)
OLD, NEW = b"\1" * 32, b"\2" * 32
STAGE, NOBODYS = "0190a1b2-0000-7000-8000-000000000001", "0190a1b2-0000-7000-8000-000000000002"


def identity(inode: int, size: int = 0, directory: bool = False) -> list[int]:
    return [0, inode, inode * 10, size, 1000 + inode, 2000, int(directory), 0o644, 1]


def after(node: int, parent: int, name: bytes, kind: str, version: int = 1, size: int = 0, sha: bytes | None = None,
          state: str = "active") -> dict[str, Any]:  # fmt: skip
    return {
        "id": node,
        "parent": parent,
        "name": name.hex(),
        "kind": kind,
        "state": state,
        "version": version,
        "size": size,
        "sha256": sha.hex() if sha else None,
    }


def before(node: int, version: int, size: int, sha: bytes | None) -> dict[str, Any]:
    return {"id": node, "version": version, "state": "active", "size": size, "sha256": sha.hex() if sha else None}


def clean() -> tuple[RecordFacts, StorageFacts]:
    """/d, /d/f (written twice), /gone (made and deleted), and a command that was refused, on its second attempt."""
    nodes = [
        NodeFacts(1, None, b"", "directory", "active", 1, depth=0, directory_path=b"", identity=identity(1, 0, True)),
        NodeFacts(2, 1, b"d", "directory", "active", 1, directory_path=b"d/", identity=identity(2, 0, True)),
        NodeFacts(3, 2, b"f", "file", "active", 2, 7, NEW, 2, identity=identity(30, 7)),
        NodeFacts(4, 1, b"gone", "file", "deleted", 2, 3, OLD, identity=identity(4, 3)),
    ]
    journal = [
        EntryFacts(10, "mkdir", 1, "succeeded", node=2, after=after(2, 1, b"d", "directory")),
        EntryFacts(11, "up", 1, "succeeded", node=3, after=after(3, 2, b"f", "file", 1, 5, OLD)),
        EntryFacts(12, "again", 1, "succeeded", node=3, before=before(3, 1, 5, OLD),
              after=after(3, 2, b"f", "file", 2, 7, NEW)),
        EntryFacts(13, "make", 1, "succeeded", node=4, after=after(4, 1, b"gone", "file", 1, 3, OLD)),
        EntryFacts(14, "full", 1, "failed", "STORAGE_FULL", True),
        EntryFacts(15, "drop", 1, "succeeded", node=4, before=before(4, 1, 3, OLD),
              after=after(4, 1, b"gone", "file", 2, 3, OLD, "deleted")),
        EntryFacts(16, "full", 2, "failed", "NODE_EXISTS"),
    ]  # fmt: skip
    minute = timedelta(minutes=1)
    until = T0 + timedelta(days=30)
    snapshots = [
        SnapshotFacts(2, 1, "mkdir", "directory", "active", 0, None, T0),
        SnapshotFacts(3, 1, "up", "file", "active", 5, OLD, T0, T0 + minute, b"day/again.0", until),
        SnapshotFacts(3, 2, "again", "file", "active", 7, NEW, T0 + minute),
        SnapshotFacts(4, 1, "make", "file", "active", 3, OLD, T0, T0 + minute, b"day/drop.0", until),
        SnapshotFacts(4, 2, "drop", "file", "deleted", 3, OLD, T0 + minute),
    ]
    commands = [
        CommandFacts("mkdir", "succeeded", 1, said=10),
        CommandFacts("up", "succeeded", 1, said=11, stage="up", staged=identity(3, 5)),
        CommandFacts("again", "succeeded", 1, said=12, stage="again", staged=identity(30, 7)),
        CommandFacts("make", "succeeded", 1, said=13),
        CommandFacts("drop", "succeeded", 1, said=15),
        CommandFacts("full", "failed", 2, "NODE_EXISTS", said="NODE_EXISTS", stage=STAGE, staged=identity(66, 1)),
    ]
    changes = {10: "created", 11: "created", 12: "updated", 13: "created", 15: "deleted"}
    events: list[EventFacts] = []
    for entry in journal:
        names = [f"filestore.node.{changes[entry.id]}"] if entry.id in changes else []
        events += [EventFacts(name, entry.id, len(events) + 1 + n) for n, name in enumerate([*names, COMPLETED])]
    record = RecordFacts(
        nodes, journal, snapshots, {1: TotalsFacts(7, 1, 1, 1), 2: TotalsFacts(7, 1, 0, 1)}, commands, events,
        now=T0 + timedelta(hours=1),
    )  # fmt: skip
    storage = StorageFacts(
        [ListedFacts(b"d", "directory", identity(2, 0, True)), ListedFacts(b"d/f", "file", identity(30, 7), NEW)],
        {b"day/again.0": 5, b"day/drop.0": 3},
    )
    return record, storage


Plant = Callable[[RecordFacts, StorageFacts], tuple[RecordFacts, StorageFacts]]


def in_record(**changes: Callable[[Any], Any]) -> Plant:
    """Change these parts of the record."""
    return lambda record, storage: (replace(record, **{n: c(getattr(record, n)) for n, c in changes.items()}), storage)


def in_storage(**changes: Callable[[Any], Any]) -> Plant:
    return lambda record, storage: (record, replace(storage, **{n: c(getattr(storage, n)) for n, c in changes.items()}))


def at(index: int, **changes: Any) -> Callable[[list[Any]], list[Any]]:
    """The same list with one element changed."""
    return lambda rows: [replace(row, **changes) if i == index else row for i, row in enumerate(rows)]


def without(index: int) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: [row for i, row in enumerate(rows) if i != index]


def plus(row: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: [*rows, row]
