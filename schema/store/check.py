"""Read what the consistency check compares. One snapshot of the database per mount, streamed row by row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, LiteralString

from schema.check import (
    ChargeFacts,
    CommandFacts,
    EntryFacts,
    EventFacts,
    FeedFacts,
    NodeFacts,
    OperationFacts,
    QuotaFacts,
    RecordedFacts,
    RecordFacts,
    SnapshotFacts,
    TotalsFacts,
)
from schema.ids import MountId
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("check")
_AT_ONCE = 5000


async def record(connection: Connection, mount: MountId) -> tuple[RecordFacts, int]:
    """The record of a mount, and the id of its last journal entry: as long as that stays, nothing has changed."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        moment = await (await connection.execute(SQL["moment"], {"mount": mount})).fetchone()
        assert moment is not None
        found = RecordFacts(
            nodes=[_node(row) async for row in _rows(connection, SQL["nodes"], mount)],
            journal=[_entry(row) async for row in _rows(connection, SQL["journal"], mount)],
            snapshots=[_snapshot(row) async for row in _rows(connection, SQL["snapshots"], mount)],
            rollups={row["id"]: _totals(row) async for row in _rows(connection, SQL["rollups"], mount)},
            commands=[_command(row) async for row in _rows(connection, SQL["commands"], mount)],
            events=[_event(row) async for row in _rows(connection, SQL["events"], mount)],
            claims=[(row["path"], row["command"]) async for row in _rows(connection, SQL["claims"], mount)],
            cleanups=[row["command"] async for row in _rows(connection, SQL["cleanups"], mount)],
            expired_stages=[row["id"] async for row in _rows(connection, SQL["expired_stages"], mount)],
            open_uploads=[row["id"] async for row in _rows(connection, SQL["open_uploads"], mount)],
            operations=[_operation(row) async for row in _rows(connection, SQL["operations"], mount)],
            metastore=await _metastore(connection, mount) if moment["caught_up"] else None,
            charges={row["principal"]: _charge(row) async for row in _rows(connection, SQL["charges"], mount)},
            quotas=[_quota(row) async for row in _rows(connection, SQL["quotas"], mount)],
            now=moment["now"],
        )
    return found, moment["last_entry"] or 0


async def last_entry(connection: Connection, mount: MountId) -> int:
    row = await (await connection.execute(SQL["moment"], {"mount": mount})).fetchone()
    return int(row["last_entry"] or 0) if row else 0


async def feed(connection: Connection) -> FeedFacts:
    row = await (await connection.execute(SQL["feed"])).fetchone()
    assert row is not None
    return FeedFacts(**row)


async def outstanding(connection: Connection, mounts: Sequence[MountId]) -> int:
    """How many things are still under way. 0: at rest."""
    row = await (await connection.execute(SQL["unrest"], {"mounts": list(mounts)})).fetchone()
    return int(row["outstanding"]) if row else 0


async def _rows(connection: Connection, query: LiteralString, mount: MountId) -> AsyncIterator[DictRow]:
    async with connection.cursor(name="check") as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(query, {"mount": mount})
        async for row in cursor:
            yield row


async def _metastore(connection: Connection, mount: MountId) -> list[RecordedFacts]:
    return [RecordedFacts(**row) async for row in _rows(connection, SQL["metastore"], mount)]


def _node(row: DictRow) -> NodeFacts:
    return NodeFacts(
        row["id"], row["parent_id"], row["name"], row["kind"], row["state"], row["version"], row["size_bytes"],
        row["sha256"], row["depth"], row["directory_path"], row["mount_id"], row["identity"], row["drifted"],
        row["charged_to"],
    )  # fmt: skip


def _entry(row: DictRow) -> EntryFacts:
    return EntryFacts(
        row["id"], row["command"], row["attempt"], row["outcome"], row["code"], row["retryable"], row["node_id"],
        row["before"], row["after"], bool(row["drift"]), row["kind"], row["also"], row["foreign"],
        row["outlived"], row["untold"],
    )  # fmt: skip


def _snapshot(row: DictRow) -> SnapshotFacts:
    return SnapshotFacts(
        row["node_id"], row["version"], row["command"], row["kind"], row["state"], row["size_bytes"], row["sha256"],
        row["valid_from"], row["valid_to"], row["content_place"], row["content_until"], row["parent_id"], row["name"],
    )  # fmt: skip


def _totals(row: DictRow) -> TotalsFacts:
    return TotalsFacts(row["size_bytes"], row["file_count"], row["directory_count"], row["child_count"])


def _command(row: DictRow) -> CommandFacts:
    said = row["entry"] if row["entry"] is not None else row["error"]
    return CommandFacts(
        row["id"], row["status"], row["attempt"], row["code"], row["retryable"], said, row["staged"], row["stage"]
    )


def _event(row: DictRow) -> EventFacts:
    return EventFacts(row["type"], row["journal"], row["position"])


def _operation(row: DictRow) -> OperationFacts:
    return OperationFacts(
        row["id"],
        row["state"],
        row["claimed"],
        row["counted"],
        row["summed"],
        row["stray"],
        row["miscounted"],
    )


def _charge(row: DictRow) -> ChargeFacts:
    return ChargeFacts(row["size_bytes"], row["node_count"])


def _quota(row: DictRow) -> QuotaFacts:
    path = None if row["path"] is None else bytes(row["path"])
    kept = [(node, bytes.fromhex(place), size) for node, place, size in row["kept"]]
    return QuotaFacts(row["id"], path, row["principal"], row["trash"], ChargeFacts(row["bytes"], row["nodes"]), kept)
