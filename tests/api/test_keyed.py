"""A request that makes something and is no command, sent again under its key, makes nothing more: its answer was lost."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from schema.drift.looks import LookPlace
from schema.ids import MountId
from schema.store import looks
from tests.api.conftest import FrontOfTest, Tree


class Again:
    """An administrator that sends everything twice under one key."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def post(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        first, second = [await self.send(path, body, key) for key in [uuid.uuid4().hex] for _ in range(2)]
        assert first.status_code == second.status_code < 300, (first.text, second.text)
        return first.json()["data"], second.json()["data"]

    async def send(self, path: str, body: dict[str, Any], key: str) -> httpx2.Response:
        return await self.client.post(path, json=body, headers={"Idempotency-Key": key})

    async def listed(self, path: str, field: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.client.get(path, params={"limit": 100})).json()["data"][field]
        return found


@pytest_asyncio.fixture
async def again(front: FrontOfTest) -> Any:
    async with front.client(await front.token("admin", principal=f"twice-{uuid.uuid4().hex[:8]}")) as client:
        yield Again(client)


async def holds(front: FrontOfTest, token: str) -> bool:
    front.app.state.front.tokens._answers.clear()
    async with front.client(token) as client:
        return (await client.get("/v1/backend-mounts")).status_code == 200


async def test_a_token_is_one_and_the_secret_that_was_lost_ends(front: FrontOfTest, again: Again) -> None:
    name = f"robot-{uuid.uuid4().hex[:8]}"
    lost, heard = await again.post("/v1/tokens", {"principal": name, "scopes": ["read"]})
    assert lost["id"] == heard["id"]
    assert [await holds(front, one["token"]) for one in (lost, heard)] == [False, True]
    found = (await again.client.get("/v1/tokens", params={"principal": name})).json()["data"]["tokens"]
    assert len(found) == 1


async def test_a_rotation_is_one_and_the_old_secret_holds_as_long_as_was_said(front: FrontOfTest, again: Again) -> None:
    made = (await again.send("/v1/tokens", {"principal": "robot", "scopes": ["read"]}, uuid.uuid4().hex)).json()["data"]
    lost, heard = await again.post(f"/v1/tokens/{made['id']}/rotate", {"graceSeconds": 600})
    assert lost["previousUntil"] == heard["previousUntil"]
    assert [await holds(front, one["token"]) for one in (made, lost, heard)] == [True, False, True]


async def test_a_key_is_kept_for_its_request_alone(again: Again) -> None:
    key, body = uuid.uuid4().hex, {"principal": "robot", "scopes": ["read"]}
    assert (await again.send("/v1/tokens", body, key)).status_code == 201
    other = await again.send("/v1/tokens", body | {"scopes": []}, key)
    assert other.json()["error"]["code"] == "IDEMPOTENCY_CONFLICT"
    refused = await again.send("/v1/tokens", {"principal": "robot", "scopes": ["read"]}, "x" * 256)
    assert refused.json()["error"]["code"] == "INVALID_REQUEST"


async def test_what_was_made_and_ended_is_not_made_again(again: Again) -> None:
    key, body = uuid.uuid4().hex, {"principal": "robot", "scopes": ["read"]}
    made = (await again.send("/v1/tokens", body, key)).json()["data"]
    await again.client.post(f"/v1/tokens/{made['id']}/revoke")
    assert (await again.send("/v1/tokens", body, key)).json()["error"]["code"] == "WRONG_STATE"


async def test_a_secret_that_came_since_is_not_taken_away(front: FrontOfTest, again: Again) -> None:
    made = (await again.send("/v1/tokens", {"principal": "robot", "scopes": ["read"]}, uuid.uuid4().hex)).json()["data"]
    where, key = f"/v1/tokens/{made['id']}/rotate", uuid.uuid4().hex
    for _ in range(3):
        assert (await again.send(where, {}, key)).status_code == 200, "as often as answers are lost"
    newest = (await again.send(where, {}, uuid.uuid4().hex)).json()["data"]
    assert (await again.send(where, {}, key)).json()["error"]["code"] == "WRONG_STATE"
    assert await holds(front, newest["token"])


async def test_a_link_is_one_with_the_same_address(again: Again, tree: Tree) -> None:
    await tree.file("f", b"0123456789")
    body = {"backendMountId": tree.mount, "path": "f", "expiresIn": 60, "password": "secret of the link"}
    first, second = await again.post("/v1/links", body)
    assert first == second and first["url"]
    assert [one["id"] for one in await again.listed("/v1/links", "links")].count(first["id"]) == 1


async def test_a_subscription_is_one_with_the_same_secret_and_so_is_its_rotation(again: Again) -> None:
    first, second = await again.post("/v1/subscriptions", {"url": "https://example.com/hook"})
    assert first == second and first["secret"]
    lost, heard = await again.post(f"/v1/subscriptions/{first['id']}/rotate", {"overlapSeconds": 60})
    assert lost == heard and heard["secret"] != first["secret"]
    assert (
        len([one for one in await again.listed("/v1/subscriptions", "subscriptions") if one["id"] == first["id"]]) == 1
    )


