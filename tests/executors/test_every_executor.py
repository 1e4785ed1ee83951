"""What every executor must do, one sentence a test. A new executor joins by one line in the `bench` fixture."""

import hashlib
import os
import threading

import pytest

from activities.executors.base import Done, Draft, Stage, Task, Unclear
from schema.errors import NodeNotFound, NotADirectory
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.conftest import DAY, Bench, SimulatedCrash, When, again, crash, refused

HOSTILE = [
    b"new\nline",
    b"\xff\xfe not utf-8",
    b"-rf",
    b"x" * 255,
    "\u202egpj.exe".encode(),
    b" ",
    b"*?'\"$(id)`",
    b"\x01\x1b[31m",
    "e\u0301".encode(),
]


# -- staging -----------------------------------------------------------------------------------------------------------


def test_a_stage_tells_size_checksum_and_identity_of_what_was_written(bench: Bench) -> None:
    writer = bench.executor.open_stage(new_command_id())
    for chunk in (b"one ", b"", b"two"):
        writer.write(chunk)
    stage = writer.close()
    assert stage.sha256 == hashlib.sha256(b"one two").digest()
    assert (stage.identity.size, stage.identity.directory) == (7, False)
    assert stage.identity.same_content(bench.executor.find_stage(stage.id))


def test_a_stage_is_invisible(bench: Bench) -> None:
    stage = bench.staged(b"new")
    assert list(bench.executor.walk()) == []
    assert [name for name, age in bench.executor.stages() if age < 60] == [stage.id]


def test_an_aborted_stage_leaves_nothing(bench: Bench) -> None:
    writer = bench.executor.open_stage(stage := new_command_id())
    writer.write(b"half of it")
    writer.abort()
    writer.abort()
    assert bench.executor.find_stage(stage) is None
    assert bench.outside.stages() == {}


def test_a_stage_id_is_used_once(bench: Bench) -> None:
    stage = bench.staged(b"first")
    with pytest.raises(FileExistsError):
        bench.executor.open_stage(stage.id)
    assert bench.outside.stages() == {stage.id: b"first"}


def test_drafts_are_answered_one_by_one_in_order(bench: Bench) -> None:
    drafts = [Draft(new_command_id(), content) for content in (None, b"file", b"", None)]
    answers = bench.executor.seal(drafts)
    assert all(
        isinstance(answer, Stage) and answer.id == draft.id for answer, draft in zip(answers, drafts, strict=True)
    )
    shapes = [(answer.identity.directory, answer.sha256) for answer in answers if isinstance(answer, Stage)]
    digests = [hashlib.sha256(content).digest() for content in (b"file", b"")]
    assert shapes == [(True, None), (False, digests[0]), (False, digests[1]), (True, None)]


def test_a_draft_that_fails_hurts_only_itself(bench: Bench) -> None:
    taken = bench.staged(b"earlier")
    answers = bench.executor.seal([Draft(new_command_id(), b"a"), Draft(taken.id, b"b"), Draft(new_command_id(), None)])
    assert [type(answer) for answer in answers] == [Stage, FileExistsError, Stage]
    assert bench.outside.stages()[taken.id] == b"earlier"
    assert len(bench.outside.stages()) == 3


def test_sealing_nothing_is_fine(bench: Bench) -> None:
    assert bench.executor.seal([]) == []


@pytest.mark.parametrize("content", [b"file", None])
def test_a_stage_can_be_discarded_again_and_again(bench: Bench, content: bytes | None) -> None:
    stage = bench.staged(content)
    assert bench.executor.discard_stage(stage.id, stage.identity)
    assert bench.executor.discard_stage(stage.id, stage.identity)
    assert bench.executor.find_stage(stage.id) is None


def test_a_stage_is_discarded_only_when_it_is_the_very_one_unchanged(bench: Bench) -> None:
    edited, swapped = bench.staged(b"aaa"), bench.staged(b"bbb")
    bench.outside.edit_stage(edited.id, b"edited")
    bench.outside.put_stage(swapped.id, b"strange")
    assert not bench.executor.discard_stage(edited.id, edited.identity)
    assert not bench.executor.discard_stage(swapped.id, swapped.identity)
    assert bench.outside.stages() == {edited.id: b"edited", swapped.id: b"strange"}
    assert bench.executor.discard_stage(swapped.id, None)


