"""Notifications of a bucket: hints for the mounts they belong to, and a canary that tells when they fell silent."""

from datetime import datetime, timedelta

from schema.drift.hints import Hint
from schema.drift.notifications import NamedKey
from schema.ids import MountId
from schema.mounts import Mount
from schema.store import bucket_notifications as store
from schema.store import drift_hints, mounts, watchers
from tests.store.helpers import Connection, Protocol, mkdir, upload


async def bucket_mount(connection: Connection, mount: MountId, prefix: str = "p") -> Mount:
    await connection.execute(
        "UPDATE filestore.backend_mounts SET backend_kind = 's3', bucket = %s, prefix = %s WHERE id = %s",
        (f"bucket-{mount}", prefix, mount),
    )
    found = await mounts.find(connection, mount, "main")
    assert found is not None
    return found


async def hinted(connection: Connection, mount: MountId) -> dict[bytes, bool]:
    return {hint.path: hint.subtree for hint in await drift_hints.take(connection, mount, 100)}


async def test_a_notification_is_a_hint_however_often_it_comes(connection: Connection, mount: MountId) -> None:
    there = await bucket_mount(connection, mount)
    named = [
        NamedKey(there.bucket or "", b"p/a b"),
        NamedKey(there.bucket or "", b"other"),
        NamedKey("foreign", b"p/x"),
    ]
    assert await store.notice(connection, [there], named) == [mount]
    assert await store.notice(connection, [there], named) == [mount]
    assert await hinted(connection, mount) == {b"a b": False}
    row = await store.notifications_of(connection, mount)
    assert row is not None and (row.keys, row.state) == (2, "heard")


async def test_what_our_own_command_wrote_is_no_hint(
    connection: Connection, mount: MountId, protocol: Protocol
) -> None:
    await protocol.run(mount, mkdir(mount, "d"))
    await protocol.run(mount, upload(mount, "d/ours"), upload(mount, "d/theirs"))
    there = await bucket_mount(connection, mount, prefix="")
    await connection.execute("UPDATE filestore.nodes SET s3_etag = 'e' WHERE mount_id = %s AND kind = 'file'", (mount,))
    bucket = there.bucket or ""
    named = [NamedKey(bucket, b"d/ours", "e"), NamedKey(bucket, b"d/theirs", "f"), NamedKey(bucket, b"d/ours/x", "e")]
    assert await store.notice(connection, [there], named) == [mount]
    assert await hinted(connection, mount) == {b"d/theirs": False, b"d/ours/x": False}


async def test_notifications_that_fell_silent_are_noticed_and_what_they_missed_is_looked_at(
    connection: Connection, mount: MountId
) -> None:
    there = await bucket_mount(connection, mount)
    bucket = there.bucket or ""
    assert mount not in await store.canaries_due(connection, 60), "it never had one"
    await store.notice(connection, [there], [NamedKey(bucket, b"p/a")])
    began = (await store.canaries_due(connection, 60))[mount]
    await store.canary_put(connection, mount, began)
    assert mount not in await store.canaries_due(connection, 60)
    assert await state(connection, mount) == "heard", "for a while it is waited for"

    await aged(connection, mount)
    assert await state(connection, mount) == "silent"
    await store.canary_put(connection, mount, datetime.now(began.tzinfo))
    await store.notice(connection, [there], [NamedKey(bucket, b"p/a")])
    assert await state(connection, mount) == "silent", "another one, late perhaps, is no answer"
    assert b"" not in await hinted(connection, mount)

    await store.notice(connection, [there], [NamedKey(bucket, b"p/.filestore/canary")])
    assert await state(connection, mount) == "heard"
    assert await hinted(connection, mount) == {b"": True}
    await store.notice(connection, [there], [NamedKey(bucket, b"p/.filestore/canary")])
    assert await hinted(connection, mount) == {}


async def test_a_canary_that_is_heard_of_before_its_writing_is_recorded_is_not_waited_for(
    connection: Connection, mount: MountId
) -> None:
    there = await bucket_mount(connection, mount)
    await store.notice(connection, [there], [NamedKey(there.bucket or "", b"p/a")])
    began = (await store.canaries_due(connection, 60))[mount]
    await store.notice(connection, [there], [NamedKey(there.bucket or "", b"p/.filestore/canary")])
    await store.canary_put(connection, mount, began - timedelta(seconds=1))
    row = await store.notifications_of(connection, mount)
    assert row is not None and row.waits == 0
    assert [one.notifications for one in await store.every(connection) if one.notifications.mount_id == mount] == [row]


async def state(connection: Connection, mount: MountId) -> str:
    row, watch = await store.notifications_of(connection, mount), await watchers.of_mount(connection, mount)
    assert row is not None and watch is not None
    assert (watch.state == "silent") == (row.state == "silent") and watch.lag == row.waits
    return row.state


async def aged(connection: Connection, mount: MountId) -> None:
    await connection.execute(
        "UPDATE filestore.bucket_notifications SET canary_waits_since = canary_waits_since - interval '200 seconds'"
        " WHERE mount_id = %s",
        (mount,),
    )


def test_the_hint_of_a_whole_mount_covers_all_of_it() -> None:
    assert Hint(b"", True).covers(b"a/b") and not Hint(b"a", True).covers(b"ab")
