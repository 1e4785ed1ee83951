"""`begin` and `commit` over lists: every item gets its own verdict, and its own end."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from schema.commands.command import Command, CommandKind, Status
from schema.commands.payloads import Applied
from schema.commands.verdicts import Busy, Conflict, Go, Join, Refuse, Replay, Resume
from schema.ids import CommandId, MountId, NodeId, new_command_id
from schema.store import begin as begin_store
from schema.store import leftovers as leftover_store
from schema.store import outcomes as outcome_store
from schema.store import record as record_store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, make_mount, mkdir, upload


async def rows(pool: Pool, query: str, *values: Any) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(query.encode(), values)).fetchall()


async def journal(pool: Pool, command: CommandId) -> list[dict[str, Any]]:
    query = "SELECT * FROM filestore.journal_entries WHERE command_id = %s ORDER BY id"
    return await rows(pool, query, command)


def body(protocol: Protocol, command: CommandId) -> Any:
    return json.loads(protocol.outcome(command).body)


async def test_a_list_with_every_kind_of_verdict(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    await protocol.run(mount, mkdir(mount, "d"), upload(mount, "f", key="done"), mkdir(mount, "full"))
    await protocol.run(mount, mkdir(mount, "full/x"))
    elsewhere = mkdir(mount, "elsewhere", key="running")
    await protocol.begin(mount, [elsewhere])

    items = {
        "goes": mkdir(mount, "d/new"),
        "is in the way of the one before": upload(mount, "d/new"),
        "is refused": mkdir(mount, "nowhere/x"),
        "is done already": upload(mount, "f", key="done"),
        "has the key of another": upload(mount, "g", key="done"),
        "is running elsewhere": mkdir(mount, "elsewhere", key="running"),
        "meets its claim": mkdir(mount, "elsewhere", key="late"),
        "is not empty": delete(mount, "full"),
        "goes too": upload(mount, "f", overwrite=True, size=9),
    }
    begun = await protocol.begin(mount, list(items.values()))
    verdicts = {name: protocol.audience.verdicts[request.id] for name, request in items.items()}
    assert {name: type(verdict) for name, verdict in verdicts.items()} == {
        "goes": Go,
        "is in the way of the one before": Busy,
        "is refused": Refuse,
        "is done already": Replay,
        "has the key of another": Conflict,
        "is running elsewhere": Join,
        "meets its claim": Busy,
        "is not empty": Refuse,
        "goes too": Go,
    }
    assert [going.id for going in begun.go] == [items["goes"].id, items["goes too"].id]
    assert set(begun.refused) == {items["is refused"].id, items["is not empty"].id}
    for name, code in {"is refused": "PARENT_NOT_FOUND", "is not empty": "CHILDREN_EXIST"}.items():
        assert body(protocol, items[name].id)["error"]["code"] == code
        assert [entry["outcome"] for entry in await journal(pool, items[name].id)] == ["failed"]
    kept = await rows(pool, "SELECT path FROM filestore.claims WHERE mount_id = %s ORDER BY path", mount)
    assert [row["path"] for row in kept] == [b"d/new", b"elsewhere", b"f"]
    unrecorded = [items[name].id for name in ("is in the way of the one before", "is done already", "meets its claim")]
    assert await rows(pool, "SELECT id FROM filestore.commands WHERE id = ANY(%s::uuid[])", unrecorded) == []


async def test_a_life_in_the_record(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    made, over, gone = upload(mount, "x", 5), upload(mount, "x", 9, overwrite=True), delete(mount, "x")
    for request in (made, over, gone):
        await protocol.run(mount, request)
    again = delete(mount, "x")
    await protocol.run(mount, again)
    assert [body(protocol, one.id)["idempotent"] for one in (made, over, gone, again)] == [False, False, False, True]
    [node] = await rows(pool, "SELECT * FROM filestore.nodes WHERE mount_id = %s AND name = 'x'", mount)
    assert (node["state"], node["version"], node["size_bytes"]) == ("deleted", 3, 9)
    history = await rows(pool, "SELECT * FROM filestore.snapshots WHERE node_id = %s ORDER BY version", node["id"])
    assert [(s["size_bytes"], s["state"], s["valid_to"] is None) for s in history] == [
        (5, "active", False), (9, "active", False), (9, "deleted", True),
    ]  # fmt: skip
    assert [s["content_place"] and bytes(s["content_place"]).split(b"/")[1].decode() for s in history] == [
        f"{over.id}.0",
        f"{gone.id}.0",
        None,
    ]
    assert history[0]["valid_to"] == history[1]["valid_from"]
    left = await rows(pool, "SELECT command_id::text FROM filestore.cleanups WHERE mount_id = %s", mount)
    assert [row["command_id"] for row in left] == [over.id], (
        "what was replaced waits in the stage; what was deleted does not"
    )


async def test_the_record_counts_one_step_of_a_list_for_every_ancestor(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    await protocol.run(mount, mkdir(mount, "a"))
    await protocol.run(mount, mkdir(mount, "a/b"), upload(mount, "a/f", 7), upload(mount, "g", 1))
    await protocol.run(mount, upload(mount, "a/b/h", 10))
    await protocol.run(mount, upload(mount, "a/b/h", 4, overwrite=True), delete(mount, "g"))
    query = """SELECT n.directory_path AS path, r.size_bytes, r.file_count, r.directory_count, r.child_count
                 FROM filestore.nodes n, filestore.rollup_of(n.id) r WHERE n.mount_id = %s AND n.kind = 'directory'
                ORDER BY n.directory_path"""
    assert [tuple(row.values()) for row in await rows(pool, query, mount)] == [
        (b"", 11, 2, 2, 1), (b"a/", 11, 2, 1, 2), (b"a/b/", 4, 1, 0, 1),
    ]  # fmt: skip


async def test_a_retryable_failure_opens_the_next_attempt_and_both_are_journaled(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    first = upload(mount, "x", key="k", failure="STORAGE_FULL", failure_message="Full.", staged=None)
    await protocol.run(mount, first)
    assert body(protocol, first.id)["error"]["code"] == "STORAGE_FULL"
    second = upload(mount, "x", key="k", hash=first.hash)
    verdicts = await protocol.run(mount, second)
    verdict = verdicts[second.id]
    assert isinstance(verdict, Go) and (verdict.id, verdict.attempt) == (first.id, 2)
    entries = await journal(pool, first.id)
    assert [(e["attempt"], e["outcome"], e["code"], e["retryable"]) for e in entries] == [
        (1, "failed", "STORAGE_FULL", True), (2, "succeeded", None, False),
    ]  # fmt: skip
    assert body(protocol, first.id)["journalEntryId"] == entries[1]["id"]
    third = upload(mount, "x", key="k", hash=first.hash)
    assert isinstance((await protocol.run(mount, third))[third.id], Replay)


async def test_a_definite_failure_is_the_answer_for_good(protocol: Protocol, mount: MountId) -> None:
    first = mkdir(mount, "no/x", key="k")
    await protocol.run(mount, first)
    await protocol.run(mount, mkdir(mount, "no"))
    second = mkdir(mount, "no/x", key="k")
    verdict = (await protocol.run(mount, second))[second.id]
    assert isinstance(verdict, Replay) and verdict.known.code == "PARENT_NOT_FOUND"


async def test_the_same_key_twice_in_one_list_makes_one_command(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    twins = [mkdir(mount, "x", key="k"), mkdir(mount, "x", key="k")]
    begun = await protocol.begin(mount, twins)
    assert len({going.id for going in begun.go}) == 1
    found = await rows(pool, "SELECT id FROM filestore.commands WHERE mount_id = %s", mount)
    assert len(found) == 1


async def test_the_same_key_with_another_request_in_one_list_is_a_conflict(protocol: Protocol, mount: MountId) -> None:
    one, another = mkdir(mount, "x", key="k"), mkdir(mount, "y", key="k")
    await protocol.begin(mount, [one, another])
    kinds = [type(protocol.audience.verdicts[request.id]) for request in (one, another)]
    assert kinds == [Go, Conflict]


async def test_the_same_key_at_once_is_one_command(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    requests = [mkdir(mount, "x", key="k") for _ in range(8)]
    begun = await asyncio.gather(*(protocol.begin(mount, [request]) for request in requests))
    assert sum(len(one.go) for one in begun) == 1
    assert sorted(type(protocol.audience.verdicts[r.id]).__name__ for r in requests) == ["Go", *["Join"] * 7]


async def test_the_same_key_over_two_mounts_at_once_is_one_command(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    async with pool.connection() as connection:
        second = await make_mount(connection)
    for turn in range(10):
        pair = [mkdir(one, f"x{turn}", key=f"k{turn}", principal="both") for one in (mount, second)]
        await asyncio.gather(*(protocol.begin(request.mount_id, [request]) for request in pair))
        assert sorted(type(protocol.audience.verdicts[r.id]).__name__ for r in pair) == ["Conflict", "Go"]
    claimed = "SELECT count(*) FROM filestore.claims WHERE mount_id IN (%s, %s)"
    assert (await rows(pool, claimed, mount, second))[0]["count"] == 10


async def test_a_begin_that_is_run_again_finds_what_it_opened(protocol: Protocol, mount: MountId) -> None:
    request = mkdir(mount, "x")
    first = await protocol.begin(mount, [request], workflow="w")
    again = await protocol.begin(mount, [request], workflow="w")
    assert isinstance(protocol.audience.verdicts[request.id], Resume)
    assert again.go == first.go


async def test_only_the_attempt_the_row_names_can_end_a_command(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    request = mkdir(mount, "x")
    await protocol.begin(mount, [request])
    async with pool.connection() as connection:
        raised = await record_store.read_running(connection, [request.id], raise_attempt=True)
    assert raised[request.id].attempt == 2
    zombie = await protocol.commit(mount, [protocol.applied(request.id, 1)])
    assert (zombie.succeeded, zombie.failed) == (0, 0)
    assert await journal(pool, request.id) == []
    rightful = await protocol.commit(mount, [protocol.applied(request.id, 2)])
    assert rightful.succeeded == 1


async def test_a_commit_that_is_run_again_answers_the_same_and_writes_nothing(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    request = mkdir(mount, "x")
    await protocol.begin(mount, [request])
    applied = protocol.applied(request.id)
    await protocol.commit(mount, [applied])
    said = protocol.outcome(request.id)
    assert (await protocol.commit(mount, [applied])).succeeded == 1
    assert protocol.outcome(request.id) == said
    assert len(await journal(pool, request.id)) == 1


async def test_one_item_that_can_not_be_recorded_fails_alone(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    requests = [mkdir(mount, f"x{n}") for n in range(7)]
    begun = await protocol.begin(mount, requests)
    applied = [protocol.applied(going.id) for going in begun.go]
    # No identity has such a number: Postgres refuses it.
    applied[3] = replace(applied[3], identity=[0, 2**70, 1, 0, 2, 3, 1, 0o755, 2])
    ended = await protocol.commit(mount, applied)
    assert (ended.succeeded, ended.failed) == (6, 1)
    assert protocol.outcome(requests[3].id).status in (Status.FAILED, Status.INCONSISTENT)
    assert await rows(pool, "SELECT FROM filestore.claims WHERE mount_id = %s", mount) == []


async def test_a_failed_step_releases_the_claim_and_keeps_the_stage_for_clearing(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    request = upload(mount, "x")
    await protocol.begin(mount, [request])
    failure = Applied(request.id, 1, Status.FAILED, code="NODE_EXISTS", message="Taken on disk.")
    ended = await protocol.commit(mount, [failure])
    assert ended.leftovers == [request.id]
    [entry] = await journal(pool, request.id)
    assert (entry["outcome"], entry["code"], entry["after"]) == ("failed", "NODE_EXISTS", None)
    assert entry["context"] == {"message": "Taken on disk."}
    assert await rows(pool, "SELECT FROM filestore.claims WHERE mount_id = %s", mount) == []


async def test_an_effect_that_can_not_be_put_right_leaves_the_node_in_doubt(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    await protocol.run(mount, upload(mount, "x"))
    request = delete(mount, "x")
    await protocol.begin(mount, [request])
    odd = Applied(request.id, 1, Status.INCONSISTENT, code="VERSION_CONFLICT", message="Odd.")
    await protocol.commit(mount, [odd])
    [node] = await rows(pool, "SELECT state, version FROM filestore.nodes WHERE mount_id = %s AND name = 'x'", mount)
    assert node == {"state": "inconsistent", "version": 1}
    refused = upload(mount, "x", overwrite=True)
    verdict = (await protocol.run(mount, refused))[refused.id]
    assert isinstance(verdict, Refuse) and verdict.error.code == "VERSION_CONFLICT"


async def test_metadata_waits_for_begin_and_reaches_the_node(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    request = upload(mount, "x", has_metadata=True)
    async with pool.connection() as connection:
        await begin_store.keep_metadata(connection, mount, [(request, {"colour": "blue"})])
    await protocol.run(mount, request)
    [node] = await rows(pool, "SELECT metadata FROM filestore.nodes WHERE mount_id = %s AND name = 'x'", mount)
    assert node["metadata"] == {"colour": "blue"}
    assert await rows(pool, "SELECT FROM filestore.stages WHERE mount_id = %s", mount) == []


async def test_names_that_are_not_text_are_recorded_byte_by_byte(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    await protocol.run(mount, mkdir(mount, "\ufffd", path_b64="/w=="))
    await protocol.run(mount, upload(mount, "\ufffd/\ufffd", path_b64="/y//"))
    query = "SELECT canonical_path FROM filestore.active_nodes WHERE mount_id = %s ORDER BY depth"
    assert [row["canonical_path"] for row in await rows(pool, query, mount)] == [b"", b"\xff/", b"\xff/\xff"]


async def test_a_mount_that_is_read_only_refuses_and_another_tenant_finds_no_mount(
    protocol: Protocol, pool: Pool
) -> None:
    async with pool.connection() as connection:
        mount = await make_mount(connection, access_mode="ro")
    request, stranger = mkdir(mount, "x"), mkdir(mount, "y", tenant="other")
    verdicts = await protocol.run(mount, request, stranger)
    codes = [verdict.error.code for verdict in verdicts.values() if isinstance(verdict, Refuse)]
    assert codes == ["MOUNT_READ_ONLY", "BACKEND_NOT_FOUND"]


async def test_what_runs_untouched_for_long_is_overdue(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    request = mkdir(mount, "x")
    await protocol.begin(mount, [request])
    async with pool.connection() as connection:
        assert await outcome_store.overdue(connection, mount, 60) == []
        assert await outcome_store.overdue(connection, mount, 0) == [request.id]


async def test_a_stage_is_live_as_long_as_somebody_needs_it(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    running, failed, nobodys = upload(mount, "x"), upload(mount, "no/x"), upload(mount, "y")
    waiting = upload(mount, "z", has_metadata=True)
    async with pool.connection() as connection:
        await begin_store.keep_metadata(connection, mount, [(waiting, {})])
    await protocol.begin(mount, [running, failed])
    stages = [request.id for request in (running, failed, nobodys, waiting)]
    async with pool.connection() as connection:
        live = await leftover_store.live_stages(connection, mount, stages)
        assert live == {running.id, failed.id, waiting.id}
        assert await leftover_store.ended_stages(connection, mount, stages) == [failed.id]
        leftovers = await leftover_store.leftovers(connection, mount, None)
        await leftover_store.close_leftovers(connection, [leftover.cleanup for leftover in leftovers])
        assert await leftover_store.live_stages(connection, mount, stages) == {running.id, waiting.id}


async def test_a_clock_that_was_set_back_stops_nobody(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    await protocol.run(mount, upload(mount, "x"))
    ahead = """UPDATE filestore.versions s SET valid_from = now() + interval '1 hour' FROM filestore.nodes n
                WHERE n.id = s.node_id AND n.mount_id = %s"""
    async with pool.connection() as connection:
        await connection.execute(ahead, (mount,))
    over = upload(mount, "x", 9, overwrite=True)
    await protocol.run(mount, over)
    assert protocol.outcome(over.id).status is Status.SUCCEEDED


async def test_whoever_waits_for_a_key_finds_what_another_process_opened_under_it(
    pool: Pool, protocol: Protocol, mount: MountId
) -> None:
    done, refused = mkdir(mount, "kept", key="k1"), upload(mount, "full", key="k2", failure="STORAGE_FULL")
    await protocol.run(mount, done, refused)

    async def found(waiting: Command, age: float) -> list[str]:
        async with pool.connection() as connection:
            found = await outcome_store.ended_by_key(connection, [(waiting, age)])
            return [outcome.id for outcome in found.values()]

    again = replace(done, id=new_command_id())
    assert await found(again, 0.0) == [done.id], "what is definite is so whenever it was"
    assert await found(done, 60.0) == [], "its own row is read by id"
    assert await found(replace(again, hash="00" * 32), 60.0) == [], "the key of another request"
    retried = replace(refused, id=new_command_id())
    assert await found(retried, 60.0) == [refused.id]
    assert await found(retried, 0.0) == [], "an older failure, of which this is the next attempt"


async def test_a_node_that_is_named_by_its_id_is_described_where_it_lies(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    await protocol.run(mount, mkdir(mount, "d"), upload(mount, "f"))
    node = body(protocol, CommandId((await rows(pool, "SELECT id::text FROM filestore.commands WHERE mount_id = %s AND"
                                                " path = 'f'", mount))[0]["id"]))["node"]["id"]  # fmt: skip
    await protocol.run(mount, asked(CommandKind.MOVE, mount, "f", target="d/g", staged=None, sha256=None))
    late = asked(CommandKind.DESCRIBE, mount, "f", node_id=NodeId(node), staged=None, sha256=None)
    await protocol.run(mount, late)
    [entry] = await journal(pool, late.id)
    assert (entry["outcome"], entry["path"], entry["payload"]["path"]) == ("succeeded", b"d/g", "d/g")


async def test_a_node_that_is_gone_is_not_described_where_it_lay(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    await protocol.run(mount, upload(mount, "f"))
    [row] = await rows(pool, "SELECT id FROM filestore.nodes WHERE mount_id = %s AND name = 'f'", mount)
    await protocol.run(
        mount,
        delete(mount, "f"),
    )
    await protocol.run(mount, upload(mount, "f"))
    late = asked(CommandKind.DESCRIBE, mount, "f", node_id=NodeId(row["id"]), staged=None, sha256=None)
    await protocol.run(mount, late)
    [entry] = await journal(pool, late.id)
    assert (entry["outcome"], entry["code"]) == ("failed", "NODE_NOT_FOUND")


async def test_a_request_is_stored_without_what_other_columns_say(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    """It stands in the row of its command and in the journal: each byte of it twice, for ever."""
    request = upload(mount, "f", 5, overwrite=True, request_id="r", trace_id="t", mime_type="text/plain", key="k")
    await protocol.run(mount, request)
    facts = {"mount_id": mount, "path": "f", "name_text": "f", "overwrite": True, "mime_type": "text/plain", "size": 5}
    facts["sha256"] = "ab" * 32
    [row] = await rows(pool, "SELECT request, key, principal FROM filestore.commands WHERE id = %s::uuid", request.id)
    [entry] = await journal(pool, request.id)
    assert (row["request"], entry["payload"]) == (facts, facts)
    assert (row["key"], row["principal"]) == ("k", request.principal)


async def test_the_name_of_a_piece_of_work_stands_in_the_row_the_journal_and_every_event(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    named = [
        mkdir(mount, "d", correlation_id="import 7"),
        upload(mount, "d/f", correlation_id="import 7"),
        mkdir(mount, "no/e", correlation_id="import 7"),
        asked(CommandKind.MOVE, mount, "d/f", target="g", correlation_id="import 7"),
        delete(mount, "d", correlation_id="import 7"),
    ]
    for request in named:
        await protocol.run(mount, request)
    unnamed = mkdir(mount, "x")
    await protocol.run(mount, unnamed)
    for request in named:
        [row] = await rows(pool, "SELECT correlation_id FROM filestore.commands WHERE id = %s::uuid", request.id)
        [entry] = await journal(pool, request.id)
        assert row["correlation_id"] == entry["correlation_id"] == "import 7"
    events = await rows(
        pool,
        "SELECT type, data->>'commandId' AS command, data->>'correlationId' AS work FROM filestore.outbox"
        " WHERE mount_id = %s",
        mount,
    )
    assert {event["work"] for event in events if event["command"] != unnamed.id} == {"import 7"}
    assert {event["work"] for event in events if event["command"] == unnamed.id} == {None}
    assert {event["type"].removeprefix("filestore.") for event in events} == {
        "command.completed", "node.created", "node.uploaded", "node.updated", "node.moved", "node.deleted",
    }  # fmt: skip


DEEP = "a/" * 2040 + "f"
"""The most names that a path can have, but for one"""


@pytest.mark.parametrize("request_of", [mkdir, upload, delete])
def test_what_begin_asks_of_a_deep_path_grows_with_its_length_and_not_with_its_square(request_of: Any) -> None:
    """Every path over it spelled out made 8 MB of it for one command, and two lists of them stopped a mount for ten seconds."""
    [end] = begin_store._ends(request_of(MountId(1), DEEP))
    assert len(json.dumps(end)) < 10 * len(DEEP)


@pytest.mark.parametrize(
    ("claimed", "kind", "busy"),
    [
        ("a/" * 1000 + "a", "subtree", True),
        ("a", "subtree", True),
        ("", "subtree", True),
        (DEEP, "path", True),
        ("a/" * 1000 + "a", "path", False),
        ("a/" * 1000 + "b", "subtree", False),
        ("a/" * 2040 + "f/g", "subtree", False),
    ],
)
async def test_a_claim_on_any_directory_over_a_deep_path_is_in_its_way(
    protocol: Protocol, pool: Pool, mount: MountId, claimed: str, kind: str, busy: bool
) -> None:
    holder, request = mkdir(mount, "holder"), mkdir(mount, DEEP)
    await protocol.begin(mount, [holder])
    claim = "INSERT INTO filestore.claims (mount_id, path, kind, command_id) VALUES (%s, %s, %s, %s)"
    async with pool.connection() as connection:
        await connection.execute(claim, (mount, claimed.encode(), kind, holder.id))
        found = (await begin_store.look(connection, [request]))[request.id]
    assert found.here.busy == (holder.id if busy else None)