FIELDS: dict[str, dict[str, Any]] = {"holds": {"kind": "legal", "reason": "case 17"}, "quotas": {"maxBytes": 10**12}}


@pytest.mark.parametrize("kind", FIELDS)
async def test_a_hold_and_a_quota_are_one_each(again: Again, tree: Tree, kind: str) -> None:
    await tree.directory("d")
    first, second = await again.post(f"/v1/{kind}", {"backendMountId": tree.mount, "path": "d", **FIELDS[kind]})
    assert first["id"] == second["id"]
    assert len([one for one in await again.listed(f"/v1/{kind}", kind) if one["id"] >= first["id"]]) == 1


async def test_a_reconciliation_is_one_job(again: Again, tree: Tree) -> None:
    first, second = await again.post("/v1/reconciliation", {"backendMountId": tree.mount})
    assert first == second
    jobs = await again.listed("/v1/reconciliation/jobs", "jobs")
    assert len([one for one in jobs if one["backendMountId"] == tree.mount]) == 1


async def test_a_mount_is_one(again: Again, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    body = {"mountKey": f"m-{uuid.uuid4().hex[:8]}", "backendKind": "local", "rootPath": str(root)}
    first, second = await again.post("/v1/backend-mounts", body)
    assert first == second and first["mountKey"] == body["mountKey"]


async def test_a_tenant_is_one(again: Again) -> None:
    first, second = await again.post("/v1/tenants", {"id": f"t-{uuid.uuid4().hex[:8]}"})
    assert first == second


async def test_a_look_that_waits_is_answered_once(front: FrontOfTest, again: Again, tree: Tree) -> None:
    places = [LookPlace(b"", subtree=True)]
    async with front.pool.connection() as connection:
        look = await looks.begin(
            connection, MountId(tree.mount), places, reason="audit", principal="ann", whole=True, by_hand=False
        )
        await looks.hold(connection, look, {"changes": 3})
    first, second = await again.post(f"/v1/drift/looks/{look}/refuse", {})
    assert first == second and first["looks"][0]["id"] == look
    fresh = await again.send(f"/v1/drift/looks/{look}/refuse", {}, uuid.uuid4().hex)
    assert fresh.json()["error"]["code"] == "NOT_FOUND"


STATES = "what it leads to stands already"
READS = "it changes nothing"
JOINS = "it joins what is under way"
NAMED = "the content, or the batch, has a name of its own"
UNHARMED = {
    "/v1/tokens/{id}/revoke": STATES, "/v1/subscriptions/{id}/redrive": STATES, "/v1/metastore/namespaces": STATES,
    "/v1/projects/{name}/nodes": STATES, "/v1/projects/{name}/pin": STATES, "/v1/projects/{name}/unpin": STATES,
    "/v1/projects/{name}/conflicts/decide": "what is decided is left out",
    "/v1/projects/{name}/jobs/{job}/cancel": "a job that has ended is no more to cancel, and it is said so",
    "/v1/projects": "a name is one project's: PROJECT_EXISTS",
    "/v1/subscriptions/{id}/replay": "messages come again under their ids, as they may at any time",
    "/v1/subscriptions/{id}/test": "a message to try",
    "/v1/backend-mounts/{id}/schedules": "a look looks once more",
    "/v1/notifications/s3": "a hint is looked at once more",
    "/v1/rollups/recomputes": JOINS,
    "/v1/metastore/search": READS, "/v1/timestore/sql": READS, "/v1/projects/{name}/fetch": READS,
    "/v1/projects/{name}/credentials": "they end by themselves",
    "/v1/uploads": "its key stands in Upload-Metadata",
    "/v1/uploads/{id}/complete": "the upload has a key of its own", "/v1/uploads/{id}": "the upload has a key of its own",
    "/v1/projects/{name}/intent": NAMED, "/v1/projects/{name}/objects": NAMED, "/v1/projects/{name}/commits": NAMED,
    "/v1/projects/{name}/objects/{sha}/presign": NAMED, "/v1/projects/{name}/objects/{sha}/complete": NAMED,
    **{f"/v1/projects/{{name}}/{job}": JOINS
       for job in ("promote", "evict", "repair", "resync", "gc", "deactivate", "reactivate")},
}  # fmt: skip
"""Routes that take no key, and why a request that is sent again does no harm there"""


def test_every_route_that_makes_something_takes_a_key_or_says_why_not(front: FrontOfTest) -> None:
    document = json.loads(json.dumps(front.app.openapi()))
    schemas = document["components"]["schemas"]

    def takes_a_key(operation: dict[str, Any]) -> bool:
        said = json.dumps(operation)
        bodies = [json.dumps(schemas[name]) for name in re.findall(r"#/components/schemas/(\w+)", said)]
        return "Idempotency-Key" in said or any("idempotencyKey" in body for body in bodies)

    without = {
        path for path, methods in document["paths"].items() if "post" in methods and not takes_a_key(methods["post"])
    }
    assert without == set(UNHARMED)
