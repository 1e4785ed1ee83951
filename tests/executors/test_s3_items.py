"""Trees in a bucket, item by item: again is harmless at every step, strangers stay, and failures leave nothing."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from activities.executors.contract.executor import Content
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Source
from activities.executors.contract.task import Done, Refused, Step, Task
from activities.executors.contract.trees import TreesByItem
from activities.executors.memory.executor import MemoryExecutor
from activities.executors.s3.executor import OBJECT_MAX
from activities.executors.s3.keys import KEY_MAX
from schema.errors import (
    ContentExpired,
    InvalidPath,
    MountOffline,
    NodeExists,
    ParentNotFound,
    PayloadTooLarge,
    VersionConflict,
)
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.bench_s3 import OutsideBucket, outside
from tests.executors.conftest import DAY, Bench
from tests.fix_s3 import S3Mount, S3Server, new_mount
from tests.fix_s3_proxy import Fault, S3Proxy

FOLDER = Identity(0, 0, 0, 0, 0, 0, True)
CONTENT = {b"b": None, b"b/g": b"two", b"f": b"one"}


@pytest.fixture
def bench(s3_mount: S3Mount) -> Bench:
    return Bench(*outside(s3_mount))


@dataclass
class BucketTree:
    """A directory `a` with content, and one command on it."""

    bench: Bench
    task: Task
    sources: list[Source]

    @property
    def executor(self) -> TreesByItem:
        return cast(TreesByItem, self.bench.executor)

    def lay(self) -> None:
        self.executor.begin_tree(self.task)
        self.executor.lay(self.task, self.sources)
        self.executor.end_tree(self.task, sum(source.kind == "file" for source in self.sources))

    def clear(self, succeeded: bool = True) -> None:
        self.executor.clear_tree(self.task, self.sources[::-1], succeeded)
        self.bench.executor.finish(self.task, succeeded)

    def act(self) -> None:
        assert isinstance(self.bench.executor.act(self.task), Done)

    @property
    def names(self) -> list[bytes]:
        return sorted(entry.path.raw for entry in self.bench.executor.walk())


def planted(bench: Bench, step: Step) -> BucketTree:
    known = {b"": bench.has(b"a", None)}
    known |= {name: bench.has(b"a/" + name, content) for name, content in CONTENT.items()}
    command, a, new = new_command_id(), NodePath(b"a"), NodePath(b"new")
    trash = f"{DAY}/{command}.0"
    task = {
        Step.DELETE: Task(command, step, a, expected=FOLDER, trash=trash, tree=True, items=True),
        Step.MOVE: Task(command, step, a, expected=FOLDER, target=new, tree=True, items=True),
        Step.CREATE: Task(command, step, new, command, FOLDER, tree=True, items=True),
    }[step]
    return BucketTree(bench, task, sources(known))


def sources(known: dict[bytes, Identity], below: bytes = b"a") -> list[Source]:
    return [
        Source(name, "directory" if content is None else "file", known[name], NodePath(below + b"/" + name),
               sha256=None if content is None else hashlib.sha256(content).digest())
        for name, content in sorted(CONTENT.items())
    ]  # fmt: skip


def below(top: bytes) -> list[bytes]:
    return [top, *(top + b"/" + name for name in sorted(CONTENT))]


LEAVES = {Step.DELETE: [], Step.MOVE: below(b"new"), Step.CREATE: below(b"a") + below(b"new")}


@pytest.mark.parametrize("step", list(LEAVES))
def test_everything_may_be_done_again(bench: Bench, step: Step) -> None:
    tree = planted(bench, step)
    tree.lay()
    tree.lay()
    assert set(below(b"a")) <= set(tree.names), "nothing leaves before the record"
    tree.act()
    tree.act()
    tree.clear()
    tree.clear()
    assert tree.names == sorted(LEAVES[step])
    kept = {f"{tree.task.trash}/{name.decode()}": content for name, content in CONTENT.items() if content is not None}
    files = {place: content for place, content in bench.outside.trash().items() if content}
    assert files == (kept if step is Step.DELETE else {})


@pytest.mark.parametrize("step", list(LEAVES))
def test_what_failed_leaves_nothing(bench: Bench, step: Step) -> None:
    tree = planted(bench, step)
    tree.lay()
    tree.clear(succeeded=False)
    tree.clear(succeeded=False)
    assert tree.names == below(b"a") and bench.outside.trash() == {}


def test_a_step_is_not_taken_before_its_items_are_laid(bench: Bench) -> None:
    tree = planted(bench, Step.DELETE)
    for task in (tree.task, replace(tree.task, step=Step.MOVE, target=NodePath(b"new"))):
        result = bench.executor.act(task)
        assert isinstance(result, Refused) and tree.names == below(b"a")


def test_strangers_below_keep_a_tree_from_leaving(bench: Bench) -> None:
    tree = planted(bench, Step.MOVE)
    bench.outside.put(b"a/b/stranger", b"not ours")
    with pytest.raises(VersionConflict, match="does not know"):
        tree.lay()
    tree.clear(succeeded=False)
    assert b"a/b/stranger" in tree.names and b"new" not in tree.names


@pytest.mark.parametrize("theirs", [b"edited", None])
def test_a_source_that_changed_stops_its_tree(bench: Bench, theirs: bytes | None) -> None:
    tree = planted(bench, Step.MOVE)
    bench.outside.remove(b"a/b/g")
    if theirs is not None:
        bench.outside.put(b"a/b/g", theirs)
    with pytest.raises(VersionConflict, match="a/b/g"):
        tree.lay()


def test_what_changed_after_it_was_laid_stays(bench: Bench) -> None:
    tree = planted(bench, Step.DELETE)
    tree.lay()
    bench.outside.put(b"a/b/g", b"edited since")
    tree.act()
    tree.clear()
    assert bench.outside.read(b"a/b/g") == b"edited since"
    assert bench.outside.trash()[f"{tree.task.trash}/b/g"] == b"two"


def test_a_copy_in_the_trash_stays_when_it_is_the_last_one(bench: Bench) -> None:
    tree = planted(bench, Step.DELETE)
    tree.lay()
    bench.outside.remove(b"a/b/g")
    tree.clear(succeeded=False)
    assert {content for content in bench.outside.trash().values() if content} == {b"two"}


def test_a_name_that_is_taken_is_not_overwritten(bench: Bench) -> None:
    tree = planted(bench, Step.CREATE)
    tree.executor.begin_tree(tree.task)
    bench.outside.put(b"new/f", b"a stranger's")
    with pytest.raises(NodeExists):
        tree.executor.lay(tree.task, tree.sources)
    tree.clear(succeeded=False)
    assert bench.outside.read(b"new/f") == b"a stranger's"
    with pytest.raises(NodeExists):
        tree.executor.begin_tree(replace(tree.task, command=new_command_id(), stage=None))
    with pytest.raises(ParentNotFound):
        tree.executor.begin_tree(replace(tree.task, path=NodePath(b"no/where")))


def test_what_is_no_longer_in_the_trash_can_not_come_back(bench: Bench) -> None:
    tree = planted(bench, Step.DELETE)
    tree.lay()
    tree.act()
    tree.clear()
    place = (tree.task.trash or "").encode()
    back = Task(new_command_id(), Step.RESTORE, NodePath(b"a"), expected=FOLDER, place=place, tree=True, items=True)
    kept = [replace(source, path=None, place=place + b"/" + source.relative) for source in tree.sources]
    bench.outside.drop_trash(f"{tree.task.trash}/b/g")
    restore = BucketTree(bench, back, kept)
    with pytest.raises(ContentExpired):
        restore.lay()
    restore.clear(succeeded=False)
    assert restore.names == [] and bench.outside.trash()[f"{tree.task.trash}/f"] == b"one"


@pytest.mark.parametrize(
    ("size", "hashed"),
    [(0, True), (3, True), (9 << 20, True), (3, False)],
    ids=["empty", "small", "in parts", "no hash"],
)
def test_items_come_from_another_mount(bench: Bench, size: int, hashed: bool) -> None:
    other, path, content = MemoryExecutor(), NodePath(b"far"), bytes(size)
    origin = Bench(other, bench.outside)
    identity = origin.done(origin.create(b"far", content)).identity
    assert identity is not None
    tree = planted(bench, Step.CREATE)
    tree.executor.begin_tree(tree.task)
    source = Source(b"file", "file", identity, path, sha256=hashlib.sha256(content).digest() if hashed else None)

    def fetch(wanted: Source) -> Content:
        return other.open(path)

    waiting = bench.outside.stages()
    (copied,) = tree.executor.lay(tree.task, [source], fetch)
    assert tree.executor.lay(tree.task, [source], fetch)[0].identity == copied.identity
    assert bench.outside.read(b"new/file") == content and bench.outside.stages() == waiting
    with pytest.raises(VersionConflict):
        tree.executor.lay(
            tree.task, [replace(source, relative=b"not", sha256=hashlib.sha256(b"other").digest())], fetch
        )
    assert bench.outside.read(b"new/not") is None


def test_items_come_from_another_prefix_of_the_bucket_without_being_read(
    s3_mount: S3Mount, s3_server: S3Server, s3_proxy: S3Proxy, tmp_path: Path
) -> None:
    near = new_mount(s3_server, tmp_path)
    executor, origin = s3_mount.open(s3_proxy.endpoint), near.open(s3_proxy.endpoint)
    assert executor.reaches(origin)
    assert not executor.reaches(near.open(s3_proxy.endpoint, secretAccessKey="another's")) and not executor.reaches(
        near.open()
    )
    there = Bench(origin, OutsideBucket(near.open()))
    elsewhere = planted(there, Step.CREATE).sources
    tree = planted(Bench(executor, OutsideBucket(s3_mount.open())), Step.CREATE)
    tree.executor.begin_tree(tree.task)
    s3_proxy.asked.clear()
    laid = {one.relative: one.identity for one in tree.executor.lay(tree.task, elsewhere, None, origin)}
    assert Counter(method for method, _ in s3_proxy.asked) == {"HEAD": 2, "PUT": 3}, "a directory is put"
    assert {one.relative: one.identity for one in tree.executor.lay(tree.task, elsewhere, None, origin)} == laid
    for name, content in CONTENT.items():
        assert tree.bench.outside.read(b"new/" + name) == there.outside.read(b"a/" + name) == content
    there.outside.edit(b"a/f", b"changed")
    tree.clear(False)
    with pytest.raises(VersionConflict):
        tree.executor.lay(tree.task, elsewhere, None, origin)


def test_an_item_from_another_mount_is_one_request(s3_mount: S3Mount, s3_proxy: S3Proxy) -> None:
    """Its condition looks; what is there from an execution that was broken off is looked at, and is not put again."""
    tree = planted(Bench(s3_mount.open(s3_proxy.endpoint), OutsideBucket(s3_mount.open())), Step.CREATE)
    other = MemoryExecutor()
    identity = Bench(other, tree.bench.outside).done(Bench(other, tree.bench.outside).create(b"far", b"three")).identity
    assert identity is not None
    source = Source(b"file", "file", identity, NodePath(b"far"), sha256=hashlib.sha256(b"three").digest())

    def lay(wanted: Source = source) -> list[str]:
        s3_proxy.asked.clear()
        tree.executor.lay(tree.task, [wanted], lambda _: other.open(NodePath(b"far")))
        return [method for method, _ in s3_proxy.asked]

    tree.executor.begin_tree(tree.task)
    assert lay() == ["PUT"] and lay() == ["PUT", "HEAD"]
    tree.bench.outside.edit(b"new/file", b"THREE")
    with pytest.raises((NodeExists, VersionConflict)):
        lay()


def test_a_line_that_breaks_leaves_it_to_be_done_again(s3_mount: S3Mount, s3_proxy: S3Proxy) -> None:
    tree = planted(Bench(s3_mount.open(s3_proxy.endpoint), OutsideBucket(s3_mount.open())), Step.MOVE)
    for fault in (
        Fault("PUT", "b/g", only_copies=True, cut_answer=-1),
        Fault("PUT", "b/g", only_copies=True, status=503, code="SlowDown"),
        Fault("HEAD", "/f", status=503, code="SlowDown"),
    ):
        s3_proxy.on(fault)
        with pytest.raises(MountOffline):
            tree.lay()
    tree.lay()
    tree.act()
    s3_proxy.on(Fault("DELETE", "b/g", cut_answer=-1))
    with pytest.raises(MountOffline):
        tree.clear()
    tree.clear()
    assert tree.names == below(b"new")


def room_of(s3_mount: S3Mount) -> int:
    """Bytes in the longest path."""
    return KEY_MAX - len(s3_mount.prefix.encode()) - 1


def too_long(s3_mount: S3Mount) -> bytes:
    """A name that is possible as such, and too long for the last of what lies below `a`."""
    return b"n" * (room_of(s3_mount) - len(b"/b/g") + 1)


def test_what_no_object_can_be_is_known_before_any_byte_of_it(bench: Bench, s3_mount: S3Mount) -> None:
    executor = s3_mount.open()
    longest = NodePath(b"/".join([b"n" * 200] * 6)[: room_of(s3_mount)])  # ends within a name
    executor.check_upload(longest, None)
    executor.check_upload(longest, OBJECT_MAX)
    for path in (NodePath(longest.raw + b"n"), NodePath(b"d/\xff")):
        with pytest.raises(InvalidPath):
            executor.check_upload(path, 1)
    with pytest.raises(PayloadTooLarge):
        executor.check_upload(longest, OBJECT_MAX + 1)


@pytest.mark.parametrize("name", [b"d\xff", None], ids=["not UTF-8", "too long"])
@pytest.mark.parametrize("step", [Step.MOVE, Step.CREATE])
def test_names_that_no_key_can_hold_are_refused_before_anything_is_laid_and_leave_nothing_to_clear(
    bench: Bench, s3_mount: S3Mount, step: Step, name: bytes | None
) -> None:
    tree = planted(bench, step)
    target = NodePath(name or too_long(s3_mount))
    tree.task = replace(tree.task, target=target) if step is Step.MOVE else replace(tree.task, path=target)
    with pytest.raises(InvalidPath):
        tree.executor.check_names(tree.task, tree.sources)
    before = tree.names
    tree.clear(succeeded=False)
    assert tree.names == before


def test_what_lies_too_deep_for_its_place_in_the_trash_goes_there_under_a_short_name_and_comes_back(
    bench: Bench, s3_mount: S3Mount
) -> None:
    tree = planted(bench, Step.DELETE)
    folder = b"a/" + b"/".join([b"d" * 200] * 4)
    for depth in range(1, 5):
        path = b"/".join(folder.split(b"/")[: depth + 1])
        tree.sources.append(Source(path[2:], "directory", bench.has(path, None), NodePath(path)))
    deepest = folder + b"/" + b"f" * (room_of(s3_mount) - len(folder) - 1)
    tree.sources.append(Source(deepest[2:], "file", bench.has(deepest, b"deep"), NodePath(deepest)))
    tree.executor.check_names(tree.task, tree.sources)
    tree.lay()
    tree.act()
    tree.clear()
    assert tree.names == []
    place = (tree.task.trash or "").encode() + deepest[1:]
    assert bench.executor.open_kept(place).read(0, 10) == b"deep"
    back = replace(
        tree.task, command=new_command_id(), step=Step.RESTORE, trash=None, place=(tree.task.trash or "").encode()
    )
    restored = [
        replace(source, path=None, place=(tree.task.trash or "").encode() + b"/" + source.relative)
        for source in tree.sources
    ]
    again = BucketTree(bench, back, restored)
    again.executor.check_names(back, restored)
    again.lay()
    again.act()
    again.clear()
    assert bench.outside.read(deepest) == b"deep" and bench.outside.read(b"a/b/g") == b"two"
    assert not bench.outside.trash()
