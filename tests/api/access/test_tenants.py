"""Tenants: a rate for all that one sends, and an end for one that owns nothing any more."""

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.access.rates import Rates
from tests.api.conftest import FrontOfTest, make_tree


class Moment:
    """Time stands still."""

    def __call__(self) -> float:
        return 1000.0


def still(front: FrontOfTest, tenant_rate: float | None = None) -> list[str]:
    """No time passes between requests; what was refused is noted."""
    refused: list[str] = []
    rates = Rates(refused.append, Moment(), tenant_rate)
    front.app.state.front = replace(front.app.state.front, rates=rates)
    return refused


async def made(front: FrontOfTest, **more: Any) -> str:
    name = f"t{uuid.uuid4().hex[:8]}"
    async with front.client(front.tokens["admin"]) as operator:
        answer = await operator.post("/v1/tenants", json={"id": name, **more})
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["requestsPerSecond"] == more.get("requestsPerSecond")
    return name


async def ask(front: FrontOfTest, token: str) -> httpx2.Response:
    async with front.client(token) as client:
        return await client.get("/v1/backend-mounts")


async def test_all_tokens_of_a_tenant_share_its_rate_and_no_other_tenant_feels_it(front: FrontOfTest) -> None:
    name, other = await made(front, requestsPerSecond=2), await made(front)
    refused = still(front)
    one, two = await front.token("read", tenant=name), await front.token("read", tenant=name)
    assert [(await ask(front, token)).status_code for token in (one, two)] == [200, 200]
    for token in (one, two):
        answer = await ask(front, token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert answer.headers["retry-after"] == "1" and "This tenant may send 2 requests" in answer.text
    assert refused == ["rate", "rate"]
    free = await front.token("read", tenant=other)
    assert {(await ask(front, free)).status_code for _ in range(9)} == {200}


async def test_a_tenant_without_a_rate_has_that_of_the_settings_and_another_one_holds_at_once(
    front: FrontOfTest,
) -> None:
    name = await made(front)
    still(front, tenant_rate=1)
    token = await front.token("read", tenant=name)
    assert [(await ask(front, token)).status_code for _ in range(2)] == [200, 429]
    still(front)
    async with front.client(front.tokens["admin"]) as operator:
        for rate in (-1, 0):
            wrong = await operator.patch(f"/v1/tenants/{name}", json={"requestsPerSecond": rate})
            assert wrong.status_code == 400
        assert (await operator.patch(f"/v1/tenants/{name}", json={"requestsPerSecond": 3})).status_code == 200
    other = await front.token("read", tenant=name)  # this process knows nothing of it yet
    assert [(await ask(front, other)).status_code for _ in range(4)] == [200, 200, 200, 429]
    async with front.client(front.tokens["admin"]) as operator:
        changed = await operator.patch(f"/v1/tenants/{name}", json={"displayName": "d"})
        assert changed.json()["data"]["requestsPerSecond"] == 3, "only what is sent changes"
        changed = await operator.patch(f"/v1/tenants/{name}", json={"requestsPerSecond": None})
        assert changed.json()["data"]["requestsPerSecond"] is None


async def test_a_tenant_is_removed_once_it_owns_nothing_and_its_name_stays_taken(
    front: FrontOfTest, tmp_path: Path
) -> None:
    name = await made(front)
    tree = await make_tree(front.pool, tmp_path / "mount", tenant=name)
    token = await front.token("admin", tenant=name)
    async with front.client(front.tokens["admin"]) as operator, front.client(token) as own:
        quota = await own.post("/v1/quotas", json={"maxBytes": 5})
        assert (await operator.post("/v1/quotas", json={"tenant": name, "maxNodes": 5})).status_code == 201
        for way in (f"/v1/backend-mounts/{tree.mount}", f"/v1/quotas/{quota.json()['data']['id']}"):
            kept = await operator.delete(f"/v1/tenants/{name}")
            error = kept.json()["error"]
            assert (kept.status_code, error["code"]) == (409, "CHILDREN_EXIST") and "1 tokens" in error["message"]
            assert {"tokens": 1}.items() <= error["details"]["owns"].items()
            assert (await own.delete(way)).status_code in (200, 204)
        mine = (await own.get("/v1/tokens")).json()["data"]["tokens"][0]["id"]
        assert (await operator.delete(f"/v1/tenants/{name}")).json()["error"]["details"]["owns"] == {"tokens": 1}
        assert (await own.post(f"/v1/tokens/{mine}/revoke")).status_code == 200
        assert (await operator.delete(f"/v1/tenants/{name}")).status_code == 204
        assert (await operator.get(f"/v1/tenants/{name}")).status_code == 404
        assert (await operator.delete(f"/v1/tenants/{name}")).status_code == 404
        assert (await operator.post("/v1/tenants", json={"id": name})).status_code == 400
        late = await operator.post("/v1/tokens", json={"tenant": name, "principal": "p", "scopes": ["read"]})
        assert late.status_code == 400 and "was removed" in late.text
        journal = await operator.get("/v1/journal", params={"command": "removeTenant", "limit": 1})
        assert journal.json()["data"]["entries"][0]["before"]["id"] == name
        assert (await operator.delete("/v1/tenants/main")).status_code == 400
    stray = await front.token("admin", tenant=name)
    assert (await ask(front, stray)).status_code == 403, "made at that very moment, it is worth nothing"


@pytest.mark.parametrize("scope", ["read", "write"])
async def test_only_operators_remove_tenants(front: FrontOfTest, scope: str) -> None:
    name = await made(front)
    async with front.client(await front.token("admin", tenant=name)) as own:
        assert (await own.delete(f"/v1/tenants/{name}")).status_code == 403
    async with front.client(front.tokens[scope]) as client:
        assert (await client.delete(f"/v1/tenants/{name}")).status_code == 403
