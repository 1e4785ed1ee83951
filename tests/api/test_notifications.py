"""Notifications of buckets over HTTP: which tokens may send them, what they lead to, and what is refused."""

import json
import uuid
from dataclasses import replace
from typing import Any

import httpx2

from api.app import create_app
from schema.ids import MountId
from schema.store import drift_hints, mounts
from schema.store.mounts import NewMount
from tests.api.conftest import FrontOfTest

SECRET = "a-secret-of-the-store"


async def bucket_mount(front: FrontOfTest, tenant: str = "main") -> tuple[MountId, str]:
    key = f"b-{uuid.uuid4().hex[:8]}"
    new = NewMount(mount_key=key, backend_kind="s3", bucket=key, prefix="p", tenant=tenant)
    async with front.pool.connection() as connection:
        mount = await mounts.create(connection, new, "test-host")
        assert mount is not None
        await mounts.update(connection, mount, {"state": "active", "state_reason": None})
    return mount, key


async def hinted(front: FrontOfTest, mount: MountId) -> list[bytes]:
    async with front.pool.connection() as connection:
        return sorted(hint.path for hint in await drift_hints.take(connection, mount, 100))


def event(bucket: str, *keys: str) -> dict[str, Any]:
    records = [
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}} for key in keys
    ]
    return {"Records": records}


async def test_a_notification_is_a_hint_for_those_who_may_reconcile(front: FrontOfTest) -> None:
    mount, bucket = await bucket_mount(front)
    body = event(bucket, "p/a+b.txt", "p/%C3%BC", "elsewhere")
    for scope, status in (("admin", 200), ("filestore:operate", 200), ("read", 403)):
        async with front.client(await front.token(scope)) as client:
            answer = await client.post("/v1/notifications/s3", json=body)
        assert answer.status_code == status, answer.text
        if status == 200:
            assert answer.json() == {"data": {"mounts": 1}}
    assert await hinted(front, mount) == [b"a b.txt", "ü".encode()]
    async with front.client(await front.token("admin", tenant="other")) as client:
        assert (await client.post("/v1/notifications/s3", json=body)).json() == {"data": {"mounts": 0}}
    async with front.client() as client:
        assert (await client.post("/v1/notifications/s3", json=body)).status_code == 401
    assert await hinted(front, mount) == []


async def test_the_token_of_the_stores_opens_this_route_and_no_other(front: FrontOfTest) -> None:
    mount, bucket = await bucket_mount(front)
    other, others_bucket = await bucket_mount(front, "another")
    settings = front.settings.model_copy(update={"notifications_token": SECRET})
    app = create_app(replace(front.services, settings=settings))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {SECRET}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://front", headers=headers) as store:
        body = event(bucket, "p/x")
        body["Records"] += event(others_bucket, "p/y")["Records"]
        assert (await store.post("/v1/notifications/s3", json=body)).json() == {"data": {"mounts": 2}}
        assert (await store.get("/v1/backend-mounts")).status_code == 401
    assert (await hinted(front, mount), await hinted(front, other)) == ([b"x"], [b"y"])
    async with front.client(SECRET) as client:
        assert (await client.post("/v1/notifications/s3", json=body)).status_code == 401, "where it is not set"


async def test_what_is_no_notification_is_refused(front: FrontOfTest) -> None:
    async with front.client(await front.token("admin")) as client:
        for body, status in (("{}", 400), ("[]", 400), ("x", 400), (json.dumps(event("b", "k" * 2**20)), 413)):
            answer = await client.post(
                "/v1/notifications/s3", content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code == status, answer.text
        test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}
        assert (await client.post("/v1/notifications/s3", json=test)).json() == {"data": {"mounts": 0}}
