"""`s3`: a fresh mount on the run's S3 server, served by the real processes and checked when the test ends."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.fix_s3 import BUCKET, VERSIONED, S3Server
from tests.fix_service import MountOfTest, Service, check_mount


@dataclass(frozen=True)
class MountInBucket(MountOfTest):
    """What a test asks of any mount, and the bucket as a stranger sees it. `root` names nothing here."""

    server: S3Server
    bucket: str
    prefix: str

    @cached_property
    def client(self) -> Any:
        return self.server.client()

    def every_key(self, below: str = "") -> list[str]:
        """Every key below the prefix, without it."""
        pages = self.client.get_paginator("list_objects_v2")
        found: list[str] = []
        for page in pages.paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/{below}"):
            found += [one["Key"][len(self.prefix) + 1 :] for one in page.get("Contents", [])]
        return found

    def get(self, path: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}")["Body"].read()
        return content

    def put(self, path: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}", Body=content)

    def remove(self, path: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}")

    def on_disk(self, folder: str = "") -> dict[str, bytes | None]:
        found: dict[str, bytes | None] = {}
        below = f"{folder}/" if folder else ""
        for key in (key.removeprefix(below) for key in self.every_key(below)):
            if key.startswith(".filestore/") or not key:
                continue
            names = key.rstrip("/").split("/")
            found |= {"/".join(names[:depth]): None for depth in range(1, len(names))}
            with suppress(self.client.exceptions.NoSuchKey):  # gone since it was listed
                found["/".join(names)] = None if key.endswith("/") else self.get(below + key)
        return dict(sorted(found.items()))

    def in_trash(self) -> list[bytes]:
        found = []
        for key in self.every_key(".filestore/trash/"):
            with suppress(self.client.exceptions.NoSuchKey):  # gone since it was listed
                found += [] if key.endswith("/") else [self.get(key)]
        return found


def make_bucket_mount(
    service: Service, server: S3Server, bucket: str = BUCKET, endpoint: str | None = None, **body: Any
) -> MountInBucket:
    key = f"s3-{uuid.uuid4().hex[:8]}"
    config = server.config | server.secrets | ({"endpoint": endpoint} if endpoint else {})
    answer = service.call(
        "POST", "/v1/backend-mounts",
        json={"mountKey": key, "backendKind": "s3", "bucket": bucket, "prefix": key, "config": config, **body},
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    service.made.append(answer.json()["data"]["id"])
    return MountInBucket(service.made[-1], key, Path("/nowhere"), server, bucket, key)


@pytest.fixture
def s3(service: Service, s3_server: S3Server) -> Iterator[MountInBucket]:
    fresh = make_bucket_mount(service, s3_server)
    yield fresh
    check_mount(service, fresh)


@pytest.fixture(params=[BUCKET, VERSIONED])
def each_s3(request: pytest.FixtureRequest, service: Service, s3_server: S3Server) -> Iterator[MountInBucket]:
    """The same in a bucket without versions and in one with."""
    fresh = make_bucket_mount(service, s3_server, request.param)
    yield fresh
    check_mount(service, fresh)