def test_stages_lists_every_entry_with_its_age(bench: Bench) -> None:
    stages = [bench.staged(b"file"), bench.staged(None)]
    found = dict(bench.executor.stages())
    assert set(found) == {stage.id for stage in stages}
    assert all(0 <= age < 60 for age in found.values())


# -- create ------------------------------------------------------------------------------------------------------------


def test_a_created_file_appears_with_its_staged_identity(bench: Bench) -> None:
    task = bench.create(b"file", b"new")
    result = bench.done(task)
    assert result.identity and result.identity.same_content(task.staged)
    assert (result.recognised, result.drift) == (False, None)
    assert bench.outside.read(b"file") == b"new"
    assert bench.outside.stages() == {}


def test_a_created_directory_takes_children(bench: Bench) -> None:
    assert bench.has(b"folder", None).directory
    bench.has(b"folder/below", None)
    bench.has(b"folder/below/file", b"deep")
    assert bench.outside.read(b"folder/below/file") == b"deep"


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_a_disk_takes_is_taken(bench: Bench, name: bytes) -> None:
    bench.has(name, None)
    found = bench.has(name + b"/" + name, b"content")
    entries = {entry.path.raw: entry.identity for entry in bench.executor.walk()}
    assert list(entries) == [name, name + b"/" + name]
    assert bench.outside.read(name + b"/" + name) == b"content"
    assert entries[name + b"/" + name].same_content(found)
    assert isinstance(bench.done(bench.delete(name + b"/" + name, found)), Done)


def test_names_that_look_alike_are_different_files(bench: Bench) -> None:
    names = ["é".encode(), "e\u0301".encode(), b"A", b"a"]
    for name in names:
        bench.has(name, name)
    assert [bench.outside.read(name) for name in names] == names


@pytest.mark.parametrize("content", [b"new", None])
def test_create_refuses_a_name_taken_by_a_stranger(bench: Bench, content: bytes | None) -> None:
    task = bench.create(b"name", content)
    bench.outside.put(b"name", b"strange")
    assert refused(bench.executor.act(task)) == "NODE_EXISTS"
    assert refused(bench.executor.act(again(task))) == "NODE_EXISTS"
    assert bench.outside.read(b"name") == b"strange"
    bench.executor.finish(task, False)
    assert bench.outside.stages() == {} and bench.outside.trash() == {}


def test_create_refuses_a_name_taken_in_the_last_moment(bench: Bench, when: When) -> None:
    task = bench.create(b"name", b"ours")
    when("apply.act", lambda: bench.outside.put(b"name", b"strange"))
    assert refused(bench.executor.act(task)) == "NODE_EXISTS"
    assert bench.outside.read(b"name") == b"strange"


def test_create_needs_its_parent(bench: Bench) -> None:
    assert refused(bench.executor.act(bench.create(b"no/file", b"x"))) == "PARENT_NOT_FOUND"
    bench.has(b"file", b"not a folder")
    assert refused(bench.executor.act(bench.create(b"file/below", b"x"))) == "NOT_A_DIRECTORY"


def test_a_lost_stage_is_said_and_nothing_happens(bench: Bench) -> None:
    task = bench.create(b"file", b"new")
    bench.outside.drop_stage(task.command)
    assert refused(bench.executor.act(task)) == "STAGE_LOST"


def test_a_stage_somebody_wrote_into_is_not_published(bench: Bench) -> None:
    task = bench.create(b"file", b"new")
    bench.outside.edit_stage(task.command, b"not what was hashed")
    assert refused(bench.executor.act(task)) == "STAGE_LOST"
    bench.executor.finish(task, False)
    assert bench.outside.trash() == {f"kept/{task.command}.kept": b"not what was hashed"}


def test_a_file_under_the_name_of_the_stage_is_not_published(bench: Bench) -> None:
    task = bench.create(b"file", b"new")
    bench.outside.put_stage(task.command, b"strange")
    assert refused(bench.executor.act(task)) == "STAGE_LOST"
    assert isinstance(bench.executor.act(again(task)), Unclear)
    assert bench.outside.read(b"file") is None


@pytest.mark.parametrize("content", [b"new", None])
def test_a_create_done_again_is_recognised(bench: Bench, content: bytes | None) -> None:
    task = bench.create(b"name", content)
    first, second = bench.executor.act(task), bench.executor.act(again(task))
    assert isinstance(first, Done) and isinstance(second, Done)
    assert (second.recognised, second.drift) == (True, None)
    assert second.identity == first.identity


