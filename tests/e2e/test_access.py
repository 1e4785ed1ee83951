"""Two API processes on one database: what is taken away through one of them holds in the other within a second. The second one
takes the tokens of another issuer as well, and has acts that wait for other people."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fix_service import MountOfTest, Service, free_port, until
from tests.fix_stack import REPOSITORY
from workflows.client import connect

WITHIN_SECONDS = 1.0
ISSUER, AUDIENCE = "https://id.example.org", "filestore"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def bearer(key: rsa.RSAPrivateKey = KEY, **changes: Any) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300, "groups": ["staff"]} | changes
    return {"authorization": f"Bearer {jwt.encode(claims, key, algorithm='RS256', headers={'kid': 'r'})}"}


@pytest.fixture(scope="module")
def other(running_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The same service at another port: its own process, and all it knows it has asked for itself."""
    running_service.ensure_running()
    folder, port = tmp_path_factory.mktemp("other"), free_port()
    known = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": "r", "use": "sig"}
    (folder / "keys").write_text(json.dumps({"keys": [known]}))
    rules = [
        {"when": {"groups": "staff"}, "scopes": ["filestore:read", "filestore:write"], "grants": [{"pattern": "team"}]}
    ]
    entry = {"name": "corp", "issuer": ISSUER, "audience": AUDIENCE, "jwksPath": str(folder / "keys"), "rules": rules}
    (folder / "issuers.yaml").write_text(yaml.safe_dump({"issuers": [entry]}))
    policies = [
        {"acts": ["releaseHold"], "group": ["ben"], "expiresSeconds": 3, "remindSeconds": 1},
        {"acts": ["raiseQuota"], "group": ["ben"]},
    ]
    (folder / "approvals.json").write_text(json.dumps({"policies": policies}))
    second = replace(running_service, port=port, folder=folder, processes={})
    settings = {"FILESTORE_PORT": str(port), "FILESTORE_OIDC_PATH": str(folder / "issuers.yaml")}
    settings["FILESTORE_APPROVALS_PATH"] = str(folder / "approvals.json")
    with open(folder / "api.log", "ab") as log:
        second.processes["api"] = subprocess.Popen(
            [sys.executable, "-m", "workers.api"],
            cwd=REPOSITORY,
            env={**os.environ, **running_service.env, **settings},
            stdout=log,
            stderr=log,
        )
    try:
        second.wait_ready()
        yield second
        second.stop()
    finally:
        second.kill()


def check_refused_in_time(ask: Callable[[], httpx2.Response], status: int) -> None:
    """It is asked all the time, so what the process knows is as young as it can be. What counts is when a request was sent: its
    answer comes as late as the machine lets it."""
    began, good = time.monotonic(), 0.0
    while True:
        sent = time.monotonic() - began
        answer = ask()
        if answer.status_code == status:
            assert good <= WITHIN_SECONDS, f"a request that was sent {good:.2f} s later was let in"
            return
        assert answer.status_code == 200, answer.text
        good = sent
        assert sent < 30


def test_what_is_taken_away_in_one_process_holds_in_the_other_within_a_second(
    service: Service, other: Service, mount: MountOfTest
) -> None:
    made = service.call("POST", "/v1/tokens", json={"principal": "ann", "scopes": ["filestore:read"]}).json()["data"]
    nodes = f"/v1/nodes?backendMountId={mount.id}"
    with httpx2.Client(base_url=other.url, headers={"authorization": f"Bearer {made['token']}"}) as ann:

        def ask() -> httpx2.Response:
            return ann.get(nodes)

        assert until(lambda: ask().status_code == 200)
        grants = [{"backendMountId": mount.id, "effect": "deny"}]
        assert service.call("PATCH", f"/v1/tokens/{made['id']}", json={"grants": grants}).status_code == 200
        check_refused_in_time(ask, 404)
        assert service.call("PATCH", f"/v1/tokens/{made['id']}", json={"grants": []}).status_code == 200
        assert until(lambda: ask().status_code == 200)
        assert service.call("POST", f"/v1/tokens/{made['id']}/revoke").status_code == 200
        check_refused_in_time(ask, 401)


