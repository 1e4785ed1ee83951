"""All that is known of a tenant, and nothing of another; no secret."""

import json
import uuid
from typing import Any

from schema.ids import MountId
from schema.store import mounts, tenants
from schema.store.mounts import NewMount
from tests.api.conftest import FrontOfTest
from tests.store.helpers import Protocol, mkdir, upload


async def test_an_export_has_all_of_a_tenant_and_nothing_of_another(front: FrontOfTest, monkeypatch: object) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    async with front.client(await front.token("admin", principal="ann")) as admin:
        assert (await admin.post("/v1/tenants", json={"id": tenant})).status_code == 201
        token = await front.token("admin", principal="bo", tenant=tenant)
        async with front.pool.connection() as connection, connection.transaction():
            new = NewMount(mount_key="m", backend_kind="local", root_path=f"/nowhere/{tenant}", tenant=tenant,
                           secrets={"secretAccessKey": "sealed-and-never-told"})  # fmt: skip
            mount = await mounts.create(connection, new, "test-host")
            assert mount is not None
            await mounts.record_root(connection, mount, [0, 1, 1, 0, 0, 0, 1, 0o755, 2])
            await mounts.update(connection, mount, {"state": "active", "state_reason": None})
        protocol = Protocol(front.pool)
        of: dict[str, Any] = {"tenant": tenant, "principal": "bo"}
        await protocol.run(MountId(mount), mkdir(mount, "d", **of))
        await protocol.run(MountId(mount), *[upload(mount, f"d/{n}", **of) for n in range(3)])
        assert (await admin.post("/v1/quotas", json={"tenant": tenant, "maxBytes": 10**6})).status_code == 201
        was, tenants.EXPORT_PAGE = tenants.EXPORT_PAGE, 2
        try:
            answer = await admin.get(f"/v1/tenants/{tenant}/export")
        finally:
            tenants.EXPORT_PAGE = was
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/jsonl")
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert lines[0]["type"] == "tenant" and lines[0]["id"] == tenant
        kinds = [line["type"] for line in lines[1:-1]]
        assert {kind: kinds.count(kind) for kind in kinds} == {
            "mount": 1, "token": 1, "quota": 1, "node": 5, "entry": 5,  # the root; three files; their commands, the quota
        }, kinds  # fmt: skip
        assert lines[-1] == {"type": "end", "counts": {"mounts": 1, "tokens": 1, "quotas": 1, "nodes": 5, "journal": 5}}
        assert {line["path"] for line in lines if line["type"] == "node"} == {"", "d", "d/0", "d/1", "d/2"}
        assert next(line for line in lines if line["type"] == "quota")["usedNodes"] == 4
        assert token not in answer.text and "sealed-and-never-told" not in answer.text
        assert (await admin.get("/v1/tenants/nobody/export")).status_code == 404
    async with front.client(token) as own:
        assert (await own.get(f"/v1/tenants/{tenant}/export")).status_code == 403
