"""Content on its way: what waits in the spool, what waits as parts in the bucket, and what is swept."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import cast

import pytest

from activities.executors.contract.abilities import OwnUploads
from activities.executors.contract.stage import Stage
from activities.executors.contract.task import Done, Step, Task
from activities.executors.s3 import upload as s3_upload
from activities.executors.s3.executor import S3Executor
from schema.ids import CommandId, new_command_id
from schema.paths import NodePath
from tests.executors.bench_s3 import OutsideBucket, uploads_of
from tests.executors.conftest import Bench, refused
from tests.fix_s3 import S3Mount

MIB = 1 << 20
PART = 5 * MIB


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As small as a store takes them."""
    monkeypatch.setattr(s3_upload, "PART", PART)
    yield


@pytest.fixture
def bench(each_s3_mount: S3Mount) -> Bench:
    executor = each_s3_mount.open()
    return Bench(executor, OutsideBucket(executor))


def streamed(bench: Bench, path: bytes, content: bytes, piece: int = 700_001) -> Stage:
    writer = bench.executor.open_stage(stage := new_command_id(), NodePath(path))
    for start in range(0, len(content), piece):
        writer.write(content[start : start + piece])
    sealed = writer.close()
    bench.executor.seal([], [stage])
    assert sealed.id == stage
    return sealed


def created(stage: Stage, path: bytes) -> Task:
    return Task(stage.id, Step.CREATE, NodePath(path), stage.id, stage.identity)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 12_345])
def test_a_stream_of_any_size_appears_whole(bench: Bench, each_s3_mount: S3Mount, size: int) -> None:
    content = os.urandom(size)
    stage = streamed(bench, b"file", content)
    assert stage.sha256 == hashlib.sha256(content).digest() and stage.identity.size == size
    kind = stage.identity.tag.partition(":")[0]
    assert kind == ("multipart" if size > PART else "spool")
    assert list(bench.executor.walk()) == []
    later = each_s3_mount.open()  # as another process of this host would find it
    assert stage.identity.same_content(later.find_stage(stage.id))
    result = later.act(created(stage, b"file"))
    assert isinstance(result, Done) and result.identity and result.identity.size == size
    assert bench.outside.read(b"file") == content
    assert isinstance(later.act(created(stage, b"file")), Done), "again, and recognised"
    later.flush([created(stage, b"file")])
    later.finish(created(stage, b"file"), True)
    assert bench.outside.stages() == {} and not list((later.store.spool.root / "parts").iterdir())


def test_an_upload_replaces_under_its_condition(bench: Bench) -> None:
    content = os.urandom(PART + 5)
    known = bench.has(b"file", b"old")
    stage = streamed(bench, b"file", content)
    task = Task(stage.id, Step.REPLACE, NodePath(b"file"), stage.id, stage.identity, known, f"2026-01-02/{stage.id}.0")
    bench.done(task)
    assert bench.outside.read(b"file") == content and bench.outside.trash() == {task.trash: b"old"}


def test_an_upload_never_lands_on_a_stranger_and_is_taken_back(bench: Bench) -> None:
    stage = streamed(bench, b"file", os.urandom(PART + 5))
    bench.outside.put(b"file", b"strange")
    assert refused(bench.executor.act(created(stage, b"file"))) == "NODE_EXISTS"
    bench.executor.finish(created(stage, b"file"), False)
    assert bench.outside.read(b"file") == b"strange" and uploads(bench) == []


def uploads(bench: Bench) -> list[tuple[str, str]]:
    return uploads_of(cast(S3Executor, bench.executor))


def test_an_upload_that_was_removed_is_a_lost_stage(bench: Bench) -> None:
    stage = streamed(bench, b"file", os.urandom(PART + 5))
    assert isinstance(bench.outside, OutsideBucket)
    for key, upload in uploads(bench):
        bench.outside.store.bucket.abort_parts(key, upload)
    assert refused(bench.executor.act(created(stage, b"file"))) == "STAGE_LOST"


