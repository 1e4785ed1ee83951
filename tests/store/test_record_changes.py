"""Who changed which record, when and why: it stands in the journal and in the feed, and an undo by selection puts it back."""

from typing import Any

import pytest

from schema.ids import MountId, NodeId
from schema.metastore.changes import RecordAuthor
from schema.metastore.records import Description, RecordEdit
from schema.operations.control import Control
from schema.operations.operation import Operation, OperationKind
from schema.operations.undo_selection import UndoSelection
from schema.paths import NodePath
from schema.store import journal
from schema.store import records as record_store
from schema.store.journal import JournalFilter
from schema.store.pool import Pool
from tests.store.authors import KIND, Author
from tests.store.helpers import Protocol, make_mount
from tests.store.operation_rows import Runner, asked_for, lies, now, steered
from tests.store.test_metastore import Follow, follow, rows

__all__ = ["follow"]

AGENT = UndoSelection(principal="agent")
AUTHOR = RecordAuthor(principal="agent", token=1, request="r1", correlation="w1")


class Saying:
    """Two files in a directory, and clients that say something of them."""

    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.mount, self.runner = pool, mount, Runner(pool, protocol)
        self.agent, self.other = Author("agent", self.runner, mount), Author("other", self.runner, mount)

    async def say(self, path: str, *tags: str, by: RecordAuthor = AUTHOR, removed: bool = False) -> None:
        node = await self.node(path)
        async with self.pool.connection() as connection, connection.transaction():
            held = await record_store.hold(connection, node, "main") or await record_store.make(
                connection, node, "main"
            )
            assert held is not None
            await record_store.change(
                connection, held, Description(tags=tags), change="removed" if removed else "updated", by=by, schema=None,
                violation=None, removed=removed,
            )  # fmt: skip

    async def node(self, path: str) -> NodeId:
        query = "SELECT id FROM filestore.node_documents WHERE mount_id = %s AND path_text = %s AND state <> 'deleted'"
        [row] = await rows(self.pool, query, self.mount, path)
        return NodeId(row["id"])

    async def tag(self, path: str, tag: str, **values: Any) -> Operation:
        edit = RecordEdit(add_tags=[tag])
        operation = await asked_for(
            self.pool, self.mount, kind=OperationKind.TAG, record=edit, path=NodePath(path.encode()), **values
        )
        await self.runner.plan(operation)
        assert await self.runner.to_the_end(operation) == "succeeded"
        return operation

    async def tags(self) -> dict[str, list[str]]:
        """Where the nodes lie now: the feed may not have told of that yet."""
        query = """SELECT d.path_text AS path, r.tags FROM filestore.metastore_records r
                     JOIN filestore.node_documents d ON d.id = r.node_id WHERE d.mount_id = %s AND r.tags <> '{}'"""
        return {row["path"]: row["tags"] for row in await rows(self.pool, query, self.mount)}

    async def entries(self) -> list[dict[str, Any]]:
        query = """SELECT id, kind, node_id, path, principal, token_id, operation_id::text, item, request_id, correlation_id,
                          before, after, payload FROM filestore.journal_entries
                    WHERE mount_id = %s AND executor = 'record' ORDER BY id"""
        return await rows(self.pool, query, self.mount)

    async def events(self) -> list[dict[str, Any]]:
        query = (
            "SELECT data FROM filestore.outbox WHERE mount_id = %s AND type = 'filestore.record.updated' ORDER BY id"
        )
        return [row["data"] for row in await rows(self.pool, query, self.mount)]


@pytest.fixture
async def saying(pool: Pool, protocol: Protocol) -> Saying:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    made = Saying(pool, protocol, mount)
    await made.other.mkdir("d")
    await made.other.put("d/f", "d/g")
    return made


def said(version: int, *tags: str, **more: Any) -> dict[str, Any]:
    return {
        "version": version, "namespace": "filestore", "tags": list(tags), "owner": None, "metadata": {}, "deletedAt": None,
    } | more  # fmt: skip


