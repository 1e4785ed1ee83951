"""Links under which a client puts content into a stage of the bucket: what they are good for, and how it is proven."""

import hashlib
import time
from typing import Any

import httpx2
import pytest

from activities.executors.contract.stage import UploadLink
from activities.executors.s3 import presign as s3_presign
from activities.executors.s3.executor import S3Executor
from schema.errors import ChecksumMismatch, MountOffline, PayloadTooLarge
from schema.ids import CommandId, new_command_id
from tests.fix_s3 import S3Mount, S3Server, new_mount
from tests.fix_s3_proxy import Fault, S3Proxy

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).digest()
OTHER = CONTENT[:-1] + b"x"


def link(executor: S3Executor, stage: CommandId, seconds: int = 60) -> UploadLink:
    return executor.presign_stage(stage, len(CONTENT), SHA256, seconds)


def put(link: UploadLink, content: bytes = CONTENT, url: str | None = None, without: str = "", **headers: str) -> int:
    sent_headers = {**link.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    sent = {name: value for name, value in sent_headers.items() if name != without}
    return httpx2.put(url or link.url, content=content, headers=sent).status_code


def found(executor: S3Executor, stage: CommandId) -> Any:
    return executor.find_uploaded(stage, len(CONTENT), SHA256)


def put_as_a_stranger(executor: S3Executor, stage: CommandId, content: bytes, **more: Any) -> None:
    """What a store without checks would let a client do."""
    bucket, keys = executor.store.bucket, executor.store.keys
    bucket.client.put_object(Bucket=bucket.name, Key=keys.stage(stage), Body=content, **more)


def test_a_link_takes_this_content_once_and_nothing_else(each_s3_mount: S3Mount) -> None:
    executor, stage = each_s3_mount.open(), new_command_id()
    good = link(executor, stage)
    assert each_s3_mount.server.secret not in good.url
    assert put(good, OTHER) == 400, "other bytes"
    assert put(good, CONTENT + b"x", content_length=str(len(CONTENT) + 1)) == 403, "more bytes"
    for missing in ("if-none-match", "x-amz-checksum-sha256", "x-amz-meta-filestore-sha256"):
        assert put(good, without=missing) == 403, missing
    assert put(good, x_amz_meta_filestore_command="somebody's") == 403, "metadata of ours"
    assert put(good, url=good.url.replace(stage, new_command_id())) == 403, "another key"
    assert found(executor, stage) is None
    assert put(good) == 200
    assert put(good) == 412, "it is there, and stays what it is"
    sealed = found(executor, stage)
    assert sealed.sha256 == SHA256 and sealed.identity == executor.find_stage(stage)
    assert list(executor.walk()) == []


def test_a_link_ends(s3_mount: S3Mount) -> None:
    executor, stage = s3_mount.open(), new_command_id()
    good = link(executor, stage, 1)
    time.sleep(2.1)
    assert put(good) == 403
    assert found(executor, stage) is None


def test_no_link_for_more_than_one_request_holds(s3_mount: S3Mount) -> None:
    with pytest.raises(PayloadTooLarge, match="resumable"):
        s3_mount.open().presign_stage(new_command_id(), s3_presign.PUT_MAX + 1, SHA256, 60)


def test_nothing_is_nothing(s3_mount: S3Mount) -> None:
    executor, stage, sha256 = s3_mount.open(), new_command_id(), hashlib.sha256(b"").digest()
    empty = executor.presign_stage(stage, 0, sha256, 60)
    assert executor.find_uploaded(stage, 0, sha256) is None
    assert put(empty, b"") == 200
    sealed = executor.find_uploaded(stage, 0, sha256)
    assert sealed is not None and sealed.identity.size == 0


def test_the_word_of_a_store_that_refuses_wrong_checksums_is_enough(s3_mount: S3Mount, s3_proxy: S3Proxy) -> None:
    stage, executor = new_command_id(), s3_mount.open(s3_proxy.endpoint)
    assert put(link(s3_mount.open(), stage)) == 200
    assert found(executor, stage) and found(executor, stage)
    assert s3_proxy.count("GET", stage) == 0
    assert s3_proxy.count("PUT") == 1, "the store is asked once whether it refuses wrong ones"
    assert [name for name, _ in executor.stages()] == [stage], "and that leaves nothing"


def test_without_a_checksum_it_is_read(s3_mount: S3Mount, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_presign, "BLOCK", 100_000)
    stage, executor = new_command_id(), s3_mount.open(s3_proxy.endpoint)
    put_as_a_stranger(executor, stage, CONTENT)
    assert found(executor, stage).sha256 == SHA256
    assert s3_proxy.count("GET", stage) == 3


def without_checksum(params: dict[str, Any], **_: Any) -> None:
    params["headers"].pop("x-amz-checksum-sha256", None)


def test_a_store_that_keeps_any_checksum_is_not_believed(s3_mount: S3Mount, s3_proxy: S3Proxy) -> None:
    stage, executor = new_command_id(), s3_mount.open(s3_proxy.endpoint)
    put_as_a_stranger(executor, stage, OTHER)
    # From here on it takes what comes, and says that it has the checksum it was told.
    executor.store.bucket.client.meta.events.register("before-call.s3.PutObject", without_checksum)
    sent_headers = {"x-amz-checksum-sha256": link(executor, stage).headers["x-amz-checksum-sha256"]}
    s3_proxy.on(Fault("HEAD", stage, times=99, headers=sent_headers))
    with pytest.raises(ChecksumMismatch) as refused:
        found(executor, stage)
    assert refused.value.details == {
        "expected": f"sha256:{SHA256.hex()}",
        "found": f"sha256:{hashlib.sha256(OTHER).hexdigest()}",
    }
    assert list(executor.stages()) == [], "what it was asked with is gone as well"


@pytest.mark.parametrize(
    ("content", "more"),
    [(OTHER, {}), (CONTENT + b"x", {}), (CONTENT, {"ContentEncoding": "gzip"})],
    ids=["other bytes", "more bytes", "encoded"],
)
def test_what_is_not_what_was_announced_makes_room_for_it(
    each_s3_mount: S3Mount, content: bytes, more: dict[str, Any]
) -> None:
    executor, stage = each_s3_mount.open(), new_command_id()
    put_as_a_stranger(executor, stage, content, **more)
    with pytest.raises(ChecksumMismatch):
        found(executor, stage)
    assert found(executor, stage) is None
    assert put(link(executor, stage)) == 200
    assert found(executor, stage).sha256 == SHA256


def test_a_bucket_that_went_away_is_not_taken_for_an_empty_one(s3_server: S3Server, s3_mount: S3Mount) -> None:
    executor = s3_mount.open()
    bucket = executor.store.bucket
    bucket.delete(executor.store.keys.sentinel)
    with pytest.raises(MountOffline):
        found(executor, new_command_id())


def test_two_mounts_never_share_a_stage(s3_server: S3Server, s3_mount: S3Mount) -> None:
    stage, neighbour = new_command_id(), new_mount(s3_server, s3_mount.spool / "other")
    assert put(link(s3_mount.open(), stage)) == 200
    assert found(neighbour.open(), stage) is None
