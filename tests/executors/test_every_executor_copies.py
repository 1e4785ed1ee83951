"""What every executor must do with copies: exactly what was named, compared and hashed, invisible until its step."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import httpx2
import pytest

from activities.executors.contract.direct import direct_reads_of, direct_uploads_of
from activities.executors.contract.executor import Content
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Source
from activities.executors.contract.task import Done, Step, Task, Unclear
from activities.executors.contract.trees import TreesByItem
from activities.executors.memory.executor import MemoryExecutor
from schema.errors import ContentExpired, FilestoreError, NotSupported, VersionConflict
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.conftest import Bench, again, refused

FOLDER = Identity(0, 0, 0, 0, 0, 0, True)


def test_a_copied_file_has_the_content_and_a_life_of_its_own(bench: Bench) -> None:
    content = bytes(range(256)) * 9000
    known = bench.has(b"file", content)
    digest = hashlib.sha256(content).digest()
    source = Source(b"", "file", known, NodePath(b"file"), sha256=digest)
    stage = new_command_id()
    (copied,) = bench.executor.stage_copy(stage, [source])
    assert (copied.relative, copied.kind, copied.size, copied.sha256) == (b"", "file", len(content), digest)
    assert copied.identity.same_content(bench.executor.find_stage(stage))
    assert not copied.identity.same_inode(known)
    assert [entry.path.raw for entry in bench.executor.walk()] == [b"file"]
    assert bench.executor.discard_stage(stage, copied.identity) and bench.outside.stages() == {}
    bench.done(bench.copy([source], b"copy"))
    bench.outside.edit(b"copy", b"edited")
    assert bench.outside.read(b"file") == content


def test_older_content_is_copied_from_the_trash(bench: Bench) -> None:
    place, known = bench.deleted(b"file", b"old")
    bench.done(bench.copy([Source(b"", "file", known, place=place.encode())], b"back"))
    assert bench.outside.read(b"back") == b"old" and bench.outside.trash() == {place: b"old"}
    with pytest.raises(ContentExpired):
        list(bench.executor.stage_copy(new_command_id(), [Source(b"", "file", known, place=b"no/where")]))


def test_an_empty_directory_is_copied(bench: Bench) -> None:
    known = bench.has(b"folder", None)
    task = bench.copy([Source(b"", "directory", known, NodePath(b"folder"))], b"copy")
    assert bench.done(task).identity
    assert bench.outside.is_folder(b"copy")


def a_tree(bench: Bench) -> list[Source]:
    for path, content in ((b"t", None), (b"t/b", None), (b"t/a", b"1"), (b"t/b/c", None), (b"t/b/c/d", b"22")):
        bench.has(path, content)
    return bench.sources(b"t")


def contents(bench: Bench, path: bytes) -> dict[bytes, bytes | None]:
    return {source.relative: bench.outside.read(path + b"/" + source.relative) for source in bench.sources(path)}


def test_a_tree_is_copied_and_appears_at_once(whole: Bench) -> None:
    sources, stage = a_tree(whole), new_command_id()
    copied = {one.relative: one for one in whole.executor.stage_copy(stage, sources)}
    assert whole.executor.discard_stage(stage, copied[b""].identity) and whole.outside.stages() == {}
    assert {key: (one.kind, one.size) for key, one in copied.items() if one.kind == "file"} == {
        b"a": ("file", 1),
        b"b/c/d": ("file", 2),
    }
    task = whole.copy(sources, b"copy")
    assert contents(whole, b"t") == {b"": None, b"a": b"1", b"b": None, b"b/c": None, b"b/c/d": b"22"}
    assert not whole.outside.is_folder(b"copy")
    whole.done(task)
    assert contents(whole, b"copy") == contents(whole, b"t")
    result = whole.executor.act(again(task))
    assert isinstance(result, Done) and result.recognised and result.drift is None


def test_the_answers_of_a_tree_are_the_identities_its_steps_are_checked_against(whole: Bench) -> None:
    sources = a_tree(whole)
    stage = new_command_id()
    copied = {one.relative: one.identity for one in whole.executor.stage_copy(stage, sources)}
    task = replace(whole.copy(sources, b"copy"), stage=stage, staged=copied[b""])
    whole.done(task)
    whole.done(whole.delete(b"copy/a", copied[b"a"]))
    whole.done(whole.delete(b"copy/b", copied[b"b"], tree=True))
    assert contents(whole, b"copy") == {b"": None}


def test_exactly_what_is_named_is_copied(whole: Bench) -> None:
    sources = a_tree(whole)
    whole.outside.put(b"t/b/strange", b"strange")
    whole.done(whole.copy([source for source in sources if source.relative != b"a"], b"copy"))
    assert set(contents(whole, b"copy")) == {b"", b"b", b"b/c", b"b/c/d"}


def test_a_copied_tree_is_reversed_and_cleared(whole: Bench) -> None:
    task = whole.copy(a_tree(whole), b"copy")
    whole.executor.act(task)
    for _ in range(2):
        assert isinstance(whole.executor.reverse(task), Done)
    assert whole.outside.stages() == {task.command: None} and not whole.outside.is_folder(b"copy")
    assert isinstance(whole.executor.act(again(task)), Done)
    assert isinstance(whole.executor.reverse(task), Done)
    for _ in range(2):
        whole.executor.finish(task, False)
    assert whole.outside.stages() == {} and whole.outside.trash() == {}
    assert len(contents(whole, b"t")) == 5


@pytest.mark.parametrize("how", ["put", "edit"])
def test_strangers_bytes_in_a_reversed_tree_are_kept(whole: Bench, how: str) -> None:
    task = whole.copy(a_tree(whole), b"copy")
    whole.executor.act(task)
    getattr(whole.outside, how)(b"copy/b/c/d", b"strange")
    assert isinstance(whole.executor.reverse(task), Done)
    assert not whole.executor.discard_stage(task.command, task.staged)
    whole.executor.finish(task, False)
    assert whole.outside.stages() == {}
    (kept,) = whole.outside.trash()
    content = whole.executor.open_kept(kept.encode() + b"/b/c/d")
    assert content.read(0, 99) == b"strange"
    content.close()


def changed(bench: Bench) -> dict[str, Callable[[], object]]:
    return {
        "edited": lambda: bench.outside.edit(b"t/b/c/d", b"xx"),
        "swapped": lambda: bench.outside.put(b"t/b/c/d", b"22"),
        "removed": lambda: bench.outside.remove(b"t/b/c/d"),
    }


@pytest.mark.parametrize("how", ["edited", "swapped", "removed"])
def test_a_source_that_changed_is_not_copied_and_nothing_is_left(whole: Bench, how: str) -> None:
    sources = a_tree(whole)
    changed(whole)[how]()
    with pytest.raises(VersionConflict):
        list(whole.executor.stage_copy(new_command_id(), sources))
    assert whole.outside.stages() == {}


def test_a_source_with_another_hash_is_not_copied(bench: Bench) -> None:
    known = bench.has(b"file", b"content")
    source = Source(b"", "file", known, NodePath(b"file"), sha256=hashlib.sha256(b"else").digest())
    with pytest.raises(VersionConflict):
        list(bench.executor.stage_copy(new_command_id(), [source]))
    assert bench.outside.stages() == {}


def test_what_can_not_be_copied_is_named(bench: Bench) -> None:
    known = bench.has(b"strange thing", b"x")
    with pytest.raises(NotSupported):
        list(bench.executor.stage_copy(new_command_id(), [Source(b"", "special", known, NodePath(b"strange thing"))]))
    assert bench.outside.stages() == {}


def test_what_an_earlier_execution_left_is_removed_first(whole: Bench) -> None:
    sources, stage = a_tree(whole), new_command_id()
    list(whole.executor.stage_copy(stage, sources))
    whole.outside.put_stage(f"{stage}/b/half", b"half")  # type: ignore[arg-type]
    (copied,) = whole.executor.stage_copy(stage, [sources[0]])
    identity = copied.identity
    assert identity.same_content(whole.executor.find_stage(stage))
    assert whole.executor.discard_stage(stage, identity) and whole.outside.stages() == {}


def test_a_copy_nobody_takes_to_its_end_leaves_nothing(whole: Bench) -> None:
    copying = whole.executor.stage_copy(new_command_id(), a_tree(whole))
    next(copying)
    copying.close()  # type: ignore[attr-defined]
    assert whole.outside.stages() == {}


def test_sources_that_are_no_tree_are_refused(bench: Bench) -> None:
    known = bench.has(b"file", b"x")
    for relatives in ([b"a"], [b"", b"a"], [b"", b""]):
        sources = [Source(relative, "file", known, NodePath(b"file")) for relative in relatives]
        with pytest.raises(FilestoreError):
            list(bench.executor.stage_copy(new_command_id(), sources))
    assert bench.outside.stages() == {}
    assert list(bench.executor.stage_copy(new_command_id(), [])) == []


def test_an_orphaned_tree_is_swept(whole: Bench) -> None:
    stage = new_command_id()
    list(whole.executor.stage_copy(stage, a_tree(whole)))
    assert [name for name, _ in whole.executor.stages()] == [stage]
    assert whole.executor.discard_stage(stage, None) and whole.executor.discard_stage(stage, None)
    assert whole.outside.stages() == {}


def test_a_copy_is_refused_at_a_taken_name(whole: Bench) -> None:
    task = whole.copy(a_tree(whole), b"copy")
    whole.outside.put(b"copy", b"strange")
    assert not isinstance(whole.executor.act(task), (Done, Unclear))
    assert whole.outside.read(b"copy") == b"strange"


def test_only_storage_with_urls_of_its_own_gives_one(bench: Bench) -> None:
    known = bench.has(b"file", b"x")
    try:
        assert (
            direct_reads_of(bench.executor)
            .presign(NodePath(b"file"), known, 60, "inline", "text/plain")
            .startswith("http")
        )
    except NotSupported:
        assert not isinstance(bench.executor, TreesByItem)


def test_a_tree_comes_from_another_mount(bench: Bench, whole: None) -> None:
    contents = {b"d": None, b"d/empty": b"", b"f": b"content"}
    other = Bench(MemoryExecutor(), bench.outside)
    known = {name: other.done(other.create(name, content)).identity for name, content in contents.items()}
    root = Source(b"", "directory", FOLDER, NodePath(b"gone"))
    below = [
        Source(name, "file" if content is not None else "directory", known[name] or FOLDER, NodePath(name),
               sha256=hashlib.sha256(content).digest() if content is not None else None)
        for name, content in contents.items()
    ]  # fmt: skip

    def fetch(source: Source) -> Content:
        assert source.path is not None
        return other.executor.open(source.path)

    stage = new_command_id()
    copied = list(bench.executor.stage_copy(stage, [root, *below], fetch))
    bench.executor.seal([], [stage])
    bench.done(Task(stage, Step.CREATE, NodePath(b"copy"), stage, copied[-1].identity, tree=True))
    assert [bench.outside.read(b"copy/" + name) for name in (b"d/empty", b"f")] == [b"", b"content"]
    wrong = replace(below[2], sha256=hashlib.sha256(b"other").digest())
    with pytest.raises(VersionConflict):
        list(bench.executor.stage_copy(new_command_id(), [root, wrong], fetch))
    assert list(bench.executor.stages()) == []


def test_only_storage_with_urls_of_its_own_takes_content_without_us(bench: Bench) -> None:
    stage, sha256 = new_command_id(), hashlib.sha256(b"content").digest()
    try:
        executor = direct_uploads_of(bench.executor)
        link = executor.presign_stage(stage, 7, sha256, 60)
        assert link.url.startswith("http") and link.headers["content-length"] == "7"
        assert executor.find_uploaded(stage, 7, sha256) is None
    except NotSupported:
        assert not isinstance(bench.executor, TreesByItem)
        assert not hasattr(bench.executor, "find_uploaded"), "what it can not do it does not have"


def test_a_stage_that_was_lent_is_cleared_by_success_alone(bench: Bench) -> None:
    """Where a store takes content without us: the stage stays its upload's until the command has succeeded."""
    stage, sha256 = new_command_id(), hashlib.sha256(b"content").digest()
    try:
        executor = direct_uploads_of(bench.executor)
        link = executor.presign_stage(stage, 7, sha256, 60)
    except NotSupported:
        return
    assert httpx2.put(link.url, content=b"content", headers=dict(link.headers)).status_code == 200
    sealed = executor.find_uploaded(stage, 7, sha256)
    assert sealed is not None and bench.executor.find_stage(stage) == sealed.identity
    command = new_command_id()
    task = Task(command, Step.CREATE, NodePath(b"taken/by/nothing"), stage, sealed.identity, borrowed=True)
    assert refused(bench.executor.act(task)) == "PARENT_NOT_FOUND"
    bench.executor.finish(task, False)
    assert list(bench.outside.stages()) == [stage]
    task = replace(task, path=NodePath(b"file"))
    assert isinstance(bench.executor.act(task), Done)
    assert isinstance(bench.executor.reverse(task), Done) and bench.outside.read(b"file") is None
    bench.executor.finish(task, False)
    assert executor.find_uploaded(stage, 7, sha256) == sealed, "taken back, and the upload's again"
    bench.done(again(task))
    assert bench.outside.read(b"file") == b"content" and bench.outside.stages() == {}
    assert isinstance(again_done := bench.executor.act(again(task)), Done) and again_done.recognised