async def test_a_change_of_one_record_is_an_entry_of_the_journal_and_an_event(saying: Saying) -> None:
    node = await saying.node("d/f")
    await saying.say("d/f", "red")
    await saying.say("d/f", removed=True)
    first, second = await saying.entries()
    assert (first["kind"], first["node_id"], first["path"], first["payload"]) == (
        "describeRecord", node, b"d/f", {"path": "d/f"},
    )  # fmt: skip
    assert (first["principal"], first["token_id"], first["request_id"], first["correlation_id"]) == (
        "agent",
        1,
        "r1",
        "w1",
    )
    assert (first["before"], first["after"]) == (said(1), said(2, "red"))
    assert (second["kind"], second["before"]) == ("forgetRecord", said(2, "red"))
    assert second["after"] == said(3, deletedAt=second["after"]["deletedAt"]) and second["after"]["deletedAt"]
    event, closed = await saying.events()
    assert (event["nodeId"], event["path"], event["record"], event["previous"]) == (
        node,
        "d/f",
        said(2, "red"),
        said(1),
    )
    assert (event["journalId"], event["command"], event["principal"]) == (first["id"], "describeRecord", "agent")
    assert (event["correlationId"], closed["command"]) == ("w1", "forgetRecord") and "operationId" not in event


async def test_an_operation_that_tags_leaves_an_entry_and_an_event_for_each_record(saying: Saying) -> None:
    operation = await saying.tag("d", "red", principal="agent", correlation_id="w2")
    items = {one.node_id: one.item for one in (await now(saying.pool, operation))[1]}
    entries, events = await saying.entries(), await saying.events()
    assert {one["path"] for one in entries} == {b"d", b"d/f", b"d/g"} and len(events) == 3
    for entry, event in zip(entries, events, strict=True):
        assert (entry["operation_id"], event["operationId"]) == (operation.id, operation.id)
        assert (entry["principal"], entry["item"], entry["correlation_id"]) == ("agent", items[entry["node_id"]], "w2")
        assert entry["after"] == event["record"] == said(2, "red")


async def test_the_history_of_a_path_and_of_a_node_has_what_was_said_of_it(saying: Saying) -> None:
    await saying.say("d/f", "red")
    node = await saying.node("d/f")
    hidden = lambda entry: not entry.act  # noqa: E731  as a token without `audit` reads it
    for asked in (JournalFilter(mount=saying.mount, path=NodePath(b"d/f")), JournalFilter(node=NodeId(node))):
        async with saying.pool.connection() as connection:
            page = await journal.entries(connection, "main", asked, limit=10, shown=hidden)
        assert '"command" : "describeRecord"' in page.items and '"path" : "d/f"' in page.items
        assert '"tags": ["red"]' in page.items


async def test_what_was_said_is_put_back_by_the_selection_that_takes_it_among_commands(saying: Saying) -> None:
    await saying.say("d/f", "old", by=RecordAuthor(principal="other"))
    before = await lies(saying.pool, saying.mount)
    await saying.say("d/f", "red")
    await saying.agent(KIND.MOVE, "d/f", target="d/moved")
    await saying.say("d/moved", "blue")
    await saying.tag("d", "green", principal="agent")
    await saying.agent.put("d/new")
    undo = await saying.other.undo(AGENT, plan_only=True)
    assert await saying.tags() == {"d": ["green"], "d/moved": ["blue", "green"], "d/g": ["green"]}
    await steered(saying.pool, undo, Control.APPLY)
    state = await saying.runner.to_the_end(undo)
    assert (state, await saying.tags(), await lies(saying.pool, saying.mount)) == (
        "succeeded",
        {"d/f": ["old"]},
        before,
    )
    again = UndoSelection(operation_id=undo.id)
    assert await saying.other.undone(again) == ("succeeded", {})
    assert await saying.tags() == {"d": ["green"], "d/moved": ["blue", "green"], "d/g": ["green"]}


