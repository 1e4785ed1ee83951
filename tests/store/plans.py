"""How Postgres plans a statement, and what it reads for it."""

from contextlib import suppress
from typing import Any, LiteralString

import psycopg

from tests.store.helpers import Connection

BIG = {
    "nodes",
    "commands",
    "outbox",
    "journal_entries",
    "versions",
    "tokens",
    "rollup_deltas",
    "operations",
    "operation_items",
    "rollups",
    "rollup_recomputes",
    "metastore_records",
    "metastore_history",
    "holds",
    "findings",
    "looks",
    "reconciliation_jobs",
    "charges",
    "charge_deltas",
    "deliveries",
}
"""Tables that only grow. Claims and cleanups are gone when their commands have ended."""


async def plan(
    connection: Connection, query: LiteralString, values: Any, *, generic: bool, run: bool = False
) -> list[dict[str, Any]]:
    """All nodes of the plan. With `generic`, as the engine's pool plans it: once, for lists of any size. With `run` the
    statement is carried out, taken back, and each node says what it read."""
    await connection.execute(f"SET plan_cache_mode = {'force_generic_plan' if generic else 'auto'}".encode())
    options = "ANALYZE, BUFFERS, FORMAT JSON" if run else "FORMAT JSON"
    try:
        async with connection.transaction(force_rollback=True):
            if generic:
                names = sorted(values)
                typed = {name: f"${position + 1}" for position, name in enumerate(names)}
                await connection.execute(f"PREPARE hot AS {query % typed}".encode())
                literals = ", ".join(_literal(values[name]) for name in names)
                given = f"({literals})" if names else ""
                cursor = await connection.execute(f"EXPLAIN ({options}) EXECUTE hot{given}".encode())
                row = await cursor.fetchone()
            else:
                row = await (await connection.execute(f"EXPLAIN ({options}) {query}".encode(), values)).fetchone()
    finally:
        # It outlives its transaction, also one that failed.
        if generic:
            with suppress(psycopg.errors.InvalidSqlStatementName):
                await connection.execute("DEALLOCATE hot")
    assert row is not None
    return list(_flat(row["QUERY PLAN"][0]["Plan"]))


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    if isinstance(value, list):
        kind = "uuid" if isinstance(value[0], str) else "bytea" if isinstance(value[0], bytes) else "bigint"
        return "ARRAY[" + ", ".join(_literal(item) for item in value) + f"]::{kind}[]"
    return str(value) if isinstance(value, int | float) else f"'{value}'"


def _flat(node: dict[str, Any]) -> Any:
    yield node
    for child in node.get("Plans", ()):
        yield from _flat(child)


def scanned(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} & BIG


def touched(nodes: list[dict[str, Any]]) -> int:
    """Pages of 8 KiB that the whole statement looked at."""
    return int(nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"])


PAGES_MAX = 4_000
"""What a statement may look at for 64 commands, or for one of the directories of 1,000 files: less than any whole table here,
or its index, has."""


def indexes(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def sorts_everything(nodes: list[dict[str, Any]]) -> bool:
    return any(node["Node Type"] == "Sort" and node["Plan Rows"] > 10_000 for node in nodes)
