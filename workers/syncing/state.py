"""What a node knows, in SQLite beside its folder: what the project had at the cursor, what was agreed, and the hashes of its files.

All of it can be lost: then everything is hashed again, and what differs is merged as two first versions.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from schema.sync.changes import PathChange, dump_changes, load_changes
from schema.sync.trees import EntryKind, TreeEntry

StatKey = tuple[int, int, int, int, int]
"""Inode, size, modification and change in nanoseconds, permissions: the same key is the same content"""


def stat_key(found: os.stat_result) -> StatKey:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode & 0o7777


@dataclass(frozen=True, slots=True)
class LocalFile:
    """`key` None: a directory."""

    entry: TreeEntry
    key: StatKey | None = None


@dataclass(frozen=True, slots=True)
class PendingCommit:
    """`at`: seconds since the epoch, when it was sent."""

    batch: str
    at: float
    changes: Sequence[PathChange]


_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (path BLOB PRIMARY KEY, kind TEXT, mode INTEGER, sha TEXT, size INTEGER, revision INTEGER);
CREATE TABLE IF NOT EXISTS agreed (path BLOB PRIMARY KEY, kind TEXT, mode INTEGER, sha TEXT, size INTEGER);
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, sha TEXT, ino INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER,
                                  mode INTEGER);
"""

_FORGET = "DELETE FROM facts; DELETE FROM seen; DELETE FROM agreed; DELETE FROM files;"


class AgentState:
    """`revisions`: of a path that the project has, or had until then, the revision that last changed it as this node knows."""

    def __init__(self, file: str, project: str) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_TABLES)
        if self._fact("project") != project:
            self._db.executescript(_FORGET)
            self._db.execute("INSERT INTO facts VALUES ('project', ?)", (project,))
        self.cursor = self._fact("cursor") or "0"
        self.seen: dict[bytes, TreeEntry] = {}
        self.revisions: dict[bytes, int] = {}
        for path, kind, mode, sha, size, revision in self._db.execute("SELECT * FROM seen"):
            self.revisions[path] = revision
            if kind is not None:
                self.seen[path] = TreeEntry(EntryKind(kind), mode, sha, size)
        self.agreed = dict(self._agreed())
        self.hashes = {path: (sha, tuple(key)) for path, sha, *key in self._db.execute("SELECT * FROM files")}
        """Of files that were not looked at since the start"""

    def _agreed(self) -> Iterator[tuple[bytes, TreeEntry]]:
        """What both sides have is one object: there are very many."""
        for path, kind, mode, sha, size in self._db.execute("SELECT * FROM agreed"):
            entry = TreeEntry(EntryKind(kind), mode, sha, size)
            seen = self.seen.get(path)
            yield path, seen if seen is not None and seen == entry else entry

    def _fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    @property
    def withdrawn(self) -> bool:
        """The project is cold: its files leave this folder, or have left it."""
        return self._fact("withdrawn") is not None

    def withdraw(self) -> None:
        """Before the first file goes: from now on one that is not there was not deleted."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM agreed")
        self._db.execute("INSERT OR REPLACE INTO facts VALUES ('withdrawn', '1')")
        self._db.execute("COMMIT")
        self.agreed.clear()

    def come_back(self) -> None:
        self._db.execute("DELETE FROM facts WHERE name = 'withdrawn'")

    @property
    def pending(self) -> PendingCommit | None:
        """What was sent to be committed, and was not answered as far as this node knows."""
        fact = self._fact("pending")
        if fact is None:
            return None
        batch, at, changes = json.loads(fact)
        return PendingCommit(batch, at, load_changes(changes))

    def send(self, commit: PendingCommit) -> None:
        """Before it is sent."""
        fact = json.dumps([commit.batch, commit.at, dump_changes(commit.changes)])
        self._db.execute("INSERT OR REPLACE INTO facts VALUES ('pending', ?)", (fact,))

    def not_committed(self) -> None:
        """What was pending was refused, did not come, or is too old to be asked about."""
        self._db.execute("DELETE FROM facts WHERE name = 'pending'")

    def answered(self, paths: Iterable[bytes], local: Mapping[bytes, LocalFile]) -> None:
        """What is known of these paths by its answer; nothing is pending any more. How far the log was followed stays as it was:
        other paths of what was followed may not be kept yet."""
        self._db.execute("BEGIN IMMEDIATE")
        self.not_committed()
        self._write(list(paths), local)
        self._db.execute("COMMIT")

    def keep(self, paths: Iterable[bytes], local: Mapping[bytes, LocalFile]) -> None:
        """What is known of these paths, and how far the log was followed: together."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("INSERT OR REPLACE INTO facts VALUES ('cursor', ?)", (self.cursor,))
        self._write(list(paths), local)
        self._db.execute("COMMIT")

    def _write(self, chosen: Sequence[bytes], local: Mapping[bytes, LocalFile]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", [self._seen(path) for path in chosen]
        )
        there = [path for path in chosen if path in self.agreed]
        self._db.executemany("DELETE FROM agreed WHERE path = ?", [(p,) for p in chosen if p not in self.agreed])
        self._db.executemany(
            "INSERT OR REPLACE INTO agreed VALUES (?, ?, ?, ?, ?)", [_row(p, self.agreed[p]) for p in there]
        )
        files = [(path, local[path].entry.sha, *key) for path in chosen if path in local and (key := local[path].key)]
        self._db.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in chosen])
        self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", files)

    def _seen(self, path: bytes) -> tuple[object, ...]:
        entry, revision = self.seen.get(path), self.revisions.get(path, 0)
        return (path, None, None, None, None, revision) if entry is None else (*_row(path, entry), revision)

    def close(self) -> None:
        self._db.close()


def _row(path: bytes, entry: TreeEntry) -> tuple[object, ...]:
    return path, entry.kind.value, entry.mode, entry.sha, entry.size
