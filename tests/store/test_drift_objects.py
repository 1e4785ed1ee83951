"""Looks and heals in a bucket: what is listed may not be there, and what is there may be another one a moment later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from activities.executors.contract.listing import ScanPage, Seen, Unseen
from activities.executors.local.executor import LocalExecutor
from schema.commands.command import Command, CommandKind
from schema.ids import NodeId, new_command_id
from schema.paths import NodePath
from schema.store import mounts
from schema.store.pool import Pool
from tests.executors.bench_s3 import OutsideBucket
from tests.fix_s3 import S3Mount
from tests.store.drift import Drifting, OneMount
from tests.store.healing import healed, steps_of
from tests.store.helpers import Protocol


@pytest.fixture
async def drifting(pool: Pool, s3_mount: S3Mount, protocol: Protocol) -> Drifting:
    executor = s3_mount.open()
    async with pool.connection() as connection:
        new = mounts.NewMount(
            mount_key=f"o-{s3_mount.uuid[:8]}", backend_kind="s3", bucket=s3_mount.bucket, prefix=s3_mount.prefix
        )
        mount = await mounts.create(connection, new, "test-host")
        assert mount is not None
        await mounts.record_root(connection, mount, [0, 1, 1, 0, 0, 0, 1, 0o755, 2])
        await mounts.update(connection, mount, {"state": "active", "state_reason": None})
    protocol.serve(OneMount(executor))
    drifting = Drifting(pool, Path("/nowhere"), mount, cast(LocalExecutor, executor), protocol)
    await drifting.policy()
    return drifting


@pytest.fixture
def bucket(drifting: Drifting) -> OutsideBucket:
    return OutsideBucket(cast(Any, drifting.executor))


async def test_a_key_that_is_listed_and_answers_404_is_neither_imported_nor_missing_nor_asked_for_ever(
    drifting: Drifting, bucket: OutsideBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(b"a", b"content of a")
    await drifting.settle(1)
    scan = drifting.executor.scan
    etag = "0123456789abcdef0123456789abcdef"

    def haunted(*args: Any, **more: Any) -> Iterator[ScanPage]:
        """A key that was never there, and one of which an older listing is told."""
        for page in scan(*args, **more):
            told = [one for one in page.entries if one.path != b"a"]
            for path in (b"a", b"ghost"):
                told.append(Seen(path, "file", (0, 0, 0, 7, 1, 0, 0, 0, 1, etag, "")))
            yield ScanPage(sorted(told, key=lambda one: one.path), page.cursor, page.folders, page.unseen)

    bucket.remove(b"a")
    monkeypatch.setattr(drifting.executor, "scan", haunted)
    for _ in range(3):
        end = await drifting.look()
        assert (end.counts, end.waiting) == ({}, 0)
    assert (await drifting.states(), await drifting.findings()) == ({"a": "active"}, {})
    monkeypatch.undo()
    await drifting.settle()
    assert await drifting.states() == {"a": "missing"}


async def test_an_object_that_is_replaced_after_it_was_listed_is_recorded_as_what_it_is(
    drifting: Drifting, bucket: OutsideBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(b"a", b"one")
    opened, races = drifting.executor.open, [b"two", b"three"]

    def late(path: NodePath) -> Any:
        if races:
            bucket.put(b"a", races.pop(0))
        return opened(path)

    monkeypatch.setattr(drifting.executor, "open", late)
    await drifting.settle(2)
    [node] = await drifting.rows(
        "SELECT size_bytes FROM filestore.nodes WHERE mount_id = %s AND depth = 1", drifting.mount
    )
    assert node["size_bytes"] == len(b"three")


async def test_objects_are_healed_like_files_and_what_lay_there_is_kept(
    drifting: Drifting, bucket: OutsideBucket
) -> None:
    for name in (b"a", b"b", b"copy-a", b"copy-b"):
        bucket.put(name, b"content of " + name[-1:])
    await drifting.settle(1)
    await drifting.policy(onNew="quarantine", onChanged="restore", onMissing="restore")
    bucket.put(b"a", b"theirs")
    bucket.remove(b"b")
    bucket.put(b"stray", b"stray")
    await drifting.settle()
    assert await healed(drifting) == 3
    assert (bucket.read(b"a"), bucket.read(b"b"), bucket.read(b"stray")) == (b"content of a", b"content of b", None)
    kept = await drifting.rows(
        """SELECT s.content_place FROM filestore.snapshots s JOIN filestore.nodes n ON n.id = s.node_id
            WHERE n.mount_id = %s AND s.content_place IS NOT NULL""",
        drifting.mount,
    )
    contents = {drifting.executor.open_kept(bytes(row["content_place"])).read(0, 100) for row in kept}
    assert contents == {b"theirs", b"stray"}
    assert await drifting.findings() == {}


async def test_what_lies_in_an_unknown_directory_of_a_bucket_leaves_object_by_object(
    drifting: Drifting, bucket: OutsideBucket
) -> None:
    await drifting.policy(onNew="quarantine")
    for path in (b"strays/x", b"strays/below/y", b"strays/below/z"):
        bucket.put(path, path)
    await drifting.settle()
    assert set((await drifting.findings()).items()) == {
        (path, ("new", "waiting")) for path in ("strays/x", "strays/below/y", "strays/below/z")
    }
    assert await healed(drifting) == 3
    assert [bucket.read(path) for path in (b"strays/x", b"strays/below/y", b"strays/below/z")] == [None] * 3
    await drifting.settle()
    assert (await drifting.findings(), await drifting.states()) == (
        {}, {"strays": "active", "strays/below": "active"},
    )  # fmt: skip
    gone = await drifting.rows(
        "SELECT id FROM filestore.nodes WHERE mount_id = %s AND state = 'deleted' AND name = 'y'", drifting.mount
    )
    back = Command(
        new_command_id(), CommandKind.RESTORE, drifting.mount, "strays/below/y", "main", "a client", 0,
        node_id=NodeId(gone[0]["id"]),
    )  # fmt: skip
    await steps_of(drifting).run(drifting.mount, [back])
    assert bucket.read(b"strays/below/y") == b"strays/below/y"


async def test_a_directory_of_a_bucket_that_is_gone_comes_back_with_all_it_held(
    drifting: Drifting, bucket: OutsideBucket
) -> None:
    bucket.make_folder(b"d/empty")
    for path in (b"d/a", b"d/e/c", b"copy-a", b"copy-c"):
        bucket.put(path, b"content of " + path[-1:])
    await drifting.settle(1)
    before = await drifting.nodes()
    await drifting.policy(onMissing="restore")
    for path in (b"d/a", b"d/e/c", b"d/empty"):
        bucket.remove(path)
    await drifting.settle()
    assert await drifting.findings() == {"d": ("missing", "waiting")}
    assert await healed(drifting) == 5
    assert (bucket.read(b"d/a"), bucket.read(b"d/e/c")) == (b"content of a", b"content of c")
    assert bucket.is_folder(b"d/empty")
    await drifting.settle()
    assert (await drifting.nodes(), await drifting.findings()) == (before, {})


async def test_a_key_that_is_no_path_is_a_finding_beside_the_node_whose_name_it_ends_with(
    drifting: Drifting, bucket: OutsideBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SeaweedFS makes `a/b` of `a//b`: what other stores tell."""
    bucket.put(b"a/b", b"ours")
    await drifting.settle(1)
    scan = drifting.executor.scan

    def telling(*args: Any, **more: Any) -> Iterator[ScanPage]:
        for page in scan(*args, **more):
            odd = [Unseen(path, "INVALID_PATH", "no path") for path in (b"a//b", b"a/../x", b"/y")]
            yield ScanPage(page.entries, page.cursor, page.folders, [*page.unseen, *odd])

    monkeypatch.setattr(drifting.executor, "scan", telling)
    for _ in range(2):
        assert (await drifting.look()).counts == {"unreadable": 3}
    assert await drifting.findings() == dict.fromkeys(("a//b", "a/../x", "/y"), ("unreadable", "open"))
    [row] = await drifting.rows("SELECT node_id FROM filestore.findings WHERE shown = 'a//b'")
    assert (row["node_id"], await drifting.states()) == (None, {"a": "active", "a/b": "active"})


