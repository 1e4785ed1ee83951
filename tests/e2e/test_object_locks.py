"""A hold in a bucket with Object Lock: the store itself keeps what is held, until the hold ends."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.test_commands import refused, result
from tests.fix_s3 import LOCKING, RETAINING, S3Server
from tests.fix_s3_service import MountInBucket, make_bucket_mount
from tests.fix_service import Service, check_mount, until


@pytest.fixture
def locking(service: Service, s3_server: S3Server) -> Iterator[MountInBucket]:
    fresh = make_bucket_mount(service, s3_server, LOCKING)
    yield fresh
    check_mount(service, fresh)


@pytest.fixture
def retaining(service: Service, s3_server: S3Server) -> Iterator[MountInBucket]:
    """In a bucket where nothing that was written can be removed for a day."""
    fresh = make_bucket_mount(service, s3_server, RETAINING)
    yield fresh
    check_mount(service, fresh)


def versions(mount: MountInBucket, path: str) -> list[str]:
    found = mount.client.list_object_versions(Bucket=mount.bucket, Prefix=f"{mount.prefix}/{path}")
    return [one["VersionId"] for one in found.get("Versions", [])]


def test_the_bucket_keeps_what_is_held_against_its_owner_and_lets_go_when_the_hold_ends(
    service: Service, locking: MountInBucket
) -> None:
    proof = service.call("GET", f"/v1/backend-mounts/{locking.id}").json()["data"]["objectLock"]
    assert proof["legalHold"] and proof["retention"]
    result(service.mkdir(locking, "d"), 201)
    result(service.upload(locking, "d/f", b"old"), 201)
    result(service.upload(locking, "d/f", b"content", overwrite="true"), 200)
    assert until(lambda: len(locking.every_key(".filestore/trash/")) == 1)
    held: dict[str, Any] = service.call(
        "POST", "/v1/holds", json={"backendMountId": locking.id, "path": "d", "reason": "case 1", "objectLock": True}
    ).json()["data"]
    address = f"/v1/holds/{held['id']}"

    def state() -> tuple[str, int]:
        shown = service.call("GET", address).json()["data"]["objectLock"]
        return shown["state"], shown["objects"]

    assert until(lambda: state() == ("locked", 2)), state()
    refused(service.delete(locking, "d/f"), 423, "HELD")
    newest, *older = versions(locking, "d/f")
    where = {"Bucket": locking.bucket, "Key": f"{locking.prefix}/d/f"}
    with pytest.raises(ClientError, match="AccessDenied"):
        locking.client.delete_object(**where, VersionId=newest)
    for version in older:
        locking.client.delete_object(**where, VersionId=version)
    [kept] = locking.every_key(".filestore/trash/")
    [content] = versions(locking, kept)
    in_trash = {"Bucket": locking.bucket, "Key": f"{locking.prefix}/{kept}", "VersionId": content}
    with pytest.raises(ClientError, match="AccessDenied"):
        locking.client.delete_object(**in_trash)
    assert service.call("DELETE", address).status_code == 200
    assert until(lambda: state() == ("unlocked", 0)), state()
    result(service.delete(locking, "d/f"), 200)
    locking.client.delete_object(**where, VersionId=newest)


def test_commands_and_clean_up_end_in_a_bucket_that_locks_by_itself(service: Service, retaining: MountInBucket) -> None:
    proof = service.call("GET", f"/v1/backend-mounts/{retaining.id}").json()["data"]["objectLock"]
    assert (proof["defaultMode"], proof["defaultDays"], proof["retention"]) == ("GOVERNANCE", 1, True)
    for path in ("d", "e"):
        result(service.mkdir(retaining, path), 201)
    result(service.upload(retaining, "d/f", b"old"), 201)
    result(service.upload(retaining, "d/f", b"content", overwrite="true"), 200)
    result(service.copy(retaining, "d/f", "e/g"), 201)
    result(service.move(retaining, "d/f", "e/h"), 200)
    result(service.delete(retaining, "e/h"), 200)
    result(service.restore(retaining, path="e/h"), 200)
    result(service.delete(retaining, "e", recursive=True), 200)
    assert until(lambda: retaining.on_disk() == {"d": None}), retaining.on_disk()
    assert until(lambda: retaining.every_key(".filestore/stage/") == [])
