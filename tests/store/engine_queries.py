"""The hot queries of the engine, with values and the indexes they go by."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from schema.commands.command import CommandKind
from schema.ids import FIRST_COMMAND_ID, MountId, NodeId
from schema.sql import load
from schema.store import audit as audit_store
from schema.store import begin as begin_store
from schema.store import past as past_store
from schema.store import records as record_store
from schema.store.records import RecordSearch
from tests.store.helpers import asked, delete, mkdir, upload

WORK, RESTORES, PURGES = load("work_items"), load("restores"), load("purges")
ITEMS, OPERATION = load("item_commands"), "0190a1b2-0000-7000-8000-0000000000aa"
OPERATIONS = {**load("operations"), **load("operation_plans"), **load("operation_turns")}
IMPORTS, QUOTAS = load("imports"), load("quotas")
GROWING = json.dumps([{"n": n, "tenant": "main", "mount": 1, "path": b"5/new".hex(), "principal": "user1",
                       "intent": {"step": "create", "kind": "file", "size": 7}} for n in range(64)])  # fmt: skip
FORGETS, UNDO_TREES = load("forgets"), load("undo_trees")
BEGIN, RECORD, OUTCOMES, LEFTOVERS = load("begin"), load("record"), load("outcomes"), load("leftovers")
NODES, EVENTS, ANSWERS = load("nodes"), load("events"), load("answers")
FEED_NODES, ARCHIVE, SUBSCRIPTIONS = load("feed_nodes"), load("archive"), load("subscriptions")
SUBSCRIPTION = "0190a1b2-0000-7000-8000-000000000010"
RETENTION, PAST, RECOMPUTES = load("retention"), load("past"), load("recomputes")
LOOKS, CONCLUDE, HOLDS, HEALS = load("looks"), load("conclude"), load("holds"), load("heals")
SCRUB = load("scrub")
HELD = json.dumps([{"n": 1, "mount": 1, "path": "35", "above": [0], "tree": True}])
LISTED = {"paths": [b"5/", b"6/"], "devices": [0, 0], "inodes": [7, 8], "births": [7, 8]}
NOW = datetime.now(UTC) + timedelta(days=1)
EVER = NOW + timedelta(days=90)
THEN = datetime.now(UTC) - timedelta(minutes=5)
"""Five minutes ago a third of what was deleted still lived."""
SCANNED = {
    "scan": past_store.SCAN,
    "after_time": datetime.now(UTC) - timedelta(minutes=4),
    "after_id": 0,
    "after_version": 0,
}
BELOW = {"mount": 1, "low": b"5/", "high": b"50", "run": 1}
RANGE = {**BELOW, "children": 100_000}
NAMES = {"all_allowed": True, "allowed_names": b"", "all_denied": False, "denied_names": b"7/8"}
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
HASH = b"\0" * 32
KEY = "commands_tenant_principal_key_key"
PAGE = {
    "tenant": "main",
    "directory": b"",
    "limit": 200,
    "offset": 0,
    "after_rank": None,
    "after_key": None,
    "after_id": None,
}
IDS = ["0190a1b2-0000-7000-8000-000000000001", "0190a1b2-0000-7000-8000-000000000002"]


def looked_for(mount: MountId) -> dict[str, Any]:
    requests = [
        mkdir(mount, "5/new"), upload(mount, "6/7", overwrite=True), delete(mount, "7/10"),
        asked(CommandKind.DESCRIBE, mount, "7/10"),
    ]  # fmt: skip
    return {"items": json.dumps([end for request in requests for end in begin_store._ends(request)])}


DEEPER, MUCH_DEEPER = (json.dumps([{"id": IDS[0], "node": 500, "most": most}]) for most in (4000, 300))
METASTORE, RECORDS, ACTIVITY = load("metastore"), load("records"), load("activity")
TAGS = load("tags")
AMONG = record_store.statement("main", RecordSearch(tags=["t4"], query="4711"), 0, 0, [NodeId(500)])[0]
SYNCED = json.dumps([{"node": 500, "told": True}, {"node": 501}])
CHANGED = {"node": 500, "namespace": "n", "tags": [], "metadata": {}, "closed": False}

GENERIC: dict[str, tuple[LiteralString, dict[str, Any], set[str]]] = {
    "look": (
        BEGIN["look"], {},
        {"nodes_directory", "nodes_deleted_directory", "nodes_name", "nodes_deleted", KEY, "claims_pkey", "stages_pkey"},
    ),
    "too_deep": (BEGIN["too_deep"], {"items": DEEPER}, {"nodes_pkey", "nodes_long_directory"}),
    "too_deep at a long path": (
        BEGIN["too_deep"], {"items": MUCH_DEEPER}, {"nodes_pkey", "nodes_directory", "nodes_deleted_directory", "nodes_name"},
    ),
    "end": (RECORD["end"], {"items": "[]"}, {"commands_pkey"}),
    "places": (BEGIN["places"], {"ids": [500, 501]}, {"nodes_pkey"}),
    "tokens of a list": (load("tokens")["standing"], {"ids": [500, 501]}, {"tokens_pkey"}),
    "read_running": (RECORD["read_running"], {"ids": IDS}, {"commands_pkey"}),
    "raise_attempt": (RECORD["raise_attempt"], {"ids": IDS}, {"commands_pkey"}),
    "keep_first": (RECORD["keep_first"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "keep_first of a look": (CONCLUDE["keep_first"], {"ids": [500, 501]}, {"nodes_pkey"}),
    "close_snapshots": (RECORD["close_snapshots"], {"ids": IDS, "retention_days": 30}, {"versions_pkey"}),
    "oust": (RECORD["oust"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "journal": (RECORD["journal"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "roll": (RECORD["roll"], {"ids": IDS}, {"nodes_pkey", "commands_pkey", "versions_pkey"}),
    "create_nodes": (RECORD["create_nodes"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "change_nodes": (RECORD["change_nodes"], {"ids": IDS}, {"nodes_pkey", "commands_pkey", "versions_pkey"}),
    "doubt": (RECORD["doubt"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "put_back": (RECORD["put_back"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "let_go": (RECORD["let_go"], {"ids": IDS}, {"claims_command", "commands_pkey"}),
    "answer": (ANSWERS["answer"], {"ids": IDS}, {"commands_pkey", "nodes_pkey"}),
    "tell": (ANSWERS["tell"], {"ids": IDS}, {"commands_pkey", "nodes_pkey"}),
    "outcomes": (OUTCOMES["outcomes"], {"ids": IDS}, {"commands_pkey"}),
    "names of resumed": (OUTCOMES["named"], {"ids": IDS}, {"commands_pkey"}),
    "cleanups of a list": (LEFTOVERS["cleanups"], {"mount": 1, "ids": IDS}, {"commands_pkey"}),
    "close_cleanups": (LEFTOVERS["close_cleanups"], {"ids": [1]}, {"cleanups_pkey"}),
    "give_positions": (EVENTS["give_positions"], {"limit": 1000}, {"outbox_unpositioned"}),
    "prune_events": (RETENTION["prune_events"], {"limit": 100, "keep": 0.0}, {"outbox_position", "outbox_pkey"}),
    "prune_commands": (
        RETENTION["prune_commands"], {"limit": 100, "keep": 0.0, "after": FIRST_COMMAND_ID, "below": LAST_ID},
        {"commands_pkey", "claims_command", "cleanups_command"},
    ),
    "unpublished": (EVENTS["unpublished"], {"limit": 1000, "bytes": 4_000_000}, {"outbox_position"}),
    "archived entries": (ARCHIVE["entries"], {"after": 5000, "last": 10**6, "limit": 200}, {"journal_entries_pkey"}),
    "archived versions": (ARCHIVE["versions"], {"after": 5000, "last": 5200},
                          {"journal_entries_pkey", "snapshots_begun", "versions_pkey", "nodes_pkey"}),
    "versions beside nodes": (ARCHIVE["differences"], {"after": 5000, "limit": 200}, {"nodes_pkey", "snapshots_current"}),
    "all nodes begin": (FEED_NODES["begin"], {}, {"nodes_pkey"}),
    "all nodes": (FEED_NODES["page"], {"tenant": "main", "mount": 1, "after": 5000, "last": 10**6, "limit": 100}, {"nodes_pkey"}),
    "open_items": (ITEMS["open_items"], {"ids": IDS}, {"commands_pkey", "operation_items_pkey"}),
    "record_entries": (load("record_entries")["tell"],
                       {"records": json.dumps([{"node": 5000, "command": OPERATION}]), "principal": "x", "token": 1,
                        "operation": OPERATION, "request": "r", "correlation": "w"},
                       {"metastore_records_pkey", "metastore_history_pkey", "nodes_pkey"}),
    "close_items": (ITEMS["close_items"], {"ids": IDS, "most": 12}, {"commands_pkey", "operation_items_pkey"}),
    "operations of a list": (ITEMS["lock"], {"ids": [OPERATION]}, {"operations_pkey"}),
    "operations of commands": (ITEMS["lock_of_commands"], {"ids": IDS}, {"operations_pkey", "commands_pkey"}),
    "states of items": (ITEMS["states"], {"items": "[]"}, {"operation_items_pkey"}),
    "set_aside": (ITEMS["set_aside"], {"items": "[]"}, {"operation_items_pkey"}),
    "ready_up": (OPERATIONS["ready_up"], {"id": OPERATION, "state": "pending", "limit": 64},
                 {"operation_items_state", "operation_items_pkey"}),
    "ready_down": (OPERATIONS["ready_down"], {"id": OPERATION, "state": "done", "limit": 64}, {"operation_items_state"}),
    "unfinished": (OPERATIONS["unfinished"], {"id": OPERATION, "state": "pending", "low": 0, "high": 999_500, "limit": 1000},
                   {"operation_items_state"}),
    "left": (OPERATIONS["left"], {"id": OPERATION, "state": "pending"}, {"operation_items_state"}),
    "hand_out": (OPERATIONS["hand_out"], {"id": OPERATION, "items": [7, 8]}, {"operation_items_pkey"}),
    "give_up": (OPERATIONS["give_up"], {"id": OPERATION, "items": "[]"}, {"operation_items_pkey"}),
    "done_up": (OPERATIONS["done_up"], {"id": OPERATION, "before": 500_000, "limit": 500}, {"operation_items_state"}),
    "done_down": (OPERATIONS["done_down"], {"id": OPERATION, "before": 500_000, "limit": 500}, {"operation_items_state"}),
    # By the mount's entries, or by all of them: the fill has one mount.
    "changed_since": (OPERATIONS["changed_since"], {"id": OPERATION, "limit": 10, "mount": 1, "path": b"d", "entry": 10**9}, set()),
    "work in flight": (WORK["in_flight"], {"id": OPERATION, "limit": 64, "records": True}, {"operation_items_state"}),
    "work begins": (WORK["begin"], {"id": OPERATION, "items": [7, 8], "seconds": 0.0}, set()),
    "work ends": (WORK["end"], {"id": OPERATION, "items": "[]"}, {"operation_items_state"}),
    "files of work": (WORK["files"], {"id": OPERATION, "items": [7, 8]}, {"operation_items_pkey", "nodes_pkey"}),
    "verified": (
        WORK["verified"], {"nodes": [5000], "versions": [1], "hashes": [b"h" * 32]}, {"nodes_pkey", "versions_pkey"},
    ),
    "deleted at a path": (RESTORES["gone_at"], {"mount": 1, "path": b"5/10", "parent": b"5/", "name": b"10"},
                          {"nodes_directory", "nodes_deleted_directory", "nodes_deleted"}),
    "kept now": (RESTORES["kept_now"], {"nodes": [500, 5000]}, {"nodes_pkey", "versions_pkey"}),
    "since a time": (RESTORES["since"], {"nodes": "[]"}, {"nodes_pkey", "versions_pkey"}),
    "were at a time": (RESTORES["were"], {"nodes": [5000], "base": 500, "at": NOW}, {"versions_pkey"}),
    "buried": (RESTORES["buried"], {"top": 500, "directory": b"", "name": b"", "limit": 64},
               {"nodes_pkey", "nodes_deleted_directory", "nodes_deleted"}),
    "places of a purge": (PURGES["places"], {"id": OPERATION, "items": [7, 8]}, {"operation_items_pkey", "versions_pkey"}),
    "what a purge leaves": (PURGES["below"] + "\n" + PURGES["counted_on"], {"places": "[]", "mount": 1},
                            {"nodes_deleted", "versions_pkey", "operation_items_restores", "operations_pkey"}),
    "mark of a purge": (PURGES["below"] + "\n" + PURGES["mark"], {"places": "[]"}, {"nodes_deleted", "versions_pkey"}),
    "end of a purge": (PURGES["below"] + "\n" + PURGES["clear"], {"places": "[]"}, {"nodes_deleted", "versions_pkey"}),
    "what the trash keeps of a held place": (load("object_locks")["kept"], {"entries": "[]"}, {"nodes_deleted", "versions_pkey"}),
    "expired restores": (PURGES["expired"], {"items": "[]"}, {"versions_pkey"}),
    "weight of a subtree": (load("subtrees")["weigh"], {"mount": 1, "ids": [500], "most": 10_000, "flat": 50_000},
                            {"nodes_pkey", "nodes_directory", "nodes_name"}),
    "due operations": (OPERATIONS["due"], {"mount": 1, "silent": 15.0, "after": None}, {"operations_moving"}),
    "changed trees": (OPERATIONS["changed_trees"], {"id": OPERATION, "entry": 10**9, "trees": "[]"},
                      {"journal_entries_command_id_attempt_key", "operations_pkey"}),
    "comes_back": (OPERATIONS["comes_back"], {"id": OPERATION, "state": "pending"}, {"operation_items_state"}),
    "unmet": (OPERATIONS["unmet"], {"id": OPERATION, "items": "{}"}, {"operation_items_pkey"}),
    "overlapping": (OPERATIONS["overlapping"], {"mounts": "{}", "id": OPERATION, "paths": "{}"}, {"operations_claimed"}),
    "a plan": (OPERATIONS["below"], {"mount": 1, "directory": b"5/", "high": b"50", "name": b"", "limit": 500},
               {"nodes_directory", "nodes_name"}),
    "what is recorded at names": (
        load("watchers")["recorded"], {"mount": 1, "paths": "{5/7}", "parents": "{5/}", "names": "{7}"},
        {"nodes_directory", "nodes_name", "claims_pkey"},
    ),
    "our own ETags": (
        load("bucket_notifications")["on_record"],
        {"mount": 1, "paths": "{5/7}", "parents": "{5/}", "names": "{7}", "etags": "{x}"}, {"nodes_directory", "nodes_name"},
    ),
    "ask": (RECOMPUTES["ask"], {"directory": 500, "principal": "user", "reason": "request"}, {"nodes_pkey"}),
    "open_of": (RECOMPUTES["open_of"], {"directory": 500}, set()),
    "root": (RECOMPUTES["root"], {"mount": 1}, {"nodes_directory"}),
    "await": (RECOMPUTES["await"], {"directory": 500}, set()),
    "find": (RECOMPUTES["find"], {"id": 1}, {"rollup_recomputes_pkey", "nodes_pkey"}),
    "due recomputes": (RECOMPUTES["due"], {"mount": 1, "silent": 15.0}, {"rollup_recomputes_running"}),
    "a page of a recompute": (RECOMPUTES["page"], {**RANGE, "limit": 2},
                              {"nodes_directory", "rollups_pkey", "nodes_name", "rollup_deltas_directory"}),
    "the last page of a recompute": (RECOMPUTES["page"], {**RANGE, "low": b"", "high": b"\xff" * 256, "run": 1, "limit": 1},
                                     {"nodes_directory", "rollups_pkey"}),
    "correct": (RECOMPUTES["correct"], {"ids": [500, 501], "run": 1},
                {"nodes_pkey", "nodes_name", "rollup_deltas_directory"}),
    "parent": (RECOMPUTES["parent"], {"directory": 5000}, {"nodes_pkey", "nodes_name"}),
    "prove": (RECOMPUTES["prove"], {"ids": [500, 501], "run": 1}, set()),
    "advance": (RECOMPUTES["advance"], {"run": 1, "cursor": b"", "directories": 1, "waits": 0}, set()),
    "settle recomputes": (RECOMPUTES["settle"], BELOW, {"rollups_doubtful", "nodes_pkey"}),
    "doubt of a rollup": (RECOMPUTES["doubt"], {"directory": 500}, {"rollups_pkey"}),
    "end of a recompute": (RECOMPUTES["end"], {"run": 1, "state": "failed", "code": None}, {"nodes_pkey"}),
    "position": (RECOMPUTES["position"], {"mount": 1}, set()),
    "mark": (RECOMPUTES["mark"], {"ids": [500, 501]}, {"nodes_pkey"}),
    "forget recomputes": (RECOMPUTES["forget"], {"keep": 0.0, "limit": 100}, {"rollup_recomputes_ended"}),
    "goes_to": (OPERATIONS["goes_to"], {"id": OPERATION, "places": "{p7}"}, {"operation_items_appears"}),
    "stamp": (IMPORTS["stamp"], {"mount": 1}, {"journal_entries_pkey"}),
    "touched": (IMPORTS["touched"], {"mount": 1, "entry": 999_990}, {"journal_entries_pkey"}),
    "folders of a page": (IMPORTS["folders"], {"mount": 1, "paths": [b"5/", b"6/"]}, {"nodes_directory"}),
    "known in a page": (IMPORTS["known"], {"parents": [500, 501], "names": [b"1", b"2"]}, {"nodes_name"}),
    "totals of a page": (
        IMPORTS["roll"], {"directories": [500], "bytes": [1], "files": [1], "folders": [0]}, {"nodes_pkey"},
    ),
    "page of a forgotten import": (FORGETS["page_before"], {"import": OPERATION, "below": 10**9}, {"journal_entries_operation"}),
    "made by a page": (FORGETS["made"], {"at": NOW, "command": OPERATION}, {"snapshots_begun", "nodes_pkey"}),
    "moved since an import": (FORGETS["moved"], {"directories": [5, 6], "entry": 7}, {"nodes_pkey", "journal_entries_node"}),
    "holding others": (
        FORGETS["holding"], {"directories": [5], "import": OPERATION}, {"nodes_name", "versions_pkey"},
    ),
    "claims beside a forgotten import": (FORGETS["claims"], {"mount": 1}, set()),
    "portion of a forgotten import": (FORGETS["portion"], {"id": OPERATION, "items": [7, 8]}, {"operation_items_state"}),
    "forget": (
        FORGETS["forget"], {"ids": [500], "versions": [1], "page": OPERATION}, {"nodes_pkey", "nodes_name", "snapshots_current"},
    ),
    "first that waits": (FORGETS["waiting"], {"id": OPERATION}, {"operation_items_state"}),
    "standing": (FORGETS["standing"], {"ids": [500], "versions": [1]}, {"nodes_pkey"}),
    "told of forgotten ones": (
        FORGETS["tell"], {"id": OPERATION, "page": OPERATION, "nodes": [500], "sizes": [0], "files": [0], "directories": [0]},
        {"operations_pkey", "nodes_pkey"},
    ),
    "put off": (
        FORGETS["put_off"], {"id": OPERATION, "items": [7, 8], "most": 12, "message": "busy"}, {"operation_items_state"},
    ),
    "refused of an import": (IMPORTS["refused"], {"id": OPERATION}, {"operation_items_state"}),
    "waiting of an import": (IMPORTS["waiting"], {"id": OPERATION, "limit": 100}, {"operation_items_state"}),
    "defer of an import": (IMPORTS["defer"], {"id": OPERATION, "items": [7, 8], "most": 12}, {"operation_items_state"}),
    "last item of an import": (IMPORTS["next_item"], {"id": OPERATION}, {"operation_items_pkey"}),
    "unhashed": (
        IMPORTS["unhashed"], {"mount": 1, "limit": 100, "directory": b"5/", "name": b"", "high": b"50", "only": None},
        {"nodes_directory", "nodes_name"},
    ),
    "unhashed behind": (IMPORTS["directory_after"], {"mount": 1, "directory": b"5/", "high": b"6"}, {"nodes_directory"}),
    "put_hashes": (
        IMPORTS["put_hashes"], {"ids": [500], "versions": [1], "hashes": "{" + "ab" * 32 + "}"}, {"nodes_pkey", "versions_pkey"},
    ),
    "holds in the way": (HOLDS["in_the_way"], {"items": HELD}, {"holds_in_force"}),
    "what is taken now": (HOLDS["taken_now"], {"mount": 1, "path": b"5", "above": [b""], "low": b"5/", "high": b"50"}, set()),
    "whether a mount has holds": (HOLDS["on_mount"], {"mount": 1}, {"holds_in_force"}),
    "a hold": (HOLDS["lock"], {"id": 500, "tenant": "main"}, {"holds_tenant"}),
    "room in quotas": (
        QUOTAS["room"], {"items": GROWING}, {"nodes_directory", "rollup_deltas_directory", "charges_of", "commands_running"},
    ),
    "room at a place": (
        QUOTAS["room_at"], {"tenant": "main", "mount": 1, "path": b"6/new", "principal": "user1"}, {"charges_of"},
    ),
    "held looks": (LOOKS["held"], {"mount": 1}, {"looks_open"}),
    "a look": (LOOKS["find"], {"look": 500}, {"looks_pkey"}),
    "mounts with heals": (HEALS["due_mounts"], {"mounts": [1, 2]}, {"findings_due"}),
    "heals a brake is asked about": (HEALS["unweighed"], {"mount": 1, "limit": 1000}, {"findings_due"}),
    "heals that are due": (HEALS["due"], {"mount": 1, "limit": 32}, {"findings_due"}),
    "the next heal": (HEALS["next_due"], {"mount": 1}, {"findings_due"}),
    "copies for a heal": (HEALS["copies"], {"mount": 1, "tenant": "main", "sha256": HASH, "node": 500, "limit": 8},
                          {"snapshots_copies", "nodes_sha256"}),
    "findings of heals": (HEALS["known"], {"ids": [500, 501]}, {"findings_pkey"}),
    "what heals found": (HEALS["healing"], {"ids": IDS}, {"commands_pkey"}),
    "how heals ended": (HEALS["ends"], {"ids": IDS}, {"commands_pkey"}),
    "heals that were tried": (HEALS["tried"], {"tries": "[]", "most": 8}, {"findings_due"}),
    "the plan of heals": (HEALS["plan"], {"ids": [500, 501], "plan": 0}, {"findings_due"}),
    # Two indexes are as good: the planner takes one or the other by what the sample of the statistics held.
    "the answer to heals": (HEALS["answer"], {"yes": True, "look": 500}, set()),
    "what a directory held that is back": (HEALS["open_below"], {"findings": [500]}, {"nodes_pkey", "nodes_doubted"}),
    "contents to scrub": (SCRUB["page"], {"mount": 1, "directory": b"5/", "name": b"", "limit": 128},
                          {"nodes_directory", "nodes_name"}),
    "contents to scrub behind": (SCRUB["behind"], {"mount": 1, "directory": b"5/"}, {"nodes_directory"}),
    "how far a scrub is": (SCRUB["progress"], {"mount": 1}, {"nodes_directory"}),
    "damage": (SCRUB["seen_damaged"], {"node": 500, "version": 1, "ctime": 7}, {"nodes_pkey"}),
    "content that is lost": (CONCLUDE["lose_content"], {"ids": [500, 501]}, {"versions_pkey"}),
    "files that have left the trash": (
        CONCLUDE["leave_trash"],
        {"mount": 1, "hashes": [b"\1" * 32, b"\2" * 32], "devices": [1, 1], "inodes": [1, 2], "births": [1, 2]},
        {"snapshots_copies"},
    ),
    "findings of a decision": (load("findings")["lock"], {"ids": [500, 501]}, {"findings_pkey"}),
    "jobs that are due": (load("reconciliations")["due"], {"mount": 1, "silent": 9.0}, {"reconciliation_jobs_open"}),
    "directories of a look": (LOOKS["directories"], {"mount": 1, **LISTED}, {"nodes_directory", "nodes_inode"}),
    "children of a look": (LOOKS["children"], {"ids": [500, 501]}, {"nodes_name"}),
    "a name of a look": (LOOKS["child"], {"mount": 1, "directory": b"5/", "name": b"7"}, {"nodes_directory", "nodes_name"}),
    "nodes_at": (CONCLUDE["nodes_at"], {"parents": [500], "names": [b"7"]}, {"nodes_name", "nodes_pkey"}),
    "nodes_of": (CONCLUDE["nodes_of"], {"mount": 1, "inodes": [2**40]}, {"nodes_inode", "nodes_pkey"}),
    "nodes_below": (CONCLUDE["nodes_below"], {"tops": [500], "paths": [b"5"], "seen": [7]}, {"nodes_name"}),
    "seal": (audit_store.NEXT, {"after": 999_900, "settled": 10**6, "limit": 100}, {"journal_entries_pkey"}),
    "prove seals": (audit_store.OF_RANGES, {"numbers": [1, 2], "after": [5, 999_900], "last": [50, 999_950]},
                    {"journal_entries_pkey"}),
    "entries about projects": (load("project_acts")["page"], {"after": 5000, "settled": 10**6, "limit": 500},
                               {"journal_entries_projects"}),
    "those of a tenant": (load("project_acts")["of_tenant"], {"tenant": "main", "after": 5000, "last": 10**6, "limit": 500},
                          {"journal_entries_projects"}),
    "the last seal": (load("audit")["head"], {}, {"journal_entries_pkey"}),
    "since a look": (CONCLUDE["since"], {"mount": 1, "entries": 2**40, "most": 10**6}, {"journal_entries_pkey"}),
    "change_nodes of a look": (CONCLUDE["change_nodes"], {"acts": "[]", "conclusion": 1}, {"nodes_pkey"}),
    "doubt of a look": (CONCLUDE["doubt"], {"acts": "[]", "conclusion": 1}, {"nodes_pkey"}),
    "miss of a look": (CONCLUDE["miss"], {"acts": "[]", "conclusion": 1}, {"nodes_pkey"}),
    "roll of a look": (CONCLUDE["roll"], {"shifts": "[]"}, {"nodes_pkey"}),
    "places of a plan": (
        OPERATIONS["weigh"], {"mount": 1, "parents": [b"5/"], "names": [b"7"]}, {"nodes_directory", "nodes_name", "nodes_pkey"},
    ),
    "occupants": (OPERATIONS["occupants"], {"mount": 1, "places": "[]"}, {"nodes_directory", "nodes_name"}),
    "events of the Metastore": (METASTORE["page"], {"after": 999_000, "limit": 100, "bytes": 4_000_000}, {"outbox_position"}),
    "events of the Timestore": (ACTIVITY["page"], {"after": 999_000, "limit": 100, "bytes": 4_000_000}, {"outbox_position"}),
    "hold records": (METASTORE["hold"], {"nodes": [500, 501]}, {"metastore_records_pkey"}),
    "sync": (METASTORE["sync"], {"items": SYNCED, "namespace": "filestore"}, {"nodes_pkey", "metastore_records_pkey"}),
    "carry": (METASTORE["carry"], {"items": json.dumps([{"node": 500, "origin": 501}])}, {"metastore_records_pkey"}),
    "records of nodes": (TAGS["of_nodes"], {"nodes": [500, 501], "namespace": "filestore"},
                         {"nodes_pkey", "metastore_records_pkey"}),
    "nodes without a record": (TAGS["unknown"], {"id": OPERATION, "items": [500, 501]},
                               {"operation_items_pkey", "metastore_records_pkey"}),
    "items of records": (TAGS["in_flight"], {"id": OPERATION, "items": [500, 501]}, {"operation_items_state"}),
    "former records": (TAGS["former"], {"items": json.dumps([{"item": 1, "node": 500, "version": 1}])}, {"metastore_history_pkey"}),
    "keep records": (TAGS["keep"], {"nodes": [50001, 50002]}, {"metastore_records_pkey"}),
    "change records": (TAGS["change"], {"principal": "ann", "records": json.dumps([CHANGED])}, {"metastore_records_pkey"}),
    "the ends of records": (TAGS["end"], {"id": OPERATION, "back": False, "items": json.dumps([{"item": 500, "ends": "done"}])},
                            {"operation_items_state"}),
    "records among nodes": (AMONG, {"tenant": "main", "after": 0, "nodes": [500, 501], "tags": "{t4}", "query": "4711"},
                            {"metastore_records_pkey"}),
    "living children": (METASTORE["living"], {"directory": 500, "origin": None, "after": None, "limit": 100}, {"nodes_name"}),
    "buried children": (METASTORE["buried"],
                        {"directory": 500, "after": None, "limit": 100, "buried": NOW.isoformat()}, {"nodes_deleted"}),
    "scan of nodes": (METASTORE["scan"], {"after": 500, "last": 10**9, "limit": 100}, {"nodes_pkey"}),
    "state of the Metastore": (METASTORE["state"], {}, {"outbox_position"}),
    "node_at": (OPERATIONS["node_at"], {"mount": 1, "path": b"5/7", "parent": b"5/", "name": b"7"}, {"nodes_directory"}),
}  # fmt: skip