async def test_what_was_said_of_a_node_that_was_deleted_then_is_put_back_when_it_has_returned(
    saying: Saying, follow: Follow
) -> None:
    """The feed closes its record, and opens it again at a moment of its own: nothing was said by that."""
    await follow()
    await saying.say("d/f", "old", by=RecordAuthor(principal="other"))
    for path in ("d/f", "d/g"):
        await saying.say(path, "red")
        await saying.agent(KIND.DELETE, path)
    await follow()
    undo = await saying.other.undo(AGENT)
    while (step := await saying.runner.next(undo)).kind != "tag":
        await saying.runner.end(await saying.runner.begin(step)) if step.commands else await saying.runner.time_passes(
            undo
        )
    await follow()
    await saying.runner.work(step)
    assert await saying.runner.to_the_end(undo) == "succeeded"
    assert await saying.tags() == {"d/f": ["old"]}
    await follow()
    assert await saying.tags() == {"d/f": ["old"]}
    assert await saying.other.undone(UndoSelection(operation_id=undo.id)) == ("succeeded", {})
    assert await saying.tags() == {"d/f": ["red"], "d/g": ["red"]}


async def test_what_others_said_since_is_left_and_listed(saying: Saying) -> None:
    await saying.say("d/f", "red")
    await saying.say("d/g", "red")
    await saying.say("d/g", "theirs", by=RecordAuthor(principal="other"))
    assert await saying.other.undone(AGENT) == ("partial", {"d/g": "VERSION_CONFLICT"})
    assert await saying.tags() == {"d/g": ["theirs"]}


async def test_what_is_said_after_the_plan_is_left_too(saying: Saying) -> None:
    await saying.say("d/f", "red")
    undo = await saying.other.undo(AGENT, plan_only=True)
    await saying.say("d/f", "theirs", by=RecordAuthor(principal="other"))
    await steered(saying.pool, undo, Control.APPLY)
    assert await saying.runner.to_the_end(undo) == "failed"
    assert await saying.tags() == {"d/f": ["theirs"]}


async def test_records_that_were_in_flight_when_a_worker_died_are_put_back_once(saying: Saying) -> None:
    await saying.say("d/f", "red")
    await saying.agent.put("d/new")
    await saying.say("d/g", "red")
    undo = await saying.other.undo(AGENT)
    lost = await saying.runner.next(undo)
    assert lost.kind == "tag" and lost.portion is not None
    assert await saying.runner.to_the_end(undo) == "succeeded"
    assert await saying.runner.work(lost) == 0
    assert await saying.tags() == {} and "d/new" not in await lies(saying.pool, saying.mount)
    assert [one["operation_id"] for one in await saying.entries()].count(undo.id) == 2


async def test_an_undo_that_is_rolled_back_says_again_what_was_said(saying: Saying) -> None:
    await saying.say("d/f", "red")
    await saying.agent(KIND.DELETE, "d/g")
    undo = await saying.other.undo(AGENT)
    await saying.runner.turn(undo)
    await saying.runner.turn(undo)
    assert await saying.tags() == {}
    await steered(saying.pool, undo, Control.ROLLBACK)
    assert await saying.runner.to_the_end(undo) == "rolled_back"
    assert await saying.tags() == {"d/f": ["red"]} and "d/g" not in await lies(saying.pool, saying.mount)


async def test_what_is_said_of_nodes_does_not_hold_up_what_is_done_to_their_directory(saying: Saying) -> None:
    await saying.agent(KIND.MOVE, "d", target="e")
    await saying.say("e/f", "theirs", by=RecordAuthor(principal="other"))
    undo = await saying.other.undo(AGENT, plan_only=True)
    await saying.say("e/g", "theirs", by=RecordAuthor(principal="other"))
    await steered(saying.pool, undo, Control.APPLY)
    assert await saying.runner.to_the_end(undo) == "succeeded"
    assert "d/f" in await lies(saying.pool, saying.mount)


async def test_what_goes_along_to_another_mount_is_told_as_the_metastores_own(
    saying: Saying, follow: Follow, pool: Pool
) -> None:
    async with pool.connection() as connection:
        other = await make_mount(connection)
    await follow()
    await saying.say("d/f", "red")
    await saying.agent(KIND.MOVE, "d/f", target="f", target_mount_id=other)
    await follow()
    query = "SELECT principal, after->'tags' AS tags FROM filestore.journal_entries WHERE mount_id = %s AND executor = 'record'"
    assert await rows(pool, query, other) == [{"principal": "system/metastore", "tags": ["red"]}]
