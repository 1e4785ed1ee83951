"""Every executor: staging."""

import hashlib

import pytest

from activities.executors.contract.stage import Draft, Stage
from schema.ids import new_command_id
from tests.executors.conftest import Bench


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