def test_a_create_whose_process_died_right_after_it_is_recognised(bench: Bench, when: When) -> None:
    task = bench.create(b"name", b"new")
    when("apply.acted", crash)
    with pytest.raises(SimulatedCrash):
        bench.executor.act(task)
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.recognised and result.drift is None


def test_a_create_whose_process_died_right_before_it_is_done_now(bench: Bench, when: When) -> None:
    task = bench.create(b"name", b"new")
    when("apply.act", crash)
    with pytest.raises(SimulatedCrash):
        bench.executor.act(task)
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and not result.recognised
    assert bench.outside.read(b"name") == b"new"


def test_what_was_done_to_our_file_since_is_drift_and_not_recorded_as_ours(bench: Bench) -> None:
    task = bench.create(b"name", b"new")
    bench.executor.act(task)
    bench.outside.edit(b"name", b"edited")
    edited = bench.executor.act(again(task))
    bench.outside.put(b"name", b"strange")
    swapped = bench.executor.act(again(task))
    bench.outside.remove(b"name")
    removed = bench.executor.act(again(task))
    for result in (edited, swapped, removed):
        assert isinstance(result, Done) and result.recognised and result.drift
        assert result.identity == task.staged


# -- replace -----------------------------------------------------------------------------------------------------------


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


# -- delete ------------------------------------------------------------------------------------------------------------


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


# -- finish and reverse ------------------------------------------------------------------------------------------------


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


# -- locks -------------------------------------------------------------------------------------------------------------


def test_a_lock_excludes_every_other_handle_until_it_is_closed(bench: Bench) -> None:
    one, two, command = bench.executor.locks(), bench.executor.locks(), new_command_id()
    assert one.take(command) and one.take(command)
    assert not two.take(command)
    assert two.take(new_command_id())
    one.close()
    one.close()
    assert two.take(command)
    two.close()


def test_one_lock_is_given_back_while_the_others_stay(bench: Bench) -> None:
    one, two, commands = bench.executor.locks(), bench.executor.locks(), [new_command_id(), new_command_id()]
    assert all(one.take(command) for command in commands)
    one.release(commands[0])
    assert [two.take(command) for command in commands] == [True, False]
    two.release(commands[1])
    assert not two.take(commands[1])
    one.close()
    two.close()


def test_the_lock_of_a_command_is_not_the_lock_of_another(bench: Bench) -> None:
    one, two = bench.executor.locks(), bench.executor.locks()
    assert all(one.take(new_command_id()) for _ in range(200))
    assert all(two.take(new_command_id()) for _ in range(200))
    one.close()
    two.close()


# -- reading -----------------------------------------------------------------------------------------------------------


def test_content_is_read_by_ranges(bench: Bench) -> None:
    bench.has(b"file", bytes(range(256)) * 40)
    content = bench.executor.open(NodePath(b"file"))
    assert content.identity.size == 10240
    assert content.read(0, 4) == bytes([0, 1, 2, 3])
    assert content.read(255, 2) == bytes([255, 0])
    assert len(content.read(10000, 1000)) == 240
    assert content.read(10240, 10) == b""
    assert content.read(1 << 40, 10) == b""
    assert content.read(0, 1 << 20) == bytes(range(256)) * 40
    content.close()
    content.close()


def test_an_open_file_stays_readable_after_replace_and_delete(bench: Bench) -> None:
    known = bench.has(b"file", b"first")
    first = bench.executor.open(NodePath(b"file"))
    replaced = bench.done(bench.replace(b"file", b"second", known))
    second = bench.executor.open(NodePath(b"file"))
    assert replaced.identity
    bench.done(bench.delete(b"file", replaced.identity))
    assert (first.read(0, 99), second.read(0, 99)) == (b"first", b"second")
    first.close()
    second.close()


def test_only_files_that_are_there_can_be_opened(bench: Bench) -> None:
    bench.has(b"folder", None)
    bench.has(b"file", b"x")
    for path in (b"nothing", b"no/thing", b"file/below"):
        with pytest.raises(NodeNotFound):
            bench.executor.open(NodePath(path))
    with pytest.raises(NotADirectory):
        bench.executor.open(NodePath(b"folder"))


