"""Records follow their nodes by the feed, exactly once, whatever happens to nodes, trees, mounts and to the consumer."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from activities.consumers.metastore import Metastore
from schema import check
from schema.check import FindingKind
from schema.commands.command import Command
from schema.commands.verdicts import Go
from schema.ids import MountId, NodeId
from schema.store import check as check_store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, delete, give_positions, make_mount, mkdir, upload
from tests.store.test_trees import move, restore

Follow = Callable[..., Awaitable[int]]


@pytest.fixture
async def follow(pool: Pool) -> Follow:
    async def take(batch: int = 3) -> int:
        """Take in all there is, in small batches; how many."""
        async with pool.connection() as connection:
            await give_positions(connection)
        taken, consumer = 0, Metastore(pool, batch)
        while step := await consumer.step():
            taken += step
        return taken

    await take(2000)  # what other tests have left, in large batches
    return take


async def run(protocol: Protocol, *commands: Command) -> None:
    """One after the other."""
    for command in commands:
        [verdict] = (await protocol.run(command.mount_id, command)).values()
        assert isinstance(verdict, Go), verdict


async def rows(pool: Pool, query: str, *values: Any) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(query.encode(), values)).fetchall()


async def records(pool: Pool, mount: MountId) -> dict[str, dict[str, Any]]:
    query = "SELECT r.*, r.state::text AS state FROM filestore.metastore_records r WHERE mount_id = %s ORDER BY node_id"
    return {row["path_text"]: row for row in await rows(pool, query, mount)}


async def say(pool: Pool, mount: MountId, path: str, *tags: str) -> NodeId:
    query = """UPDATE filestore.metastore_records SET tags = %s, owner = 'ann', metadata = '{"a": 1}'
                WHERE mount_id = %s AND path_text = %s RETURNING node_id"""
    [row] = await rows(pool, query, list(tags), mount, path)
    return NodeId(row["node_id"])


async def assert_records_are_nodes(pool: Pool, mount: MountId) -> None:
    async with pool.connection() as connection:
        found, _ = await check_store.record(connection, mount)
    assert found.metastore is not None, "it has caught up"
    assert [one for one in check.check(found, None) if one.kind is FindingKind.METASTORE] == []


async def test_a_record_is_made_changed_and_closed_by_events(
    pool: Pool, protocol: Protocol, mount: MountId, follow: Follow
) -> None:
    await run(protocol, mkdir(mount, "d"), upload(mount, "d/f", size=3))
    await follow()
    made = (await records(pool, mount))["d/f"]
    assert (made["state"], made["size_bytes"], made["version"], made["namespace"]) == ("active", 3, 1, "filestore")
    assert (made["command"], made["principal"]) == ("uploadFile", f"user of {mount}")
    await run(protocol, upload(mount, "d/f", size=7, overwrite=True))
    await run(protocol, delete(mount, "d/f"))
    await follow()
    closed = (await records(pool, mount))["d/f"]
    assert (closed["state"], closed["size_bytes"], closed["node_version"]) == ("deleted", 7, 3)
    assert (closed["version"], closed["change"], closed["previous_state"]) == (2, "closed", "active")
    assert closed["deleted_at"] is not None
    await assert_records_are_nodes(pool, mount)


async def test_what_was_said_stays_with_a_node_through_move_delete_and_restore(
    pool: Pool, protocol: Protocol, mount: MountId, follow: Follow
) -> None:
    await run(protocol, mkdir(mount, "a"), upload(mount, "a/f"), mkdir(mount, "b"))
    await follow()
    node = await say(pool, mount, "a/f", "red")
    await run(protocol, move(mount, "a/f", "b/g"))
    await follow()
    assert (await records(pool, mount))["b/g"]["tags"] == ["red"]
    await run(protocol, delete(mount, "b/g"))
    await follow()
    await run(protocol, restore(mount, "b/g", node=node))
    await follow()
    back = (await records(pool, mount))["b/g"]
    assert (back["node_id"], back["tags"], back["owner"], back["deleted_at"]) == (node, ["red"], "ann", None)
    query = (
        "SELECT version, change, tags, deleted_at FROM filestore.metastore_history WHERE node_id = %s ORDER BY version"
    )
    history = await rows(pool, query, node)
    assert [(row["version"], row["change"], row["tags"]) for row in history] == [
        (1, "created", ["red"]), (2, "closed", ["red"]),
    ]  # fmt: skip
    assert (back["version"], back["change"]) == (3, "reopened")
    await assert_records_are_nodes(pool, mount)


async def test_what_happens_to_a_directory_happens_to_the_records_of_all_below_it(
    pool: Pool, protocol: Protocol, mount: MountId, follow: Follow
) -> None:
    below = [upload(mount, f"a/b/{n}") for n in range(8)]
    await run(protocol, mkdir(mount, "a"), mkdir(mount, "a/b"), mkdir(mount, "a/b/c"), *below, upload(mount, "a/b/c/x"))
    await follow()
    await run(protocol, delete(mount, "a/b/7"))
    await say(pool, mount, "a/b/c/x", "red")
    await run(protocol, move(mount, "a", "m"))
    await follow()
    found = await records(pool, mount)
    assert {path for path, row in found.items() if row["deleted_at"] is None} == {
        "m", "m/b", "m/b/c", "m/b/c/x", *(f"m/b/{n}" for n in range(7)),
    }  # fmt: skip
    assert found["m/b/c/x"]["tags"] == ["red"]
    await run(protocol, delete(mount, "m/b", recursive=True))
    await follow()
    assert {path for path, row in (await records(pool, mount)).items() if row["deleted_at"] is None} == {"m"}
    await assert_records_are_nodes(pool, mount)
    [deleted] = [row for path, row in (await records(pool, mount)).items() if path == "m/b"]
    await run(protocol, restore(mount, "m/b", node=deleted["node_id"]))
    await follow()
    assert len([row for row in (await records(pool, mount)).values() if row["deleted_at"] is None]) == 11
    await assert_records_are_nodes(pool, mount)


async def test_what_is_behind_by_many_changes_ends_as_the_nodes_are(
    pool: Pool, protocol: Protocol, mount: MountId, follow: Follow
) -> None:
    await run(protocol, mkdir(mount, "a"), mkdir(mount, "a/b"), upload(mount, "a/b/f"), upload(mount, "a/g"))
    await run(protocol, move(mount, "a", "c"))
    await run(protocol, move(mount, "c/b/f", "f"))
    await run(protocol, delete(mount, "c", recursive=True))
    await run(protocol, mkdir(mount, "c"), upload(mount, "c/new"))
    assert await follow(2) > 0
    await assert_records_are_nodes(pool, mount)


async def test_events_that_are_gone_are_made_up_for_by_looking_at_all_nodes(
    pool: Pool, protocol: Protocol, mount: MountId, follow: Follow
) -> None:
    await follow()
    await run(protocol, mkdir(mount, "a"), upload(mount, "a/f"))
    async with pool.connection() as connection:
        await give_positions(connection)
        await connection.execute("UPDATE filestore.event_feed SET published = position")
        await connection.execute("DELETE FROM filestore.outbox")
        await connection.execute(
            "UPDATE filestore.retention SET events_position = (SELECT position FROM filestore.event_feed)"
        )
    await run(protocol, upload(mount, "a/later"))
    await follow()
    assert set(await records(pool, mount)) == {"a", "a/f", "a/later"}
    await assert_records_are_nodes(pool, mount)


async def test_a_consumer_that_dies_before_its_commit_has_done_nothing(
    pool: Pool, protocol: Protocol, mount: MountId, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    await follow()

    async def die(point: str, subject: str = "") -> None:
        raise RuntimeError(point)

    await run(protocol, upload(mount, "f"))
    monkeypatch.setattr("activities.consumers.metastore.areach", die)
    with pytest.raises(RuntimeError, match=r"metastore\.taken"):
        await follow()
    assert await records(pool, mount) == {}
    monkeypatch.undo()
    await follow()
    await follow()
    assert (await records(pool, mount))["f"]["version"] == 1


async def test_two_consumers_do_not_take_the_same_batch(
    pool: Pool, protocol: Protocol, mount: MountId, follow: Follow
) -> None:
    await follow()
    await run(protocol, upload(mount, "f"))
    async with pool.connection() as connection:
        await give_positions(connection)
    async with pool.connection() as holder, holder.transaction():
        await holder.execute("SELECT FROM filestore.metastore_cursor FOR UPDATE")
        assert await Metastore(pool).step() == 0
    assert await Metastore(pool).step() > 0


async def test_a_move_to_another_mount_takes_what_was_said_along(
    pool: Pool, protocol: Protocol, mount: MountId, follow: Follow
) -> None:
    async with pool.connection() as connection:
        other = await make_mount(connection)
    await run(protocol, upload(mount, "f"), upload(other, "g"))
    await follow()
    old = await say(pool, mount, "f", "red")
    new = (await records(pool, other))["g"]["node_id"]
    await run(protocol, delete(mount, "f"))
    told = """UPDATE filestore.outbox SET data = (data::jsonb || jsonb_build_object('replacedBy', %s::bigint))::json
               WHERE type = 'filestore.node.deleted' AND mount_id = %s RETURNING id"""
    assert len(await rows(pool, told, new, mount)) == 1
    await follow()
    there = (await records(pool, other))["g"]
    assert (there["tags"], there["owner"], there["metadata"]) == (["red"], "ann", {"a": 1})
    assert there["node_id"] != old and there["change"] == "carried"
    assert (await records(pool, mount))["f"]["deleted_at"] is not None


RULES = """INSERT INTO filestore.metastore_rules (tenant, namespace, mount_id, prefix, mode)
           VALUES ('main', 'strict', %(mount)s, 's/', 'refuse'), ('main', 'tidy', %(mount)s, 't/', 'correct')"""


async def test_a_rule_gives_a_new_record_its_namespace_and_corrects_or_marks_a_moved_one(
    pool: Pool, protocol: Protocol, mount: MountId, follow: Follow
) -> None:
    async with pool.connection() as connection:
        for name in ("strict", "tidy"):
            query = (
                "INSERT INTO filestore.metastore_namespaces (tenant, name) VALUES ('main', %s) ON CONFLICT DO NOTHING"
            )
            await connection.execute(query, [name])
        await connection.execute(RULES, {"mount": mount})
    await run(
        protocol, mkdir(mount, "s"), mkdir(mount, "t"), upload(mount, "s/made"), upload(mount, "f"), upload(mount, "g")
    )
    await follow()
    await run(protocol, move(mount, "f", "s/f"), move(mount, "g", "t/g"))
    await follow()
    found = {
        path: (row["namespace"], row["violation"], row["change"]) for path, row in (await records(pool, mount)).items()
    }
    assert found["s/made"] == ("strict", None, "created")
    assert found["s/f"] == ("filestore", "strict", "created")
    assert found["t/g"] == ("tidy", None, "corrected")