def test_a_token_of_another_issuer_is_worth_what_rules_say_until_its_row_is_revoked(
    service: Service, other: Service, mount: MountOfTest
) -> None:
    for path in ("team", "secret"):
        assert service.mkdir(mount, path).status_code == 201
    forged = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with httpx2.Client(base_url=other.url, timeout=60) as client:
        for wrong in (bearer(forged), bearer(aud="else"), bearer(exp=1), bearer(groups=["guests"])):
            assert client.get("/v1/backend-mounts", headers=wrong).status_code == 401
        body = {"backendMountId": mount.id, "path": "team/by-ann"}
        assert client.post("/v1/directories", json=body, headers=bearer()).status_code == 201
        hidden = client.get(
            "/v1/nodes/by-path", params={"backendMountId": mount.id, "path": "secret"}, headers=bearer()
        )
        assert (hidden.status_code, hidden.json()["error"]["code"]) == (404, "NODE_NOT_FOUND")
        assert service.journal(mount)[0]["principal"] == "corp:ann"
        listed = service.call("GET", "/v1/tokens", params={"principal": "corp:ann"}).json()["data"]["tokens"]
        [row] = [one for one in listed if one["revokedAt"] is None]
        assert row["hint"] == "oidc"
        assert service.call("POST", f"/v1/tokens/{row['id']}/revoke").status_code == 200
        valid = bearer()
        check_refused_in_time(lambda: client.get("/v1/backend-mounts", headers=valid), 401)


def test_a_link_made_in_one_process_works_in_the_other_until_it_is_ended(
    service: Service, other: Service, mount: MountOfTest
) -> None:
    assert service.mkdir(mount, "in").status_code == 201
    assert service.upload(mount, "f", b"0123456789").status_code == 201

    def make(path: str, kind: str, **more: Any) -> dict[str, Any]:
        answer = service.call(
            "POST", "/v1/links", json={"backendMountId": mount.id, "path": path, "kind": kind, **more}
        )
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()["data"]
        return made

    def at(link: dict[str, Any]) -> str:
        """At the other process."""
        return urlsplit(str(link["url"])).path

    reading, dropping = make("f", "read", requestsPerSecond=1000), make("in", "upload", maxUses=1)
    with httpx2.Client(base_url=other.url, timeout=60) as anonymous:
        part = anonymous.get(at(reading), headers={"range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"234")
        assert anonymous.put(f"{at(dropping)}/mine", content=b"from afar").status_code == 201
        assert anonymous.put(f"{at(dropping)}/more", content=b"too much").status_code == 404
        assert mount.on_disk("in") == {"mine": b"from afar"}
        entry = service.journal(mount)[0]
        assert entry["principal"] == f"link:{dropping['id']}"
        assert service.call("DELETE", f"/v1/links/{reading['id']}").status_code in (200, 204)
        check_refused_in_time(lambda: anonymous.get(at(reading)), 404)


async def how_it_ended(service: Service, approval: int) -> str:
    client = await connect(service.env["TEMPORAL_ADDRESS"], service.env.get("TEMPORAL_NAMESPACE", "default"))
    ended: str = await client.get_workflow_handle(f"approval/{approval}").result()
    return ended


def test_an_act_that_waits_is_kept_by_a_workflow_that_no_dead_worker_takes_along(
    service: Service, other: Service, mount: MountOfTest
) -> None:
    why = {"x-filestore-reason": "the case is closed"}
    hold = {"backendMountId": mount.id, "path": "", "reason": "case 1"}
    held = service.call("POST", "/v1/holds", json=hold).json()["data"]["id"]
    quota = service.call("POST", "/v1/quotas", json={"backendMountId": mount.id, "maxNodes": 5}).json()["data"]["id"]
    service.kill("worker")
    lost = other.call("DELETE", f"/v1/holds/{held}", headers=why).json()["data"]["approval"]["id"]
    raised = other.call("PATCH", f"/v1/quotas/{quota}", headers=why, json={"maxNodes": 9}).json()["data"]["approval"][
        "id"
    ]
    ben = {"authorization": f"Bearer {service.make_token('ben', 'admin')}"}
    with httpx2.Client(base_url=other.url, headers=ben, timeout=60) as client:
        assert client.post(f"/v1/approvals/{raised}/approve", json={}).status_code == 200
    service.start("worker")
    assert asyncio.run(how_it_ended(service, raised)) == "done"
    assert asyncio.run(how_it_ended(service, lost)) == "expired"
    assert service.call("GET", f"/v1/approvals/{lost}").json()["data"]["state"] == "expired"
    assert service.call("GET", f"/v1/holds/{held}").json()["data"]["inForce"]
    assert service.call("GET", f"/v1/quotas/{quota}").json()["data"]["maxNodes"] == 9
    for path in (f"/v1/holds/{held}", f"/v1/quotas/{quota}"):
        assert service.call("DELETE", path).status_code == 200
