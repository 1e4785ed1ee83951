"""The archive of the journal makes an empty record whole again: the same nodes, versions and entries. What is broken is refused."""

import asyncio
import base64
import gzip
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from activities.upkeep.archive import Archive, Archived, read_archive
from activities.upkeep.archive_places import ArchiveFolder
from activities.upkeep.rebuild import NotEmpty, rebuild
from schema import check
from schema.access.quotas import Limit, QuotaScope
from schema.archive.segments import BrokenArchive, segment_names
from schema.check import FindingKind
from schema.ids import MountId
from schema.metastore.changes import RecordAuthor
from schema.metastore.records import Description
from schema.migrate import migrate
from schema.paths import NodePath
from schema.store import check as check_store
from schema.store import events, holds, quotas, records
from schema.store.pool import Pool, make_pool
from tests.store.conftest import Databases
from tests.store.drift import Drifting, make_drifting
from tests.store.helpers import TOKEN_OF_COMMANDS, Protocol, delete, give_positions, make_mount, mkdir, upload
from tests.store.test_trees import move, restore

ALIKE = {
    "nodes": """SELECT id, tenant, mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind, state,
                       version, size_bytes, sha256, metadata, deleted_at IS NULL AS living FROM filestore.nodes ORDER BY id""",
    "versions": "SELECT * FROM filestore.snapshots ORDER BY node_id, version",
    "journal": "SELECT * FROM filestore.journal_entries ORDER BY id",
    "mounts": "SELECT * FROM filestore.backend_mounts ORDER BY id",
    "records": """SELECT node_id, mount_id, path, state, namespace, tags, owner, metadata, version, change, changed_by, removed,
                         deleted_at IS NULL AS open FROM filestore.metastore_records WHERE version > 1 ORDER BY node_id""",
    "what they said": """SELECT node_id, version, change, changed_by, namespace, tags, owner, metadata
                           FROM filestore.metastore_history ORDER BY node_id, version""",
    "tenants": "SELECT * FROM filestore.tenants ORDER BY name",
    "holds": "SELECT * FROM filestore.holds WHERE released_at IS NULL ORDER BY id",
    "freezes": "SELECT * FROM filestore.freezes WHERE lifted_at IS NULL ORDER BY id",
    "quotas": "SELECT * FROM filestore.quotas ORDER BY id",
    "what quotas count of the trash": "SELECT * FROM filestore.quota_kept ORDER BY quota_id, node_id, content_place",
    "namespaces": "SELECT * FROM filestore.metastore_namespaces ORDER BY tenant, name",
    "their paths": "SELECT * FROM filestore.metastore_rules ORDER BY id",
}


async def opened(url: str) -> Pool:
    pool = make_pool(url, name="rebuild", min_size=1, max_size=4)
    await pool.open(wait=True)
    return pool


async def rows(pool: Pool, query: str) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(query.encode())).fetchall()


async def settle(pool: Pool) -> None:
    async with pool.connection() as connection:
        await give_positions(connection)
        while (await events.waiting(connection)).unsettled:
            await events.settle_entries(connection)


@pytest.fixture
async def live(new_database: Databases) -> AsyncIterator[Pool]:
    """A record of its own, with all that can happen to a node and to a tree."""
    import psycopg

    url = new_database()
    await asyncio.to_thread(migrate, url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TOKEN_OF_COMMANDS)
    pool = await opened(url)
    await write(pool)
    await settle(pool)
    yield pool
    await pool.close()


async def write(pool: Pool) -> None:
    async with pool.connection() as connection:
        mount, other = await make_mount(connection), await make_mount(connection)
    protocol = Protocol(pool)

    async def run(*commands: Any) -> None:
        for command in commands:
            await protocol.run(command.mount_id, command)

    await run(mkdir(mount, "a"), mkdir(mount, "a/b"), mkdir(mount, "a/b/c"), mkdir(other, "o"), upload(other, "o/f", 9))
    lossy = base64.b64encode(b"a/\xff").decode()
    await run(mkdir(mount, "a/\ufffd", path_b64=lossy))
    await run(
        upload(mount, "a/f", 3, mime_type="text/plain", checksum="md5:" + "0" * 32),
        upload(mount, "a/f", 4, overwrite=True),
        upload(mount, "a/b/g", 5),
    )
    await run(move(mount, "a/f", "a/b/f"), upload(mount, "t", 7), move(mount, "a/b/g", "t", overwrite=True))
    await run(delete(mount, "a/b/f"), move(mount, "a", "z"), delete(mount, "z", recursive=True))
    await run(
        restore(mount, "z"), mkdir(mount, "gone"), upload(mount, "gone/x", 2), delete(mount, "gone", recursive=True)
    )
    await run(mkdir(mount, "gone"), upload(mount, "gone/y", 1), mkdir(mount, "no/parent"))
    await say(pool)
    await lay_down(pool, mount)


