"""Every executor: create."""

import pytest

from activities.executors.contract.task import Done, Unclear
from tests.executors.conftest import Bench, SimulatedCrash, When, again, crash, refused

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
