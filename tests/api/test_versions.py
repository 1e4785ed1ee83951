"""Older versions: what there was, where its bytes are, and reading them on a real disk."""

import asyncio
import base64
import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from activities.executors.local.executor import LocalExecutor
from api.files import recorded
from schema.ids import NodeId
from schema.paths import RESERVED, NodePath
from tests.api.conftest import FrontOfTest, Tree

OLD, NEW = b"what it was before", b"what it is"
DAY = "2026-11-20"
THEN = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(days=30)


def at(node: NodeId, version: int | None = None) -> str:
    return f"/v1/files/{node}/content" + (f"?version={version}" if version else "")


async def run(tree: Tree, statement: str, values: dict[str, Any]) -> None:
    async with tree.pool.connection() as connection:
        await connection.execute(statement.encode(), values)


async def command(tree: Tree, kind: str, *, intent: dict[str, Any] | None = None, **request: Any) -> str:
    """A command that has succeeded, and its entry in the journal."""
    id = str(uuid.uuid4())
    values = {"id": id, "kind": kind, "mount": tree.mount, "request": json.dumps(request),
              "intent": json.dumps(intent or {})}  # fmt: skip
    await run(
        tree,
        """INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status, ended_at)
           VALUES (%(id)s::uuid, 'p', %(id)s::text, %(kind)s, %(mount)s, 'f', %(request)s, %(intent)s, 'succeeded',
                   now())""",
        values,
    )
    await run(
        tree,
        """INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, path, principal, key,
               executor, outcome, payload, started_at)
           VALUES ('main', %(id)s::uuid, 1, %(kind)s, %(mount)s, 'f', 'p', 'k', 'local', 'succeeded', %(request)s, now())""",
        values,
    )
    return id


async def snapshot(
    tree: Tree, node: NodeId, version: int, content: bytes | None, kept: list[Any] | None = None, /, **columns: Any
) -> None:
    """A row of the record. `content` None: nothing was ever hashed. `kept`: which file its content is in the trash."""
    values = {
        "node_id": node, "version": version, "command_id": str(uuid.uuid4()), "parent_id": tree.root, "name": b"f",
        "kind": "file", "state": "active", "size_bytes": len(content or b""), "valid_from": THEN,
        "sha256": hashlib.sha256(content).digest() if content is not None else None,
    } | columns  # fmt: skip
    names = ", ".join(values)
    marks = ", ".join(f"%({name})s" for name in values)
    known = "(SELECT f FROM filestore.identity_v1(%(kept)s::jsonb) f)"
    await run(
        tree,
        f"INSERT INTO filestore.versions ({names}, content_identity) VALUES ({marks}, {known})",
        values | {"kept": kept and json.dumps(kept)},
    )


def throw_away(tree: Tree, content: bytes, place: str = "", *, folder: str = "trash") -> tuple[bytes, list[Any]]:
    """A file in our own folder. Returns its place, and its identity."""
    place = place or f"{DAY}/{uuid.uuid4()}.0"
    file = tree.folder / ".filestore" / folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    opened = LocalExecutor(str(tree.folder), tree.uuid).open(NodePath(RESERVED + f"/{folder}/{place}".encode()))
    opened.close()
    return place.encode(), opened.identity.facts()


@pytest.fixture
async def node(tree: Tree) -> NodeId:
    """A file that was replaced once, and its first content in the trash."""
    return await replaced(tree)


async def replaced(tree: Tree, until: datetime = LATER, path: str = "f") -> NodeId:
    node = await tree.file(path, NEW, version=2, mime_type="text/html", checksum="md5:new", last_modified_at=THEN)
    place, identity = throw_away(tree, OLD)
    first = await command(tree, "uploadFile", mime_type="text/plain", checksum="md5:old")
    second = await command(tree, "uploadFile", mime_type="text/html", intent={"step": "replace", "node": node})
    await snapshot(tree, node, 1, OLD, identity, command_id=first, name=b"once", valid_from=THEN - timedelta(days=1), valid_to=THEN,
                   content_place=place, content_until=until, metadata=json.dumps({"n": 1, "t": "1"}))  # fmt: skip
    await snapshot(tree, node, 2, NEW, command_id=second)
    return node


