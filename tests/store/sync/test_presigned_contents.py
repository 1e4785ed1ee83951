"""Contents that go straight into a bucket under a link: what came is proven before it counts, and nothing else can be put."""

import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
import pytest

from activities.executors.local.executor import LocalExecutor
from activities.sync.contents import Contents
from activities.sync.hot import NoHotStore
from activities.sync.presigned import ColdLink, PresignedContents
from activities.threads import MountThreads
from schema.errors import InvalidRequest, NotFound, NotSupported
from schema.store import objects
from schema.store.pool import Pool
from schema.sync.tiers import Tier, TierMove
from tests.fix_s3 import S3Mount
from tests.store.helpers import make_mount
from tests.store.sync.projects import make_project

CONTENT = os.urandom(300_000)
SHA, SIZE = hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)


class ProjectInBucket:
    def __init__(self, pool: Pool, executor: Any) -> None:
        self.executor, self.pool, threads = executor, pool, MountThreads("cold", 2)
        self.contents = Contents(pool, NoHotStore(), cast(Any, self), threads)
        self.presigned = PresignedContents(self.contents, threads, 7200.0)
        self.strict = PresignedContents(self.contents, threads, 0.0)
        self.project: Any = None

    def of(self, mount: int) -> Any:
        return self.executor

    async def make(self) -> "ProjectInBucket":
        async with self.pool.connection() as connection:
            self.project = await make_project(connection, await make_mount(connection), promotion="strict")
        return self

    async def link(self) -> ColdLink:
        made = await self.presigned.link(self.project, SHA, SIZE)
        assert made is not None
        return made

    async def take(self, ticket: str) -> bool:
        return await self.presigned.take(self.project, SHA, SIZE, ticket)

    async def read(self) -> tuple[Tier, bytes]:
        async with self.pool.connection() as connection:
            row = (await objects.known(connection, self.project.id, [SHA]))[SHA]
        return row.tier, b"".join([piece async for piece in self.contents.read(self.project, row)])

    def lying(self) -> list[str]:
        return [file.key for file in self.executor.cold().keys(f"t/main/{self.project.uuid}/objects")]


def put(link: ColdLink, content: bytes = CONTENT, **headers: str) -> int:
    """As a node without any credentials."""
    return httpx2.put(link.link.url, content=content, headers={**link.link.headers, **headers}).status_code


@pytest.fixture
async def bucket(pool: Pool, s3_mount: S3Mount) -> AsyncIterator[ProjectInBucket]:
    executor = s3_mount.open()
    executor.register()
    yield await ProjectInBucket(pool, executor).make()


async def test_what_was_put_under_a_link_is_cold_once_it_was_proven(bucket: ProjectInBucket, s3_mount: S3Mount) -> None:
    made = await bucket.link()
    assert s3_mount.server.secret not in made.link.url and "x-amz-checksum-sha256" in made.link.headers
    with pytest.raises(NotFound):
        await bucket.take(made.ticket)
    assert put(made) == 200
    assert await bucket.take(made.ticket) and await bucket.read() == (Tier.COLD, CONTENT)
    assert not await bucket.take(made.ticket), "the same once more is harmless"
    assert await bucket.read() == (Tier.COLD, CONTENT)
    assert put(made) == 412, "a link puts once"
    assert await bucket.presigned.link(bucket.project, SHA, SIZE) is None


async def test_another_content_than_was_announced_is_refused(bucket: ProjectInBucket) -> None:
    made, other = await bucket.link(), bytes(SIZE)
    digest = {"x-amz-checksum-sha256": "0" * 43 + "="}
    assert put(made, other) >= 400 and put(made, other, **digest) >= 400 and put(made, CONTENT[:-1] + b"x") >= 400
    with pytest.raises(NotFound):
        await bucket.take(made.ticket)
    assert bucket.lying() == []


async def test_of_two_copies_of_a_content_one_stays(bucket: ProjectInBucket) -> None:
    first, second = await bucket.link(), await bucket.link()
    assert (put(first), put(second)) == (200, 200)
    assert (await bucket.take(first.ticket), await bucket.take(second.ticket)) == (True, False)
    assert await bucket.read() == (Tier.COLD, CONTENT)
    assert [key.endswith(first.ticket) for key in bucket.lying()] == [True]


async def test_what_a_collection_may_be_about_to_sweep_is_not_taken(bucket: ProjectInBucket) -> None:
    made = await bucket.link()
    assert put(made) == 200
    with pytest.raises(NotFound, match="too long"):
        await bucket.strict.take(bucket.project, SHA, SIZE, made.ticket)
    for ticket in ("", "../../other", "0" * 13, made.ticket.upper() + "g"):
        with pytest.raises(InvalidRequest):
            await bucket.take(ticket)


async def test_a_folder_takes_contents_through_the_service_alone(pool: Pool, tmp_path: Any) -> None:
    local = LocalExecutor.register(str(tmp_path), "0190a1b2-0000-7000-8000-000000000001")
    project = await ProjectInBucket(pool, local).make()
    with pytest.raises(NotSupported):
        await project.link()


async def test_a_content_that_was_lost_is_where_it_was_put_anew(bucket: ProjectInBucket) -> None:
    """Its row still had the key of the copy that is gone."""
    made = await bucket.link()
    put(made)
    await bucket.take(made.ticket)
    (key,) = bucket.lying()
    bucket.executor.cold().delete(key)
    async with bucket.pool.connection() as connection:
        await objects.move(connection, bucket.project.id, TierMove.COLD_LOST, [SHA])
    again = await bucket.link()
    assert put(again) == 200 and await bucket.take(again.ticket)
    assert await bucket.read() == (Tier.COLD, CONTENT)
