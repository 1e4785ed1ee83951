"""What becomes the next list: fair between principals, orderly on a path, and of equal shares."""

import pytest

from api.dispatch.queue import Queue, WaitingCommand
from api.submission import Submission
from schema.commands.claims import Claim
from schema.commands.command import Command, CommandKind
from schema.commands.payloads import LIST_MAX
from schema.errors import RateLimited
from schema.ids import MountId, new_command_id


def waiting(
    path: str,
    principal: str = "me",
    *,
    subtree: bool = False,
    shared: bool = False,
    key: str | None = None,
    deadline: float = 10,
) -> WaitingCommand:
    kind = CommandKind.DELETE if subtree else CommandKind.CREATE_DIRECTORY
    request = Command(new_command_id(), kind, MountId(1), path, "main", principal, 1, key=key)
    return WaitingCommand(Submission(request), [Claim(MountId(1), path.encode(), subtree, shared)], deadline)


def paths(batch: list[WaitingCommand]) -> list[str]:
    return [one.request.path for one in batch]


def queue_of(*them: WaitingCommand, lanes: int = 1, most: int = 10_000) -> Queue:
    queue = Queue(lanes=lanes, most=most)
    for one in them:
        queue.put(one)
    return queue


def test_what_waits_together_becomes_one_list() -> None:
    queue = queue_of(waiting("a"), waiting("b"), waiting("c"))
    assert paths(queue.take([], now=0)) == ["a", "b", "c"]
    assert len(queue) == 0 and queue.take([], now=0) == []


def test_a_list_has_an_end() -> None:
    queue = queue_of(*[waiting(f"p{number}") for number in range(LIST_MAX + 5)])
    assert len(queue.take([], now=0)) == LIST_MAX and len(queue) == 5


def test_principals_take_turns() -> None:
    loud = [waiting(f"loud{number}", "loud") for number in range(200)]
    queue = queue_of(*loud, waiting("quiet", "quiet"))
    assert "quiet" in paths(queue.take([], now=0))[:2]


def test_one_path_is_in_one_list_at_a_time_and_keeps_its_order() -> None:
    first, second, third = waiting("a"), waiting("a"), waiting("b")
    queue = queue_of(first, second, third)
    batch = queue.take([], now=0)
    assert batch == [first, third]
    assert queue.take(batch, now=0) == []
    assert queue.take([], now=0) == [second]


def test_what_is_only_read_goes_together_and_what_changes_it_waits_for_all_readers() -> None:
    readers = [waiting("d", subtree=True, shared=True), waiting("d", shared=True), waiting("d/x", shared=True)]
    writer, late = waiting("d/x"), waiting("d/x", shared=True)
    queue = queue_of(*readers, writer, late)
    batch = queue.take([], now=0)
    assert batch == readers, "the last reader does not overtake the writer"
    for still in readers:
        assert queue.take([still], now=0) == ([] if still is not readers[1] else [writer])
        if still is readers[1]:
            queue.put_back(writer)


def test_nothing_overtakes_an_earlier_command_on_its_path() -> None:
    in_flight = [waiting("d/x")]
    delete, child, other = waiting("d", subtree=True), waiting("d/y"), waiting("e")
    queue = queue_of(delete, child, other)
    assert queue.take(in_flight, now=0) == [other]
    assert queue.take([], now=0) == [delete]
    assert queue.take([delete], now=0) == []
    assert queue.take([], now=0) == [child]


def test_one_key_is_in_one_list_at_a_time() -> None:
    first, second = waiting("a", key="k"), waiting("b", key="k")
    assert queue_of(first, second).take([], now=0) == [first]
    others = [waiting("a", key="k"), waiting("b", "somebody else", key="k")]
    assert len(queue_of(*others).take([], now=0)) == 2


def test_who_waited_too_long_for_a_path_comes_along_to_be_refused() -> None:
    late = waiting("a", deadline=5)
    queue = queue_of(late)
    assert queue.take([waiting("a")], now=4.9) == []
    assert queue.take([waiting("a")], now=5.1) == [late]
    assert late.request.failure == "PATH_BUSY"


def test_a_late_command_whose_path_is_free_simply_runs() -> None:
    late = waiting("a", deadline=5)
    assert queue_of(late).take([], now=6) == [late] and late.request.failure is None


