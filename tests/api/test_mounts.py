"""Mounts: registering, changing, listing; and that secrets never come back."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest

from activities.executors.contract.direct import DirectReads
from activities.executors.kinds import KINDS
from activities.executors.local.executor import LocalExecutor
from activities.executors.s3.executor import S3Executor
from api.mounts.register import split_config
from schema import errors
from schema.secrets.keyring import of_mount
from schema.store import mounts
from tests.api.conftest import FrontOfTest, Tree, make_tree
from tests.fix_keys import KEYS


def key() -> str:
    return f"k-{uuid.uuid4().hex[:8]}"


def local(folder: Path, **more: Any) -> dict[str, Any]:
    return {"mountKey": key(), "backendKind": "local", "rootPath": str(folder), **more}


def read(file: Path) -> str:
    return file.read_text()


def inode_of(folder: Path) -> int:
    return folder.stat().st_ino


S3 = {"backendKind": "s3", "bucket": "bucket", "prefix": "p/"}


async def test_a_local_mount(front: FrontOfTest, admin: httpx2.AsyncClient, tmp_path: Path) -> None:
    body = local(tmp_path, displayName="Demo", description="d", contact="c", labels=["a", "b"], accessMode="ro",
                 stateReason="new", config={"note": {"x": 1}}, ignored=1)  # fmt: skip
    answer = await admin.post("/v1/backend-mounts", json=body)
    assert answer.status_code == 201, answer.text
    mount = answer.json()["data"]
    assert answer.headers["location"] == f"/v1/backend-mounts/{mount['id']}"
    assert {name: mount[name] for name in body if name != "ignored"} == {
        n: v for n, v in body.items() if n != "ignored"
    }
    assert (mount["state"], mount["epoch"], mount["hostId"], mount["bucket"]) == ("active", 1, "front-host", None)
    sentinel = json.loads(read(tmp_path / ".filestore" / "mount.json"))
    assert sentinel["mount"] == mount["mountUuid"]
    assert front.disks.refreshed == 1
    root = (await admin.get(f"/v1/nodes/{mount['rootNodeId']}")).json()["data"]
    assert (root["path"], root["depth"], root["kind"], root["parentId"]) == ("", 0, "directory", None)
    async with front.pool.connection() as connection:
        cursor = await connection.execute("SELECT * FROM filestore.nodes WHERE id = %s", [mount["rootNodeId"]])
        row = await cursor.fetchone()
    assert row is not None and row["inode"] == inode_of(tmp_path) and row["observed_at"] is not None
    assert (await admin.get(f"/v1/backend-mounts/{mount['id']}")).json()["data"] == mount


SECRETS = {
    "accessKeyId": "CANARY-1",
    "secretAccessKey": "CANARY-2",
    "sessionToken": "CANARY-3",
    "clientSecret": "CANARY-4",
    "password": "CANARY-5",
}


async def test_secrets_go_in_and_never_come_out(front: FrontOfTest, admin: httpx2.AsyncClient, capsys: Any) -> None:
    config = {"endpoint": "http://s3:9000", "region": "eu", "forcePathStyle": True, **SECRETS}
    made = await admin.post("/v1/backend-mounts", json={"mountKey": key(), **S3, "config": config})
    assert made.status_code == 201, made.text
    id = made.json()["data"]["id"]
    changed = await admin.patch(
        f"/v1/backend-mounts/{id}",
        json={"config": {"endpoint": "http://s3:9000", "secretAccessKey": "CANARY-6", "sessionToken": None}},
    )
    assert changed.status_code == 200
    assert changed.json()["data"]["config"] == {"endpoint": "http://s3:9000"}
    texts = [made.text, changed.text]
    for path in ("/v1/backend-mounts?limit=100", f"/v1/backend-mounts/{id}", "/v1/journal", "/openapi.json"):
        texts.append((await admin.get(path)).text)
    texts.append(
        (await admin.post("/v1/backend-mounts", json={**S3, "config": {"secretAccessKey": ["CANARY-7"]}})).text
    )
    assert not [text for text in [*texts, capsys.readouterr().out] if "CANARY" in text]
    async with front.pool.connection() as connection:
        cursor = await connection.execute("SELECT name, value FROM filestore.mount_secrets WHERE mount_id = %s", [id])
        stored = {row["name"]: row["value"] for row in await cursor.fetchall()}
    assert not [text for text in stored.values() if "CANARY" in text or not text.startswith("sealed:test:")]
    held = {name: KEYS.open(of_mount(id, name), text) for name, text in stored.items()}
    kept = {name: value for name, value in SECRETS.items() if name != "sessionToken"}
    assert held == kept | {"secretAccessKey": "CANARY-6"}


@pytest.mark.parametrize(
    "config",
    [
        {"endpoint": "https://me:pw@s3"}, {"nested": {"secretAccessKey": "x"}}, {"deep": {"er": [{"api_token": "x"}]}},
        {"secretAccessKey": 5}, {"credentials": {"a": "b"}}, {"list": ["s3://a:b@c"]},
    ],
)  # fmt: skip
def test_a_secret_in_an_odd_place_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidRequest) as raised:
        split_config(config)
    assert "pw" not in raised.value.message


BAD: list[dict[str, Any]] = [
    {}, {"mountKey": "k"}, {"mountKey": "", **S3}, {"mountKey": "a b", **S3}, {"mountKey": "é", **S3}, {"mountKey": 1,
    **S3},
    {"mountKey": "x" * 201, **S3}, {"mountKey": "k", "backendKind": "ftp"}, {"mountKey": "k", "backendKind": "s3"},
    {"mountKey": "k", "backendKind": "s3", "bucket": ""}, {"mountKey": "k", "backendKind": "local"},
    {"mountKey": "k", "backendKind": "local", "rootPath": "relative"}, {"mountKey": "k", "backendKind": "local",
    "rootPath": "/nope/x"},
    {"mountKey": "k", "backendKind": "local", "rootPath": "/a\0b"}, {"mountKey": "k", "backendKind": "local",
    "rootPath": "/etc/hostname"},
    {"mountKey": "k", **S3, "accessMode": "w"}, {"mountKey": "k", **S3, "state": "up"}, {"mountKey": "k", **S3,
    "labels": "a"},
    {"mountKey": "k", **S3, "labels": [1]}, {"mountKey": "k", **S3, "config": []}, {"mountKey": "k", **S3,
    "config": {"a": "\0"}},
    {"mountKey": "k", **S3, "displayName": "x" * 1001}, {"mountKey": "k", **S3, "description": "a\0"},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=[str(n) for n in range(len(BAD))])
async def test_a_bad_mount_is_400_and_leaves_nothing(
    front: FrontOfTest, admin: httpx2.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await admin.post("/v1/backend-mounts", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), answer.text
    async with front.pool.connection() as connection:
        cursor = await connection.execute("SELECT 1 FROM filestore.backend_mounts WHERE mount_key = 'k'")
        assert await cursor.fetchone() is None


async def test_a_key_is_taken_once(admin: httpx2.AsyncClient, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    body = local(one)
    answers = await asyncio.gather(*(admin.post("/v1/backend-mounts", json=body) for _ in range(5)))
    made = [answer.json()["data"]["id"] for answer in answers if answer.status_code == 201]
    assert len(set(made)) == 1 and {answer.status_code for answer in answers} <= {201, 400}, "together they make one"
    again = await admin.post("/v1/backend-mounts", json={**body, "rootPath": str(two)})
    assert again.status_code == 400 and "already" in again.json()["error"]["message"]
    other = (await admin.post("/v1/backend-mounts", json=local(two))).json()["data"]
    renamed = await admin.patch(f"/v1/backend-mounts/{other['id']}", json={"mountKey": body["mountKey"]})
    assert renamed.status_code == 400
    foreign = await admin.post("/v1/backend-mounts", json=local(one))
    assert foreign.status_code == 400, "the directory belongs to another mount"


async def test_what_a_crash_left_is_finished_by_the_same_request(
    front: FrontOfTest, admin: httpx2.AsyncClient, tmp_path: Path
) -> None:
    body = local(tmp_path)
    new = mounts.NewMount(mount_key=body["mountKey"], backend_kind="local", root_path=str(tmp_path))
    async with front.pool.connection() as connection:
        left = await mounts.create(connection, new, "front-host")
    shown = (await admin.get(f"/v1/backend-mounts/{left}")).json()["data"]
    assert (shown["state"], shown["rootNodeId"]) == ("inactive", None)
    made = await admin.post("/v1/backend-mounts", json=body)
    assert made.status_code == 201 and made.json()["data"]["id"] == left
    assert made.json()["data"]["state"] == "active" and made.json()["data"]["rootNodeId"]


async def test_only_what_is_sent_changes(front: FrontOfTest, admin: httpx2.AsyncClient, tmp_path: Path) -> None:
    made = (await admin.post("/v1/backend-mounts", json=local(tmp_path, displayName="old", labels=["a"]))).json()[
        "data"
    ]
    path = f"/v1/backend-mounts/{made['id']}"
    changed = (await admin.patch(path, json={"displayName": None, "state": "inactive", "stateReason": "why"})).json()[
        "data"
    ]
    expected = made | {
        "displayName": None,
        "state": "inactive",
        "stateReason": "why",
        "updatedAt": changed["updatedAt"],
    }
    assert changed == expected
    assert front.disks.refreshed == 2
    assert (await admin.patch(path, json={})).json()["data"]["labels"] == ["a"]
    for bad in (
        {"state": None},
        {"accessMode": None},
        {"labels": None},
        {"mountKey": None},
        {"state": "nope"},
        {"rootPath": 5},
    ):
        assert (await admin.patch(path, json=bad)).status_code == 400, bad
    assert (await admin.patch("/v1/backend-mounts/999999999", json={})).status_code == 404


async def test_the_root_changes_only_while_the_mount_rests(
    front: FrontOfTest, admin: httpx2.AsyncClient, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    made = (await admin.post("/v1/backend-mounts", json=local(old))).json()["data"]
    path = f"/v1/backend-mounts/{made['id']}"
    refused = await admin.patch(path, json={"rootPath": str(new), "state": "inactive"})
    assert refused.status_code == 400 and "inactive" in refused.json()["error"]["message"]
    assert (await admin.patch(path, json={"state": "inactive", "rootPath": str(old)})).json()["data"]["epoch"] == 1
    command = str(uuid.uuid4())
    async with front.pool.connection() as connection:
        await connection.execute(
            """INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status)
               VALUES (%s, 'p', %s, 'uploadFile', %s, 'x', '{}', '{}', 'running')""", [command, command, made["id"]],
        )  # fmt: skip
    busy = await admin.patch(path, json={"rootPath": str(new)})
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "PATH_BUSY")
    async with front.pool.connection() as connection:
        await connection.execute("DELETE FROM filestore.commands WHERE id = %s", [command])
    for bad in ("relative", str(tmp_path / "nope"), None):
        assert (await admin.patch(path, json={"rootPath": bad})).status_code == 400
    moved = await admin.patch(path, json={"rootPath": str(new), "state": "active"})
    assert moved.status_code == 200, moved.text
    assert (moved.json()["data"]["epoch"], moved.json()["data"]["rootPath"]) == (2, str(new))
    assert (new / ".filestore" / "mount.json").exists()
    async with front.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT inode FROM filestore.nodes WHERE mount_id = %s AND depth = 0", [made["id"]]
        )
        rows = await cursor.fetchall()
    assert [row["inode"] for row in rows] == [inode_of(new)]


@pytest.mark.parametrize(
    ("made", "bad"),
    [
        (S3, {"bucket": "B"}), (S3, {"bucket": None}), (S3, {"prefix": "a/../b"}), (S3, {"config": {"region": "eu 1"}}),
        (S3, {"config": {"regoin": "eu"}}), (S3, {"config": {"endpoint": "s3:9000"}}), (S3, {"rootPath": "/a"}),
        (S3, {"config": {"accessKeyId": "a"}}), (None, {"bucket": "bucket"}), (None, {"rootPath": "/a/../b"}),
    ],
    ids=str,
)  # fmt: skip
async def test_a_change_is_checked_like_a_new_mount(
    admin: httpx2.AsyncClient, tmp_path: Path, made: dict[str, Any] | None, bad: dict[str, Any]
) -> None:
    body = {"mountKey": key(), **made} if made else local(tmp_path)
    mount = (await admin.post("/v1/backend-mounts", json={**body, "state": "inactive"})).json()["data"]
    answer = await admin.patch(f"/v1/backend-mounts/{mount['id']}", json=bad)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), answer.text
    assert (await admin.get(f"/v1/backend-mounts/{mount['id']}")).json()["data"] == mount


@pytest.mark.parametrize("where", ["inside", "around", "same"])
async def test_a_mount_never_shares_files_with_another(admin: httpx2.AsyncClient, tmp_path: Path, where: str) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "free").mkdir()
    assert (await admin.post("/v1/backend-mounts", json=local(tmp_path / "a" / "b"))).status_code == 201
    place = {"inside": tmp_path / "a" / "b" / "c", "around": tmp_path / "a", "same": tmp_path / "a" / "b"}[where]
    body = local(place)
    answer = await admin.post("/v1/backend-mounts", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), answer.text
    page = (await admin.get("/v1/backend-mounts", params={"search": body["mountKey"]})).json()["data"]
    assert page["mounts"] == [], "nothing is left"
    other = (await admin.post("/v1/backend-mounts", json=local(tmp_path / "free", state="inactive"))).json()["data"]
    moved = await admin.patch(f"/v1/backend-mounts/{other['id']}", json={"rootPath": str(place)})
    assert moved.status_code == 400, moved.text


async def test_a_change_is_known_at_once(front: FrontOfTest, admin: httpx2.AsyncClient, tree: Tree) -> None:
    known = front.app.state.front.mounts
    assert (await known.get(tree.mount, "main")).access_mode == "rw"
    await admin.patch(f"/v1/backend-mounts/{tree.mount}", json={"accessMode": "ro"})
    assert (await known.get(tree.mount, "main")).access_mode == "ro"


async def test_lists(front: FrontOfTest, pool: Any, tmp_path: Path) -> None:
    tenant = f"t-{uuid.uuid4().hex[:6]}"
    made = [await make_tree(pool, tmp_path / f"m{n}", tenant=tenant, display_name=f"Disk {n}%") for n in range(3)]
    async with front.client(await front.token("admin", tenant=tenant)) as client:
        await client.patch(f"/v1/backend-mounts/{made[1].mount}", json={"state": "offline", "accessMode": "ro"})
        await client.post("/v1/backend-mounts", json={"mountKey": "bucket", **S3})

        async def ids(**params: Any) -> list[int]:
            answer = await client.get("/v1/backend-mounts", params=params)
            assert answer.status_code == 200, answer.text
            return [mount["id"] for mount in answer.json()["data"]["mounts"]]

        zero, one, two = (tree.mount for tree in made)
        assert (await ids())[:3] == [zero, one, two]
        assert await ids(kinds="local", states="active") == [zero, two]
        assert await ids(kinds="local,s3", accessModes="ro") == [one]
        assert await ids(states=["offline", "error"]) == [one]
        assert await ids(search="dIsK 2") == [two]
        assert await ids(search="%") == [zero, one, two] and await ids(search="_") == []
        assert await ids(limit=1, offset=1) == [one]
        page = (await client.get("/v1/backend-mounts", params={"limit": 2})).json()["data"]["pagination"]
        assert page == {"total": 4, "limit": 2, "offset": 0, "nextOffset": 2}
        for bad in (
            {"limit": 0},
            {"accessModes": ""},
            {"limit": 101},
            {"kinds": "ftp"},
            {"states": "up"},
            {"accessModes": "x"},
            {"offset": -1},
        ):
            assert (await client.get("/v1/backend-mounts", params=bad)).status_code == 400


# Removed, and taken over


def everything_in(folder: Path) -> dict[str, bytes | None]:
    return {str(one.relative_to(folder)): one.read_bytes() if one.is_file() else None for one in folder.rglob("*")}


async def test_a_mount_with_nodes_is_removed_only_when_they_may_be_forgotten(
    admin: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file("kept", b"content")
    before, path = everything_in(tree.folder), f"/v1/backend-mounts/{tree.mount}"
    mount = (await admin.get(path)).json()["data"]
    refused = await admin.delete(path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "CHILDREN_EXIST")
    assert "forget=true" in refused.json()["error"]["message"]
    assert (await admin.delete(path, params={"forget": "maybe"})).status_code == 400
    assert (await admin.get(path)).json()["data"] == mount
    removed = await admin.delete(path, params={"forget": "true"})
    assert (removed.status_code, removed.content) == (204, b"")
    for gone in (path, f"/v1/nodes/{node}", f"/v1/nodes/{mount['rootNodeId']}/children", f"/v1/files/{node}/content"):
        assert (await admin.get(gone)).status_code == 404, gone
    at: dict[str, int | str] = {"backendMountId": tree.mount, "path": ""}
    for route in ("/v1/nodes", "/v1/nodes/by-path"):
        assert (await admin.get(route, params=at)).status_code == 404
    found = (await admin.get("/v1/backend-mounts", params={"search": mount["mountKey"]})).json()["data"]
    assert found["mounts"] == []
    assert (await admin.delete(path, params={"forget": "true"})).status_code == 404
    assert (await admin.patch(path, json={"state": "active"})).status_code == 404
    assert everything_in(tree.folder) == before, "no byte was touched"


async def test_an_empty_mount_is_removed_and_its_key_and_place_are_free(
    front: FrontOfTest, admin: httpx2.AsyncClient, tmp_path: Path
) -> None:
    body = local(tmp_path, config={"note": "x"})
    made = (await admin.post("/v1/backend-mounts", json=body)).json()["data"]
    for scopes in (("read",), ("read", "write")):
        async with front.client(await front.token(*scopes)) as other:
            assert (await other.delete(f"/v1/backend-mounts/{made['id']}")).status_code == 403
    async with front.client(await front.token("admin", tenant="another")) as stranger:
        assert (await stranger.delete(f"/v1/backend-mounts/{made['id']}")).status_code == 404
    assert (await admin.delete(f"/v1/backend-mounts/{made['id']}")).status_code == 204
    refused = await admin.post("/v1/backend-mounts", json=body)
    assert refused.status_code == 400 and "adopt: true" in refused.json()["error"]["message"]
    again = await admin.post("/v1/backend-mounts", json={**body, "adopt": True})
    assert again.status_code == 201, again.text
    assert again.json()["data"]["id"] != made["id"] and again.json()["data"]["mountUuid"] == made["mountUuid"]
    assert json.loads(read(tmp_path / ".filestore" / "mount.json")) == {"mount": made["mountUuid"]}


async def test_a_mount_with_work_under_way_is_not_removed(
    front: FrontOfTest, admin: httpx2.AsyncClient, tree: Tree
) -> None:
    command = str(uuid.uuid4())
    async with front.pool.connection() as connection:
        await connection.execute(
            """INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status)
               VALUES (%s, 'p', %s, 'uploadFile', %s, 'x', '{}', '{}', 'running')""", [command, command, tree.mount],
        )  # fmt: skip
    busy = await admin.delete(f"/v1/backend-mounts/{tree.mount}", params={"forget": "true"})
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "PATH_BUSY")
    async with front.pool.connection() as connection:
        await connection.execute("DELETE FROM filestore.commands WHERE id = %s", [command])


async def test_a_place_whose_record_is_lost_is_taken_over_and_a_living_one_is_not(
    admin: httpx2.AsyncClient, tmp_path: Path
) -> None:
    lost, living, fresh = (tmp_path / name for name in ("lost", "living", "fresh"))
    for folder in (lost, living, fresh):
        folder.mkdir()
    owner = str(uuid.uuid4())
    LocalExecutor.register(str(lost), owner)
    (lost / "file").write_bytes(b"kept")
    assert (await admin.post("/v1/backend-mounts", json=local(lost))).status_code == 400
    adopted = await admin.post("/v1/backend-mounts", json=local(lost, adopt=True))
    assert adopted.status_code == 201 and adopted.json()["data"]["mountUuid"] == owner
    assert (lost / "file").read_bytes() == b"kept"
    made = await admin.post("/v1/backend-mounts", json=local(fresh, adopt=True))
    assert made.status_code == 201, "there is nothing to take over: a new mount"
    assert (await admin.post("/v1/backend-mounts", json=local(living))).status_code == 201
    body = local(living, adopt=True)
    assert (await admin.post("/v1/backend-mounts", json=body)).status_code == 400
    assert (await admin.get("/v1/backend-mounts", params={"search": body["mountKey"]})).json()["data"]["mounts"] == []


def test_what_a_kind_says_of_its_executor_is_true() -> None:
    for kind in KINDS.values():
        assert kind.reading > 0 and kind.writing > 0
    assert KINDS["s3"].direct_reads and issubclass(S3Executor, DirectReads)
    assert not KINDS["local"].direct_reads and not issubclass(LocalExecutor, DirectReads)