async def lay_down(pool: Pool, mount: MountId) -> None:
    """One of each that is in force, and those that are over."""
    async with pool.connection() as connection, connection.transaction():
        for path in (b"kept", b"over"):
            hold = await holds.create(connection, "main", mount, NodePath(path), "legal", "a case", None, "ann")
        await connection.execute(
            "UPDATE filestore.holds SET released_at = now(), released_by = 'bob' WHERE id = %s", [hold]
        )
        await connection.execute("""
            INSERT INTO filestore.freezes (tenant, reason, principal, key, lifted_at, lifted_by)
            VALUES ('elsewhere', 'a move', 'ann', 'a', NULL, NULL), ('elsewhere', 'over', 'ann', 'b', now(), 'ann')""")
        scope = QuotaScope(mount, NodePath(b"gone"), None)
        limit = Limit(10**9)
        await quotas.create(
            connection,
            quotas.NewQuota(
                tenant="main", scope=scope, most=limit, soft=Limit(), trash=True, operators=False, by="ann"
            ),
        )
        rules = [{"mount": mount, "prefix": b"gone/".hex(), "mode": "correct"}]
        await records.put_namespace(connection, "main", "ours", "what is ours", {"type": "object"}, rules)


async def say(pool: Pool) -> None:
    """Of a directory twice, of a file for nothing, of a deleted file once."""
    by = RecordAuthor(principal="ann")
    for path, tags in (
        ("gone", ["one"]),
        ("gone", ["one", "two"]),
        ("gone/y", ["gone"]),
        ("gone/y", None),
        ("o/f", ["far"]),
    ):
        async with pool.connection() as connection, connection.transaction():
            query = "SELECT id FROM filestore.node_documents WHERE path_text = %s AND state <> 'deleted'"
            row = await (await connection.execute(query, [path])).fetchone()
            assert row is not None
            held = await records.hold(connection, row["id"], "main") or await records.make(
                connection, row["id"], "main"
            )
            assert held is not None
            now = Description("ours", tags or [], "bob" if tags else None, {"n": len(tags)} if tags else {})
            await records.change(
                connection, held, now, change="removed" if tags is None else "updated", by=by, schema=None, violation=None,
                removed=tags is None,
            )  # fmt: skip


@pytest.fixture
async def fresh(new_database: Databases) -> AsyncIterator[Pool]:
    url = new_database()
    await asyncio.to_thread(migrate, url)
    pool = await opened(url)
    yield pool
    await pool.close()


async def archive(pool: Pool, folder: Path, **more: Any) -> Archived:
    return await Archive(pool, ArchiveFolder(str(folder)), **more).archive()


async def test_a_rebuilt_record_is_the_one_that_was_archived(live: Pool, fresh: Pool, tmp_path: Path) -> None:
    first = await archive(live, tmp_path, segment=1)
    assert (first.segments, first.different, first.more) == (1, 0, False) and first.entries > 15
    [mount, *_] = [
        MountId(row["id"]) for row in await rows(live, "SELECT id FROM filestore.backend_mounts ORDER BY id")
    ]
    await Protocol(live).run(mount, upload(mount, "later", 3))
    await settle(live)
    second = await archive(live, tmp_path)
    assert (second.segments, second.entries, second.last) == (1, 1, first.last + 1)
    assert (await archive(live, tmp_path)).segments == 0, "there is nothing new"
    rebuilt = await rebuild(fresh, ArchiveFolder(str(tmp_path)))
    assert rebuilt.unplaced == 0 and rebuilt.entries == second.last
    for what, query in ALIKE.items():
        assert await rows(fresh, query) == await rows(live, query), what
    for mount in (MountId(row["id"]) for row in await rows(fresh, "SELECT id FROM filestore.backend_mounts")):
        async with fresh.connection() as connection:
            found, _ = await check_store.record(connection, mount)
        wrong = [one for one in check.check(found, None) if one.kind is not FindingKind.METASTORE]
        assert wrong == [], wrong
    await goes_on(fresh, mount)
    with pytest.raises(NotEmpty):
        await rebuild(live, ArchiveFolder(str(tmp_path)))


