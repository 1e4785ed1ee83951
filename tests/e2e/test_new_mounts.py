"""A mount takes commands from the moment it is registered."""

import asyncio
from pathlib import Path

from temporalio.service import RPCError

from tests.e2e.test_commands import refused, result
from tests.fix_s3 import S3Server
from tests.fix_s3_service import make_bucket_mount
from tests.fix_service import MountOfTest, Service, check_mounts, make_mount, until
from workflows.client import connect


def test_a_command_may_follow_its_registration_at_once(service: Service, tmp_path: Path) -> None:
    fresh = []
    for n in range(10):
        mount = make_mount(service, tmp_path / f"m{n}")
        answer = service.mkdir(mount, "first")
        assert answer.status_code == 201, answer.text
        fresh.append(mount)
    check_mounts(fresh)
    for mount in fresh:
        service.call("PATCH", f"/v1/backend-mounts/{mount.id}", json={"state": "inactive"})


def is_scheduled(service: Service, mount: MountOfTest) -> bool:
    async def look() -> bool:
        client = await connect(service.env["TEMPORAL_ADDRESS"], service.env.get("TEMPORAL_NAMESPACE", "default"))
        try:
            await client.get_schedule_handle(f"sweep/{mount.id}").describe()
        except RPCError:
            return False
        return True

    return asyncio.run(look())


def test_a_mount_is_removed_untouched_and_taken_over_again(
    service: Service, tmp_path: Path, s3_server: S3Server
) -> None:
    for mount in (make_mount(service, tmp_path / "m"), make_bucket_mount(service, s3_server)):
        result(service.mkdir(mount, "a"), 201)
        result(service.upload(mount, "a/f", b"kept"), 201)
        document = service.call("GET", f"/v1/backend-mounts/{mount.id}").json()["data"]
        assert until(lambda mount=mount: is_scheduled(service, mount))  # type: ignore[misc]
        before = mount.on_disk()
        refused(service.call("DELETE", f"/v1/backend-mounts/{mount.id}"), 409, "CHILDREN_EXIST")
        assert service.call("DELETE", f"/v1/backend-mounts/{mount.id}?forget=true").status_code == 204
        refused(service.mkdir(mount, "b"), 404, "BACKEND_NOT_FOUND")
        refused(service.at(mount, "a"), 404, "BACKEND_NOT_FOUND")
        assert until(lambda mount=mount: not is_scheduled(service, mount)), "no worker sweeps it"  # type: ignore[misc]
        assert mount.on_disk() == before
        names = ("mountKey", "backendKind", "rootPath", "bucket", "prefix", "config")
        body = {name: document[name] for name in names if document[name] is not None}
        if document["backendKind"] == "s3":
            body["config"] |= s3_server.secrets
        refused(service.call("POST", "/v1/backend-mounts", json=body), 400, "INVALID_REQUEST")
        again = result(service.call("POST", "/v1/backend-mounts", json={**body, "adopt": True}), 201)
        assert again["mountUuid"] == document["mountUuid"] and mount.on_disk() == before
        taken = MountOfTest(again["id"], again["mountKey"], mount.root)
        result(service.mkdir(taken, "b"), 201)
        assert mount.on_disk() == before | {"b": None}
        service.call("PATCH", f"/v1/backend-mounts/{again['id']}", json={"state": "inactive"})