def test_a_walk_tells_parents_before_children_and_hides_the_reserved_folder(bench: Bench) -> None:
    for folder in (b"a", b"a-b", b"a/b", b"a/b/c"):
        bench.has(folder, None)
    bench.has(b"a/b/c/file", b"deep")
    bench.has(b"a/.filestore", b"only the root's is reserved")
    bench.staged(b"invisible")
    bench.done(bench.delete(b"gone", bench.has(b"gone", b"x")))
    entries = list(bench.executor.walk())
    told: set[bytes] = {b""}
    for entry in entries:
        assert entry.path.parent.raw in told
        told.add(entry.path.raw)
    assert told == {b"", b"a", b"a-b", b"a/b", b"a/b/c", b"a/b/c/file", b"a/.filestore"}
    assert {entry.path.raw: entry.kind for entry in entries}[b"a/b/c/file"] == "file"
    assert {entry.path.raw: entry.kind for entry in entries}[b"a/b/c"] == "directory"


def test_a_walk_tells_the_identity_that_steps_are_checked_against(bench: Bench) -> None:
    bench.outside.put(b"found", b"by reconciliation")
    (entry,) = bench.executor.walk()
    assert isinstance(bench.done(bench.replace(b"found", b"new", entry.identity)), Done)
    assert bench.outside.read(b"found") == b"new"


def test_a_walk_survives_what_vanishes_meanwhile(bench: Bench) -> None:
    for folder in (b"a", b"b", b"c"):
        bench.has(folder, None)
        bench.has(folder + b"/file", b"x")
    walk = bench.executor.walk()
    next(walk)
    bench.outside.remove(b"b/file")
    bench.outside.remove(b"b")
    assert {b"a/file", b"c", b"c/file"} <= {entry.path.raw for entry in walk}


# -- threads -----------------------------------------------------------------------------------------------------------


def test_many_threads_act_at_once_and_one_of_each_name_wins(bench: Bench) -> None:
    tasks = [bench.create(b"name %d" % (n % 10), b"by %d" % n) for n in range(40)]
    results: dict[str, object] = {}

    def act(mine: list[Task]) -> None:
        for task in mine:
            results[task.command] = bench.executor.act(task)

    threads = [threading.Thread(target=act, args=(tasks[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [task for task in tasks if isinstance(results[task.command], Done)]
    assert sorted(task.path.raw for task in won) == [b"name %d" % n for n in range(10)]
    for task in won:
        assert bench.outside.read(task.path.raw) == b"by %d" % tasks.index(task)


def test_flush_takes_any_list(bench: Bench) -> None:
    bench.has(b"folder", None)
    bench.executor.flush([])
    tasks = [bench.create(b"folder/a", b"a"), bench.create(b"b", b"b"), bench.create(b"no/parent", b"c")]
    tasks.append(bench.delete(b"d", bench.has(b"d", b"d")))
    for task in tasks:
        bench.executor.act(task)
    bench.executor.flush(tasks)
    assert {entry.path.raw for entry in bench.executor.walk()} == {b"folder", b"folder/a", b"b"}


def test_the_bench_itself_sees_the_storage_and_not_the_executor(bench: Bench) -> None:
    bench.outside.make_folder(b"folder")
    bench.outside.put(b"folder/file", os.urandom(8))
    assert len(list(bench.executor.walk())) == 2


def test_a_step_that_leaves_nothing_needs_no_finish(bench: Bench) -> None:
    """The record calls `finish` for a command that has succeeded only where its answer says that something is left."""
    created = bench.create(b"file", b"one")
    new = bench.executor.act(created)
    assert isinstance(new, Done) and new.identity and not new.leaves and not new.holds
    bench.executor.flush([created])
    assert bench.outside.stages() == {}
    replaced = bench.replace(b"file", b"two", new.identity)
    result = bench.executor.act(replaced)
    assert isinstance(result, Done) and result.identity
    bench.executor.flush([replaced])
    if result.leaves:
        bench.executor.finish(replaced, True)
    assert bench.outside.stages() == {} and list(bench.outside.trash().values()) == [b"one"]
    moved = bench.move(b"file", b"new", result.identity)
    answer = bench.executor.act(moved)
    assert isinstance(answer, Done)
    bench.executor.flush([moved])
    assert answer.holds is (bench.outside.read(b"file") is not None), "the old name is held while it is taken"
    if answer.leaves:
        bench.executor.finish(moved, True)
    assert bench.outside.read(b"file") is None and bench.outside.read(b"new") == b"two"
