"""`s3_server`: SeaweedFS for the whole run, started by the project's own development stack. `s3_mount`: a prefix of a bucket."""

import itertools
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from activities.executors.s3.executor import S3Executor
from activities.executors.s3.wire.account import account_of, connect
from tests.fix_stack import Stack, dev

BUCKET, VERSIONED = "filestore-tests", "filestore-tests-versioned"
LOCKING, RETAINING = "filestore-tests-locking", "filestore-tests-retaining"
"""With Object Lock; the second one locks by itself whatever is written to it"""
_numbers = itertools.count()


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    key: str
    secret: str = field(repr=False)
    stack: Stack | None = None

    @property
    def config(self) -> dict[str, Any]:
        return {"endpoint": self.endpoint, "region": "us-east-1", "forcePathStyle": True}

    @property
    def secrets(self) -> dict[str, str]:
        return {"accessKeyId": self.key, "secretAccessKey": self.secret}

    def client(self) -> Any:
        return connect(account_of(self.config, self.secrets), 32)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("s3")
    dev("up", "--background", "--dir", str(folder), "--only", "s3", "--with-pid", str(os.getpid()))
    env = Stack(folder).env
    server = S3Server(env["AWS_ENDPOINT_URL"], env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], Stack(folder))
    client = server.client()
    for bucket in (BUCKET, VERSIONED):
        client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"})
    for bucket in (LOCKING, RETAINING):
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=RETAINING, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    client.close()
    yield server
    dev("stop", "--dir", str(folder))


@dataclass
class S3Mount:
    """A prefix of its own, and whatever opens it."""

    server: S3Server
    bucket: str
    prefix: str
    spool: Path
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def open(self, endpoint: str | None = None, **secrets: str) -> S3Executor:
        config = self.server.config | ({"endpoint": endpoint} if endpoint else {})
        return S3Executor(self.bucket, self.prefix, self.uuid, config, self.server.secrets | secrets, self.spool)


def new_mount(server: S3Server, spool: Path, bucket: str = BUCKET) -> S3Mount:
    mount = S3Mount(server, bucket, f"run-{os.getpid()}/{next(_numbers)}", spool)
    mount.open().register()
    return mount


@pytest.fixture
def s3_mount(s3_server: S3Server, tmp_path: Path) -> S3Mount:
    return new_mount(s3_server, tmp_path / "spool")


@pytest.fixture(params=[BUCKET, VERSIONED])
def each_s3_mount(request: pytest.FixtureRequest, s3_server: S3Server, tmp_path: Path) -> S3Mount:
    """The same in a bucket without versions and in one with."""
    return new_mount(s3_server, tmp_path / "spool", request.param)
