"""What steps are on a bucket: conditions, copies in the trash, marks of what was done; with and without versions."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Source
from activities.executors.contract.task import Done, Step, Task, Unclear
from activities.executors.s3.bucket import Bucket
from activities.executors.s3.executor import S3Executor
from schema.errors import ContentExpired, NotSupported, VersionConflict
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.bench_s3 import OutsideBucket, uploads_of
from tests.executors.conftest import DAY, Bench, When, refused
from tests.fix_s3 import VERSIONED, S3Mount

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(each_s3_mount: S3Mount) -> Bench:
    executor = each_s3_mount.open()
    return Bench(executor, OutsideBucket(executor))


def again(task: Task) -> Task:
    return replace(task, attempt=task.attempt + 1)


def move(known: Identity, path: bytes, target: bytes, replaced: Identity | None = None) -> Task:
    command = new_command_id()
    trash = f"{DAY}/{command}.0" if replaced else None
    return Task(
        command, Step.MOVE, NodePath(path), expected=known, trash=trash, target=NodePath(target), replaced=replaced
    )


def restore(known: Identity, place: str | None, path: bytes) -> Task:
    assert place
    return Task(new_command_id(), Step.RESTORE, NodePath(path), expected=known, place=place.encode())


# -- create and replace ------------------------------------------------------------------------------------------------


def test_what_appears_is_known_by_its_etag_and_version(bench: Bench, each_s3_mount: S3Mount) -> None:
    made = bench.has(b"file", b"new")
    assert (made.size, len(made.tag), made.inode, made.mtime) == (3, 32, 0, 0)
    assert bool(made.edition) == each_s3_mount.bucket.endswith("versioned")
    assert Identity.of_facts(made.facts()) == made


def test_what_was_done_to_our_file_since_is_drift_and_not_recorded_as_ours(bench: Bench) -> None:
    task = bench.create(b"name", b"new")
    made = bench.executor.act(task)
    assert isinstance(made, Done)
    bench.outside.put(b"name", b"strange")
    swapped = bench.executor.act(again(task))
    bench.outside.remove(b"name")
    removed = bench.executor.act(again(task))
    for result in (swapped, removed):
        assert isinstance(result, Done) and result.recognised and result.drift
        assert result.identity == made.identity


@pytest.mark.parametrize("spoil", ["edit_stage", "put_stage"])
def test_a_stage_somebody_wrote_into_is_not_published_and_kept(bench: Bench, spoil: str) -> None:
    task = bench.create(b"file", b"new")
    getattr(bench.outside, spoil)(task.command, b"not what was hashed")
    assert refused(bench.executor.act(task)) == "STAGE_LOST"
    assert refused(bench.executor.act(again(task))) == "STAGE_LOST"
    bench.executor.finish(task, False)
    assert bench.outside.read(b"file") is None and bench.outside.stages() == {}
    assert isinstance(bench.outside, OutsideBucket)
    assert (bench.outside.spool / "kept" / task.command).read_bytes() == b"not what was hashed"


def test_a_replace_copies_the_old_content_to_the_trash_before_it_acts(bench: Bench, when: When) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    seen: list[dict[str, bytes | None]] = []
    when("apply.act", lambda: seen.append(bench.outside.trash()))
    bench.done(task)
    assert seen == [{task.trash: b"old"}]
    assert bench.outside.read(b"file") == b"new"
    assert bench.outside.trash() == {task.trash: b"old"} and bench.outside.stages() == {}


def test_a_replace_done_again_is_recognised(bench: Bench) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    first, second = bench.executor.act(task), bench.executor.act(again(task))
    assert isinstance(first, Done)
    assert second == Done(first.identity, recognised=True)
    bench.outside.remove(b"file")
    third = bench.executor.act(again(task))
    assert isinstance(third, Done) and third.identity == first.identity and third.drift


@pytest.mark.parametrize("content", [b"strange", None])
def test_a_replace_refuses_what_comes_between_look_and_step(bench: Bench, when: When, content: bytes | None) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    between = (lambda: bench.outside.put(b"file", content)) if content else (lambda: bench.outside.remove(b"file"))
    when("apply.act", between)
    assert refused(bench.executor.act(task)) == ("VERSION_CONFLICT" if content else "NODE_NOT_FOUND")
    assert bench.outside.read(b"file") == content
    assert bench.outside.trash() == {}
    bench.executor.finish(task, False)
    assert bench.outside.stages() == {}


def test_a_later_attempt_that_finds_strangers_bytes_keeps_the_copy_it_can_not_account_for(
    bench: Bench, when: When
) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    when("apply.act", crash)
    with pytest.raises(StepCrash):
        bench.executor.act(task)
    bench.outside.put(b"file", b"strange")
    assert refused(bench.executor.act(again(task))) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"strange" and bench.outside.trash() == {task.trash: b"old"}


class StepCrash(Exception):
    pass


def crash() -> None:
    raise StepCrash


def test_strangers_metadata_and_media_type_survive_replace_delete_move_and_restore(bench: Bench) -> None:
    assert isinstance(bench.outside, OutsideBucket)
    store = bench.outside.store
    bench.outside.client.put_object(
        Bucket=store.bucket.name, Key=store.keys.prefix + "file", Body=b"x", Metadata={"owner": "somebody"},
        ContentType="text/csv", CacheControl="no-store",
    )  # fmt: skip
    (entry,) = bench.executor.walk()
    moved = bench.done(move(entry.identity, b"file", b"moved")).identity
    assert moved
    deleted = bench.delete(b"moved", moved)
    bench.done(deleted)
    bench.done(restore(moved, deleted.trash, b"back"))
    found = store.bucket.head(store.keys.of(NodePath(b"back")))
    assert found and found.metadata["owner"] == "somebody"
    assert (found.headers["ContentType"], found.headers["CacheControl"]) == ("text/csv", "no-store")
    assert set(found.metadata) == {"owner", "filestore-command"}


# -- delete ------------------------------------------------------------------------------------------------------------


def test_a_delete_refuses_what_comes_between_look_and_step(bench: Bench, when: When) -> None:
    task = bench.delete(b"file", bench.has(b"file", b"old"))
    when("apply.act", lambda: bench.outside.put(b"file", b"strange"))
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"strange" and bench.outside.trash() == {}


def test_a_delete_that_died_before_its_step_goes_on(bench: Bench, when: When) -> None:
    task = bench.delete(b"file", bench.has(b"file", b"old"))
    when("apply.act", crash)
    with pytest.raises(StepCrash):
        bench.executor.act(task)
    assert bench.outside.read(b"file") == b"old"
    assert bench.executor.act(again(task)) == Done(None)
    assert bench.outside.read(b"file") is None and bench.outside.trash() == {task.trash: b"old"}


def test_a_directory_that_others_made_stays_when_its_last_file_goes(bench: Bench) -> None:
    bench.outside.put(b"a/b/file", b"x")
    known = {entry.path.raw: entry.identity for entry in bench.executor.walk()}
    assert list(known) == [b"a", b"a/b", b"a/b/file"]
    bench.done(bench.delete(b"a/b/file", known[b"a/b/file"]))
    assert [entry.path.raw for entry in bench.executor.walk()] == [b"a", b"a/b"]
    bench.has(b"a/b/file", b"new")


def test_a_name_whose_directory_went_away_can_be_used(bench: Bench, each_s3_mount: S3Mount) -> None:
    bench.outside.put(b"ghost/file", b"x")
    bench.outside.remove(b"ghost/file")
    if each_s3_mount.bucket == VERSIONED:  # SeaweedFS keeps the directory, for the history of what was in it
        assert refused(bench.executor.act(bench.create(b"ghost", b"a file now"))) == "NODE_EXISTS"
    else:
        bench.has(b"ghost", b"a file now")
    bench.outside.put(b"other/file", b"x")
    bench.outside.remove(b"other/file")
    bench.has(b"other", None)


# -- move and restore --------------------------------------------------------------------------------------------------


def test_a_move_shows_the_file_at_both_names_until_it_is_recorded(bench: Bench) -> None:
    task = move(bench.has(b"old", b"content"), b"old", b"new")
    result = bench.executor.act(task)
    assert isinstance(result, Done) and result.identity and not result.recognised
    assert [bench.outside.read(name) for name in (b"old", b"new")] == [b"content", b"content"]
    assert bench.executor.act(again(task)) == Done(result.identity, recognised=True)
    for _ in range(2):
        bench.executor.finish(task, True)
    assert [bench.outside.read(name) for name in (b"old", b"new")] == [None, b"content"]
    assert bench.executor.act(again(task)) == Done(result.identity, recognised=True)


def test_a_source_that_changed_after_the_step_stays(bench: Bench) -> None:
    task = move(bench.has(b"old", b"content"), b"old", b"new")
    bench.executor.act(task)
    bench.outside.put(b"old", b"newer")
    bench.executor.finish(task, True)
    assert [bench.outside.read(name) for name in (b"old", b"new")] == [b"newer", b"content"]


def test_a_move_never_lands_on_a_stranger(bench: Bench, when: When) -> None:
    task = move(bench.has(b"old", b"content"), b"old", b"new")
    when("apply.act", lambda: bench.outside.put(b"new", b"strange"))
    assert refused(bench.executor.act(task)) == "NODE_EXISTS"
    bench.executor.finish(task, False)
    assert [bench.outside.read(name) for name in (b"old", b"new")] == [b"content", b"strange"]


def test_a_move_takes_only_what_the_record_knows(bench: Bench, each_s3_mount: S3Mount, when: When) -> None:
    first = move(bench.has(b"old", b"content"), b"old", b"first")
    when("apply.act", lambda: bench.outside.put(b"old", b"strange"))
    if each_s3_mount.bucket == VERSIONED:  # the version that the record knows is there still
        bench.done(first)
        assert [bench.outside.read(name) for name in (b"old", b"first")] == [b"strange", b"content"]
        bench.outside.remove(b"old")
    else:
        assert refused(bench.executor.act(first)) == "VERSION_CONFLICT"
        assert bench.outside.read(b"first") is None
    task = move(bench.has(b"known", b"content"), b"known", b"new")
    bench.outside.put(b"known", b"strange")
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"new") is None
    bench.outside.remove(b"known")
    assert refused(bench.executor.act(task)) == "NODE_NOT_FOUND"
    assert refused(bench.executor.act(move(bench.has(b"x", b""), b"x", b"no/x"))) == "PARENT_NOT_FOUND"


def test_a_move_onto_a_file_keeps_that_in_the_trash(bench: Bench) -> None:
    known, replaced = bench.has(b"old", b"content"), bench.has(b"new", b"replaced")
    task = move(known, b"old", b"new", replaced)
    bench.done(task)
    assert [bench.outside.read(name) for name in (b"old", b"new")] == [None, b"content"]
    assert bench.outside.trash() == {task.trash: b"replaced"}


def test_a_move_onto_a_file_refuses_another_one_there(bench: Bench, when: When) -> None:
    known, replaced = bench.has(b"old", b"content"), bench.has(b"new", b"replaced")
    task = move(known, b"old", b"new", replaced)
    when("apply.act", lambda: bench.outside.put(b"new", b"strange"))
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"new") == b"strange" and bench.outside.trash() == {}


def test_a_directory_moves_item_by_item(bench: Bench) -> None:
    folder, file = bench.has(b"a", None), bench.has(b"a/file", b"x")
    tasks = [move(folder, b"a", b"b"), move(file, b"a/file", b"b/file")]
    for task in tasks:
        assert isinstance(bench.executor.act(task), Done)
        assert isinstance(bench.executor.act(again(task)), Done)
    for task in reversed(tasks):
        bench.executor.finish(task, True)
    assert {entry.path.raw for entry in bench.executor.walk()} == {b"b", b"b/file"}
    assert refused(bench.executor.act(replace(move(folder, b"b", b"c"), tree=True))) == "NOT_SUPPORTED"


@pytest.mark.parametrize("content", [b"old", None])
def test_what_was_deleted_is_restored_at_any_free_name(bench: Bench, content: bytes | None) -> None:
    known = bench.has(b"name", content)
    deleted = bench.delete(b"name", known)
    bench.done(deleted)
    task = restore(known, deleted.trash, b"back")
    first = bench.executor.act(task)
    assert isinstance(first, Done) and first.identity and first.identity.directory == (content is None)
    second = bench.executor.act(again(task))
    assert second == Done(first.identity, recognised=True)
    bench.executor.finish(task, True)
    bench.executor.finish(task, True)
    assert bench.outside.trash() == {}
    assert bench.outside.read(b"back") == content and len(list(bench.executor.walk())) == 1


def test_a_restore_refuses_a_taken_name_and_content_that_is_gone(bench: Bench) -> None:
    known = bench.has(b"name", b"old")
    deleted = bench.delete(b"name", known)
    bench.done(deleted)
    bench.outside.put(b"name", b"strange")
    assert refused(bench.executor.act(restore(known, deleted.trash, b"name"))) == "NODE_EXISTS"
    bench.outside.put_trash(deleted.trash or "", b"spoiled")
    assert refused(bench.executor.act(restore(known, deleted.trash, b"back"))) == "VERSION_CONFLICT"
    bench.outside.remove(b".filestore/trash/" + (deleted.trash or "").encode())
    assert refused(bench.executor.act(restore(known, deleted.trash, b"back"))) == "CONTENT_EXPIRED"
    with pytest.raises(ContentExpired):
        bench.executor.open_kept((deleted.trash or "").encode())


# -- copies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"content", b"", None])
def test_a_copy_is_made_by_the_store_and_published_as_it_was_staged(bench: Bench, content: bytes | None) -> None:
    known = bench.has(b"name", content)
    stage = new_command_id()
    source = Source(b"", "file" if content is not None else "directory", known, NodePath(b"name"))
    for _ in range(2):
        (copied,) = bench.executor.stage_copy(stage, [source])
        bench.executor.seal([], [stage])
    assert copied.identity.same_content(bench.executor.find_stage(stage))
    assert [name for name, age in bench.executor.stages() if age < 60] == [stage]
    task = Task(stage, Step.CREATE, NodePath(b"copy"), stage, copied.identity)
    bench.done(task)
    assert bench.outside.read(b"copy") == content == bench.outside.read(b"name")
    assert bench.outside.stages() == {}


def test_older_content_is_copied_from_the_trash(bench: Bench) -> None:
    known = bench.has(b"file", b"old")
    replaced = bench.replace(b"file", b"new", known)
    bench.done(replaced)
    stage = new_command_id()
    place = (replaced.trash or "").encode()
    (copied,) = bench.executor.stage_copy(stage, [Source(b"", "file", known, place=place)])
    task = bench.replace(b"file", b"x", bench.executor.open(NodePath(b"file")).identity)
    task = replace(task, command=stage, stage=stage, staged=copied.identity, trash=f"{DAY}/{stage}.0")
    bench.done(task)
    assert bench.outside.read(b"file") == b"old"
    assert bench.executor.open_kept(place).read(0, 9) == b"old"


def test_only_what_the_record_knows_is_copied(bench: Bench) -> None:
    known = bench.has(b"file", b"old")
    bench.outside.put(b"file", b"strange")
    with pytest.raises(VersionConflict):
        list(bench.executor.stage_copy(new_command_id(), [Source(b"", "file", known, NodePath(b"file"))]))
    with pytest.raises(NotSupported):
        list(bench.executor.stage_copy(new_command_id(), [Source(b"", "symlink", known, NodePath(b"file"))]))
    two = [Source(b"", "directory", known, NodePath(b"a")), Source(b"b", "file", known, NodePath(b"a/b"))]
    with pytest.raises(NotSupported):
        list(bench.executor.stage_copy(new_command_id(), two))


def test_a_copy_larger_than_one_request_is_made_in_parts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom((5 << 20) * 2 + 99)
    bench.outside.put(b"old", content)
    (entry,) = bench.executor.walk()
    assert isinstance(bench.outside, OutsideBucket)
    bucket: Bucket = bench.outside.store.bucket
    monkeypatch.setattr(bucket, "copy_max", 1 << 20)
    monkeypatch.setattr(bucket, "copy_part", 5 << 20)
    result = bench.done(move(entry.identity, b"old", b"new"))
    assert result.identity and result.identity.tag.endswith("-3")
    assert bench.outside.read(b"new") == content and bench.outside.read(b"old") is None
    assert refused(bench.executor.act(move(result.identity, b"new", b"new"))) == "NODE_EXISTS"
    assert uploads_of(cast(S3Executor, bench.executor)) == []


# -- reversed ----------------------------------------------------------------------------------------------------------


def test_a_move_and_a_restore_are_taken_back(bench: Bench) -> None:
    known, replaced = bench.has(b"old", b"content"), bench.has(b"new", b"replaced")
    onto, free = move(known, b"old", b"new", replaced), move(known, b"old", b"free")
    for task in (onto, free):
        bench.executor.act(task)
        for _ in range(2):
            result = bench.executor.reverse(task)
            assert isinstance(result, Done) and result.identity and result.identity.same_content(known)
    assert [bench.outside.read(name) for name in (b"old", b"new", b"free")] == [b"content", b"replaced", None]
    assert bench.outside.trash() == {}
    deleted = bench.delete(b"old", known)
    bench.done(deleted)
    task = restore(known, deleted.trash, b"old")
    bench.executor.act(task)
    for _ in range(2):
        assert isinstance(bench.executor.reverse(task), Done)
    assert bench.outside.read(b"old") is None and bench.outside.trash() == {deleted.trash: b"content"}


def test_reverse_touches_nothing_where_somebody_has_been_since(bench: Bench) -> None:
    created, deleted = bench.create(b"a", b"a"), bench.delete(b"b", bench.has(b"b", b"b"))
    replaced, folder = bench.replace(b"c", b"new", bench.has(b"c", b"old")), bench.create(b"d", None)
    moved = move(bench.has(b"e", b"e"), b"e", b"f")
    tasks = (created, deleted, replaced, folder, moved)
    for task in tasks:
        bench.executor.act(task)
    for name in (b"a", b"b", b"c", b"d/strange", b"f"):
        bench.outside.put(name, b"strange")
    for task in tasks:
        assert isinstance(bench.executor.reverse(task), Unclear)
    assert all(bench.outside.read(name) == b"strange" for name in (b"a", b"b", b"c", b"d/strange", b"f"))
    assert bench.outside.trash() == {deleted.trash: b"b", replaced.trash: b"old"}


def test_a_create_taken_back_after_its_flush_can_be_tried_again(bench: Bench) -> None:
    task = bench.create(b"file", b"content")
    bench.executor.act(task)
    bench.executor.flush([task])
    assert bench.outside.stages() == {}
    assert isinstance(bench.executor.reverse(task), Done)
    assert task.staged and task.staged.same_content(bench.executor.find_stage(task.command))
    assert isinstance(bench.executor.act(again(task)), Done)
    assert bench.outside.read(b"file") == b"content"


# -- killed ------------------------------------------------------------------------------------------------------------


@pytest.mark.sampled(4)
@pytest.mark.parametrize("point", ["apply.act", "apply.acted"])
@pytest.mark.parametrize("step", ["create", "replace", "delete", "move", "large"])
def test_a_process_killed_around_its_step_is_followed_by_one_effect(
    bench: Bench, each_s3_mount: S3Mount, point: str, step: str
) -> None:
    large = os.urandom((8 << 20) + 1)
    match step:
        case "create":
            task = bench.create(b"file", b"new")
        case "large":
            task = bench.create(b"file", large)
        case "replace":
            task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
        case "delete":
            task = bench.delete(b"file", bench.has(b"file", b"old"))
        case _:
            task = move(bench.has(b"old", b"new"), b"old", b"file")
    act_and_die(each_s3_mount, task, point)
    locks = bench.executor.locks()
    assert locks.take(task.command)
    locks.close()
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.drift is None
    assert result.recognised == (point == "apply.acted")
    bench.executor.flush([task])
    bench.executor.finish(task, True)
    wanted = {"delete": None, "large": large}.get(step, b"new")
    assert bench.outside.read(b"file") == wanted and bench.outside.read(b"old") is None
    assert bench.outside.stages() == {}
    assert bench.outside.trash() == ({task.trash: b"old"} if step in ("replace", "delete") else {})


def act_and_die(mount: S3Mount, task: Task, point: str) -> None:
    """In a process of its own, which holds the command's lock and is killed at the point."""
    script = (
        "import pickle, sys\n"
        "mount, task = pickle.load(sys.stdin.buffer)\n"
        "executor = mount.open()\n"
        "assert executor.locks().take(task.command)\n"
        "executor.act(task)\n"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "FILESTORE_FAULT": f"{point}=kill", "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(
        command, cwd=REPOSITORY, input=pickle.dumps((mount, task)), env=environment, capture_output=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
