"""Holds that a bucket keeps as well: asked for, refused where it would not, shown."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from schema.access.object_locks import LockProof
from schema.store import object_locks
from tests.api.conftest import FrontOfTest, Tree

KEEPS = LockProof(True, legal_hold=True, retention=True)


async def proved(front: FrontOfTest, tree: Tree, proof: LockProof) -> None:
    async with front.pool.connection() as connection:
        await object_locks.keep_proof(connection, tree.mount, proof)


async def test_a_hold_is_kept_by_the_bucket_where_that_was_proved(front: FrontOfTest, tree: Tree) -> None:
    await proved(front, tree, KEEPS)
    started: list[Any] = []

    def start(begin: Callable[..., Any], /, **named: Any) -> None:
        started.append((begin.__name__, named))

    services = replace(front.services, start=start)
    front.app.state.front = replace(front.app.state.front, services=services)
    async with front.client(await front.token("admin", principal="ann")) as client:
        body = {"backendMountId": tree.mount, "path": "", "reason": "case 1"}
        held = (await client.post("/v1/holds", json=body)).json()["data"]
        assert held["objectLock"] == {"state": "locking", "objects": 0, "problem": None}
        assert started == [("keep_object_locks", {"mount": tree.mount})]
        without = (await client.post("/v1/holds", json={**body, "objectLock": False})).json()["data"]
        assert without["objectLock"] is None and len(started) == 1
        shown = (await client.get(f"/v1/backend-mounts/{tree.mount}")).json()["data"]["objectLock"]
        assert (shown["enabled"], shown["legalHold"], shown["retention"], shown["problem"]) == (True, True, True, None)
        for one in (held, without):
            assert (await client.delete(f"/v1/holds/{one['id']}")).json()["data"]["inForce"] is False
        gone = await client.delete(f"/v1/backend-mounts/{tree.mount}", params={"forget": "true"})
        assert gone.status_code == 423 and "locks of a hold that ended" in gone.json()["error"]["message"]


async def test_a_hold_that_the_bucket_would_not_keep_is_refused_with_its_cause(front: FrontOfTest, tree: Tree) -> None:
    body = {"backendMountId": tree.mount, "path": "", "reason": "case 1", "objectLock": True}
    yes = LockProof(True, legal_hold=True, problem="The store took a lock (retention), and removed the object.")
    async with front.client(await front.token("admin", principal="ann")) as client:
        for proof, kind, cause in (
            (None, "legal", "Nothing was proved"),
            (LockProof(False), "legal", "no Object Lock"),
            (yes, "retain", "removed the object"),
        ):
            if proof is not None:
                await proved(front, tree, proof)
            answer = await client.post("/v1/holds", json={**body, "kind": kind, "until": "2090-01-01T00:00:00Z"})
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (400, "NOT_SUPPORTED"), answer.text
            assert cause in error["message"] and "Leave objectLock out" in error["message"]
        assert (await client.get("/v1/holds", params={"backendMountId": tree.mount})).json()["data"]["holds"] == []
        auto = (await client.post("/v1/holds", json={**body, "objectLock": None, "kind": "legal"})).json()["data"]
        assert auto["objectLock"]["state"] == "locking"


async def test_a_mount_is_proved_when_it_is_made(front: FrontOfTest) -> None:
    front.disks.locks = LockProof(True, True, False, "GOVERNANCE", 3, "why")
    async with front.client(front.tokens["admin"]) as client:
        body = {"mountKey": "locks", "backendKind": "s3", "bucket": "some-bucket", "prefix": "p"}
        made = (await client.post("/v1/backend-mounts", json=body)).json()["data"]
        shown = made["objectLock"]
        assert (shown["legalHold"], shown["retention"], shown["defaultMode"], shown["defaultDays"], shown["problem"]) == (
            True, False, "GOVERNANCE", 3, "why",
        )  # fmt: skip
        moved = {"state": "inactive"}
        await client.patch(f"/v1/backend-mounts/{made['id']}", json=moved)
        elsewhere = await client.patch(f"/v1/backend-mounts/{made['id']}", json={"prefix": "q"})
        assert elsewhere.json()["data"]["objectLock"] is None
