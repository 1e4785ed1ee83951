"""PUT credentials: tried before they replace the old ones, journaled by name, needing a right of their own, and never shown."""

import uuid
from typing import Any

import httpx2
import pytest

from schema import errors
from schema.access.rules import Grant
from schema.ids import MountId
from schema.mounts import Mount
from schema.store import mounts
from tests.api.conftest import FrontOfTest, Tree
from tests.fix_keys import KEYS

OLD = {"accessKeyId": "CANARY-old-id", "secretAccessKey": "CANARY-old-secret"}
NEW = {"accessKeyId": "CANARY-new-id", "secretAccessKey": "CANARY-new-secret", "sessionToken": "CANARY-new-token"}


@pytest.fixture
async def bucket(front: FrontOfTest, admin: httpx2.AsyncClient) -> int:
    body = {"mountKey": f"k-{uuid.uuid4().hex[:8]}", "backendKind": "s3", "bucket": "bucket"}
    made = await admin.post("/v1/backend-mounts", json=body | {"config": {"endpoint": "http://s3:9000", **OLD}})
    assert made.status_code == 201, made.text
    return int(made.json()["data"]["id"])


async def row(front: FrontOfTest, id: int) -> Mount:
    async with front.pool.connection() as connection:
        found = await mounts.find(connection, MountId(id), "main")
    assert found is not None
    return found


async def held(front: FrontOfTest, id: int) -> dict[str, str]:
    return dict(KEYS.opened(await row(front, id)).secrets)


def address(id: int) -> str:
    return f"/v1/backend-mounts/{id}/credentials"


async def test_new_secrets_are_tried_then_kept_and_named_in_the_journal(
    front: FrontOfTest, admin: httpx2.AsyncClient, bucket: int
) -> None:
    before = await row(front, bucket)
    answer = await admin.put(address(bucket), json=NEW)
    assert answer.status_code == 200, answer.text
    assert front.disks.proved[-1].secrets == NEW, "they were tried as they will be"
    assert await held(front, bucket) == NEW
    assert (await row(front, bucket)).epoch == before.epoch + 1, "every process opens the mount anew"
    journal = await admin.get("/v1/journal", params={"command": "changeCredentials", "backendMountId": bucket})
    [entry] = journal.json()["data"]["entries"]
    async with front.pool.connection() as connection:
        query = "SELECT payload, before, after FROM filestore.journal_entries WHERE id = %s"
        stored = await (await connection.execute(query, [entry["id"]])).fetchone()
    assert stored == {"payload": {"credentials": sorted(NEW)}, "before": None, "after": None}
    for text in (answer.text, journal.text, (await admin.get(f"/v1/backend-mounts/{bucket}")).text):
        assert "CANARY" not in text and "sealed:" not in text


async def test_secrets_that_do_not_work_replace_nothing(
    front: FrontOfTest, admin: httpx2.AsyncClient, bucket: int
) -> None:
    before = await row(front, bucket)
    front.disks.broken[MountId(bucket)] = errors.MountOffline("The store refuses the key.")
    for method, path, body in (
        ("PUT", address(bucket), NEW),
        ("PATCH", f"/v1/backend-mounts/{bucket}", {"config": {"endpoint": "http://s3:9000", **NEW}}),
    ):
        answer = await admin.request(method, path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "MOUNT_OFFLINE"), method
        assert "CANARY" not in answer.text
        assert await row(front, bucket) == before
    journal = await admin.get("/v1/journal", params={"command": "changeCredentials", "backendMountId": bucket})
    assert journal.json()["data"]["entries"] == []


async def test_one_is_changed_one_withdrawn_and_others_stay(
    front: FrontOfTest, admin: httpx2.AsyncClient, bucket: int
) -> None:
    await admin.put(address(bucket), json=NEW)
    answer = await admin.put(address(bucket), json={"secretAccessKey": "CANARY-2", "sessionToken": None})
    assert answer.status_code == 200
    assert await held(front, bucket) == {"accessKeyId": NEW["accessKeyId"], "secretAccessKey": "CANARY-2"}


async def test_a_reference_is_kept_as_one_and_read_when_it_is_tried(
    front: FrontOfTest, admin: httpx2.AsyncClient, bucket: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESTORE_SECRET_S3", "CANARY-of-env")
    monkeypatch.setenv("OTHER_SECRET", "CANARY-of-another")
    answer = await admin.put(address(bucket), json={"secretAccessKey": "env:FILESTORE_SECRET_S3"})
    assert answer.status_code == 200, answer.text
    assert front.disks.proved[-1].secrets["secretAccessKey"] == "CANARY-of-env"
    assert (await row(front, bucket)).secrets["secretAccessKey"] == "env:FILESTORE_SECRET_S3"
    for strange in ("env:OTHER_SECRET", "file:/etc/passwd"):
        refused = await admin.put(address(bucket), json={"accessKeyId": strange})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "INVALID_REQUEST")
        assert "CANARY" not in refused.text
    missing = await admin.put(address(bucket), json={"accessKeyId": "env:FILESTORE_SECRET_NONE"})
    assert missing.status_code == 503 and "is not set" in missing.text


@pytest.mark.parametrize(
    "body",
    [
        {}, {"credentials": {}}, {"accessKeyId": None}, {"secretAccessKey": 5}, {"credentials": {"a": ["CANARY"]}},
        {"accessKeyId": ""}, {"secretAccessKey": "CANARY\0"}, [],
    ],
)  # fmt: skip
async def test_what_can_not_be_used_is_refused(
    front: FrontOfTest, admin: httpx2.AsyncClient, bucket: int, body: Any
) -> None:
    before = await row(front, bucket)
    answer = await admin.put(address(bucket), json=body)
    assert answer.status_code == 400 and "CANARY" not in answer.text, answer.text
    assert await row(front, bucket) == before


async def test_a_mount_of_a_folder_has_none(admin: httpx2.AsyncClient, tree: Tree) -> None:
    answer = await admin.put(address(tree.mount), json=NEW)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "NOT_SUPPORTED")


async def test_it_needs_the_right_for_credentials_on_the_whole_mount(front: FrontOfTest, bucket: int) -> None:
    both = ("filestore:credentials", "filestore:read")
    whole, part = (Grant(place, scopes=both, mount=MountId(bucket)) for place in ("", "team"))
    tokens = {
        403: [await front.token("filestore:admin")],
        404: [await front.token("admin", tenant="other"), await front.token("filestore:read", grants=[part])],
        200: [await front.token(*both), await front.token("filestore:read", grants=[whole])],
    }
    for status, some in tokens.items():
        for token in some:
            async with front.client(token) as client:
                answer = await client.put(address(bucket), json={"secretAccessKey": "CANARY"})
            assert answer.status_code == status, answer.text


async def test_a_change_meanwhile_is_seen_and_tried_again(
    front: FrontOfTest, admin: httpx2.AsyncClient, bucket: int
) -> None:
    """What was tried is what is kept: the second one tries its secrets with those that the first one left."""
    assert (await admin.put(address(bucket), json={"accessKeyId": "one"})).status_code == 200
    assert (await admin.put(address(bucket), json={"secretAccessKey": "two"})).status_code == 200
    assert front.disks.proved[-1].secrets == {"accessKeyId": "one", "secretAccessKey": "two"}
