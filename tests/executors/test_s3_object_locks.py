"""Object Lock of a bucket: what is proved of it, what locks keep, and a bucket that locks by itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from activities.executors.contract.stage import Source
from activities.executors.contract.task import Done
from activities.executors.s3.bucket import Bucket, FoundObject
from activities.executors.s3.errors import RETAINED, Missing
from activities.executors.s3.keys import Keys
from activities.executors.s3.locks import S3Locks
from activities.executors.s3.steps.attempt import FOLDER
from schema.access.object_locks import HeldObject, LockedObject, LockProof, check_lockable
from schema.errors import NotSupported
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.bench_s3 import OutsideBucket
from tests.executors.conftest import Bench
from tests.fix_s3 import LOCKING, RETAINING, S3Mount, S3Server, new_mount


@pytest.fixture
def locking(s3_server: S3Server, tmp_path: Path) -> S3Mount:
    return new_mount(s3_server, tmp_path / "spool", LOCKING)


def versions(mount: S3Mount, key: str) -> list[str]:
    found = mount.server.client().list_object_versions(Bucket=mount.bucket, Prefix=f"{mount.prefix}/{key}")
    return [one["VersionId"] for one in found.get("Versions", [])]


def test_a_bucket_that_keeps_what_is_locked_is_proved_and_no_versions_pile_up(locking: S3Mount) -> None:
    locks = locking.open().object_locks()
    for _ in range(3):
        assert locks.prove() == LockProof(enabled=True, legal_hold=True, retention=True)
    assert len(versions(locking, ".filestore/lock-canary/")) == 2


def test_a_bucket_without_object_lock_is_told_from_one_with_it(s3_mount: S3Mount) -> None:
    proof = s3_mount.open().object_locks().prove()
    assert (proof.enabled, proof.legal_hold, proof.retention) == (False, False, False)
    with pytest.raises(NotSupported, match="no Object Lock"):
        check_lockable(proof, "legal")


def test_what_a_bucket_locks_by_itself_is_shown(s3_server: S3Server, tmp_path: Path) -> None:
    proof = new_mount(s3_server, tmp_path / "spool", RETAINING).open().object_locks().prove()
    assert proof == LockProof(True, True, True, "GOVERNANCE", 1)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_held_version_is_not_removed_with_the_mounts_own_credentials(locking: S3Mount, known: bool) -> None:
    executor = locking.open()
    made = Bench(executor, OutsideBucket(executor)).has(b"f", b"kept")
    held = HeldObject(NodePath(b"f"), made.tag, made.size, made.edition if known else "")
    locks, client = executor.object_locks(), locking.server.client()
    found = locks.find(held)
    assert found == LockedObject(f"{locking.prefix}/f", made.edition)
    where = {"Bucket": locking.bucket, "Key": found.key, "VersionId": found.version}
    locks.lock(found, None)
    locks.lock(found, None)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(**where)
    locks.unlock(found)
    client.delete_object(**where)
    locks.unlock(found)
    assert locks.find(replace(held, version="", etag="0" * 32)) is None
    with pytest.raises(PermissionError):
        locks.lock(replace(found, version=found.version[::-1]), None)


def test_a_retention_can_be_made_longer_and_not_shorter(locking: S3Mount) -> None:
    executor = locking.open()
    made = Bench(executor, OutsideBucket(executor)).has(b"f", b"kept")
    locks, client, soon = executor.object_locks(), locking.server.client(), datetime.now(UTC) + timedelta(minutes=2)
    found = LockedObject(f"{locking.prefix}/f", made.edition)
    for until in (soon, soon + timedelta(minutes=2), soon):
        locks.lock(found, until)
    where = {"Bucket": locking.bucket, "Key": found.key, "VersionId": found.version}
    kept = client.get_object_retention(**where)["Retention"]
    assert kept["Mode"] == "COMPLIANCE"
    assert abs(kept["RetainUntilDate"] - soon - timedelta(minutes=2)) < timedelta(seconds=1)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(**where, BypassGovernanceRetention=True)


class YesStore:
    """A store that says yes to every lock, and removes the object all the same where it is asked to."""

    def __init__(self, keeps: bool = False, takes: bool = True) -> None:
        self.keeps, self.takes, self.there, self.name = keeps, takes, set[str](), "b"
        self.client = self.wire = self
        self.headers = dict[str, str]()

    def head(self, key: str) -> FoundObject | None:
        return FoundObject(key, "e", 1, "v") if key in self.there else None

    def put(self, key: str, *rest: Any) -> FoundObject:
        self.there.add(key)
        return FoundObject(key, "e", 1, "v")

    def ask(self, method: str, key: str, query: Any = None) -> Any:
        if key not in self.there:
            raise Missing(key)
        return self

    def get_object_lock_configuration(self, **_: Any) -> Any:
        return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}

    def put_object_retention(self, **_: Any) -> None:
        if not self.takes:
            raise ClientError({"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}, "x")  # type: ignore[typeddict-item]

    put_object_legal_hold = put_object_retention

    def delete_object(self, Key: str, **_: Any) -> None:
        if not self.keeps:
            self.there.discard(Key)

    def proof(self) -> LockProof:
        return S3Locks(cast(Bucket, self), Keys("p")).prove()


def test_a_store_that_says_yes_and_removes_the_object_all_the_same_is_found_out() -> None:
    proof = YesStore().proof()
    assert (proof.enabled, proof.legal_hold, proof.retention) == (True, False, False)
    assert proof.problem is not None and "removed the object all the same" in proof.problem
    for kind in ("legal", "retain", "protect"):
        with pytest.raises(NotSupported, match=r"removed the object all the same.*Leave objectLock out"):
            check_lockable(proof, cast(Any, kind))
    assert YesStore(keeps=True).proof() == LockProof(True, True, True)


def test_a_store_that_takes_no_locks_is_told_with_its_own_word() -> None:
    proof = YesStore(takes=False).proof()
    assert not proof.legal_hold and proof.problem is not None and "NotImplemented" in proof.problem
    with pytest.raises(NotSupported, match="not looked at yet"):
        check_lockable(None, "legal")


def test_everything_comes_and_goes_in_a_bucket_that_locks_by_itself(s3_server: S3Server, tmp_path: Path) -> None:
    """Nothing can be removed there for a day. What is removed is hidden, so each step ends, and ends once."""
    mount = new_mount(s3_server, tmp_path / "spool", RETAINING)
    executor = mount.open()
    bench, outside = Bench(executor, OutsideBucket(executor)), OutsideBucket(executor)
    first = bench.has(b"f", b"one")
    assert mount.server.client().get_object_retention(
        Bucket=RETAINING, Key=f"{mount.prefix}/f", VersionId=first.edition
    )["Retention"]["Mode"] == "GOVERNANCE"  # fmt: skip
    bench.done(bench.create(b"d", None))
    replaced = bench.replace(b"f", b"two", first)
    second = bench.done(replaced).identity
    assert second is not None
    deleted = bench.delete(b"f", second)
    assert isinstance(bench.done(deleted), Done)
    assert isinstance(executor.act(replace(deleted, attempt=2)), Done)
    for task in (replaced, deleted):
        executor.finish(task, True)
        assert task.trash is not None
        kept = executor.object_locks().find(HeldObject(NodePath(b"f"), "", 3, "", task.trash.encode()))
        assert kept is not None and kept.version and kept.key.endswith(f"trash/{task.trash}")
        gone = HeldObject(NodePath(b"f"), "", 4, "", task.trash.encode())
        assert executor.object_locks().find(gone) is None, "another size is another content"
        for _ in range(2):
            executor.purge(task.trash.encode())
    source, copied = bench.has(b"g", b"three"), new_command_id()
    [copy] = executor.stage_copy(copied, [Source(b"", "file", source, NodePath(b"g"))])
    assert executor.discard_stage(copied, copy.identity)
    assert copied not in [one for one, _ in executor.stages()]
    left = outside.keys(b"")
    assert [key for key in left if "/trash/" in key or "/stage/" in key] == []
    assert sorted(key for key in left if not key.startswith(".filestore/")) == ["d/", "g"]


def test_directories_go_from_a_bucket_that_locks_by_itself_and_one_that_is_retained_is_refused(
    s3_server: S3Server, tmp_path: Path
) -> None:
    """SeaweedFS keeps one version of a directory's marker, so what retains that keeps the directory."""
    mount = new_mount(s3_server, tmp_path / "spool", RETAINING)
    executor = mount.open()
    bench, outside = Bench(executor, OutsideBucket(executor)), OutsideBucket(executor)
    for command in (bench.create(b"d", None), bench.create(b"d/e", None)):
        bench.done(command)
    for path in (b"d/e", b"d"):
        bench.done(bench.delete(path, FOLDER))
    assert [key for key in outside.keys(b"") if not key.startswith(".filestore/")] == []

    strangers = mount.server.client()
    until = datetime.now(UTC) + timedelta(days=1)
    strangers.put_object(
        Bucket=RETAINING, Key=f"{mount.prefix}/kept/", Body=b"", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until,
        ChecksumAlgorithm="SHA256",
    )  # fmt: skip
    answer = executor.act(bench.delete(b"kept", FOLDER))
    assert answer == RETAINED and "kept/" in outside.keys(b"")
