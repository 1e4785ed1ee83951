"""The hot queries find what they need by index in a record of 1,000,000 nodes and as many commands and events."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, LiteralString

import pytest

from schema.ids import CommandId, MountId, NodeId
from schema.operations.undo_selection import UndoSelection
from schema.paths import NodePath
from schema.sql import load
from schema.store import journal as journal_store
from schema.store import nodes as node_store
from schema.store import past as past_store
from schema.store import records as record_store
from schema.store import snapshots as snapshot_store
from schema.store import undo as undo_store
from schema.store.findings import FindingFilter
from schema.store.journal import JournalFilter
from schema.store.lineage import Lineage
from schema.store.reconciliations import JobFilter
from schema.store.records import RecordSearch
from tests.store.conftest import Databases
from tests.store.engine_queries import (
    EVENTS,
    EVER,
    GENERIC,
    HASH,
    HOLDS,
    IDS,
    KEY,
    LEFTOVERS,
    NAMES,
    NODES,
    NOW,
    OPERATION,
    OPERATIONS,
    OUTCOMES,
    PAGE,
    PAST,
    QUOTAS,
    RECOMPUTES,
    SCANNED,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    THEN,
    UNDO_TREES,
    looked_for,
)
from tests.store.full_record import FILL, planted
from tests.store.helpers import Connection
from tests.store.plans import PAGES_MAX, indexes, plan, scanned, sorts_everything, touched


@pytest.fixture(scope="module")
async def full(new_database: Databases) -> AsyncIterator[tuple[Connection, MountId]]:
    async with planted(new_database(), FILL) as record:
        yield record


@pytest.mark.parametrize("name", GENERIC)
async def test_the_engine_never_reads_a_whole_table_for(full: tuple[Connection, MountId], name: str) -> None:
    connection, mount = full
    query, values, expected = GENERIC[name]
    values = looked_for(mount) if name == "look" else values
    nodes = await plan(connection, query, values, generic=True)
    assert scanned(nodes) == set()
    assert expected <= indexes(nodes)


async def of_the_record(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    """The same values, with commands that are there instead of made-up ones."""
    query = b"SELECT array_agg(id::text) AS ids FROM (SELECT id FROM filestore.commands LIMIT 64) c"
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return {
        name: row["ids"] if value == IDS else row["ids"][0] if value == IDS[0] else value
        for name, value in values.items()
    }


@pytest.mark.parametrize("name", GENERIC)
async def test_what_the_engine_reads_does_not_grow_with_the_record_for(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    query, values, _ = GENERIC[name]
    if name == "look":
        values = looked_for(mount)
    elif name != "journal":  # a command ends once, and these commands have
        values = await of_the_record(connection, values)
    assert touched(await plan(connection, query, values, generic=True, run=True)) < PAGES_MAX


KEYED = {"request": IDS[0], "tenant": "main", "principal": "user1", "key": "1", "hash": "00", "age": 2.5}
READS: dict[str, tuple[LiteralString, dict[str, Any], set[str]]] = {
    "by_id": (NODES["by_id"], {"id": 500, "tenant": "main"}, {"nodes_pkey"}),
    "living": (NODES["living"], {"parent": b"5/", "name": b"7", "tenant": "main"}, {"nodes_directory", "nodes_name"}),
    "latest_deleted": (NODES["latest_deleted"], {"names": [b"5", b"10"], **PAGE}, {"nodes_name", "nodes_deleted"}),
    "content": (NODES["content"], {"id": 500, "tenant": "main"}, {"nodes_pkey"}),
    "versions": (snapshot_store._PAGE, {"node": 500, "before": 9, "limit": 50}, {"versions_pkey"}),
    "a version": (snapshot_store._ONE, {"node": 500, "version": 1}, {"versions_pkey"}),
    "downloads": (load("downloads")["tell"], {"items": '[{"node": 500}, {"node": 501}]'}, {"nodes_pkey"}),
    "children": (NODES["children"], {"id": 50, **PAGE}, {"nodes_name"}),
    "children by name": (NODES["readable_children"], {"id": 50, **PAGE, **NAMES}, {"nodes_name"}),
    "some children": (node_store._SOME_CHILDREN, {"id": 50, **PAGE}, {"nodes_name"}),
    "a tree": (node_store._TREE, {"low": b"5/", "high": b"50", "parent": b"", "name": b"5", "deepest": 9, **PAGE},
               {"nodes_directory", "nodes_name"}),
    "a search": (node_store._TREE, {"low": b"5/", "high": b"50", "parent": b"", "name": b"5", "deepest": 9, **PAGE,
                                    "search": "Ä77"}, {"nodes_directory", "nodes_name"}),
    "a search among children": (node_store._SOME_CHILDREN, {"id": 50, **PAGE, "search": "Ä77"}, {"nodes_name"}),
    "what a directory held": (past_store._CHILDREN, {"id": 500, "at": THEN, "limit": 201, "after_kind": "file",
                                                     "after_name": b"5", "after_id": 500}, {"snapshots_children"}),
    "how many it held": (PAST["count_children"], {"id": 500, "at": THEN}, {"snapshots_children"}),
    "nodes on a path then": (PAST["chain"], {"start": 500, "names": [b"7"], "at": THEN}, {"snapshots_children"}),
    "a node then": (past_store._VERSION, {"id": 5000, "at": THEN}, {"versions_pkey"}),
    "its path then": (PAST["path"], {"id": 5000, "root": 500, "at": THEN}, set()),
    "the root then": (PAST["root"], {"id": 5000, "tenant": "main"}, {"nodes_directory"}),
    "differences": (PAST["differences"], {"before": 500, "after": 500, "since": THEN, "until": NOW, "limit": 100, **SCANNED},
                    {"snapshots_begun", "versions_pkey", "nodes_pkey"}),
    "differences of what a path names": (PAST["bases"], {"before": 500, "after": 501, "since": THEN, "until": NOW},
                                         {"versions_pkey"}),
    "the trash": (load("trash")["kept"], {"root": 1, "path": b"", "scan": 100, "limit": 100, "before_until": EVER,
                                          "before_id": 0, "before_version": 0, "least": None},
                  {"snapshots_kept", "versions_pkey", "nodes_pkey", "journal_entries_end"}),
    "names that collide": (node_store._COLLISIONS, {"low": b"5/", "high": b"50", "parent": b"", "name": b"5", "deepest": 9,
                                                    **PAGE}, {"nodes_directory", "nodes_name"}),
    "names beside one": (NODES["collides_with"], {"id": 5000}, {"nodes_pkey", "nodes_name"}),
    "a token": (load("tokens")["find"], {"hash": HASH, "known": None}, {"tokens_hash_key", "tokens_previous_hash_key"}),
    "what a token may do": (load("tokens")["load"], {"id": 500}, {"tokens_pkey"}),
    "tokens": (load("tokens")["list"], {"tenant": "main", "only": None, "before": None, "principal": None, "revoked": True,
                                        "limit": 26}, {"tokens_pkey"}),
    "the use of tokens": (load("tokens")["note_use"], {"ids": [500, 501]}, {"tokens_pkey"}),
    "overdue": (OUTCOMES["overdue"], {"seconds": 15.0}, {"commands_running"}),
    "overdue lists": (OUTCOMES["overdue_atomic"], {"seconds": 15.0}, {"commands_running"}),
    "by_key": (OUTCOMES["by_key"], {"items": json.dumps([KEYED])}, {KEY}),
    "a command": (load("journal")["command"], {"id": IDS[0], "tenant": "main"}, {"commands_pkey"}),
    "a page of events": (EVENTS["page"], {"after": 999_000, "limit": 100, "bytes": 4_000_000, "tenant": "main", "mount": None,
                                          "types": ["x"]}, {"outbox_position"}),
    "what waits": (EVENTS["waiting"], {}, {"outbox_unpositioned"}),
    "what is kept": (EVENTS["bounds"], {}, {"outbox_position"}),
    "the metrics": (load("metrics")["work"], {"most": 10_000}, {"outbox_unpositioned", "outbox_position",
                                                                 "commands_running", "cleanups_pkey"}),
    "the lag": (EVENTS["lag"], {}, {"outbox_unpositioned"}),
    "whether a mount holds nodes": (load("mounts")["holds_nodes"], {"id": 1}, {"nodes_directory", "nodes_name"}),
    "ended stages": (LEFTOVERS["ended_stages"], {"stages": IDS}, {"commands_pkey"}),
    "live stages": (LEFTOVERS["live_stages"], {"stages": IDS}, {"commands_pkey"}),
    "stages that were interrupted": (LEFTOVERS["forget_interrupted"], {"stages": IDS}, {"commands_pkey"}),
    "quotas": (QUOTAS["list"], {"tenant": "main", "only": None, "before": None, "limit": 26},
               {"nodes_directory", "charge_deltas_of"}),
    "uses of quotas": (QUOTAS["uses"], {"after": 0, "limit": 500}, {"nodes_directory"}),
    "holds": (HOLDS["list"], {"tenant": "main", "only": None, "before": None, "ended": True, "limit": 26}, set()),
    "jobs": (load("reconciliations")["documents"],
             {"tenant": "main", "job": None, "limit": 50, "offset": 0, **JobFilter().values()}, set()),
    "a job": (load("reconciliations")["documents"],
              {"tenant": "main", "limit": 1, "offset": 0, **JobFilter().values(), "job": 500}, {"reconciliation_jobs_pkey"}),
    "a finding": (load("findings")["documents"], {"tenant": "main", "after": 0, "limit": 1, **FindingFilter(ids=[500]).values()},
                  {"findings_tenant"}),
    "deliveries": (SUBSCRIPTIONS["deliveries"], {"id": SUBSCRIPTION, "tenant": "main", "before": 500, "states": None, "limit": 50},
                   {"deliveries_pkey"}),
    "what is due for a target": (SUBSCRIPTIONS["load"], {"id": SUBSCRIPTION}, {"deliveries_redrive"}),
    "dead letters once more": (SUBSCRIPTIONS["to_redrive"], {"id": SUBSCRIPTION}, {"deliveries_redrive", "outbox_position"}),
    "dead letters": (SUBSCRIPTIONS["redrive"], {"id": SUBSCRIPTION, "tenant": "main", "positions": [500]}, {"deliveries_pkey"}),
    "a delivery": (SUBSCRIPTIONS["redriven"], {"id": SUBSCRIPTION, "position": 501, "succeeded": True, "status": 200, "error": None,
                                               "milliseconds": 1.0}, {"deliveries_redrive"}),
    "deliveries that are old": (SUBSCRIPTIONS["forget"], {"id": SUBSCRIPTION, "delivered_seconds": 3600.0, "dead_seconds": 7200.0},
                                {"deliveries_old", "deliveries_pkey"}),
    "an operation": (OPERATIONS["document"], {"id": OPERATION, "tenant": "main"}, set()),
    "items": (OPERATIONS["items"], {"id": OPERATION, "states": None, "codes": None, "after": 500_000, "limit": 1000},
              {"operation_items_pkey"}),
    "errors": (OPERATIONS["errors"], {"id": OPERATION}, set()),
    "a recompute": (RECOMPUTES["document"], {"id": 500, "tenant": "main"}, {"rollup_recomputes_pkey", "nodes_pkey"}),
    "what is in flight": (OPERATIONS["current"], {"id": OPERATION}, {"operation_items_state"}),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
async def test_a_reader_never_reads_a_whole_table_for(full: tuple[Connection, MountId], name: str) -> None:
    connection, mount = full
    query, values, expected = READS[name]
    values = {"mount": mount, **node_store.EVERYTHING.values(), **values}
    nodes = await plan(connection, query, values, generic=False)
    assert scanned(nodes) == set()
    assert expected <= indexes(nodes)


@pytest.mark.parametrize("name", READS)
async def test_what_a_reader_reads_does_not_grow_with_the_record_for(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    query, values, _ = READS[name]
    values = {"mount": mount, **node_store.EVERYTHING.values(), **await of_the_record(connection, values)}
    assert touched(await plan(connection, query, values, generic=False, run=True)) < PAGES_MAX


async def test_how_much_the_trash_keeps_is_counted_by_its_index(full: tuple[Connection, MountId]) -> None:
    """Once, when a plan begins that goes through all of it."""
    nodes = await plan(full[0], load("trash")["count_kept"], {"least": None}, generic=False)
    assert scanned(nodes) == set() and indexes(nodes) == {"snapshots_kept"}


SEARCHED: dict[str, tuple[RecordSearch, str]] = {
    "words": (RecordSearch(query="4711"), "metastore_records_words"),
    "tags": (RecordSearch(tags=["t4"]), "metastore_records_tags"),
    "an owner": (RecordSearch(owner="u4"), "metastore_records_owner"),
    "metadata": (RecordSearch(metadata={"p": 4}), "metastore_records_metadata"),
    "a namespace": (RecordSearch(namespace="rare"), "metastore_records_namespace"),
    "a path": (RecordSearch(mount=MountId(0), prefix=NodePath(b"folder-7")), "metastore_records_path"),
    "a path on any mount": (RecordSearch(prefix=NodePath(b"folder-7")), "metastore_records_path"),
}


@pytest.mark.parametrize("name", SEARCHED)
async def test_a_search_of_records_goes_by_the_index_of_what_is_looked_for(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    wanted, index = SEARCHED[name]
    wanted = replace(wanted, mount=mount) if wanted.mount is not None else wanted
    query, values = record_store.statement("main", wanted, 0, 50)
    nodes = await plan(connection, query, values, generic=False, run=True)
    assert scanned(nodes) == set() and index in indexes(nodes)
    assert touched(nodes) < PAGES_MAX


ASKED: dict[str, tuple[JournalFilter, set[str]]] = {
    "a mount": (JournalFilter(mount=MountId(1)), {"journal_entries_mount", "journal_entries_pkey"}),
    "a path": (JournalFilter(mount=MountId(1), path=NodePath(b"p777")), {"journal_entries_path"}),
    "a long path": (JournalFilter(mount=MountId(1), path=NodePath(b"p" * 1500)), {"journal_entries_path"}),
    "a prefix": (JournalFilter(mount=MountId(1), prefix=NodePath(b"p777")), {"journal_entries_path"}),
    "a node": (JournalFilter(node=NodeId(5)), {"journal_entries_node"}),
    "a command": (JournalFilter(command=CommandId(IDS[0])), {"journal_entries_command_id_attempt_key"}),
    "an operation": (JournalFilter(operation=IDS[0]), {"journal_entries_operation"}),
    "an atomic list": (JournalFilter(atomic=IDS[0]), {"journal_entries_atomic"}),
    "a piece of work": (JournalFilter(correlation="work 3"), {"journal_entries_correlation"}),
    "the largest piece of work": (JournalFilter(correlation="work 6"), {"journal_entries_correlation", "journal_entries_pkey"}),
    "failures": (JournalFilter(outcomes=["failed", "inconsistent"]), {"journal_entries_failures"}),
    "a code": (JournalFilter(codes=["STORAGE_FULL"]), {"journal_entries_failures"}),
    "a principal": (JournalFilter(principal="user1"), {"journal_entries_principal", "journal_entries_pkey"}),
    "a principal of few entries": (JournalFilter(principal="nobody"), {"journal_entries_principal"}),
    "everything": (JournalFilter(), {"journal_entries_pkey"}),
}  # fmt: skip


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", ASKED)
async def test_the_journal_is_never_read_or_sorted_whole_for(
    full: tuple[Connection, MountId], name: str, oldest_first: bool
) -> None:
    connection, mount = full
    asked, expected = ASKED[name]
    asked = replace(asked, mount=mount) if asked.mount else asked
    query = journal_store._PLAIN[oldest_first]
    values = asked.values() | {"tenant": "main", "limit": 50}
    nodes = await plan(connection, query, values, generic=False)
    assert scanned(nodes) == set() and not sorts_everything(nodes)
    assert indexes(nodes) & expected


LINEAGE: dict[str, tuple[dict[str, Any], set[str]]] = {
    "named": ({"mounts": [1], "names": [b"5", b"7"], "most": 100}, {"snapshots_children", "nodes_directory"}),
    "carriers": (
        {"mounts": [1], "nodes": [5000, 5001], "tenant": "main", "most": 1000},
        {"versions_pkey", "nodes_pkey"},
    ),
    "turns": ({"nodes": [5000, 5001], "most": 1000}, {"versions_pkey"}),
}


@pytest.mark.parametrize("name", LINEAGE)
async def test_the_names_and_directories_of_a_node_are_found_by_index(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    values, expected = LINEAGE[name]
    values = values | ({"mounts": [mount]} if "mounts" in values else {})
    nodes = await plan(connection, load("lineage")[name], values, generic=False, run=True)
    assert scanned(nodes) == set() and expected <= indexes(nodes)
    assert touched(nodes) < PAGES_MAX


HISTORIES: dict[str, JournalFilter] = {
    "a path": JournalFilter(path=NodePath(b"p777")),
    "a deep path": JournalFilter(path=NodePath(b"/".join([b"5", *[b"n"] * 500]))),
    "a path on all mounts": JournalFilter(mount=None, path=NodePath(b"5/7")),
    "a prefix": JournalFilter(prefix=NodePath(b"5/7")),
    "a node": JournalFilter(mount=None, node=NodeId(5000)),
}


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", HISTORIES)
async def test_a_history_is_read_by_index_for(full: tuple[Connection, MountId], name: str, oldest_first: bool) -> None:
    connection, mount = full
    asked = replace(HISTORIES[name], mount=None if name in ("a node", "a path on all mounts") else mount)
    found = Lineage([mount], [NodeId(n) for n in range(5000, 5100)], [(NodeId(n), "-infinity", "infinity")
                    for n in range(2, 400)], IDS * 200)  # fmt: skip
    values = asked.values() | {"tenant": "main", "limit": 200} | journal_store._places(asked) | found.values()
    query = journal_store._query(asked, oldest_first)
    nodes = await plan(connection, query, values, generic=False, run=True)
    assert scanned(nodes) == set() and not sorts_everything(nodes)
    assert touched(nodes) < 3 * PAGES_MAX, "a look-up for each node, directory and command, and no more"


@pytest.mark.parametrize("limit", [50, 200])
async def test_going_on_at_a_place_reads_no_more_than_the_first_page(
    full: tuple[Connection, MountId], limit: int
) -> None:
    connection, mount = full
    place = {"after_rank": "file", "after_key": b"5", "after_id": 500}
    values = {**node_store.EVERYTHING.values(), "mount": mount, "id": 50, **PAGE, "limit": limit, **place}
    nodes = await plan(connection, node_store._SOME_CHILDREN, values, generic=False)
    assert scanned(nodes) == set() and "nodes_name" in indexes(nodes)
    tree = {"low": b"5/", "high": b"50", "parent": b"", "name": b"5", "deepest": 9, "after_rank": 2}
    nodes = await plan(connection, node_store._TREE, values | tree, generic=False)
    assert scanned(nodes) == set() and {"nodes_directory", "nodes_name"} <= indexes(nodes)


SELECTED: dict[str, tuple[UndoSelection, set[str]]] = {
    "a principal": (UndoSelection(principal="nobody"), {"journal_entries_principal"}),
    "a token": (UndoSelection(token_id=7), {"journal_entries_token"}),
    "a piece of work": (UndoSelection(correlation_id="work 3"), {"journal_entries_correlation"}),
    "commands": (
        UndoSelection(commands=tuple(map(CommandId, IDS))), {"journal_entries_end", "journal_entries_command_id_attempt_key"},
    ),
    "an operation": (UndoSelection(operation_id=IDS[0]), {"journal_entries_operation"}),
    "a time": (UndoSelection(since=THEN, until=NOW), {"journal_entries_mount", "journal_entries_pkey"}),
    "a path": (UndoSelection(path=NodePath(b"p777")), {"journal_entries_mount", "journal_entries_pkey"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SELECTED)
async def test_what_an_undo_takes_is_found_by_index_for(full: tuple[Connection, MountId], name: str) -> None:
    connection, mount = full
    selection, expected = SELECTED[name]
    values = undo_store.Taken("main", [mount], selection, 2_000_000).values() | {"below": 900_000, "limit": 500}
    nodes = await plan(connection, undo_store.QUERIES["changes"], values, generic=False)
    assert scanned(nodes) == set() and not sorts_everything(nodes)
    assert indexes(nodes) & expected
    if name not in ("a time", "a path"):
        assert scanned(await plan(connection, undo_store.QUERIES["count"], values, generic=False)) == set()


BETWEEN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "runs": ({"nodes": [5000, 5001]}, {"versions_pkey", "nodes_pkey", "journal_entries_end"}),
    "running": ({"asked_at": NOW}, {"commands_running"}),
    "record_runs": ({"nodes": [5000, 5001]}, {"metastore_records_pkey", "journal_entries_node", "nodes_pkey"}),
    "taken_places": (
        {"places": json.dumps([{"item": 1, "parent": 5, "name": "37", "node": 5000, "entry": 7}])},
        {"snapshots_children", "journal_entries_end"},
    ),
    "changed_below": (
        {"trees": json.dumps([{"path": "35", "entry": 7, "mount": 1}])},
        {"journal_entries_path", "journal_entries_target"},
    ),
    # Of a directory without children: each child costs a few pages more.
    "strangers": (
        {"directories": [5000], "limit": 1000},
        {"nodes_pkey", "nodes_name", "versions_pkey", "journal_entries_end"},
    ),
    "above": ({"directories": [5, 6]}, {"nodes_pkey"}),
    "made_in": (
        {"directory": 5, "kind": "directory", "name": b"", "command": OPERATION, "limit": 200},
        {"snapshots_children"},
    ),
    "expired": ({"contents": json.dumps([{"item": 1, "node": 5000, "version": 1}])}, {"versions_pkey"}),
    "own_versions": (
        {"id": OPERATION, "items": json.dumps([{"item": 1, "node": 5000, "version": 1}])},
        {"versions_pkey", "nodes_pkey"},
    ),
}


@pytest.mark.parametrize("name", BETWEEN)
async def test_what_came_between_the_changes_of_an_undo_is_found_by_index(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    more, expected = BETWEEN[name]
    values = undo_store.Taken("main", [mount], UndoSelection(principal="user1"), 2_000_000).values() | more
    query = undo_store.QUERIES.get(name) or undo_store.with_taken(UNDO_TREES[name])
    nodes = await plan(connection, query, values, generic=False, run=True)
    assert scanned(nodes) == set() and expected <= indexes(nodes)
    assert touched(nodes) < PAGES_MAX