def test_a_command_that_another_process_blocks_gives_up_at_its_deadline() -> None:
    bounced = waiting("a", deadline=5)
    queue = queue_of()
    queue.put_back(bounced)
    assert queue.take([], now=4) == [bounced] and bounced.request.failure is None
    queue.put_back(bounced)
    assert queue.take([], now=6) == [bounced] and bounced.request.failure == "PATH_BUSY"


def test_a_full_queue_refuses() -> None:
    queue = queue_of(waiting("a"), most=1)
    with pytest.raises(RateLimited):
        queue.put(waiting("b"))


def test_two_lanes_share_what_there_is() -> None:
    queue = queue_of(*[waiting(f"p{number}") for number in range(64)], lanes=2)
    first = queue.take([], now=0)
    assert len(first) == 32
    assert queue.worth_a_list(len(first)) and len(queue.take(first, now=0)) == 32


def test_a_list_that_would_be_too_short_waits_for_the_other_one() -> None:
    queue = queue_of(waiting("a"), waiting("b"), lanes=2)
    assert not queue.worth_a_list(in_flight=32)
    assert queue.worth_a_list(in_flight=0)
    assert queue.worth_a_list(in_flight=2)


# Several that go together


def group(*those: str, principal: str = "me", deadline: float = 10) -> list[WaitingCommand]:
    return [waiting(path, principal, deadline=deadline) for path in those]


def test_what_goes_together_is_a_list_of_its_own() -> None:
    queue = queue_of(waiting("a"), waiting("b"))
    queue.put(*group("c", "d", principal="another"))
    queue.put(waiting("e"))
    assert len(queue) == 5
    lists = [paths(queue.take([], now=0)) for _ in range(3)]
    assert lists == [["a", "b", "e"], ["c", "d"], []] and len(queue) == 0


def test_what_goes_together_takes_turns_with_everybody_else() -> None:
    queue = Queue(lanes=1, most=1000)
    for turn in range(3):
        queue.put(*group(f"a{turn}", f"b{turn}"))
    for number in range(6):
        queue.put(waiting(f"quiet{number}", "quiet"))
    lists = []
    while batch := queue.take([], now=0):
        lists.append(paths(batch))
        if len(lists) < 4:
            queue.put(waiting(f"more{len(lists)}", "quiet"))
    places = [lists.index([f"a{turn}", f"b{turn}"]) for turn in range(3)]
    assert places == sorted(places) and places[1] - places[0] <= 2 and places[2] - places[1] <= 2


def test_it_waits_as_a_whole_and_everything_behind_it_on_its_paths_waits_with_it() -> None:
    in_flight = [waiting("b")]
    queue = Queue(lanes=1, most=1000)
    queue.put(*group("a", "b"))
    queue.put(waiting("a", "another"))
    queue.put(waiting("c", "another"))
    assert paths(queue.take(in_flight, now=0)) == ["c"]
    assert paths(queue.take([], now=0)) == ["a", "b"]
    assert paths(queue.take([], now=0)) == ["a"]


def test_beyond_its_deadline_all_of_it_is_busy() -> None:
    in_flight = [waiting("b")]
    queue = Queue(lanes=1, most=1000)
    queue.put(*group("a", "b", deadline=5))
    assert queue.take(in_flight, now=4) == []
    batch = queue.take(in_flight, now=6)
    assert [one.request.failure for one in batch] == ["PATH_BUSY"] * 2


def test_it_goes_back_to_the_front_as_a_whole() -> None:
    queue = Queue(lanes=1, most=1000)
    queue.put(*group("a", "b"))
    queue.put(waiting("c"))
    batch = queue.take([], now=0)
    queue.put_back(*batch)
    assert len(queue) == 3 and [one.bounced for one in batch] == [True, True]
    assert queue.take([], now=0) == batch


def test_a_full_queue_takes_no_more_of_it_but_an_empty_one_takes_it_whole() -> None:
    queue = Queue(lanes=1, most=3)
    queue.put(*group("a", "b", "c", "d"))
    with pytest.raises(RateLimited):
        queue.put(waiting("e"))
    queue.take([], now=0)
    queue.put(*group("a", "b"))
    with pytest.raises(RateLimited):
        queue.put(*group("c", "d"))
    assert len(queue) == 2
