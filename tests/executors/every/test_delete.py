"""Every executor: delete."""

import pytest

from activities.executors.contract.task import Done
from tests.executors.conftest import DAY, Bench, When, again, crash, refused


@pytest.mark.parametrize("content", [b"old", None])
def test_a_delete_moves_to_the_trash(bench: Bench, content: bytes | None) -> None:
    task = bench.delete(b"name", bench.has(b"name", content))
    result = bench.done(task)
    assert result == Done(None)
    assert bench.outside.trash() == {task.trash: content}
    assert list(bench.executor.walk()) == []


@pytest.mark.parametrize("content", [b"old", None])
def test_a_delete_done_again_is_recognised(bench: Bench, content: bytes | None) -> None:
    task = bench.delete(b"name", bench.has(b"name", content))
    bench.executor.act(task)
    assert bench.executor.act(again(task)) == Done(None, recognised=True)
    bench.outside.put(b"name", b"new file of somebody")
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.recognised and result.drift
    assert bench.outside.read(b"name") == b"new file of somebody"


def test_delete_refuses_what_it_does_not_know(bench: Bench) -> None:
    task = bench.delete(b"file", bench.has(b"file", b"old"))
    bench.outside.edit(b"file", b"edited")
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    bench.outside.put(b"file", b"strange")
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    bench.outside.remove(b"file")
    assert refused(bench.executor.act(task)) == "NODE_NOT_FOUND"
    assert bench.outside.trash() == {}


def test_delete_puts_back_what_was_swapped_in_between_look_and_step(bench: Bench, when: When) -> None:
    task = bench.delete(b"file", bench.has(b"file", b"old"))
    when("apply.act", lambda: bench.outside.put(b"file", b"strange"))
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"strange"
    assert bench.outside.trash() == {}


def test_delete_keeps_what_it_can_not_put_back(bench: Bench, when: When) -> None:
    task = bench.delete(b"file", bench.has(b"file", b"old"))
    when("apply.act", lambda: bench.outside.put(b"file", b"strange"))
    when("apply.acted", lambda: bench.outside.put(b"file", b"newer"))
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"newer"
    assert bench.outside.trash() == {f"{DAY}/{task.command}.kept": b"strange"}


def test_delete_refuses_a_directory_that_is_not_empty_and_does_not_even_try(bench: Bench, when: When) -> None:
    task = bench.delete(b"folder", bench.has(b"folder", None))
    bench.outside.put(b"folder/strange", b"x")
    when("apply.act", crash)
    assert refused(bench.executor.act(task)) == "CHILDREN_EXIST"
    assert bench.outside.read(b"folder/strange") == b"x"
    bench.outside.remove(b"folder/strange")
    when("apply.act", lambda: None)
    assert bench.done(task) == Done(None)


def test_delete_puts_back_a_directory_that_was_filled_in_the_last_moment(bench: Bench, when: When) -> None:
    task = bench.delete(b"folder", bench.has(b"folder", None))
    when("apply.act", lambda: bench.outside.put(b"folder/strange", b"x"))
    assert refused(bench.executor.act(task)) == "CHILDREN_EXIST"
    assert bench.outside.read(b"folder/strange") == b"x"
