"""Records of many nodes are changed by an operation: planned as rows, applied exactly so, reported, rolled back and undone."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from activities.operations import work
from api.operations import make
from schema import check
from schema.access.decision import access_of
from schema.access.rules import Grant
from schema.commands.command import CommandKind
from schema.errors import MissingScope
from schema.ids import MountId
from schema.metastore.records import RecordEdit
from schema.operations.control import Control
from schema.operations.operation import Operation, OperationItem, OperationKind, Options
from schema.operations.selection import Selection
from schema.paths import NodePath
from schema.principals import Principal
from schema.store import check as check_store
from schema.store import records as record_store
from schema.store import tokens
from schema.store.pool import Pool
from schema.store.tokens import NewToken
from tests.store.helpers import Protocol, asked, delete, mkdir, upload
from tests.store.operation_rows import Runner, asked_for, now, set_row, steered, undo_of
from tests.store.test_metastore import Follow, follow, records, rows

__all__ = ["follow"]

FILES = ("d/f", "d/g", "d/h", "d/e/i")
ALL = {"d", "d/e", *FILES}
Ends = dict[str, tuple[str, str | None]]


class Tagging:
    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.protocol, self.mount = pool, protocol, mount
        self.runner = Runner(pool, protocol)

    async def asked(self, edit: RecordEdit, **values: Any) -> Operation:
        """With a plan. It runs, unless `plan_only`."""
        values = {"options": Options(on_conflict="skip"), **values}
        operation = await asked_for(self.pool, self.mount, kind=OperationKind.TAG, record=edit, **values)
        await self.runner.plan(operation)
        return operation

    async def turn(self, operation: Operation) -> str:
        """The state that is left, once the runner has nothing to do any more."""
        step = await self.runner.turn(operation)
        return step.state if step.over else ""

    async def to_the_end(self, operation: Operation) -> str:
        return await self.runner.to_the_end(operation)

    async def undone(self, original: Operation) -> tuple[str, Operation]:
        undo = await undo_of(self.pool, original)
        await self.runner.plan(undo)
        return await self.to_the_end(undo), undo

    async def items(self, operation: Operation) -> list[OperationItem]:
        return (await now(self.pool, operation))[1]

    async def ends(self, operation: Operation) -> Ends:
        return {one.path.text: (one.state, one.code) for one in await self.items(operation)}

    async def tags(self) -> dict[str, list[str]]:
        """Of the records that say something, or have said something."""
        found = await records(self.pool, self.mount)
        return {path: list(row["tags"]) for path, row in found.items() if row["version"] > 1}

    async def versions(self) -> dict[str, int]:
        return {path: row["version"] for path, row in (await records(self.pool, self.mount)).items()}

    async def namespace(self, name: str, schema: Any = None, mode: str = "", prefix: str = "d/e/") -> None:
        rules = [{"mount": self.mount, "prefix": prefix.encode().hex(), "mode": mode}] if mode else []
        async with self.pool.connection() as connection, connection.transaction():
            await record_store.put_namespace(connection, "main", name, None, schema, rules)

    async def token(self, *grants: Grant) -> int:
        async with self.pool.connection() as connection, connection.transaction():
            new = NewToken(principal="ann", scopes=["filestore:write", "filestore:operate"], grants=grants)
            return (await tokens.issue(connection, new))[0]

    async def assert_counts_hold(self) -> None:
        async with self.pool.connection() as connection:
            found, _ = await check_store.record(connection, self.mount)
        assert [one for one in check.check(found, None) if "peration" in one.where] == []


@pytest.fixture
async def tagging(pool: Pool, protocol: Protocol, mount: MountId) -> Tagging:
    for path in ("d", "d/e", "other"):
        await protocol.run(mount, mkdir(mount, path))
    for path in FILES:
        await protocol.run(mount, upload(mount, path))
    return Tagging(pool, protocol, mount)


RED = RecordEdit(add_tags=["red"])


async def test_a_plan_is_a_stored_list_and_exactly_that_is_applied_and_undone_and_done_again(
    tagging: Tagging, follow: Follow
) -> None:
    await follow()
    first = await tagging.asked(RED, path=NodePath(b"d/e"))
    assert await tagging.to_the_end(first) == "succeeded"
    edit = RecordEdit(add_tags=["red", "blue"], owner="ann", owner_given=True, set={"a": {"b": 1}})
    plan = await tagging.asked(edit, plan_only=True)
    assert (await now(tagging.pool, plan))[0].state == "planned"
    assert {path: end for path, (end, _) in (await tagging.ends(plan)).items()} == dict.fromkeys(ALL, "pending")
    assert await tagging.tags() == {"d/e": ["red"], "d/e/i": ["red"]}, "a plan changes nothing"
    await tagging.protocol.run(tagging.mount, upload(tagging.mount, "d/new"))
    await steered(tagging.pool, plan, Control.APPLY)
    assert await tagging.to_the_end(plan) == "succeeded"
    assert await tagging.tags() == {key: ["red", "blue"] for key in ALL}, "what came after the plan is not tagged"
    found = (await records(tagging.pool, tagging.mount))["d/f"]
    assert (found["owner"], found["metadata"], found["changed_by"]) == ("ann", {"a": {"b": 1}}, "ann")
    assert {one.left_version for one in await tagging.items(plan)} == {2, 3}
    state, undo = await tagging.undone(plan)
    assert state == "succeeded"
    assert await tagging.tags() == {key: [] for key in ALL} | {"d/e": ["red"], "d/e/i": ["red"]}
    state, _ = await tagging.undone(undo)
    assert (state, await tagging.tags()) == ("succeeded", {key: ["red", "blue"] for key in ALL})
    await tagging.assert_counts_hold()


async def test_a_record_that_says_so_already_needs_nothing(tagging: Tagging) -> None:
    first = await tagging.asked(RED, path=NodePath(b"d/e"))
    await tagging.to_the_end(first)
    again = await tagging.asked(RED)
    not_needed = ("skipped", "NOT_NEEDED")
    assert await tagging.to_the_end(again) == "succeeded"
    assert await tagging.ends(again) == dict.fromkeys(ALL, ("done", None)) | {"d/e": not_needed, "d/e/i": not_needed}
    assert set((await tagging.versions()).values()) == {2}, "and records are made where the feed has not come that far"


async def test_what_is_not_as_the_plan_saw_it_is_skipped_and_listed(tagging: Tagging, follow: Follow) -> None:
    await follow()
    plan = await tagging.asked(RED, plan_only=True)
    mount, run = tagging.mount, tagging.protocol.run
    await run(mount, delete(mount, "d/f"))
    await run(mount, asked(CommandKind.MOVE, mount, "d/e", target="other/e"))
    other = await tagging.asked(RecordEdit(add_tags=["blue"]), path=NodePath(b"d/g"))
    await tagging.to_the_end(other)
    await run(mount, upload(mount, "d/h", overwrite=True, sha256="cd" * 32))
    await steered(tagging.pool, plan, Control.APPLY)
    assert await tagging.to_the_end(plan) == "partial"
    changed, done = ("skipped", "VERSION_CONFLICT"), ("done", None)
    assert await tagging.ends(plan) == {
        "d": done, "d/e": changed, "d/e/i": changed, "d/f": changed, "d/g": changed, "d/h": done,
    }, "new content says nothing of a record"  # fmt: skip
    await follow()
    assert await tagging.tags() == {"d": ["red"], "d/g": ["blue"], "d/h": ["red"], "d/f": []}
    await tagging.assert_counts_hold()


async def test_without_only_if_unchanged_other_versions_go_and_other_places_do_not(tagging: Tagging) -> None:
    options = Options(on_conflict="skip", only_if_unchanged=False)
    plan = await tagging.asked(RED, plan_only=True, options=options)
    other = await tagging.asked(RecordEdit(add_tags=["blue"]), path=NodePath(b"d/g"))
    await tagging.to_the_end(other)
    await tagging.protocol.run(tagging.mount, asked(CommandKind.MOVE, tagging.mount, "d/f", target="other/f"))
    await steered(tagging.pool, plan, Control.APPLY)
    await tagging.to_the_end(plan)
    ends = await tagging.ends(plan)
    assert (ends["d/g"], ends["d/f"]) == (("done", None), ("skipped", "VERSION_CONFLICT"))
    assert (await tagging.tags())["d/g"] == ["blue", "red"]


async def test_with_stop_nothing_behind_a_changed_item_is_done(tagging: Tagging) -> None:
    plan = await tagging.asked(RED, plan_only=True, options=Options(on_changed="stop"))
    await tagging.to_the_end(await tagging.asked(RecordEdit(add_tags=["blue"]), path=NodePath(b"d/g")))
    await steered(tagging.pool, plan, Control.APPLY)
    assert await tagging.to_the_end(plan) == "partial"
    order = [one.path.text for one in await tagging.items(plan)]
    ends, at = await tagging.ends(plan), order.index("d/g")
    assert {ends[path] for path in order[:at]} == {("done", None)}
    assert {ends[path] for path in order[at + 1 :]} == {("pending", None)}
    await tagging.assert_counts_hold()


async def test_a_conflict_ends_it_before_anything_unless_the_rest_may_go(tagging: Tagging) -> None:
    await tagging.namespace("numbers", {"properties": {"n": {"type": "integer"}}})
    await tagging.namespace("ours", mode="refuse")
    edit = RecordEdit(namespace="numbers", set={"n": 1})
    refused = await tagging.asked(edit, options=Options())
    assert (await now(tagging.pool, refused))[0].state == "failed" and await tagging.tags() == {}
    rest = await tagging.asked(edit)
    assert await tagging.to_the_end(rest) == "partial"
    found, invalid = await tagging.ends(rest), ("failed", "INVALID_REQUEST")
    assert {path for path, end in found.items() if end == invalid} == {"d/e", "d/e/i"}
    assert found["d"] == found["d/f"] == ("done", None)
    wrong = await tagging.asked(RecordEdit(set={"n": "one"}), path=NodePath(b"d/f"))
    assert await tagging.to_the_end(wrong) == "failed"
    [item] = await tagging.items(wrong)
    assert item.code == "INVALID_REQUEST" and "schema" in (item.message or "")
    await tagging.namespace("numbers")
    await steered(tagging.pool, wrong, Control.RETRY)
    assert await tagging.to_the_end(wrong) == "succeeded"
    await tagging.assert_counts_hold()


async def test_a_rule_that_corrects_keeps_its_namespace_and_what_it_took_over_is_not_put_back(
    tagging: Tagging,
) -> None:
    operation = await tagging.asked(RecordEdit(namespace="mine", add_tags=["red"]), path=NodePath(b"d/e/i"))
    await tagging.to_the_end(operation)
    await tagging.namespace("theirs", mode="correct")
    state, undo = await tagging.undone(operation)
    assert (state, await tagging.ends(undo)) == ("failed", {"d/e/i": ("failed", "INVALID_REQUEST")})
    again = await tagging.asked(RecordEdit(namespace="mine", add_tags=["blue"]), path=NodePath(b"d/e/i"))
    await tagging.to_the_end(again)
    found = (await records(tagging.pool, tagging.mount))["d/e/i"]
    assert (found["namespace"], found["tags"]) == ("theirs", ["red", "blue"])


async def test_half_of_it_is_rolled_back(tagging: Tagging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_ITEMS", 2)
    await tagging.to_the_end(await tagging.asked(RecordEdit(add_tags=["blue"]), path=NodePath(b"d/f")))
    operation = await tagging.asked(RED)
    for _ in range(2):
        await tagging.turn(operation)
    assert len([tags for tags in (await tagging.tags()).values() if "red" in tags]) == 4
    lost = await tagging.runner.next(operation)
    assert lost.portion is not None, "it is handed out, and comes late"
    await steered(tagging.pool, operation, Control.ROLLBACK)
    assert await tagging.runner.work(lost) == 0
    assert await tagging.to_the_end(operation) == "rolled_back"
    assert [tags for tags in (await tagging.tags()).values() if tags] == [["blue"]]
    stands = (await now(tagging.pool, operation))[0]
    assert (stands.done, stands.reversed, stands.in_flight) == (0, 4, 0)
    await tagging.assert_counts_hold()


async def test_a_record_that_changed_is_not_rolled_back(tagging: Tagging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_ITEMS", 3)
    operation = await tagging.asked(RED)
    await tagging.turn(operation)
    [first, *_] = [one.path.text for one in await tagging.items(operation)]
    await set_row(tagging.pool, operation, "claimed = false")
    await tagging.to_the_end(await tagging.asked(RecordEdit(add_tags=["blue"]), path=NodePath(first.encode())))
    await set_row(tagging.pool, operation, "claimed = true")
    await steered(tagging.pool, operation, Control.ROLLBACK)
    assert await tagging.to_the_end(operation) == "partial"
    assert (await tagging.ends(operation))[first] == ("failed", "VERSION_CONFLICT")
    await tagging.assert_counts_hold()


async def test_two_runners_with_the_same_items_change_each_record_once(tagging: Tagging) -> None:
    operation = await tagging.asked(RED)
    step, twin = await tagging.runner.next(operation), await tagging.runner.next(operation)
    assert step.portion is not None and step.portion == twin.portion
    run = [tagging.runner.work(step) for _ in range(4)]
    assert sorted(await asyncio.gather(*run)) == [0, 0, 0, len(ALL)]
    assert await tagging.to_the_end(operation) == "succeeded"
    assert {path: v for path, v in (await tagging.versions()).items() if path in ALL} == dict.fromkeys(ALL, 2)


async def test_two_operations_in_one_tree_come_one_after_the_other(tagging: Tagging) -> None:
    one, other = await tagging.asked(RED), await tagging.asked(RecordEdit(add_tags=["blue"]))
    await tagging.runner.next(one)
    assert (await tagging.runner.next(other)).portion is None
    assert (await now(tagging.pool, other))[0].state == "waiting"
    assert await tagging.to_the_end(one) == "succeeded"
    assert await tagging.to_the_end(other) == "failed", "its plan saw other records"
    assert set(await tagging.ends(other)) == ALL and (await tagging.tags())["d"] == ["red"]


async def test_a_pause_leaves_what_was_not_changed_for_later(tagging: Tagging) -> None:
    operation = await tagging.asked(RED)
    step = await tagging.runner.next(operation)
    await steered(tagging.pool, operation, Control.PAUSE)
    assert step.portion is not None
    assert await tagging.runner.work(step) == 0
    assert (await tagging.runner.next(operation)).state == "paused" and await tagging.tags() == {}
    await steered(tagging.pool, operation, Control.RESUME)
    assert await tagging.to_the_end(operation) == "succeeded"


async def test_what_the_token_may_not_describe_any_more_fails_by_itself(tagging: Tagging) -> None:
    token = await tagging.token(Grant("d"), Grant("d/e", "deny", scopes=("filestore:write",)))
    operation = await tagging.asked(RED, token_id=token)
    assert await tagging.to_the_end(operation) == "partial"
    forbidden = ("failed", "FORBIDDEN")
    assert await tagging.ends(operation) == dict.fromkeys(ALL, ("done", None)) | {
        "d/e": forbidden, "d/e/i": forbidden,
    }  # fmt: skip
    later = await tagging.asked(RecordEdit(add_tags=["blue"]), token_id=token)
    async with tagging.pool.connection() as connection:
        await tokens.revoke(connection, token)
    assert await tagging.to_the_end(later) == "failed"
    assert set((await tagging.ends(later)).values()) == {forbidden}


async def test_an_undo_needs_the_right_to_describe(tagging: Tagging) -> None:
    operation = await tagging.asked(RED)
    await tagging.to_the_end(operation)
    stands = (await now(tagging.pool, operation))[0]
    with pytest.raises(MissingScope):
        make.undo_of(Principal("bob", "main", 7, access_of(["filestore:operate"])), stands, plan_only=True)


async def test_a_record_that_a_client_had_closed_is_open_until_that_is_undone(tagging: Tagging) -> None:
    await tagging.to_the_end(await tagging.asked(RED, path=NodePath(b"d/f")))
    query = """UPDATE filestore.metastore_records SET removed = true, deleted_at = now(), change = 'removed', tags = '{}'
                WHERE mount_id = %s AND path_text = 'd/f' RETURNING node_id"""
    await rows(tagging.pool, query, tagging.mount)
    operation = await tagging.asked(RecordEdit(add_tags=["blue"]), path=NodePath(b"d/f"))
    await tagging.to_the_end(operation)
    found = (await records(tagging.pool, tagging.mount))["d/f"]
    assert (found["removed"], found["deleted_at"], found["tags"]) == (False, None, ["blue"])
    await tagging.undone(operation)
    found = (await records(tagging.pool, tagging.mount))["d/f"]
    assert found["removed"] and found["deleted_at"] is not None and found["tags"] == []


Chosen = tuple[dict[str, Any], Sequence[str]]
CHOSEN: dict[str, Chosen] = {
    "tags": ({"records": {"tags": ["red"]}}, ["d/e/i", "d/f"]),
    "an owner": ({"records": {"owner": "ann"}}, ["d/f"]),
    "metadata": ({"records": {"metadata": {"p": 1}}}, ["d/f"]),
    "words": ({"records": {"query": "ann"}}, ["d/f"]),
    "a name as well": ({"records": {"tags": ["red"]}, "include": ["i"]}, ["d/e/i"]),
    "directories, too": ({"records": {"tags": ["red"]}, "kinds": ["directory", "file"]}, ["d/e", "d/e/i", "d/f"]),
    "nothing": ({"records": {"tags": ["red"], "owner": "bob"}}, []),
}


async def test_a_selection_by_records_takes_what_a_search_finds(tagging: Tagging) -> None:
    await tagging.to_the_end(await tagging.asked(RED, path=NodePath(b"d/e")))
    edit = RecordEdit(add_tags=["red"], owner="ann", owner_given=True, set={"p": 1})
    await tagging.to_the_end(await tagging.asked(edit, path=NodePath(b"d/f")))
    for name, (chosen, expected) in CHOSEN.items():
        selection = Selection.of_json(chosen)
        assert Selection.of_json(selection.to_json()) == selection
        for kind, values in ((OperationKind.TAG, {"record": RecordEdit(add_tags=["x"])}), (OperationKind.DELETE, {})):
            operation = await asked_for(
                tagging.pool,
                tagging.mount,
                kind=kind,
                selection=selection,
                plan_only=True,
                path=NodePath(b""),
                **values,
            )
            await tagging.runner.plan(operation)
            assert sorted(await tagging.ends(operation)) == expected, (name, kind)


EDITS: list[RecordEdit] = [
    RecordEdit(tags=[]), RecordEdit(tags=["a"], remove_tags=["b"]), RecordEdit(owner=None, owner_given=True),
    RecordEdit(owner="ann", owner_given=True), RecordEdit(namespace="n", set={"a": [1, {}]}, unset=["b"]), RED,
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS, ids=str)
async def test_what_becomes_of_records_is_kept_as_it_was_asked_for(tagging: Tagging, edit: RecordEdit) -> None:
    operation = await asked_for(tagging.pool, tagging.mount, kind=OperationKind.TAG, record=edit)
    kept = (await now(tagging.pool, operation))[0].record
    assert kept is not None and (kept.to_json(), kept.owner_given) == (edit.to_json(), edit.owner_given)
    assert kept.of_json(kept.to_json()) == kept
