"""Every executor: finish and reverse."""

import pytest

from activities.executors.contract.task import Done, Unclear
from tests.executors.conftest import DAY, Bench, again


@pytest.mark.parametrize("succeeded", [True, False])
def test_finish_can_be_repeated(bench: Bench, succeeded: bool) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    if succeeded:
        bench.executor.act(task)
    for _ in range(3):
        bench.executor.finish(task, succeeded)
    assert bench.outside.stages() == {}
    assert bench.outside.trash() == ({task.trash: b"old"} if succeeded else {})


def test_finish_never_removes_bytes_that_are_not_ours(bench: Bench) -> None:
    edited, swapped = bench.create(b"a", b"aaa"), bench.replace(b"b", b"bbb", bench.has(b"b", b"old"))
    bench.outside.edit_stage(edited.command, b"edited")
    bench.outside.put_stage(swapped.command, b"strange")
    bench.executor.finish(edited, False)
    bench.executor.finish(swapped, True)
    assert bench.outside.stages() == {}
    kept = {f"kept/{edited.command}.kept": b"edited", f"{DAY}/{swapped.command}.kept": b"strange"}
    assert bench.outside.trash() == kept


def test_finish_keeps_old_content_that_was_edited_after_the_step(bench: Bench) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    bench.executor.act(task)
    bench.outside.edit_stage(task.command, b"a late write")
    bench.executor.finish(task, True)
    assert bench.outside.trash() == {task.trash: b"a late write"}


def test_finish_of_a_success_never_unlinks(bench: Bench) -> None:
    task = bench.create(b"file", b"acknowledged")
    bench.executor.finish(task, True)
    assert list(bench.outside.trash().values()) == [b"acknowledged"]


@pytest.mark.parametrize("content", [b"file", None])
def test_a_create_is_reversed(bench: Bench, content: bytes | None) -> None:
    task = bench.create(b"name", content)
    bench.executor.act(task)
    for _ in range(2):
        assert isinstance(bench.executor.reverse(task), Done)
    assert list(bench.executor.walk()) == []
    assert task.staged and task.staged.same_content(bench.executor.find_stage(task.command))
    bench.executor.finish(task, False)
    assert bench.outside.stages() == {} and bench.outside.trash() == {}


def test_a_replace_is_reversed(bench: Bench) -> None:
    old = bench.has(b"file", b"old")
    task = bench.replace(b"file", b"new", old)
    bench.executor.act(task)
    for _ in range(2):
        result = bench.executor.reverse(task)
        assert isinstance(result, Done) and old.same_content(result.identity)
    assert bench.outside.read(b"file") == b"old"
    bench.executor.finish(task, False)
    assert bench.outside.stages() == {} and bench.outside.trash() == {}


@pytest.mark.parametrize("content", [b"file", None])
def test_a_delete_is_reversed(bench: Bench, content: bytes | None) -> None:
    known = bench.has(b"name", content)
    task = bench.delete(b"name", known)
    bench.executor.act(task)
    for _ in range(2):
        result = bench.executor.reverse(task)
        assert isinstance(result, Done) and known.same_content(result.identity)
    assert bench.outside.trash() == {}


def test_a_reversed_command_can_be_tried_again(bench: Bench) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    bench.executor.act(task)
    bench.executor.reverse(task)
    assert isinstance(bench.executor.act(again(task)), Done)
    assert bench.outside.read(b"file") == b"new"


def test_reverse_touches_nothing_where_somebody_has_been_since(bench: Bench) -> None:
    created, deleted = bench.create(b"a", b"a"), bench.delete(b"b", bench.has(b"b", b"b"))
    replaced, folder = bench.replace(b"c", b"new", bench.has(b"c", b"old")), bench.create(b"d", None)
    for task in (created, deleted, replaced, folder):
        bench.executor.act(task)
    bench.outside.edit(b"a", b"edited")
    bench.outside.put(b"b", b"strange")
    bench.outside.put(b"c", b"strange")
    bench.outside.put(b"d/strange", b"strange")
    for task in (created, deleted, replaced, folder):
        assert isinstance(bench.executor.reverse(task), Unclear)
    assert [bench.outside.read(name) for name in (b"a", b"b", b"c", b"d/strange")] == [b"edited", *[b"strange"] * 3]
    assert bench.outside.trash() == {deleted.trash: b"b"}
    assert bench.outside.stages() == {replaced.command: b"old"}
