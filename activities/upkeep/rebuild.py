"""Read the archive into an empty record, and have every mount looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from activities.upkeep.archive import ArchivePlace, read_archive
from schema.archive.segments import ArchiveLine, BrokenArchive, SegmentHead
from schema.ids import MountId
from schema.paths import NodePath
from schema.store import rebuild as store
from schema.store import reconciliations

if TYPE_CHECKING:
    from schema.store.connection import Connection
    from schema.store.pool import Pool
    from schema.store.rebuild import Rebuilt

_BATCH = 1000
PRINCIPAL = "rebuild"


class NotEmpty(Exception):
    """The record has something in it already: nothing was changed."""


async def rebuild(pool: Pool, place: ArchivePlace) -> Rebuilt:
    """All or nothing. Raises NotEmpty, BrokenArchive."""
    async with pool.connection() as connection, connection.transaction():
        empty, migration = await store.is_empty(connection)
        if not empty:
            raise NotEmpty
        await store.prepare(connection)
        laid, head = await _read(connection, place, migration)
        rebuilt = await store.finish(connection, laid, entry=head.last, position=head.position)
        for mount in (line.value for line in laid.of("mount")):
            if mount["state"] == "active" and mount["removed_at"] is None:
                await reconciliations.ask(connection, _look(mount))
        return rebuilt


async def _read(connection: Connection, place: ArchivePlace, migration: int) -> tuple[store.LaidDown, SegmentHead]:
    """What the last segment has anew, and its head."""
    held: dict[str, list[ArchiveLine]] = {"entry": [], "version": []}
    laid = store.LaidDown()
    head: SegmentHead | None = None
    write = {"entry": store.entries, "version": store.versions}
    for line in read_archive(place):
        if line.kind == "segment":
            head = SegmentHead(**line.value)
            if head.migration > migration:
                raise BrokenArchive("A newer release wrote this archive: rebuild with that one.")
            laid = store.LaidDown()
        elif not laid.add(line) and line.kind in held:
            held[line.kind].append(line)
        if line.kind in write and len(held[line.kind]) == _BATCH:
            await write[line.kind](connection, held[line.kind])
            held[line.kind] = []
    if head is None:
        raise BrokenArchive("There is no segment in this archive.")
    for kind, written in write.items():
        await written(connection, held[kind])
    return laid, head


def _look(mount: Any) -> reconciliations.NewJob:
    return reconciliations.NewJob(
        mount["tenant"], PRINCIPAL, MountId(mount["id"]), NodePath(b""), "audit", detect_children=True
    )
