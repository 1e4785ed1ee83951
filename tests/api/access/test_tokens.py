"""Tokens and tenants over HTTP: made, changed, rotated, revoked; and what of that the journal tells."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from schema.access.rules import Grant
from tests.api.conftest import FrontOfTest, Tree


@pytest_asyncio.fixture
async def admin(front: FrontOfTest) -> Any:
    async with front.client(front.tokens["admin"]) as client:
        yield client


async def made(admin: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await admin.post("/v1/tokens", json={"principal": "ann", "scopes": ["read"], **body})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json()["data"])


async def test_a_token_is_shown_once_and_does_what_it_was_given(
    front: FrontOfTest, admin: httpx2.AsyncClient, tree: Tree
) -> None:
    grants = [{"backendMountId": tree.mount, "pattern": "team", "effect": "allow", "scopes": ["filestore:write"]}]
    token = await made(admin, grants=grants, description="for the team", uploadsMax=2, requestsPerSecond=50)
    assert token["grants"] == grants and token["token"].startswith(token["hint"])
    shown = (await admin.get(f"/v1/tokens/{token['id']}")).json()["data"]
    assert shown == {name: value for name, value in token.items() if name != "token"}
    listed = (await admin.get("/v1/tokens", params={"principal": "ann", "limit": 1})).json()["data"]
    assert listed["tokens"] == [shown]
    async with front.client(token["token"]) as client:
        body = {"backendMountId": tree.mount, "path": "team/a"}
        assert (await client.post("/v1/directories", json=body)).is_success
        assert (await client.post("/v1/directories", json=body | {"path": "other"})).status_code == 404
        assert (await client.post("/v1/tokens", json={"principal": "x", "scopes": []})).status_code == 403


async def test_a_change_holds_within_a_second(front: FrontOfTest, admin: httpx2.AsyncClient) -> None:
    token = await made(admin)
    async with front.client(token["token"]) as client:
        assert (await client.get("/v1/backend-mounts")).status_code == 200
        changed = await admin.patch(f"/v1/tokens/{token['id']}", json={"scopes": [], "description": None})
        assert changed.json()["data"]["scopes"] == []
        began = asyncio.get_running_loop().time()
        while (await client.get("/v1/backend-mounts")).status_code == 200:
            assert asyncio.get_running_loop().time() - began < 1


async def test_after_a_rotation_both_hold_and_after_a_revocation_none(
    front: FrontOfTest, admin: httpx2.AsyncClient
) -> None:
    token = await made(admin)
    where = f"/v1/tokens/{token['id']}"
    rotated = (await admin.post(f"{where}/rotate", json={"graceSeconds": 60})).json()["data"]
    assert rotated["id"] == token["id"] and rotated["token"] != token["token"] and rotated["previousUntil"]
    for one in (token["token"], rotated["token"]):
        async with front.client(one) as client:
            assert (await client.get("/v1/backend-mounts")).status_code == 200
    assert (await admin.post(f"{where}/revoke")).json()["data"]["revokedAt"]
    assert (await admin.post(f"{where}/revoke")).status_code == 200, "again"
    assert (await admin.post(f"{where}/rotate", json={})).json()["error"]["code"] == "WRONG_STATE"
    front.app.state.front.tokens._answers.clear()
    for one in (token["token"], rotated["token"]):
        async with front.client(one) as client:
            assert (await client.get("/v1/backend-mounts")).status_code == 401
    assert (await admin.get("/v1/tokens", params={"principal": "ann"})).status_code == 200


async def test_nobody_gives_what_they_may_not_do(front: FrontOfTest, admin: httpx2.AsyncClient) -> None:
    operator = await made(admin, principal="operator", scopes=["filestore:admin"])
    whole = await made(admin, principal="owner", scopes=["admin"])
    narrowed = await front.token("admin", grants=[Grant("a", "deny")])
    async with front.client(operator["token"]) as client:
        body: dict[str, Any] = {"principal": "x", "scopes": ["filestore:credentials"]}
        refused = await client.post("/v1/tokens", json=body)
        assert refused.status_code == 403 and refused.json()["error"]["details"]["actions"] == ["credentials"]
        in_grant = {"principal": "x", "scopes": [], "grants": [{"pattern": "a", "scopes": ["admin"]}]}
        assert (await client.post("/v1/tokens", json=in_grant)).status_code == 403
        assert (await client.post("/v1/tokens", json=body | {"scopes": ["filestore:write"]})).status_code == 201
        assert (await client.post(f"/v1/tokens/{whole['id']}/rotate", json={})).status_code == 403, "it is worth more"
        assert (await client.patch(f"/v1/tokens/{whole['id']}", json={"scopes": []})).status_code == 403
    async with front.client(narrowed) as client:
        assert (await client.post("/v1/tokens", json={"principal": "x", "scopes": ["read"]})).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {}, {"principal": ""}, {"principal": "a\n"}, {"scopes": ["wirte"]}, {"scopes": "read"}, {"uploadsMax": 0},
        {"requestsPerSecond": 0}, {"expiresAt": "2020-01-01T00:00:00Z"}, {"expiresAt": 7}, {"grants": [{"pattern": "a/../b"}]},
        {"grants": [{"pattern": "["}]}, {"grants": [{"effect": "maybe"}]}, {"grants": [{"backendMountId": 2**62}]},
        {"tenant": "NO"},
    ],
)  # fmt: skip
async def test_what_can_not_be_a_token_is_refused(admin: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    whole = {"principal": "ann", "scopes": ["read"]} | body if body else {}
    answer = await admin.post("/v1/tokens", json=whole)
    assert answer.status_code in (400, 404), answer.text


async def test_the_first_tenant_looks_after_the_others(front: FrontOfTest, admin: httpx2.AsyncClient) -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    tenant = await admin.post("/v1/tenants", json={"id": name, "displayName": "Theirs"})
    assert tenant.status_code == 201 and tenant.json()["data"]["state"] == "active"
    assert (await admin.post("/v1/tenants", json={"id": name})).status_code == 400
    assert (await admin.get(f"/v1/tenants/{name}")).json()["data"]["tokens"] == 0
    theirs = await made(admin, principal="owner", scopes=["admin"], tenant=name)
    assert (await admin.get(f"/v1/tokens/{theirs['id']}")).status_code == 404, "of another tenant"
    assert (await admin.get(f"/v1/tokens/{theirs['id']}", params={"tenant": name})).status_code == 200
    assert name in [
        one["id"] for one in (await admin.get("/v1/tenants", params={"limit": 100})).json()["data"]["tenants"]
    ]
    async with front.client(theirs["token"]) as client:
        for method, path in (("GET", "/v1/tenants"), ("GET", f"/v1/tenants/{name}"), ("POST", "/v1/tenants")):
            assert (await client.request(method, path, json={"id": "x"})).status_code == 403
        assert (await client.get("/v1/tokens", params={"tenant": "main"})).status_code == 403
        assert (await client.post("/v1/tokens", json={"principal": "a", "scopes": ["read"]})).status_code == 201
        for reads, status in ((True, 200), (False, 403)):
            await admin.patch(f"/v1/tenants/{name}", json={"state": "suspended", "reads": reads})
            front.app.state.front.tokens._answers.clear()
            assert (await client.get("/v1/backend-mounts")).status_code == status
            refused = await client.post("/v1/tokens", json={"principal": "a", "scopes": []})
            assert refused.status_code == 403 and "suspended" in refused.json()["error"]["message"]
    assert (await admin.patch("/v1/tenants/main", json={"state": "suspended"})).status_code == 400
    assert (await admin.get("/v1/tenants/nowhere")).status_code == 404


async def test_what_is_done_is_journaled_without_secrets_for_those_who_audit(
    front: FrontOfTest, admin: httpx2.AsyncClient
) -> None:
    token = await made(admin, principal="journaled")
    where = f"/v1/tokens/{token['id']}"
    rotated = (await admin.post(f"{where}/rotate", json={})).json()["data"]
    await admin.patch(where, json={"description": "changed"})
    await admin.post(f"{where}/revoke")
    asked: dict[str, Any] = {"command": "createToken,rotateToken,updateToken,revokeToken", "limit": 200}
    told = await admin.get("/v1/journal", params=asked)
    mine = [one for one in told.json()["data"]["entries"] if one["after"]["id"] == token["id"]]
    assert [one["command"] for one in mine] == ["revokeToken", "updateToken", "rotateToken", "createToken"]
    assert mine[1]["before"]["description"] is None and mine[1]["after"]["description"] == "changed"
    assert all(one["backendMountId"] is None and one["path"] is None for one in mine)
    assert token["token"] not in told.text and rotated["token"] not in told.text
    async with front.client(front.tokens["read"]) as reader:
        assert (await reader.get("/v1/journal", params=asked)).json()["data"]["entries"] == []


async def test_a_token_beyond_its_rate_hears_when_to_come_back(front: FrontOfTest, admin: httpx2.AsyncClient) -> None:
    token = await made(admin, requestsPerSecond=0.1)
    async with front.client(token["token"]) as client:
        assert (await client.get("/v1/backend-mounts")).status_code == 200
        limited = await client.get("/v1/backend-mounts")
    assert limited.status_code == 429 and limited.json()["error"]["code"] == "RATE_LIMITED"
    assert 1 <= int(limited.headers["retry-after"]) <= 10


async def test_an_expiry_that_comes_ends_the_token(front: FrontOfTest, admin: httpx2.AsyncClient) -> None:
    token = await made(admin, expiresAt=(datetime.now(UTC) + timedelta(seconds=60)).isoformat())
    async with front.client(token["token"]) as client:
        assert (await client.get("/v1/backend-mounts")).status_code == 200
        async with front.pool.connection() as connection:
            await connection.execute("UPDATE filestore.tokens SET expires_at = now() WHERE id = %s", [token["id"]])
        front.app.state.front.tokens._answers.clear()
        assert (await client.get("/v1/backend-mounts")).status_code == 401
