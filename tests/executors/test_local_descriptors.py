"""No file descriptor is left, on a local disk: nothing is taken for missing, nothing is lost, and it heals."""

import errno
import gc
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from activities.executors.contract.stage import Draft, Stage
from activities.executors.contract.task import Done
from activities.executors.local.executor import LocalExecutor
from schema.errors import Unavailable
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.conftest import MOUNT, Bench


def all_that_are_left() -> list[int]:
    """Take every number below the limit: other threads have opened and closed some meanwhile."""
    taken: list[int] = []
    while True:
        try:
            taken.append(os.dup(2))
        except OSError as error:
            assert error.errno == errno.EMFILE
            return taken


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """The kernel gives the lowest free number: with that as the limit, this process gets none.

    The collector of garbage stands still: what it closes would be free again."""
    gc.disable()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(2)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    taken = all_that_are_left()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
        gc.enable()


@contextmanager
def refused_for_descriptors() -> Iterator[None]:
    with pytest.raises(Unavailable, match="no file descriptor left"), no_descriptor_left():
        yield


def test_what_opens_something_says_so(disk: Bench) -> None:
    disk.has(b"file", b"x")
    asked: list[Callable[[], object]] = [
        disk.executor.locks,
        lambda: disk.executor.open_stage(new_command_id()),
        lambda: disk.executor.open(NodePath(b"file")),
        lambda: list(disk.executor.walk()),
        lambda: list(disk.executor.stages()),
    ]
    for ask in asked:
        with refused_for_descriptors():
            ask()
    assert disk.outside.stages() == {}
    assert [entry.path.raw for entry in disk.executor.walk()] == [b"file"]


def test_a_mount_that_can_not_be_opened_is_not_called_offline(root: Path) -> None:
    executor = LocalExecutor(str(root), MOUNT)
    for _ in range(2):
        with refused_for_descriptors():
            executor.check()
    executor.check()


def test_a_list_is_staged_as_far_as_it_goes(disk: Bench) -> None:
    file, folder = new_command_id(), new_command_id()
    disk.executor.check()
    with no_descriptor_left():
        answers = disk.executor.seal([Draft(file, b"x"), Draft(folder, None)])
    assert [type(answer) for answer in answers] == [Unavailable, Stage]
    assert disk.outside.stages() == {folder: None}
    assert isinstance(disk.executor.seal([Draft(file, b"x")])[0], Stage)


def test_a_step_that_could_not_look_is_taken_later(disk: Bench) -> None:
    old, gone, moved = disk.has(b"old", b"1"), disk.has(b"gone", b"2"), disk.has(b"moved", b"3")
    place, back = disk.deleted(b"back", b"4")
    tasks = [
        disk.create(b"new", b"new"),
        disk.replace(b"old", b"newer", old),
        disk.delete(b"gone", gone),
        disk.move(b"moved", b"there", moved),
        disk.restore(place, b"back", back),
    ]
    for task in tasks:
        with refused_for_descriptors():
            disk.executor.act(task)
    assert [disk.outside.read(name) for name in (b"new", b"old", b"gone", b"moved")] == [None, b"1", b"2", b"3"]
    for task in tasks:
        assert isinstance(disk.executor.act(task), Done)
    with refused_for_descriptors():
        disk.executor.flush(tasks)
    disk.executor.flush(tasks)  # no flush has failed: none was tried
    for task in tasks:
        disk.executor.finish(task, True)
    assert [disk.outside.read(name) for name in (b"new", b"old", b"gone", b"there")] == [b"new", b"newer", None, b"3"]
    assert disk.outside.stages() == {}


def test_a_copy_begins_anew(disk: Bench) -> None:
    disk.has(b"tree", None)
    disk.has(b"tree/file", b"x")
    sources, stage = disk.sources(b"tree"), new_command_id()
    with refused_for_descriptors():
        list(disk.executor.stage_copy(stage, sources))
    assert len(list(disk.executor.stage_copy(stage, sources))) == 2
