"""Every executor: locks, reading, threads."""

import os
import threading

import pytest

from activities.executors.contract.task import Done, Task
from schema.errors import NodeNotFound, NotADirectory
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.conftest import Bench


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
    seen: set[bytes] = {b""}
    for entry in entries:
        assert entry.path.parent.raw in seen
        seen.add(entry.path.raw)
    assert seen == {b"", b"a", b"a-b", b"a/b", b"a/b/c", b"a/b/c/file", b"a/.filestore"}
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
