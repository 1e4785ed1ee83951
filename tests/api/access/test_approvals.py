"""Acts that wait for other people: nothing is done before enough of them have said yes, and the requester is none of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from activities.access.carry_out import CarriedOut
from api.access.approval_policies import Policies
from api.access.carry_out import carry_out
from schema.access.approvals import ApprovalAct, BadPolicy, policies_of
from schema.drift.looks import LookPlace
from schema.errors import Unavailable
from schema.ids import MountId
from schema.store import approvals, looks, tokens
from schema.store.tokens import NewToken
from tests.api.conftest import FrontOfTest, Tree

WHY = {"x-filestore-reason": "the case is closed"}
GROUP = ["ann", "ben", "cid"]


@dataclass
class People:
    """Three of the group, each with a token, and one that is not of it."""

    front: FrontOfTest
    tree: Tree
    clients: dict[str, httpx2.AsyncClient]
    policy: Path
    temporal: bool = True
    """Whether it answers"""

    async def carry(self, begin: Callable[..., Any], /, **named: Any) -> CarriedOut:
        """In place of the workflow."""
        if not self.temporal:
            raise Unavailable("Temporal does not answer.")
        return await carry_out(self.front.app, named["approval"])

    def say(self, **changes: Any) -> None:
        one = {"acts": [act.value for act in ApprovalAct], "group": GROUP, "needed": 2, "remindSeconds": 1000} | changes
        self.policy.write_text(json.dumps({"policies": [one]}))

    async def send(
        self, who: str, method: str, path: str, status: int, key: str | None = None, **more: Any
    ) -> dict[str, Any]:
        headers = WHY if key is None else WHY | {"idempotency-key": key}
        answer = await self.clients[who].request(method, path, headers=headers, **more)
        assert answer.status_code == status, (who, path, answer.status_code, answer.text)
        told = answer.json() if answer.content else {}
        return told.get("data") or told.get("error") or {}

    async def hold(self, **more: Any) -> int:
        body = {"backendMountId": self.tree.mount, "path": "contracts", "kind": "legal", "reason": "case 1", **more}
        return int((await self.send("ann", "POST", "/v1/holds", 201, json=body))["id"])

    async def asked(self, who: str, method: str, path: str, **more: Any) -> int:
        return int((await self.send(who, method, path, 202, **more))["approval"]["id"])

    async def state(self, approval: int) -> str:
        return str((await self.send("ann", "GET", f"/v1/approvals/{approval}", 200))["state"])

    async def in_force(self, hold: int) -> bool:
        return bool((await self.send("ann", "GET", f"/v1/holds/{hold}", 200))["inForce"])


@pytest_asyncio.fixture
async def people(front: FrontOfTest, tree: Tree, tmp_path: Path) -> AsyncIterator[People]:
    clients = {}
    for name in (*GROUP, "eve"):
        clients[name] = front.client(await front.token("admin", principal=name))
    made = People(front, tree, clients, tmp_path / "approvals.json")
    made.say()
    inner = front.app.state.front
    front.app.state.front = replace(inner, services=replace(inner.services, carry=made.carry))
    front.app.state.approval_policies = Policies(str(made.policy))
    await tree.directory("contracts")
    yield made
    for client in clients.values():
        await client.aclose()


async def test_a_hold_is_lifted_when_two_others_have_said_yes(people: People) -> None:
    hold = await people.hold()
    missing = await people.clients["ann"].delete(f"/v1/holds/{hold}")
    assert missing.status_code == 400 and "X-Filestore-Reason" in missing.text
    waits = await people.send("ann", "DELETE", f"/v1/holds/{hold}", 202)
    approval = waits["approval"]
    assert (approval["act"], approval["requester"], approval["needed"]) == ("releaseHold", "ann", 2)
    assert approval["reason"] == WHY["x-filestore-reason"] and approval["subject"]["id"] == hold
    id = approval["id"]
    assert await people.asked("ann", "DELETE", f"/v1/holds/{hold}") == id, "asked again, it is the same"
    another = people.front.client(await people.front.token("admin", principal="ann"))
    async with another:
        own = await another.post(f"/v1/approvals/{id}/approve", json={})
        assert own.status_code == 403, "whatever token is used"
    await people.send("eve", "POST", f"/v1/approvals/{id}/approve", 403, json={})
    for _ in range(2):  # twice by one is one
        await people.send("ben", "POST", f"/v1/approvals/{id}/approve", 200, json={"reason": "fine"})
    assert await people.in_force(hold) and await people.state(id) == "waiting"
    for _ in range(2):  # its answer was lost
        done = await people.send("cid", "POST", f"/v1/approvals/{id}/approve", 200, key=f"yes to {id}", json={})
    assert done["state"] == "done" and [vote["by"] for vote in done["votes"]] == ["ben", "cid"]
    released = await people.send("ann", "GET", f"/v1/holds/{hold}", 200)
    assert released["inForce"] is False and released["releasedBy"] == "ann"
    await people.send("cid", "POST", f"/v1/approvals/{id}/approve", 409, json={})
    journal = await people.send("ann", "GET", "/v1/journal", 200, params={"command": "approve", "limit": 3})
    assert journal["entries"][0]["principal"] == "cid"
    query = "SELECT type FROM filestore.outbox WHERE data->>'approvalId' = %s ORDER BY id"
    async with people.front.pool.connection() as connection:
        told = [row["type"].rpartition(".")[2] for row in await (await connection.execute(query, [str(id)])).fetchall()]
    assert told == ["requested", "approved"]


async def test_what_is_agreed_to_while_temporal_is_away_is_due_and_done_once(people: People) -> None:
    people.say(needed=1)
    hold = await people.hold()
    id = await people.asked("ann", "DELETE", f"/v1/holds/{hold}")
    people.temporal = False
    said = await people.send("ben", "POST", f"/v1/approvals/{id}/approve", 200, json={})
    assert said["state"] == "approved" and await people.in_force(hold)
    async with people.front.pool.connection() as connection:
        assert id in await approvals.agreed(connection)
    for _ in range(2):
        assert (await carry_out(people.front.app, id)).state == "done"
    both = await asyncio.gather(*(carry_out(people.front.app, id) for _ in range(2)))
    assert [one.state for one in both] == ["done", "done"]
    assert not await people.in_force(hold)
    async with people.front.pool.connection() as connection:
        assert id not in await approvals.agreed(connection)
    assert (await carry_out(people.front.app, 1 << 40)).state == "gone"


async def test_of_two_that_do_it_at_once_one_does_it(people: People) -> None:
    people.say(needed=1)
    body = {"backendMountId": people.tree.mount, "path": "contracts", "maxBytes": 100}
    quota = (await people.send("ann", "POST", "/v1/quotas", 201, json=body))["id"]
    id = await people.asked("ann", "PATCH", f"/v1/quotas/{quota}", json={"maxBytes": 900})
    people.temporal = False
    await people.send("ben", "POST", f"/v1/approvals/{id}/approve", 200, json={})
    both = await asyncio.gather(*(carry_out(people.front.app, id) for _ in range(4)))
    assert [(one.state, one.code) for one in both] == [("done", None)] * 4
    journal = await people.send("ann", "GET", "/v1/journal", 200, params={"command": "updateQuota", "limit": 10})
    mine = [one for one in journal["entries"] if one["after"]["id"] == quota]
    assert len(mine) == 1 and mine[0]["principal"] == "ann"


async def test_a_token_that_the_requester_has_made_says_yes_for_nobody(people: People) -> None:
    hold = await people.hold()
    id = await people.asked("ann", "DELETE", f"/v1/holds/{hold}")
    async with people.front.pool.connection() as connection, connection.transaction():
        _, token = await tokens.issue(connection, NewToken(principal="cid", scopes=["admin"], created_by="ann"))
    async with people.front.client(token) as client:
        refused = await client.post(f"/v1/approvals/{id}/approve", json={})
        assert refused.status_code == 403 and "has made your token" in refused.text


async def test_one_no_ends_it_and_the_requester_can_take_it_back(people: People) -> None:
    hold = await people.hold()
    for who in ("ben", "ann"):
        id = await people.asked("ann", "DELETE", f"/v1/holds/{hold}")
        refused = await people.send(who, "POST", f"/v1/approvals/{id}/reject", 200, json={"reason": "not yet"})
        assert refused["state"] == "rejected" and refused["votes"][-1]["reason"] == "not yet"
        await people.send("cid", "POST", f"/v1/approvals/{id}/approve", 409, json={})
    assert await people.in_force(hold)


async def test_what_has_changed_since_is_refused_and_not_done(people: People) -> None:
    people.say(needed=1)
    hold = await people.hold(until="2090-01-01T00:00:00Z")
    id = await people.asked("ann", "DELETE", f"/v1/holds/{hold}")
    await people.send("eve", "PATCH", f"/v1/holds/{hold}", 200, json={"until": "2095-01-01T00:00:00Z"})
    stale = await people.send("ben", "POST", f"/v1/approvals/{id}/approve", 412, json={})
    assert stale["code"] == "VERSION_CONFLICT"
    assert await people.state(id) == "failed" and await people.in_force(hold)


async def test_when_its_time_is_over_nothing_is_done_and_before_it_is_told_of_again(people: People) -> None:
    people.say(needed=1)
    hold = await people.hold()
    id = await people.asked("ann", "DELETE", f"/v1/holds/{hold}")
    async with people.front.pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.approvals SET created_at = created_at - interval '2000 s' WHERE id = %s", [id]
        )
        assert await approvals.pass_time(connection, id)
        assert not await approvals.pass_time(connection, id)
        await connection.execute("UPDATE filestore.approvals SET expires_at = now() WHERE id = %s", [id])
    await people.send("ben", "POST", f"/v1/approvals/{id}/approve", 409, json={})
    async with people.front.pool.connection() as connection:
        assert id in await approvals.overdue(connection, 0)
        assert await approvals.pass_time(connection, id)
        assert await approvals.moment(connection, id) is not None
        assert id not in await approvals.overdue(connection, 0)
    assert await people.state(id) == "expired" and await people.in_force(hold)
    query = "SELECT type FROM filestore.outbox WHERE data->>'approvalId' = %s ORDER BY id"
    async with people.front.pool.connection() as connection:
        told = [row["type"].rpartition(".")[2] for row in await (await connection.execute(query, [str(id)])).fetchall()]
    assert told == ["requested", "reminded", "expired"]
    assert await people.asked("ann", "DELETE", f"/v1/holds/{hold}") != id


async def test_a_quota_is_raised_by_two_and_lowered_by_one(people: People) -> None:
    people.say(needed=1)
    body = {"backendMountId": people.tree.mount, "path": "contracts", "maxBytes": 100}
    quota = (await people.send("ann", "POST", "/v1/quotas", 201, json=body))["id"]
    await people.send("ann", "PATCH", f"/v1/quotas/{quota}", 200, json={"maxBytes": 90, "softBytes": 5})
    id = await people.asked("ann", "PATCH", f"/v1/quotas/{quota}", json={"maxBytes": 900})
    await people.send("ben", "POST", f"/v1/approvals/{id}/approve", 200, json={})
    shown = await people.send("ann", "GET", f"/v1/quotas/{quota}", 200)
    assert (shown["maxBytes"], shown["softBytes"]) == (900, 5)
    id = await people.asked("ann", "DELETE", f"/v1/quotas/{quota}")
    await people.send("cid", "POST", f"/v1/approvals/{id}/approve", 200, json={})
    await people.send("ann", "GET", f"/v1/quotas/{quota}", 404)


async def test_a_mount_a_brake_and_a_purge_wait_too(people: People) -> None:
    people.say(needed=1)
    mount = people.tree.mount
    async with people.front.pool.connection() as connection, connection.transaction():
        look = await looks.begin(
            connection, MountId(mount), [LookPlace(b"", subtree=True)], reason="audit", principal="ann", whole=True
        )
        await looks.hold(connection, look, {"changes": 3})
    id = await people.asked("ann", "POST", f"/v1/drift/looks/{look}/release")
    shown = await people.send("ben", "GET", f"/v1/approvals/{id}", 200)
    assert shown["subject"]["plan"] == {"changes": 3}
    assert (await people.send("ben", "POST", f"/v1/approvals/{id}/approve", 200, json={}))["state"] == "done"
    await people.send("ann", "POST", f"/v1/drift/looks/{look}/release", 409)

    body = {"kind": "purge", "backendMountId": mount, "path": ""}
    planned = await people.send("ann", "POST", "/v1/operations", 202, json=body)
    query = "UPDATE filestore.operations SET state = 'planned', planned_at = now() WHERE id = %s AND plan_only"
    async with people.front.pool.connection() as connection:
        assert (await connection.execute(query, [planned["id"]])).rowcount == 1, "only its plan is made"
    id = await people.asked("ann", "POST", f"/v1/operations/{planned['id']}/apply", json={})
    assert (await people.send("ann", "GET", f"/v1/operations/{planned['id']}", 200))["state"] == "planned"
    await people.send("ben", "POST", f"/v1/approvals/{id}/approve", 200, json={})
    assert (await people.send("ann", "GET", f"/v1/operations/{planned['id']}", 200))["state"] == "running"

    id = await people.asked("ann", "DELETE", f"/v1/backend-mounts/{mount}", params={"forget": "true"})
    await people.send("ann", "GET", f"/v1/backend-mounts/{mount}", 200)
    await people.send("cid", "POST", f"/v1/approvals/{id}/approve", 200, json={})
    await people.send("ann", "GET", f"/v1/backend-mounts/{mount}", 404)


async def test_who_has_lost_the_right_meanwhile_gets_nothing_done(people: People) -> None:
    people.say(needed=1)
    hold = await people.hold()
    async with people.front.pool.connection() as connection, connection.transaction():
        token_id, token = await tokens.issue(connection, NewToken(principal="dan", scopes=["admin"]))
    async with people.front.client(token) as client:
        answer = await client.delete(f"/v1/holds/{hold}", headers=WHY)
    id = answer.json()["data"]["approval"]["id"]
    async with people.front.pool.connection() as connection:
        await tokens.revoke(connection, token_id)
    refused = await people.send("ben", "POST", f"/v1/approvals/{id}/approve", 403, json={})
    assert "does not hold any more" in refused["message"]
    assert await people.in_force(hold) and await people.state(id) == "approved"


async def test_a_policy_that_can_not_be_read_lets_nothing_through(people: People) -> None:
    hold = await people.hold()
    people.policy.write_text("{")
    await people.send("ann", "DELETE", f"/v1/holds/{hold}", 503)
    people.say(group=["ann", "ben"], needed=2)
    few = await people.send("ann", "DELETE", f"/v1/holds/{hold}", 403)
    assert "there are 1" in few["message"]
    people.say(acts=["purge"])
    await people.send("ann", "DELETE", f"/v1/holds/{hold}", 200)


@pytest.mark.parametrize(
    "told",
    [[], {}, {"policies": [{}]}, {"policies": [{"acts": ["dance"], "group": ["a"]}]},
     {"policies": [{"acts": ["purge"], "group": ["a"], "needed": 2}]},
     {"policies": [{"acts": ["purge"], "group": ["a"], "expiresSeconds": 0}]}],
)  # fmt: skip
def test_a_policy_says_all_that_it_has_to(told: Any) -> None:
    with pytest.raises(BadPolicy):
        policies_of(told)