@pytest.mark.parametrize("known", ["file", "directory", "neither"])
async def test_an_object_and_a_directory_of_one_name_are_a_finding_and_take_turns_in_no_record(
    drifting: Drifting, bucket: OutsideBucket, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    """SeaweedFS holds one of both: another store is played."""
    if known != "neither":
        bucket.put(b"a" if known == "file" else b"a/x", b"ours")
        await drifting.settle(1)
    executor = cast(Any, drifting.executor)
    before, scan, kinds = await drifting.nodes(), executor.scan, executor.kinds_at
    etag = "0123456789abcdef0123456789abcdef"

    def telling(*args: Any, **more: Any) -> Iterator[ScanPage]:
        for page in scan(*args, **more):
            told = {(one.path, one.kind): one for one in page.entries}
            told.setdefault((b"a", "file"), Seen(b"a", "file", (0, 0, 0, 4, 1, 0, 0, 0, 1, etag, "")))
            told.setdefault((b"a", "directory"), Seen(b"a", "directory", (0, 0, 0, 0, 0, 0, 1, 0, 1)))
            told.setdefault((b"a/x", "file"), Seen(b"a/x", "file", (0, 0, 0, 4, 1, 0, 0, 0, 1, etag, "")))
            ordered = sorted(told.values(), key=lambda one: (one.path, one.kind != "file"))
            yield ScanPage(ordered, page.cursor, page.folders, page.unseen)

    monkeypatch.setattr(drifting.executor, "scan", telling)
    monkeypatch.setattr(
        drifting.executor, "kinds_at", lambda path: ["file", "directory"] if path.raw == b"a" else kinds(path)
    )
    for _ in range(3):
        await drifting.look()
        assert (await drifting.findings()).get("a") == ("unreadable", "open")
        assert await drifting.nodes() == before