async def test_an_older_version_is_as_it_was(client: httpx2.AsyncClient, node: NodeId) -> None:
    answer, now = await client.get(at(node, 1)), await client.get(at(node))
    assert (answer.status_code, answer.content, now.content) == (200, OLD, NEW)
    digest = hashlib.sha256(OLD)
    shown = {name: answer.headers[name] for name in ("etag", "last-modified", "content-length", "content-type",
            "content-disposition", "x-filestore-checksum", "x-filestore-content-hash", "repr-digest")}  # fmt: skip
    assert shown == {
        "etag": f'"{digest.hexdigest()}"', "last-modified": "Thu, 19 Nov 2026 12:00:00 GMT",
        "content-length": str(len(OLD)), "content-type": "text/plain",
        "content-disposition": 'attachment; filename="once"', "x-filestore-checksum": "old",
        "x-filestore-content-hash": digest.hexdigest(),
        "repr-digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:",
    }  # fmt: skip
    part = await client.get(at(node, 1), headers={"range": "bytes=-6"})
    assert (part.status_code, part.content) == (206, OLD[-6:])
    same = await client.get(at(node, 1), headers={"if-none-match": answer.headers["etag"]})
    assert same.status_code == 304
    assert (await client.get(at(node, 2))).content == NEW


async def test_the_current_version_is_what_the_node_has(client: httpx2.AsyncClient, node: NodeId) -> None:
    plain, numbered = await client.get(at(node)), await client.get(at(node, 2))
    assert {**plain.headers, "x-request-id": ""} == {**numbered.headers, "x-request-id": ""}


async def test_versions_that_never_were(client: httpx2.AsyncClient, tree: Tree, node: NodeId) -> None:
    directory = await tree.directory("d")
    for path, status, code in ((at(node, 3), 404, "NODE_NOT_FOUND"), (at(node) + "?version=0", 400, "INVALID_REQUEST"),
                               (at(node) + "?version=x", 400, "INVALID_REQUEST"), (at(directory, 1), 409, "NOT_A_DIRECTORY"),
                               (at(node) + f"?version={2**63}", 400, "INVALID_REQUEST"),
                               (at(node, 2**63 - 1), 404, "NODE_NOT_FOUND")):  # fmt: skip
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path


async def test_what_has_expired_tells_when(client: httpx2.AsyncClient, tree: Tree) -> None:
    until = datetime(2026, 10, 1, tzinfo=UTC)
    node = await replaced(tree, until)
    for method in ("GET", "HEAD"):
        assert (await client.request(method, at(node, 1))).status_code == 410
    error = (await client.get(at(node, 1))).json()["error"]
    assert error["code"] == "CONTENT_EXPIRED"
    assert datetime.fromisoformat(error["details"]["contentUntil"]) == until and "2026-10-01" in error["message"]
    assert (await client.get(at(node, 2))).content == NEW