async def test_the_first_look_takes_what_lies_there_for_the_rebuilt_nodes(
    live: Pool, fresh: Pool, tmp_path: Path
) -> None:
    """The same nodes and versions, with the files as they lie; only what changed since is drift, so no brake waits for a yes."""
    files = [f"d/{n}" for n in range(9)]
    was = await make_drifting(live, tmp_path / "disk", Protocol(live), files)
    (was.root / "link").symlink_to("d")
    await was.settle()
    await settle(live)
    await archive(live, tmp_path / "archive")
    known = await was.nodes()
    await rebuild(fresh, ArchiveFolder(str(tmp_path / "archive")))
    now = Drifting(fresh, was.root, was.mount, was.executor, Protocol(fresh))
    was.write("d/0", "what another program wrote")
    was.write("d/new")
    versions = (
        "SELECT id, version, sha256 FROM filestore.nodes WHERE mount_id = %s AND name <> '0' AND depth > 0 ORDER BY id"
    )
    before = await now.rows(versions, now.mount)
    await now.policy(brake={"share": 0.2, "count": 1})
    end = await now.look(reason="audit")
    assert (end.state, end.changes, end.counts["changed"], end.counts["new"]) == ("concluded", 1, 1, 1)
    assert [row for row in await now.rows(versions, now.mount) if row in before] == before
    assert {path: id for path, (id, _) in (await now.nodes()).items() if path in known} == {
        path: id for path, (id, _) in known.items()
    }
    assert await now.problems() == []
    assert (await now.look()).counts == {}, "and the next look finds nothing"


async def goes_on(pool: Pool, mount: MountId) -> None:
    """Commands go on with ids of their own, the feed far behind, and each mount is looked at."""
    assert [row["path"] for row in await rows(pool, "SELECT path FROM filestore.reconciliation_jobs")] == [b"", b""]
    with_token = "INSERT INTO filestore.tokens (id, principal, hash, hint, scopes) OVERRIDING SYSTEM VALUE " + (
        "VALUES (1, 'admin', sha256('x'), 'fst_', '{admin}')"
    )
    async with pool.connection() as connection:
        await connection.execute(with_token.encode())
    await Protocol(pool).run(mount, mkdir(mount, "new"))
    await settle(pool)
    async with pool.connection() as connection:
        bounds = await events.bounds(connection)
    assert bounds.first > 10**9 and bounds.last >= bounds.first


async def test_what_is_broken_is_refused_and_changes_nothing(live: Pool, fresh: Pool, tmp_path: Path) -> None:
    place = ArchiveFolder(str(tmp_path))
    await archive(live, tmp_path)
    [mount, *_] = [
        MountId(row["id"]) for row in await rows(live, "SELECT id FROM filestore.backend_mounts ORDER BY id")
    ]
    await Protocol(live).run(mount, upload(mount, "later", 3))
    await settle(live)
    await archive(live, tmp_path)
    first, second = segment_names(place.names())
    whole = {name: (tmp_path / name).read_bytes() for name in place.names()}

    def sealed(name: Any, content: bytes) -> None:
        (tmp_path / str(name)).write_bytes(content)
        (tmp_path / name.checksum).write_text(f"{hashlib.sha256(content).hexdigest()}  {name}\n")

    def without_its_end() -> None:
        sealed(second, gzip.compress(b"".join(gzip.decompress(whole[str(second)]).splitlines(keepends=True)[:-1])))

    def fewer_lines() -> None:
        lines = gzip.decompress(whole[str(second)]).splitlines(keepends=True)
        sealed(second, gzip.compress(b"".join(line for line in lines if not line.startswith(b'{"entry"'))))

    def without_the_first() -> None:
        for name in (str(first), first.checksum):
            (tmp_path / name).unlink()

    spoiled: dict[str, Callable[[], object]] = {
        "says": lambda: (tmp_path / str(first)).write_bytes(whole[str(first)][:-9] + b"x" * 9),
        "follows": lambda: sealed(first, whole[str(first)] + gzip.compress(b"")),
        "begins with": without_the_first,
        "was cut": without_its_end,
        "its end says": fewer_lines,
    }
    for message, spoil in spoiled.items():
        spoil()
        with pytest.raises(BrokenArchive, match=message):
            await rebuild(fresh, place)
        for name, content in whole.items():
            (tmp_path / name).write_bytes(content)
    assert await rows(fresh, "SELECT * FROM filestore.backend_mounts") == []
    assert len(list(read_archive(place))) > 20
    with pytest.raises(BrokenArchive, match="no segment"):
        await rebuild(fresh, ArchiveFolder(str(tmp_path / "none")))


async def test_a_segment_without_its_checksum_does_not_count(live: Pool, tmp_path: Path) -> None:
    await archive(live, tmp_path)
    [name] = segment_names([file for file in ArchiveFolder(str(tmp_path)).names() if not file.endswith(".sha256")])
    (tmp_path / name.checksum).unlink()
    assert (await archive(live, tmp_path)).segments == 1, "it is written again"
    assert len(list(read_archive(ArchiveFolder(str(tmp_path))))) > 20
