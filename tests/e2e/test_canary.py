"""Secrets are planted in every field that takes one, and are found nowhere: tables, histories, logs, metrics, answers, events."""

import asyncio
import json
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from tests.e2e.test_temporal_view import _decoded, found
from tests.fix_s3 import LOCKING, S3Server
from tests.fix_s3_service import MountInBucket, make_bucket_mount
from tests.fix_service import Service, until
from tests.fix_webhooks import HookTarget

PLANTED_IN = {
    "approvals", "approval_votes", "backend_mounts", "commands", "holds", "journal_entries", "links", "mount_secrets",
    "object_lock_proofs", "object_locks", "operations", "outbox", "quota_kept", "quotas", "subscriptions", "tokens",
}  # fmt: skip
"""Tables that have rows then. All others are looked through as well, whichever there are"""
UNSECRET = "missing/of-canary"
"""A path: it may be shown, and is"""


class Planting:
    """What was planted or handed out, and what was answered meanwhile."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.planted: set[str] = set()
        self.answers: list[str] = []

    def canary(self) -> str:
        made = f"CANARY{secrets.token_hex(8)}"
        self.planted.add(made)
        return made

    def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        answer = self.service.call(method, path, **options)
        self.answers.append(f"{answer.headers} {answer.text}")
        return answer

    def shown_once(self, method: str, path: str, name: str, **options: Any) -> dict[str, Any]:
        """An answer that hands a secret out: that one alone may have it."""
        answer = self.service.call(method, path, **options)
        assert answer.is_success, answer.text
        data: dict[str, Any] = answer.json()["data"]
        self.planted.add(data.pop(name))
        self.answers.append(json.dumps(data))
        return data


def plant_in_mounts(planting: Planting, server: S3Server, mount: MountInBucket) -> None:
    call, canary = planting.call, planting.canary
    planting.planted |= set(server.secrets.values())
    address = f"/v1/backend-mounts/{mount.id}"
    wrong = {"accessKeyId": canary(), "secretAccessKey": canary(), "sessionToken": canary()}
    new = {"mountKey": f"x-{mount.key}", "backendKind": "s3", "bucket": mount.bucket, "prefix": "never"}
    for refused in (
        call("POST", "/v1/backend-mounts", json=new | {"config": server.config | wrong}),
        call("POST", "/v1/backend-mounts", json=new | {"config": {"endpoint": f"http://a:{canary()}@127.0.0.1"}}),
        call("POST", "/v1/backend-mounts", json=new | {"config": {"secretAccessKey": [canary()]}}),
        call("POST", "/v1/backend-mounts", json={"mountKey": "x", "config": {"password": canary()}}),
        call("PATCH", address, json={"config": server.config | wrong}),
        call("PUT", f"{address}/credentials", json=wrong),
        call("PUT", f"{address}/credentials", json={"secretAccessKey": {"a": canary()}}),
        call("PUT", f"{address}/credentials", content=f'{{"secretAccessKey": "{canary()}'),
        call("PUT", f"{address}/credentials?secretAccessKey={canary()}", json={}),
    ):
        assert 400 <= refused.status_code < 600 and refused.status_code != 500, refused.text
    assert call("PUT", f"{address}/credentials", json=server.secrets).status_code == 200
    assert call("PUT", f"{address}/credentials", json={"credentials": {"password": canary()}}).status_code == 200
    config = server.config | {"clientSecret": canary()}
    assert call("PATCH", address, json={"config": config}).status_code == 200
    for path in ("/v1/backend-mounts?limit=100", address, "/ready", "/health"):
        call("GET", path)


def plant_in_webhooks(planting: Planting, target: HookTarget, mount: MountInBucket) -> str:
    body = {"url": target.url, "filter": {"backendMountId": mount.id}}
    made = planting.shown_once("POST", "/v1/subscriptions", "secret", json=body)
    address = f"/v1/subscriptions/{made['id']}"
    planting.shown_once("POST", f"{address}/rotate", "secret", json={"overlapSeconds": 3600})
    assert planting.call("POST", f"{address}/test").json()["data"]["status"] == 204
    assert planting.call("POST", "/v1/subscriptions", json=body | {"secret": planting.canary()}).status_code < 500
    return str(made["id"])


def plant_in_tokens(planting: Planting) -> None:
    made = planting.shown_once("POST", "/v1/tokens", "token", json={"principal": "canary", "scopes": ["read"]})
    planting.shown_once("POST", f"/v1/tokens/{made['id']}/rotate", "token", json={"graceSeconds": 0})
    planting.call("POST", f"/v1/tokens/{made['id']}/revoke")
    planting.planted.add(planting.service.token)
    for bearer in (f"fst_00000000_{planting.canary()}", planting.canary(), f"{planting.canary()} x"):
        answer = planting.call("GET", "/v1/nodes", headers={"Authorization": f"Bearer {bearer}"})
        assert answer.status_code == 401


def work(planting: Planting, mount: MountInBucket) -> None:
    """Commands that end well and badly, an operation, a long copy: each leaves a history."""
    service, here = planting.service, {"backendMountId": mount.id}
    assert service.mkdir(mount, "d").status_code == 201
    assert service.upload(mount, "d/f", b"content").status_code == 201
    assert service.copy(mount, "d", "e").status_code in (201, 202)
    assert service.mkdir(mount, UNSECRET).status_code == 404
    made = planting.call("POST", "/v1/operations", json={"kind": "delete", "path": "d", **here}).json()["data"]
    state = f"/v1/operations/{made['id']}"
    assert until(lambda: service.call("GET", state).json()["data"]["state"] in ("succeeded", "partial", "failed"))
    planting.call("GET", state)
    for path in ("/v1/journal", "/v1/events", "/v1/nodes"):
        planting.call("GET", path, params={"limit": 200, **here})


def plant_in_access(planting: Planting, mount: MountInBucket) -> None:
    """Links, holds with locks in the bucket, quotas, and acts that wait for other people."""
    service, call, here = planting.service, planting.call, {"backendMountId": mount.id}
    link = {"path": "e/f", "kind": "read", "password": planting.canary(), **here}
    made = service.call("POST", "/v1/links", json=link).json()["data"]
    address = urlsplit(made.pop("url")).path
    planting.planted.add(address.removeprefix("/s/"))
    planting.answers.append(json.dumps(made))
    for password in (planting.canary(), ""):
        assert httpx2.get(f"{service.url}{address}", auth=("any", password)).status_code in (401, 404, 429)
    assert call("GET", f"/s/{planting.canary()}").status_code == 404
    hold = call("POST", "/v1/holds", json={"path": "e", "reason": "case 1", "objectLock": True, **here}).json()["data"]
    shown = f"/v1/holds/{hold['id']}"
    assert until(lambda: service.call("GET", shown).json()["data"]["objectLock"]["objects"] > 0)
    quota = {"path": "d", "maxBytes": 1000, "trash": True, **here}
    assert call("POST", "/v1/quotas", json=quota).json()["data"]["usedBytes"] > 0
    with service.second_person("releaseHold"):
        why = {"x-filestore-reason": "the case is closed"}
        asked = call("DELETE", f"{shown}?secret={planting.canary()}", headers=why).json()["data"]["approval"]
    assert call("POST", f"/v1/approvals/{asked['id']}/reject", json={"secret": planting.canary()}).status_code < 500
    assert call("POST", f"/v1/approvals/{asked['id']}/reject", json={}).status_code in (200, 409)
    assert call("DELETE", shown).status_code == 200


def rows_of_all_tables(service: Service) -> Iterator[tuple[str, str]]:
    """As a dump has them."""
    tables = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'filestore'::regnamespace AND relkind IN ('r', 'p', 'm')"
    )
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        for (name,) in connection.execute(tables).fetchall():
            for (text,) in connection.execute(f"SELECT t::text FROM filestore.{name} t".encode()):
                yield name, text


def histories(mount: MountInBucket, subscription: str) -> list[tuple[str, str]]:
    """Of all that ran for the mount and the subscription, with what is encoded in them."""
    queries = (f"FsMount = '{mount.id}'", f"WorkflowId = 'subscription/{subscription}'")
    return [(id, text + _decoded(text)) for query in queries for id, text in asyncio.run(found(query))]


@pytest.fixture
def bucket(service: Service, s3_server: S3Server) -> Iterator[MountInBucket]:
    fresh = make_bucket_mount(service, s3_server, LOCKING)
    yield fresh


def test_what_is_secret_is_found_nowhere(
    service: Service, s3_server: S3Server, bucket: MountInBucket, target: HookTarget
) -> None:
    planting = Planting(service)
    plant_in_mounts(planting, s3_server, bucket)
    subscription = plant_in_webhooks(planting, target, bucket)
    plant_in_tokens(planting)
    work(planting, bucket)
    plant_in_access(planting, bucket)
    assert until(lambda: len(target.taken) > 3)

    def check(where: str, text: str) -> bool:
        """Whether it shows what is no secret, so that this test would see one there."""
        there = [one for one in planting.planted if one in text]
        assert not there, f"{where} shows {len(there)} secrets: {there} in {text[:2000]}"
        return UNSECRET in text

    seen = [(table, check(f"a row of {table}", row)) for table, row in rows_of_all_tables(service)]
    assert {table for table, _ in seen} >= PLANTED_IN
    assert {"journal_entries", "commands"} <= {table for table, shows in seen if shows}
    ran = histories(bucket, subscription)
    assert any([check(f"the history of {id}", history) for id, history in ran])
    assert any(id.startswith("subscription/") for id, _ in ran)
    assert any([check(f"the log of the {name}", service.log(name)) for name in ("api", "worker")])
    assert any([check("an answer", answer) for answer in planting.answers])
    for url in (service.url, service.worker_url):
        check("the metrics", httpx2.get(f"{url}/metrics").text)
    for message in target.asked:
        check("a message", f"{message.headers} {message.body!r}")
    service.call("DELETE", f"/v1/subscriptions/{subscription}")