def test_a_discarded_upload_leaves_nothing_in_the_bucket(bench: Bench) -> None:
    stage = streamed(bench, b"file", os.urandom(PART + 5))
    assert len(uploads(bench)) == 1
    assert dict(bench.executor.stages()).keys() == {stage.id}
    for _ in range(2):
        assert bench.executor.discard_stage(stage.id, stage.identity)
    assert uploads(bench) == [] and bench.outside.stages() == {} and list(bench.executor.stages()) == []


def test_an_aborted_stream_leaves_nothing_in_the_bucket(bench: Bench) -> None:
    writer = bench.executor.open_stage(new_command_id(), NodePath(b"file"))
    writer.write(os.urandom(3 * PART))
    writer.abort()
    writer.abort()
    assert uploads(bench) == [] and bench.outside.stages() == {}


def test_a_large_file_without_a_path_waits_in_the_spool_and_goes_up_in_parts(bench: Bench) -> None:
    content = os.urandom(2 * PART + 9)
    task = bench.create(b"file", content)
    assert task.staged and task.staged.tag == f"spool:{hashlib.sha256(content).hexdigest()}" and uploads(bench) == []
    result = bench.done(task)
    assert result.identity and result.identity.tag.endswith("-3")
    assert bench.outside.read(b"file") == content and bench.outside.stages() == {}


def test_a_large_spooled_file_somebody_wrote_into_is_not_published(bench: Bench) -> None:
    content = bytearray(os.urandom(2 * PART))
    task = bench.create(b"file", bytes(content))
    content[-1] ^= 1
    bench.outside.edit_stage(task.command, bytes(content))
    assert refused(bench.executor.act(task)) == "STAGE_LOST"
    assert bench.outside.read(b"file") is None
    bench.executor.discard_stage(task.command, None)
    assert uploads(bench) == []


def test_a_sweep_aborts_what_a_dead_process_of_ours_has_noted_and_nothing_of_strangers(
    bench: Bench, s3_mount: S3Mount
) -> None:
    known = streamed(bench, b"file", os.urandom(PART + 5))
    assert isinstance(bench.outside, OutsideBucket) and isinstance(bench.executor, OwnUploads)
    store = bench.outside.store
    theirs = store.bucket.begin_parts(store.keys.prefix + "strangers", {})
    script = """
import os, sys
from pathlib import Path
from activities.executors.s3.spool import BucketSpool
spool = BucketSpool(Path(sys.argv[1]), sys.argv[2])
with spool.noting(sys.argv[3], sys.argv[4]):
    os.kill(os.getpid(), 9)
"""
    dead = store.bucket.begin_parts(key := store.keys.prefix + "copy", {})
    spool = store.spool.root
    subprocess.run([sys.executable, "-c", script, str(spool.parent), spool.name, key, dead], check=False)
    living = store.bucket.begin_parts(store.keys.prefix + "large", {})
    with store.spool.noting(store.keys.prefix + "large", living):
        assert bench.executor.sweep_uploads() == 1
        assert bench.executor.sweep_uploads() == 0
        assert {upload for _, upload in uploads(bench)} >= {theirs, living}
        assert dead not in {upload for _, upload in uploads(bench)}
    assert list((spool / "copies").iterdir()) == []
    assert isinstance(bench.executor.act(created(known, b"file")), Done), "a stage keeps its upload"


def test_marks_of_what_is_done_are_listed_for_the_sweep(bench: Bench) -> None:
    task = bench.create(b"file", b"content")
    bench.executor.act(task)
    bench.executor.flush([task])
    assert [stage for stage, _ in bench.executor.stages()] == [task.command]
    assert bench.executor.find_stage(task.command) is None
    assert bench.executor.discard_stage(task.command, None)
    assert list(bench.executor.stages()) == [] and bench.outside.read(b"file") == b"content"


def test_a_full_spool_is_a_full_storage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from schema.errors import StorageFull

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    writer = bench.executor.open_stage(CommandId(new_command_id()))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageFull):
        writer.write(b"x")
    monkeypatch.undo()
    assert bench.outside.stages() == {}


def test_locks_are_held_between_processes_of_a_host(each_s3_mount: S3Mount) -> None:
    one, two, command = each_s3_mount.open().locks(), each_s3_mount.open().locks(), new_command_id()
    assert one.take(command) and not two.take(command)
    one.close()
    assert two.take(command)
    two.close()
