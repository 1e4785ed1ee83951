"""Quotas over HTTP: set, shown, changed, taken away; an announced upload that can not fit is refused."""

import base64
import json
from typing import Any

from schema.access.rules import Grant
from tests.api.conftest import FrontOfTest, Tree


async def test_a_quota_is_set_shown_changed_and_taken_away_and_the_journal_says_so(
    front: FrontOfTest, tree: Tree
) -> None:
    await tree.directory("q")
    async with front.client(await front.token("admin", principal="ann")) as client:
        body = {"backendMountId": tree.mount, "path": "q", "maxBytes": 100, "softNodes": 3}
        answer = await client.post("/v1/quotas", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()["data"]
        assert made["path"] == "q" and made["usedBytes"] == 0 and made["createdBy"] == "ann" and made["trash"] is False
        changed = await client.patch(f"/v1/quotas/{made['id']}", json={"maxBytes": None, "maxNodes": 9})
        assert {name: changed.json()["data"][name] for name in ("maxBytes", "maxNodes", "softNodes", "version")} == {
            "maxBytes": None, "maxNodes": 9, "softNodes": 3, "version": 2,
        }  # fmt: skip
        nothing = await client.patch(f"/v1/quotas/{made['id']}", json={"maxNodes": None, "softNodes": None})
        assert nothing.status_code == 400
        listed = await client.get("/v1/quotas", params={"backendMountId": tree.mount})
        assert [one["id"] for one in listed.json()["data"]["quotas"]] == [made["id"]]
        lines = await client.get("/v1/quotas", params={"backendMountId": tree.mount, "format": "jsonl"})
        assert [json.loads(line)["id"] for line in lines.text.splitlines()] == [made["id"]]
        assert (await client.delete(f"/v1/quotas/{made['id']}")).status_code == 200
        assert (await client.get(f"/v1/quotas/{made['id']}")).status_code == 404
        kept = {"backendMountId": tree.mount, "path": "q", "trash": True, "maxBytes": 1}
        made = (await client.post("/v1/quotas", json=kept)).json()["data"]
        assert made["trash"] is True and made["usedBytes"] == 0
        assert (await client.delete(f"/v1/quotas/{made['id']}")).status_code == 200
        for wrong in (
            {"path": "q", "maxBytes": 1}, {"principal": "ann", "path": "q", "maxBytes": 1, "backendMountId": tree.mount},
            {"backendMountId": tree.mount},
        ):  # fmt: skip
            assert (await client.post("/v1/quotas", json=wrong)).status_code == 400, wrong
        journal = (await client.get("/v1/journal", params={"command": "updateQuota", "limit": 1})).json()["data"]
        entry = journal["entries"][0]
        assert entry["before"]["maxBytes"] == 100 and entry["after"]["maxNodes"] == 9, entry


async def test_quotas_of_all_are_seen_and_set_by_those_that_hold_everywhere(front: FrontOfTest, tree: Tree) -> None:
    async with front.client(await front.token("admin", principal="ann")) as client:
        whole = (await client.post("/v1/quotas", json={"maxBytes": 10**15})).json()["data"]["id"]
        bobs = (await client.post("/v1/quotas", json={"principal": "bob", "maxBytes": 10**15})).json()["data"]["id"]
    here = [Grant("", mount=tree.mount)]
    async with front.client(await front.token("admin", grants=here, principal="bob")) as client:
        assert (await client.get(f"/v1/quotas/{whole}")).status_code == 404
        assert (await client.get(f"/v1/quotas/{bobs}")).status_code == 200, "its own"
        assert (await client.post("/v1/quotas", json={"maxBytes": 1})).status_code == 403
        assert (await client.delete(f"/v1/quotas/{bobs}")).status_code == 403
        assert (await client.delete(f"/v1/quotas/{whole}")).status_code == 404
    async with front.client(await front.token("admin", principal="ann")) as client:
        for id in (whole, bobs):
            assert (await client.delete(f"/v1/quotas/{id}")).status_code == 200


async def test_what_operators_set_for_a_tenant_its_administrators_do_not_change(front: FrontOfTest) -> None:
    async with front.client(await front.token("admin", principal="ann")) as client:
        made = (await client.post("/v1/quotas", json={"tenant": "elsewhere", "maxBytes": 5})).json()["data"]
        assert made["tenant"] == "elsewhere"
    async with front.client(await front.token("admin", principal="eve", tenant="elsewhere")) as client:
        assert (await client.get(f"/v1/quotas/{made['id']}")).status_code == 200
        refused = await client.patch(f"/v1/quotas/{made['id']}", json={"maxBytes": 50})
        assert refused.status_code == 403 and "main" in refused.json()["error"]["message"]
        own = await client.post("/v1/quotas", json={"tenant": "main", "maxBytes": 5})
        assert own.status_code == 403


async def test_an_announced_upload_that_can_not_fit_is_refused_at_once(front: FrontOfTest, tree: Tree) -> None:
    await tree.directory("full")
    await tree.file("full/there", b"x" * 30)

    def announced(path: str, size: int, **more: Any) -> dict[str, str]:
        told = {"backendMountId": str(tree.mount), "path": path, **more}
        text = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in told.items())
        return {"tus-resumable": "1.0.0", "upload-length": str(size), "upload-metadata": text}

    async with front.client(await front.token("admin")) as client:
        body = {"backendMountId": tree.mount, "path": "full", "maxBytes": 100}
        made = (await client.post("/v1/quotas", json=body)).json()["data"]["id"]
        refused = await client.post("/v1/uploads", headers=announced("full/new", 101))
        assert refused.status_code == 507 and refused.json()["error"]["code"] == "QUOTA_EXCEEDED", refused.text
        assert refused.json()["error"]["details"]["max"] == 100 and "retry-after" in refused.headers
        assert (await client.post("/v1/uploads", headers=announced("full/new", 100))).status_code == 201
        larger = announced("full/there", 130, overwrite="true")
        assert (await client.post("/v1/uploads", headers=larger)).status_code == 201, "30 of them go"
        assert (await client.post("/v1/uploads", headers=announced("else", 10**6))).status_code == 201
        assert (await client.delete(f"/v1/quotas/{made}")).status_code == 200