async def test_what_was_purged_is_gone(client: httpx2.AsyncClient, tree: Tree, node: NodeId) -> None:
    for file in (tree.folder / ".filestore/trash").rglob("*.0"):
        file.unlink()
    answer = await client.get(at(node, 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "CONTENT_EXPIRED")
    assert answer.json()["error"]["details"]["contentUntil"]


@pytest.mark.parametrize("same_size", [True, False])
async def test_what_was_changed_in_the_trash_is_not_sent(
    client: httpx2.AsyncClient, tree: Tree, node: NodeId, same_size: bool
) -> None:
    for file in (tree.folder / ".filestore/trash").rglob("*.0"):
        file.write_bytes(b"x" * (len(OLD) + (not same_size)))
    answer = await client.get(at(node, 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "VERSION_CONFLICT")


async def test_content_that_went_on_unchanged_is_where_it_went(client: httpx2.AsyncClient, tree: Tree) -> None:
    """Metadata was changed twice, then the content was replaced, then the metadata again: places belong to contents."""
    node = await tree.file("f", NEW, version=5)
    place, _ = throw_away(tree, OLD)
    for version in (1, 2, 3):
        kept = {"content_place": place, "content_until": LATER} if version == 3 else {}
        await snapshot(tree, node, version, OLD, valid_to=THEN, **kept)
    await snapshot(tree, node, 4, NEW, valid_to=THEN)
    await snapshot(tree, node, 5, NEW)
    contents = [(await client.get(at(node, version))).content for version in (1, 2, 3, 4, 5)]
    assert contents == [OLD, OLD, OLD, NEW, NEW]


async def test_content_that_was_never_hashed_is_not_guessed(client: httpx2.AsyncClient, tree: Tree) -> None:
    """Without a hash it is not known whether the next version still had it."""
    node = await tree.file("f", NEW, version=2, sha256=None)
    await snapshot(tree, node, 1, None, size_bytes=len(NEW), valid_to=THEN)
    await snapshot(tree, node, 2, None, size_bytes=len(NEW))
    answer = await client.get(at(node, 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "CONTENT_EXPIRED")
    now = await client.get(at(node, 2))
    assert (now.content, now.headers["etag"]) == (NEW, f'W/"{node}.2"')


async def deleted(tree: Tree) -> NodeId:
    place, identity = throw_away(tree, OLD)
    device, inode, birth, size, mtime, ctime, _, mode, links = identity
    node = await tree.file(
        "gone", version=2, state="deleted", deleted_at=THEN, size_bytes=len(OLD), sha256=hashlib.sha256(OLD).digest(),
        device=device, inode=inode, birth_ns=birth, observed_size=size, observed_mtime_ns=mtime,
        observed_ctime_ns=ctime, observed_mode=mode, observed_links=links, mime_type="text/plain",
    )  # fmt: skip
    await snapshot(tree, node, 1, OLD, identity, valid_to=THEN, content_place=place, content_until=LATER, name=b"gone")
    await snapshot(tree, node, 2, OLD, state="deleted", name=b"gone")
    return node


async def test_a_deleted_file_can_be_read_while_it_is_kept(client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await deleted(tree)
    assert (await client.get(at(node))).status_code == 404
    assert (await client.get(at(node, 2))).status_code == 404, "the version in which it was deleted has no content"
    answer = await client.get(at(node, 1))
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, OLD, "text/plain")
    shown = (await client.get(f"/v1/nodes/{node}/snapshots")).json()["data"]["snapshots"]
    assert [(one["version"], one["state"], one["contentAvailable"]) for one in shown] == [
        (2, "deleted", False), (1, "active", True),
    ]  # fmt: skip
    for file in (tree.folder / ".filestore/trash").rglob("*.0"):
        file.write_bytes(b"x" * len(OLD))
    assert (await client.get(at(node, 1))).status_code == 412, "the record still knows which file it was"


async def unfinished(tree: Tree, node: NodeId) -> str:
    """The second upload has just been recorded: what it took out is still under its stage."""
    place = next((tree.folder / ".filestore/trash").rglob("*.0"))
    stage = tree.folder / ".filestore/stage" / place.name
    place.rename(stage)
    await run(tree, """INSERT INTO filestore.cleanups (mount_id, command_id)
        SELECT %(mount)s, command_id FROM filestore.snapshots WHERE node_id = %(node)s AND version = 2""",
        {"mount": tree.mount, "node": node})  # fmt: skip
    return str(stage)


async def test_between_the_record_and_finish_a_reader_waits(
    client: httpx2.AsyncClient, tree: Tree, node: NodeId
) -> None:
    trash = next((tree.folder / ".filestore/trash").rglob("*.0"))
    stage = tree.folder / ".filestore/stage" / trash.name
    await unfinished(tree, node)
    reading = asyncio.create_task(client.get(at(node, 1)))
    await asyncio.sleep(0.15)
    assert not reading.done()
    stage.rename(trash)
    await run(tree, "DELETE FROM filestore.cleanups WHERE mount_id = %(mount)s", {"mount": tree.mount})
    answer = await reading
    assert (answer.status_code, answer.content) == (200, OLD)


async def test_a_finish_that_is_late_is_busy_and_never_expired(
    client: httpx2.AsyncClient, tree: Tree, node: NodeId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "LOOK_SECONDS", 0.001)
    await unfinished(tree, node)
    answer = await client.get(at(node, 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "PATH_BUSY")
    assert answer.headers["retry-after"] == "1"


async def test_all_versions_with_one_content_wait_for_its_finish(
    client: httpx2.AsyncClient, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metadata was changed, then the content was replaced: what took it out is not what ended the first version."""
    monkeypatch.setattr(recorded, "LOOK_SECONDS", 0.001)
    node = await tree.file("f", NEW, version=3)
    place, identity = throw_away(tree, OLD)
    for version in (1, 2):
        await snapshot(tree, node, version, OLD, identity, valid_to=THEN, content_place=place, content_until=LATER)
    third = await command(tree, "uploadFile", intent={"step": "replace", "node": node})
    await snapshot(tree, node, 3, NEW, command_id=third)
    trash = next((tree.folder / ".filestore/trash").rglob("*.0"))
    stage = trash.rename(tree.folder / ".filestore/stage" / trash.name)
    await run(tree, "INSERT INTO filestore.cleanups (mount_id, command_id) VALUES (%(mount)s, %(id)s::uuid)",
              {"mount": tree.mount, "id": third})  # fmt: skip
    for version in (1, 2):
        answer = await client.get(at(node, version))
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "PATH_BUSY")
    stage.rename(trash).write_bytes(b"x" * len(OLD))
    await run(tree, "DELETE FROM filestore.cleanups WHERE mount_id = %(mount)s", {"mount": tree.mount})
    for version in (1, 2):
        assert (await client.get(at(node, version))).status_code == 412, "its identity is known too"


async def test_while_a_restore_is_under_way_a_reader_waits(client: httpx2.AsyncClient, tree: Tree) -> None:
    """Its visible step has emptied the place in the trash; the record follows."""
    node = await deleted(tree)
    trash = next((tree.folder / ".filestore/trash").rglob("*.0"))
    id = str(uuid.uuid4())
    await run(tree, """INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status)
        VALUES (%(id)s::uuid, 'p', %(id)s::text, 'restoreNode', %(mount)s, 'gone', '{}', '{"step": "restore"}', 'running')""",
        {"id": id, "mount": tree.mount})  # fmt: skip
    trash.rename(tree.folder / "gone")
    reading = asyncio.create_task(client.get(at(node, 1)))
    await asyncio.sleep(0.15)
    assert not reading.done()
    async with tree.pool.connection() as connection, connection.transaction():
        values = {"id": id, "node": node}
        for statement in (
            "UPDATE filestore.commands SET status = 'succeeded', ended_at = now() WHERE id = %(id)s",
            "UPDATE filestore.nodes SET state = 'active', deleted_at = NULL, version = 3 WHERE id = %(node)s",
            "UPDATE filestore.versions SET content_place = NULL, content_until = NULL WHERE node_id = %(node)s",
            "UPDATE filestore.versions SET valid_to = now() WHERE node_id = %(node)s AND version = 2",
        ):
            await connection.execute(statement.encode(), values)
    await snapshot(tree, node, 3, OLD, name=b"gone")
    answer = await reading
    assert (answer.status_code, answer.content) == (200, OLD)
    assert (await client.get(at(node, 3))).content == OLD


async def test_every_version_newest_first(client: httpx2.AsyncClient, tree: Tree, node: NodeId) -> None:
    data = (await client.get(f"/v1/nodes/{node}/snapshots")).json()["data"]
    assert data["pagination"] == {"limit": 50, "nextCursor": None}
    now, before = data["snapshots"]
    entry = before.pop("journalEntryId")
    assert isinstance(entry, int) and uuid.UUID(before.pop("commandId"))
    assert datetime.fromisoformat(before.pop("contentUntil")) == LATER
    assert before == {
        "version": 1, "parentId": tree.root, "name": "once", "kind": "file", "state": "active",
        "sizeBytes": len(OLD), "contentHash": hashlib.sha256(OLD).hexdigest(),
        "metadata": {"n": 1, "t": "1"}, "validFrom": "2026-11-19T12:00:00+00:00", "validTo": "2026-11-20T12:00:00+00:00",
        "contentAvailable": True, "contentUrl": f"/v1/files/{node}/content?version=1",
    }  # fmt: skip
    assert (now["version"], now["validTo"], now["contentUntil"], now["contentAvailable"]) == (2, None, None, True)
    assert (await client.get(now["contentUrl"])).content == NEW
    assert (await client.get(before["contentUrl"])).content == OLD


async def test_what_the_list_says_is_what_the_download_does(client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("f", NEW, version=6)
    kept, _ = throw_away(tree, OLD)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await snapshot(tree, node, 1, b"lost", valid_to=THEN, content_place=b"2026-01-01/x.0", content_until=past)
    await snapshot(tree, node, 2, OLD, valid_to=THEN)
    await snapshot(tree, node, 3, OLD, valid_to=THEN, content_place=kept, content_until=LATER)
    await snapshot(tree, node, 4, b"drifted away", valid_to=THEN)
    await snapshot(tree, node, 5, NEW, valid_to=THEN)
    await snapshot(tree, node, 6, NEW)
    shown = (await client.get(f"/v1/nodes/{node}/snapshots")).json()["data"]["snapshots"]
    for one in shown:
        status = (await client.get(at(node, one["version"]))).status_code
        assert status == (200 if one["contentAvailable"] else 410), one
        assert (one["contentUrl"] is None) == (not one["contentAvailable"])
    assert [one["contentAvailable"] for one in shown] == [True, True, False, True, True, False]


async def test_pages_meet_without_a_gap_while_versions_come(client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("f", NEW, version=23)
    for version in range(1, 24):
        ends = {} if version == 23 else {"valid_to": THEN}
        await snapshot(tree, node, version, NEW, **ends)
    seen: list[int] = []
    cursor: dict[str, int] = {}
    while True:
        data = (await client.get(f"/v1/nodes/{node}/snapshots", params={"limit": 5} | cursor)).json()["data"]
        seen += [one["version"] for one in data["snapshots"]]
        if len(seen) == 5:
            await run(
                tree,
                "UPDATE filestore.versions SET valid_to = now() WHERE node_id = %(node)s AND version = 23",
                {"node": node},
            )
            await snapshot(tree, node, 24, NEW)
        if data["pagination"]["nextCursor"] is None:
            break
        cursor = {"cursor": data["pagination"]["nextCursor"]}
    assert seen == list(range(23, 0, -1))
    exact = (await client.get(f"/v1/nodes/{node}/snapshots", params={"limit": 24})).json()["data"]
    assert len(exact["snapshots"]) == 24 and exact["pagination"]["nextCursor"] is None


async def test_names_that_are_not_text_and_directories(client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.directory("d")
    await snapshot(tree, node, 1, None, kind="directory", name=b"\xff\xfe")
    (one,) = (await client.get(f"/v1/nodes/{node}/snapshots")).json()["data"]["snapshots"]
    assert (one["name"], base64.b64decode(one["nameB64"])) == ("\ufffd\ufffd", b"\xff\xfe")
    assert (one["kind"], one["contentAvailable"], one["contentUrl"]) == ("directory", False, None)


async def test_who_may_see_versions(front: FrontOfTest, client: httpx2.AsyncClient, node: NodeId) -> None:
    stranger = await front.token("read", tenant="other")
    for path in (f"/v1/nodes/{node}/snapshots", at(node, 1)):
        async with front.client(stranger) as other, front.client() as anonymous:
            assert (await other.get(path)).status_code == 404
            assert (await anonymous.get(path)).status_code == 401
    assert (await client.get(f"/v1/nodes/{10**15}/snapshots")).status_code == 404
    for bad in ("limit=0", "limit=201", "cursor=0", "cursor=x", "limit=x"):
        assert (await client.get(f"/v1/nodes/{node}/snapshots?{bad}")).status_code == 400, bad
