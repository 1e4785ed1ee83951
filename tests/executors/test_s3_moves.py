"""Moves and restores in a bucket, where the shared suite can not ask: there the source goes in `finish`, after the record."""

import pytest

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Task, Unclear
from tests.executors.bench_s3 import outside
from tests.executors.conftest import Bench, SimulatedCrash, When, again, crash, refused
from tests.fix_s3 import S3Mount


@pytest.fixture
def bench(s3_mount: S3Mount) -> Bench:
    return Bench(*outside(s3_mount))


def a_move(bench: Bench, content: bytes | None, onto: bool) -> tuple[Task, Identity]:
    known = bench.has(b"name", content)
    return bench.move(b"name", b"target", known, bench.has(b"target", b"replaced") if onto else None), known


@pytest.mark.parametrize("point", ["apply.act", "apply.acted"])
@pytest.mark.parametrize(("content", "onto"), [(b"file", False), (None, False), (b"file", True)])
def test_a_move_whose_process_died_is_taken_once(
    bench: Bench, when: When, point: str, content: bytes | None, onto: bool
) -> None:
    task, _ = a_move(bench, content, onto)
    when(point, crash)
    with pytest.raises(SimulatedCrash):
        bench.executor.act(task)
    result = bench.done(again(task))
    assert (result.recognised, result.drift) == (point == "apply.acted", None)
    assert [entry.path.raw for entry in bench.executor.walk()] == [b"target"]
    assert bench.outside.read(b"target") == content
    assert list(bench.outside.trash().values()) == ([b"replaced"] if onto else [])


@pytest.mark.parametrize("theirs", [None, b"strange"])
def test_a_moved_file_that_was_removed_since_is_drift(bench: Bench, theirs: bytes | None) -> None:
    task, _ = a_move(bench, b"file", False)
    moved = bench.executor.act(task)
    assert isinstance(moved, Done) and moved.identity
    bench.outside.remove(b"target")
    if theirs is not None:
        bench.outside.put(b"name", theirs)
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.drift and moved.identity.same_content(result.identity)
    bench.executor.finish(task, True)
    assert bench.outside.read(b"name") == theirs


def test_a_moved_file_that_was_changed_since_is_drift(bench: Bench) -> None:
    task, _ = a_move(bench, b"file", False)
    moved = bench.executor.act(task)
    assert isinstance(moved, Done) and moved.identity
    bench.outside.put(b"target", b"edited")
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.drift and moved.identity.same_content(result.identity)


@pytest.mark.parametrize("name", [b"name", b"target"])
def test_a_move_is_not_reversed_where_somebody_has_been_since(bench: Bench, name: bytes) -> None:
    task, _ = a_move(bench, b"file", False)
    bench.executor.act(task)
    bench.outside.put(name, b"strange")
    assert isinstance(bench.executor.reverse(task), Unclear)
    found = {path: bench.outside.read(path) for path in (b"name", b"target")}
    assert found == {b"name": b"file", b"target": b"file"} | {name: b"strange"}


@pytest.mark.parametrize("name", [b"name", b"target"])
def test_a_move_onto_a_file_refuses_what_comes_between_look_and_step(bench: Bench, when: When, name: bytes) -> None:
    task, _ = a_move(bench, b"file", True)
    when("apply.act", lambda: bench.outside.put(name, b"strange"))
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    found = {path: bench.outside.read(path) for path in (b"name", b"target")}
    assert found == {b"name": b"file", b"target": b"replaced"} | {name: b"strange"}
    assert bench.outside.trash() == {}


def test_a_directory_with_content_is_neither_moved_nor_restored_in_one_step(bench: Bench) -> None:
    known = bench.has(b"folder", None)
    bench.outside.put(b"folder/strange", b"strange")
    assert refused(bench.executor.act(bench.move(b"folder", b"target", known))) == "NOT_SUPPORTED"
    assert not bench.outside.is_folder(b"target")
    place, gone = bench.deleted(b"gone", None)
    bench.outside.put_trash(place + "/strange", b"strange")
    assert refused(bench.executor.act(bench.restore(place, b"gone", gone))) == "NOT_SUPPORTED"
    assert not bench.outside.is_folder(b"gone")


@pytest.mark.parametrize("point", ["apply.act", "apply.acted"])
@pytest.mark.parametrize("content", [b"old", None])
def test_a_restore_whose_process_died_is_taken_once(
    bench: Bench, when: When, point: str, content: bytes | None
) -> None:
    place, known = bench.deleted(b"name", content)
    task = bench.restore(place, b"back", known)
    when(point, crash)
    with pytest.raises(SimulatedCrash):
        bench.executor.act(task)
    result = bench.done(again(task))
    assert (result.recognised, result.drift) == (point == "apply.acted", None)
    assert [entry.path.raw for entry in bench.executor.walk()] == [b"back"]
    assert bench.outside.read(b"back") == content and bench.outside.trash() == {}
