"""Every executor: replace."""

import pytest

from activities.executors.contract.task import Done, Task
from tests.executors.conftest import DAY, Bench, SimulatedCrash, When, again, crash, refused


def test_a_replace_swaps_the_content_and_keeps_the_old_one_in_the_trash(bench: Bench) -> None:
    old = bench.has(b"file", b"old")
    task = bench.replace(b"file", b"new", old)
    result = bench.executor.act(task)
    assert isinstance(result, Done) and result.identity and result.identity.same_content(task.staged)
    assert bench.outside.trash() == {}
    bench.executor.flush([task])
    bench.executor.finish(task, True)
    assert bench.outside.read(b"file") == b"new"
    assert bench.outside.trash() == {task.trash: b"old"}
    assert bench.outside.stages() == {}


def test_a_replaced_file_can_be_replaced_again(bench: Bench) -> None:
    known = bench.has(b"file", b"0")
    for content in (b"1", b"2", b"3"):
        result = bench.done(bench.replace(b"file", content, known))
        assert result.identity
        known = result.identity
    assert sorted(content or b"" for content in bench.outside.trash().values()) == [b"0", b"1", b"2"]


def test_replace_refuses_a_file_written_to_behind_our_back(bench: Bench) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    bench.outside.edit(b"file", b"edited")
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"edited"


def test_replace_refuses_another_file_at_the_name(bench: Bench) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    bench.outside.put(b"file", b"strange")
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"strange"


def test_replace_refuses_a_file_that_is_gone(bench: Bench) -> None:
    bench.has(b"folder", None)
    task = bench.replace(b"folder/file", b"new", bench.has(b"folder/file", b"old"))
    bench.outside.remove(b"folder/file")
    assert refused(bench.executor.act(task)) == "NODE_NOT_FOUND"
    bench.outside.remove(b"folder")
    assert refused(bench.executor.act(again(task))) == "PARENT_NOT_FOUND"


def test_replace_puts_back_what_was_swapped_in_between_look_and_step(bench: Bench, when: When) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    when("apply.act", lambda: bench.outside.put(b"file", b"strange"))
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"strange"
    assert bench.outside.stages() == {task.command: b"new"}
    bench.executor.finish(task, False)
    assert bench.outside.stages() == {} and bench.outside.trash() == {}


def test_replace_puts_back_what_was_written_in_place_between_look_and_step(bench: Bench, when: When) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    when("apply.act", lambda: bench.outside.edit(b"file", b"edited"))
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"edited"


def test_replace_looks_again_when_the_target_vanishes_before_the_step(bench: Bench, when: When) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    when("apply.act", lambda: bench.outside.remove(b"file"))
    assert refused(bench.executor.act(task)) == "NODE_NOT_FOUND"
    assert bench.outside.read(b"file") is None


def test_a_later_attempt_puts_back_what_an_earlier_one_took_by_mistake(bench: Bench, when: When) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    when("apply.act", lambda: bench.outside.put(b"file", b"strange"))
    when("apply.acted", crash)
    with pytest.raises(SimulatedCrash):
        bench.executor.act(task)
    assert bench.outside.read(b"file") == b"new"
    assert refused(bench.executor.act(again(task))) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"strange"


def swapped_by_mistake(bench: Bench, when: When) -> Task:
    """A replace whose process died after it had taken a stranger's file."""
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    when("apply.act", lambda: bench.outside.put(b"file", b"strange"))
    when("apply.acted", crash)
    with pytest.raises(SimulatedCrash):
        bench.executor.act(task)
    return again(task)


def test_strangers_bytes_return_to_a_name_that_is_free(bench: Bench, when: When) -> None:
    task = swapped_by_mistake(bench, when)
    bench.outside.remove(b"file")
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"strange"
    assert refused(bench.executor.act(again(task))) == "STAGE_LOST"


def test_strangers_bytes_without_a_place_are_kept_in_the_trash(bench: Bench, when: When) -> None:
    task = swapped_by_mistake(bench, when)
    bench.outside.put(b"file", b"newer")
    bench.outside.put_trash(f"{DAY}/{task.command}.kept", b"kept before")
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    assert bench.outside.read(b"file") == b"newer"
    kept = f"{DAY}/{task.command}.kept"
    assert bench.outside.trash() == {kept: b"kept before", f"{kept}.1": b"strange"}


def test_a_replace_done_again_is_recognised(bench: Bench) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    first, second = bench.executor.act(task), bench.executor.act(again(task))
    assert isinstance(first, Done) and isinstance(second, Done)
    assert second == Done(first.identity, recognised=True)
    assert bench.outside.stages() == {task.command: b"old"}


def test_a_recognised_replace_tells_what_happened_since(bench: Bench) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    bench.executor.act(task)
    bench.outside.remove(b"file")
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.recognised and result.drift
    assert result.identity == task.staged


def test_a_replace_is_recognised_though_the_old_content_was_taken_away(bench: Bench) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    bench.executor.act(task)
    bench.outside.drop_stage(task.command)
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.recognised and result.drift
