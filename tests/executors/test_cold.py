"""Cold copies of projects: whole or not there, looked at when they are trusted, on a disk and in a bucket."""

import hashlib
import io
from pathlib import Path

import pytest

from activities.executors.contract.cold import ColdCopies
from activities.executors.local.executor import LocalExecutor
from activities.executors.s3 import cold as s3_cold
from activities.executors.s3.executor import S3Executor
from tests.fix_s3 import S3Mount

MOUNT = "0190a1b2-0000-7000-8000-000000000001"
CONTENT = bytes(range(256)) * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


def check_all(cold: ColdCopies, content: bytes) -> None:
    """The whole contract."""
    sha, size, key = hashlib.sha256(content).hexdigest(), len(content), "t/main/p/objects/ab/cd/name.1"
    assert not cold.holds(key, sha, size)
    with pytest.raises(ValueError, match="not what its name says"):
        cold.put(key, io.BytesIO(content[:-1] + b"x"), sha, size)
    assert not cold.holds(key, sha, size) and list(cold.keys("t/main/p/objects")) == []
    cold.put(key, io.BytesIO(content), sha, size)
    cold.put(key, io.BytesIO(content), sha, size)
    assert cold.holds(key, sha, size) and not cold.holds(key, "0" * 64, size) and not cold.holds(key, sha, size + 1)
    assert b"".join(cold.read(key)) == content and cold.thaw(key)
    assert b"".join(cold.read(key, 7, 1000)) == content[7:1007]
    assert b"".join(cold.read(key, size - 3, 1000)) == content[-3:]
    (file,) = cold.keys("t/main/p/objects")
    assert file.key == key and 0 <= file.age < 3600
    cold.delete(key)
    cold.delete(key)
    assert not cold.holds(key, sha, size)
    with pytest.raises(FileNotFoundError):
        list(cold.read(key))


@pytest.fixture
def local(tmp_path: Path) -> LocalExecutor:
    return LocalExecutor.register(str(tmp_path), MOUNT)


def test_a_disk_keeps_cold_copies(local: LocalExecutor) -> None:
    check_all(local.cold(), CONTENT)


def test_a_copy_that_was_written_into_is_not_held(local: LocalExecutor, tmp_path: Path) -> None:
    local.cold().put("t/f.1", io.BytesIO(CONTENT), SHA, len(CONTENT))
    (tmp_path / ".filestore/cold/t/f.1").write_bytes(CONTENT[:-1] + b"x")
    assert not local.cold().holds("t/f.1", SHA, len(CONTENT))


def test_a_bucket_keeps_cold_copies(s3_mount: S3Mount) -> None:
    check_all(opened(s3_mount).cold(), CONTENT)


def test_a_bucket_keeps_large_cold_copies_in_parts(s3_mount: S3Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store knows the checksums of the parts alone: what it holds is read again."""
    monkeypatch.setattr(s3_cold, "PART", 5 << 20)
    check_all(opened(s3_mount).cold(), CONTENT * 48)


def test_another_object_in_the_place_of_a_copy_is_not_held(s3_mount: S3Mount) -> None:
    executor = opened(s3_mount)
    executor.cold().put("t/f.1", io.BytesIO(CONTENT), SHA, len(CONTENT))
    name = f"{executor.store.keys.reserved}cold/t/f.1"
    executor.store.bucket.client.put_object(Bucket=executor.store.bucket.name, Key=name, Body=CONTENT[:-1] + b"x")
    assert not executor.cold().holds("t/f.1", SHA, len(CONTENT))


def opened(mount: S3Mount) -> S3Executor:
    executor = mount.open()
    executor.register()
    return executor
