"""The canary: an object of ours that the store may tell of."""

from dataclasses import replace

import pytest

from schema.errors import MountOffline
from tests.fix_s3 import S3Mount


def keys(mount: S3Mount) -> list[str]:
    client = mount.server.client()
    found = client.list_objects_v2(Bucket=mount.bucket, Prefix=mount.prefix + "/")
    client.close()
    return [one["Key"].removeprefix(mount.prefix + "/") for one in found["Contents"]]


def test_it_is_written_over_the_last_one_and_only_into_our_own_prefix(s3_mount: S3Mount) -> None:
    executor = s3_mount.open()
    executor.put_canary()
    executor.put_canary()
    assert sorted(keys(s3_mount)) == [".filestore/canary", ".filestore/mount.json"]

    strange = replace(s3_mount, uuid="00000000-0000-0000-0000-000000000000", spool=s3_mount.spool / "other")
    with pytest.raises(MountOffline):
        strange.open().put_canary()
