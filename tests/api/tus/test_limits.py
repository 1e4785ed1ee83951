"""What one principal may have announced at a time: resumable uploads and those straight to a bucket alike."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from activities.executors.contract.executor import Executor
from activities.executors.contract.stage import UploadLink
from api.http.fields import METADATA_MAX
from schema.errors import InvalidPath, PayloadTooLarge
from schema.paths import NodePath
from tests.api.conftest import FrontOfTest, Tree
from tests.api.tus.helpers import V, about, begin, change, create, files, patch

TIB = 2**40


class Presigning:
    """An executor that gives links, as those of buckets do."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def presign_stage(self, *_: object) -> UploadLink:
        return UploadLink("http://bucket/key", {})

    def find_uploaded(self, *_: object) -> None:
        return None


async def presign(client: httpx2.AsyncClient, tree: Tree, size: int, path: str = "a.bin") -> httpx2.Response:
    body = {"backendMountId": tree.mount, "path": path, "sizeBytes": size, "contentHash": "sha256:" + "0" * 64}
    return await client.post("/v1/uploads/presign", json=body)


async def test_of_many_uploads_announced_at_once_only_the_allowed_ones_are_open(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    change(front, uploads_open_max=5)
    answers = await asyncio.gather(*[create(client, tree, 10) for _ in range(25)])
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (len(answers) - len(refused), len(refused)) == (5, 20)
    assert {answer.json()["error"]["code"] for answer in refused} == {"RATE_LIMITED"}
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert len(files(spool)) == 5, "a refused upload leaves no file"
    opened = next(answer.headers["location"] for answer in answers if answer.status_code == 201)
    assert (await client.delete(opened, headers=V)).status_code == 204
    assert (await create(client, tree, 10)).status_code == 201


async def test_announced_bytes_are_limited_and_a_finished_upload_makes_room(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    change(front, uploads_open_bytes_max=30)
    where = await begin(client, tree, 20)
    refused = await create(client, tree, 11)
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "STORAGE_FULL")
    later = await begin(client, tree, None)
    assert (await patch(client, later, 0, b"x", Upload_Length="11")).status_code == 507
    assert (await patch(client, where, 0, b"x" * 20)).status_code == 204
    assert (await patch(client, later, 0, b"x", Upload_Length="11")).status_code == 204


@pytest.mark.parametrize(("allowed", "status"), [({"uploads_open_max": 2}, 429), ({"uploads_open_bytes_max": 2}, 507)])
async def test_uploads_straight_to_a_bucket_count_with_the_others(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path, allowed: dict[str, int], status: int
) -> None:
    front.disks.wrapped = Presigning
    change(front, **allowed)
    await begin(client, tree, 1)
    answers = await asyncio.gather(*[presign(client, tree, 1) for _ in range(10)])
    assert sorted(answer.status_code for answer in answers) == [201] + [status] * 9


class Bounded(Presigning):
    """An executor whose storage can not hold every path, or every size."""

    def check_upload(self, path: NodePath, size: int | None) -> None:
        if len(path.raw) > 10:
            raise InvalidPath("longer than a key")
        if size is not None and size > 100:
            raise PayloadTooLarge("larger than an object")


@pytest.mark.parametrize(
    ("path", "size", "refusal"),
    [("a" * 10, 100, None), ("a" * 11, 1, (400, "INVALID_PATH")), ("a", 101, (413, "PAYLOAD_TOO_LARGE"))],
)
async def test_what_the_storage_can_never_hold_is_refused_before_its_first_byte(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path, path: str, size: int,
    refusal: tuple[int, str] | None,
) -> None:  # fmt: skip
    front.disks.wrapped = Bounded
    answers = [
        await create(client, tree, size, Upload_Metadata=about(tree, path)),
        await presign(client, tree, size, path),
        await client.put("/v1/files/by-path", params={"backendMountId": tree.mount, "path": path}, content=b"x" * size),
    ]
    for answer in answers:
        if refusal is None:
            assert answer.status_code == 201, answer.text
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == refusal
    assert len(files(spool)) == (refusal is None)
    assert len(front.commands.submissions) == (refusal is None)


@pytest.mark.parametrize(("size", "status"), [(100, 204), (101, 413)])
async def test_a_length_that_is_told_later_is_one_that_the_storage_can_hold(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path, size: int, status: int
) -> None:
    front.disks.wrapped = Bounded
    where = await begin(client, tree, None)
    assert (await patch(client, where, 0, b"x", Upload_Length=str(size))).status_code == status


async def test_metadata_that_is_too_much_is_refused_before_the_first_byte(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    """As it is counted: as JSON in ASCII, so that a letter can be six bytes."""
    front.disks.wrapped = Presigning
    metadata = {"note": "é" * (METADATA_MAX // 6)}
    upload_metadata = about(tree, metadata=json.dumps(metadata, ensure_ascii=False))
    assert (await create(client, tree, 1, Upload_Metadata=upload_metadata)).status_code == 413
    body = {"backendMountId": tree.mount, "path": "a", "sizeBytes": 1, "contentHash": "sha256:" + "0" * 64}
    answer = await client.post("/v1/uploads/presign", json=body | {"metadata": metadata})
    assert answer.status_code == 413
    assert files(spool) == []


async def test_by_default_500_uploads_of_5_tib_are_not_announced(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    change(front, upload_max_bytes=5 * TIB)
    answers = [(await create(client, tree, 5 * TIB)).status_code for _ in range(8)]
    assert answers == [201] * 4 + [507] * 4
