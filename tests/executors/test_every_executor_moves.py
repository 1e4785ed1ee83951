"""What every executor must do with what has a place already: move it, move it onto another, restore it, take trees."""

import pytest

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Task, Unclear
from schema import faults
from schema.errors import ContentExpired
from schema.paths import NodePath
from tests.executors.conftest import DAY, Bench, SimulatedCrash, When, again, crash, refused


def read_kept(bench: Bench, place: str) -> bytes:
    content = bench.executor.open_kept(place.encode())
    try:
        return content.read(0, 1 << 20)
    finally:
        content.close()


# -- to a free name ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [b"other", b"folder/name"])
def test_a_moved_file_has_its_new_name_and_its_identity(bench: Bench, target: bytes) -> None:
    bench.has(b"folder", None)
    known = bench.has(b"name", b"content")
    result = bench.done(bench.move(b"name", target, known))
    assert (
        result.identity and known.same_content(result.identity) and (result.recognised, result.drift) == (False, None)
    )
    assert (bench.outside.read(b"name"), bench.outside.read(target)) == (None, b"content")
    assert bench.outside.stages() == {} and bench.outside.trash() == {}


def test_a_moved_directory_takes_everything_along(whole: Bench) -> None:
    known = whole.has(b"from", None)
    whole.has(b"to", None)
    whole.has(b"from/below", None)
    deep = whole.has(b"from/below/file", b"deep")
    whole.outside.put(b"from/strange", b"strange")
    result = whole.done(whole.move(b"from", b"to/there", known))
    assert known.same_content(result.identity)
    found = {entry.path.raw: entry.identity for entry in whole.executor.walk()}
    assert set(found) == {b"to", b"to/there", b"to/there/below", b"to/there/below/file", b"to/there/strange"}
    assert found[b"to/there/below/file"] == deep


def test_a_directory_is_not_moved_into_itself(whole: Bench) -> None:
    known = whole.has(b"folder", None)
    whole.has(b"folder/below", None)
    assert refused(whole.executor.act(whole.move(b"folder", b"folder/below/again", known))) == "INVALID_REQUEST"
    assert whole.outside.is_folder(b"folder/below")


def test_a_moved_file_can_be_moved_again_and_replaced(bench: Bench) -> None:
    known = bench.has(b"a", b"content")
    for source, target in ((b"a", b"b"), (b"b", b"c"), (b"c", b"a")):
        moved = bench.done(bench.move(source, target, known)).identity
        assert moved
        known = moved
    bench.done(bench.replace(b"a", b"new", known))
    assert bench.outside.read(b"a") == b"new"


def test_move_refuses_a_name_taken_by_a_stranger(bench: Bench, when: When) -> None:
    task = bench.move(b"file", b"taken", bench.has(b"file", b"ours"))
    when("apply.act", lambda: bench.outside.put(b"taken", b"strange"))
    assert refused(bench.executor.act(task)) == "NODE_EXISTS"
    assert refused(bench.executor.act(again(task))) == "NODE_EXISTS"
    assert (bench.outside.read(b"file"), bench.outside.read(b"taken")) == (b"ours", b"strange")


def test_move_needs_the_parent_of_its_target(bench: Bench) -> None:
    known = bench.has(b"file", b"ours")
    assert refused(bench.executor.act(bench.move(b"file", b"no/file", known))) == "PARENT_NOT_FOUND"
    bench.has(b"no", b"not a folder")
    assert refused(bench.executor.act(bench.move(b"file", b"no/file", known))) == "NOT_A_DIRECTORY"
    assert bench.outside.read(b"file") == b"ours"


def test_move_refuses_what_it_does_not_know(bench: Bench) -> None:
    task = bench.move(b"file", b"target", bench.has(b"file", b"old"))
    bench.outside.edit(b"file", b"edited")
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    bench.outside.put(b"file", b"strange")
    assert refused(bench.executor.act(task)) == "VERSION_CONFLICT"
    bench.outside.remove(b"file")
    assert refused(bench.executor.act(task)) == "NODE_NOT_FOUND"
    assert bench.outside.read(b"target") is None


def test_a_move_that_took_something_else_is_unclear_and_leaves_it_there(bench: Bench, when: When) -> None:
    task = bench.move(b"file", b"target", bench.has(b"file", b"old"))
    when("apply.act", lambda: bench.outside.put(b"file", b"strange"))
    assert isinstance(bench.executor.act(task), Unclear)
    assert (bench.outside.read(b"file"), bench.outside.read(b"target")) == (None, b"strange")
    assert isinstance(bench.executor.act(again(task)), Unclear)


@pytest.mark.parametrize("content", [b"file", None])
@pytest.mark.parametrize("point", ["apply.act", "apply.acted"])
def test_a_move_whose_process_died_is_taken_once(bench: Bench, when: When, point: str, content: bytes | None) -> None:
    known = bench.has(b"name", content)
    task = bench.move(b"name", b"target", known)
    when(point, crash)
    with pytest.raises(SimulatedCrash):
        bench.executor.act(task)
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and (result.recognised, result.drift) == (point == "apply.acted", None)
    assert known.same_content(result.identity)
    assert [entry.path.raw for entry in bench.executor.walk()] == [b"target"]


def test_a_resumed_move_that_finds_nothing_at_either_end_is_unclear(bench: Bench) -> None:
    task = bench.move(b"file", b"target", bench.has(b"file", b"x"))
    bench.executor.act(task)
    bench.outside.remove(b"target")
    assert isinstance(bench.executor.act(again(task)), Unclear)
    bench.outside.put(b"file", b"strange")
    assert isinstance(bench.executor.act(again(task)), Unclear)
    assert bench.outside.read(b"file") == b"strange"


def test_a_recognised_move_tells_what_happened_since(bench: Bench) -> None:
    known = bench.has(b"file", b"x")
    task = bench.move(b"file", b"target", known)
    bench.executor.act(task)
    bench.outside.put(b"file", b"at the old name")
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.recognised and result.drift and known.same_content(result.identity)
    bench.outside.edit(b"target", b"edited")
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.drift and known.same_content(result.identity)
    assert bench.outside.read(b"file") == b"at the old name"


@pytest.mark.parametrize("content", [b"file", None])
def test_a_move_is_reversed(bench: Bench, content: bytes | None) -> None:
    known = bench.has(b"name", content)
    task = bench.move(b"name", b"target", known)
    bench.executor.act(task)
    for _ in range(2):
        result = bench.executor.reverse(task)
        assert isinstance(result, Done) and known.same_content(result.identity)
    assert [entry.path.raw for entry in bench.executor.walk()] == [b"name"]


def test_a_move_is_not_reversed_where_somebody_has_been_since(bench: Bench) -> None:
    edited = bench.move(b"a", b"a2", bench.has(b"a", b"a"))
    taken = bench.move(b"b", b"b2", bench.has(b"b", b"b"))
    for task in (edited, taken):
        bench.executor.act(task)
    bench.outside.edit(b"a2", b"edited")
    bench.outside.put(b"b", b"strange")
    for task in (edited, taken):
        assert isinstance(bench.executor.reverse(task), Unclear)
    names = (b"a", b"a2", b"b", b"b2")
    assert [bench.outside.read(name) for name in names] == [None, b"edited", b"strange", b"b"]


# -- onto another file -------------------------------------------------------------------------------------------------


def onto(bench: Bench) -> tuple[Task, Identity]:
    known, replaced = bench.has(b"new", b"moved"), bench.has(b"old", b"replaced")
    return bench.move(b"new", b"old", known, replaced), known


def test_a_move_onto_a_file_keeps_that_one_in_the_trash(bench: Bench) -> None:
    task, known = onto(bench)
    result = bench.done(task)
    assert known.same_content(result.identity) and (result.recognised, result.drift) == (False, None)
    assert (bench.outside.read(b"new"), bench.outside.read(b"old")) == (None, b"moved")
    assert task.trash and bench.outside.trash() == {task.trash: b"replaced"}
    assert read_kept(bench, task.trash) == b"replaced"


@pytest.mark.parametrize(
    ("name", "code"), [(b"new", "VERSION_CONFLICT"), (b"old", "VERSION_CONFLICT")], ids=["source", "target"]
)
def test_a_move_onto_a_file_refuses_what_it_does_not_know(bench: Bench, name: bytes, code: str) -> None:
    task, _ = onto(bench)
    bench.outside.put(name, b"strange")
    assert refused(bench.executor.act(task)) == code
    bench.outside.remove(name)
    assert refused(bench.executor.act(task)) == "NODE_NOT_FOUND"
    assert bench.outside.trash() == {}


@pytest.mark.parametrize("name", [b"new", b"old"], ids=["source", "target"])
@pytest.mark.parametrize("how", ["put", "edit"])
def test_a_move_onto_a_file_is_taken_back_when_one_was_swapped_in_the_last_moment(
    bench: Bench, when: When, name: bytes, how: str
) -> None:
    task, known = onto(bench)
    when("apply.act", lambda: getattr(bench.outside, how)(name, b"strange"))
    result = bench.executor.act(task)
    if (name, how) == (b"new", "edit"):  # it is the very file that was to be moved, and another program wrote into it
        assert isinstance(result, Done) and result.drift and known.same_content(result.identity)
        assert bench.outside.read(b"old") == b"strange"
        return
    assert refused(result) == "VERSION_CONFLICT"
    expected = {b"new": b"moved", b"old": b"replaced"} | {name: b"strange"}
    assert {path: bench.outside.read(path) for path in (b"new", b"old")} == expected
    assert bench.outside.trash() == {}


@pytest.mark.parametrize("point", ["apply.act", "apply.acted"])
@pytest.mark.parametrize("time", [1, 2])
def test_a_move_onto_a_file_whose_process_died_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, point: str, time: int
) -> None:
    """Before and after each of the two renames, where there are two."""
    task, known = onto(bench)
    reached: list[str] = []

    def reach(now: str, subject: str = "") -> None:
        reached.append(now)
        if now == point and reached.count(point) == time:
            raise SimulatedCrash

    with monkeypatch.context() as dying:
        dying.setattr(faults, "reach", reach)
        try:
            bench.executor.act(task)
        except SimulatedCrash:
            assert bench.outside.read(b"old") is not None
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.drift is None and known.same_content(result.identity)
    assert (bench.outside.read(b"new"), bench.outside.read(b"old")) == (None, b"moved")
    assert bench.outside.trash() == {task.trash: b"replaced"}


@pytest.mark.parametrize("moment", [2, 3])
def test_a_stranger_at_the_old_name_is_never_taken_for_the_replaced_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Right after the exchange, when the move is taken back; and right before the replaced file goes to the trash."""
    task, known = onto(bench)
    moments: list[str] = []

    def reach(point: str, subject: str = "") -> None:
        moments.append(point)
        if len(moments) == moment:
            bench.outside.put(b"new", b"strange")

    monkeypatch.setattr(faults, "reach", reach)
    result = bench.executor.act(task)
    found = {bench.outside.read(name) for name in (b"new", b"old")}
    assert found == {b"moved", b"strange"} or len(moments) < moment
    assert b"strange" not in bench.outside.trash().values()
    if isinstance(result, Done):
        assert known.same_content(result.identity) and bench.outside.read(b"old") == b"moved"
    else:
        assert refused(result) == "VERSION_CONFLICT"


def test_a_stranger_at_the_old_name_after_a_crash_stays_there(bench: Bench, when: When) -> None:
    task, known = onto(bench)
    when("apply.acted", crash)
    with pytest.raises(SimulatedCrash):
        bench.executor.act(task)
    bench.outside.put(b"new", b"strange")
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.recognised and result.drift and known.same_content(result.identity)
    assert (bench.outside.read(b"new"), bench.outside.read(b"old")) == (b"strange", b"moved")
    assert b"strange" not in bench.outside.trash().values()


@pytest.mark.parametrize("point", [None, "apply.acted"])
def test_a_move_onto_a_file_is_reversed(bench: Bench, when: When, point: str | None) -> None:
    task, known = onto(bench)
    if point:
        when(point, crash)
        with pytest.raises(SimulatedCrash):
            bench.executor.act(task)
    else:
        bench.executor.act(task)
    for _ in range(2):
        result = bench.executor.reverse(task)
        assert isinstance(result, Done) and known.same_content(result.identity)
    assert (bench.outside.read(b"new"), bench.outside.read(b"old")) == (b"moved", b"replaced")
    assert bench.outside.trash() == {}


def test_a_move_onto_a_file_is_not_reversed_where_somebody_has_been_since(bench: Bench) -> None:
    task, _ = onto(bench)
    bench.executor.act(task)
    bench.outside.put(b"new", b"strange")
    assert isinstance(bench.executor.reverse(task), Unclear)
    assert (bench.outside.read(b"new"), bench.outside.read(b"old")) == (b"strange", b"moved")
    assert bench.outside.trash() == {task.trash: b"replaced"}


# -- whole trees into the trash ----------------------------------------------------------------------------------------


def a_tree(bench: Bench, path: bytes) -> Identity:
    known = bench.has(path, None)
    bench.has(path + b"/sub", None)
    bench.has(path + b"/sub/file", b"deep")
    return known


def test_a_deleted_tree_goes_with_everything_below_it(whole: Bench) -> None:
    task = whole.delete(b"tree", a_tree(whole, b"tree"), tree=True)
    whole.outside.put(b"tree/strange", b"strange")
    assert whole.done(task) == Done(None)
    assert list(whole.executor.walk()) == []
    assert task.trash and whole.outside.trash() == {task.trash: None}
    assert read_kept(whole, task.trash + "/sub/file") == b"deep"
    assert read_kept(whole, task.trash + "/strange") == b"strange"
    assert whole.executor.act(again(task)) == Done(None, recognised=True)


def test_a_deleted_tree_is_reversed(whole: Bench) -> None:
    task = whole.delete(b"tree", a_tree(whole, b"tree"), tree=True)
    whole.executor.act(task)
    assert isinstance(whole.executor.reverse(task), Done)
    assert whole.outside.read(b"tree/sub/file") == b"deep"
    assert whole.outside.trash() == {}


# -- restore -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"old", None])
def test_what_was_deleted_is_restored_as_what_it_was(bench: Bench, content: bytes | None) -> None:
    place, known = bench.deleted(b"name", content)
    task = bench.restore(place, b"back", known)
    result = bench.done(task)
    assert known.same_content(result.identity) and (result.recognised, result.drift) == (False, None)
    assert [entry.path.raw for entry in bench.executor.walk()] == [b"back"]
    assert bench.outside.trash() == {}
    second = bench.executor.act(again(task))
    assert isinstance(second, Done) and second.recognised and second.drift is None


def test_a_deleted_tree_is_restored_whole_and_one_file_of_it_alone(whole: Bench) -> None:
    known = a_tree(whole, b"tree")
    deep = next(entry.identity for entry in whole.executor.walk() if entry.path.raw == b"tree/sub/file")
    task = whole.delete(b"tree", known, tree=True)
    whole.done(task)
    assert task.trash
    whole.done(whole.restore(task.trash + "/sub/file", b"file", deep))
    assert whole.outside.read(b"file") == b"deep"
    whole.done(whole.restore(task.trash, b"tree", known))
    assert {entry.path.raw for entry in whole.executor.walk()} == {b"tree", b"tree/sub", b"file"}


@pytest.mark.parametrize("point", ["apply.act", "apply.acted"])
def test_a_restore_whose_process_died_is_taken_once(bench: Bench, when: When, point: str) -> None:
    place, known = bench.deleted(b"name", b"old")
    task = bench.restore(place, b"back", known)
    when(point, crash)
    with pytest.raises(SimulatedCrash):
        bench.executor.act(task)
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and (result.recognised, result.drift) == (point == "apply.acted", None)
    assert bench.outside.read(b"back") == b"old" and bench.outside.trash() == {}


def test_restore_refuses_a_taken_name_and_a_missing_parent(bench: Bench) -> None:
    place, known = bench.deleted(b"name", b"old")
    bench.outside.put(b"name", b"strange")
    assert refused(bench.executor.act(bench.restore(place, b"name", known))) == "NODE_EXISTS"
    assert refused(bench.executor.act(bench.restore(place, b"no/name", known))) == "PARENT_NOT_FOUND"
    assert bench.outside.read(b"name") == b"strange"
    assert bench.outside.trash() == {place: b"old"}


def test_what_is_no_longer_in_the_trash_has_expired(bench: Bench) -> None:
    place, known = bench.deleted(b"name", b"old")
    bench.outside.drop_trash(place)
    for gone in (place, f"{DAY}/never/there", "1999-01-01/nothing"):
        task = bench.restore(gone, b"name", known)
        assert refused(bench.executor.act(task)) == "CONTENT_EXPIRED"
        assert refused(bench.executor.act(again(task))) == "CONTENT_EXPIRED"
        with pytest.raises(ContentExpired):
            bench.executor.open_kept(gone.encode())


def test_restore_refuses_another_file_at_that_place(bench: Bench) -> None:
    place, known = bench.deleted(b"name", b"old")
    bench.outside.put_trash(place, b"strange")
    assert refused(bench.executor.act(bench.restore(place, b"name", known))) == "VERSION_CONFLICT"
    assert bench.outside.read(b"name") is None


def test_a_restore_is_reversed(bench: Bench) -> None:
    place, known = bench.deleted(b"name", b"old")
    task = bench.restore(place, b"back", known)
    bench.executor.act(task)
    for _ in range(2):
        assert isinstance(bench.executor.reverse(task), Done)
    assert bench.outside.trash() == {place: b"old"} and list(bench.executor.walk()) == []
    bench.executor.act(again(task))
    bench.outside.edit(b"back", b"edited")
    assert isinstance(bench.executor.reverse(task), Unclear)
    assert bench.outside.read(b"back") == b"edited"


def test_what_was_replaced_and_what_was_deleted_can_be_read_by_its_place(bench: Bench) -> None:
    known = bench.has(b"file", b"first")
    task = bench.replace(b"file", b"second", known)
    bench.done(task)
    assert task.trash and read_kept(bench, task.trash) == b"first"
    assert bench.executor.open(NodePath(b"file")).read(0, 9) == b"second"


def test_flush_takes_moves_and_restores_too(bench: Bench) -> None:
    place, known = bench.deleted(b"gone", b"gone")
    task, _ = onto(bench)
    tasks = [task, bench.restore(place, b"back", known), bench.move(b"free", b"name", bench.has(b"free", b"x"))]
    for one in tasks:
        assert isinstance(bench.executor.act(one), Done)
    bench.executor.flush([*tasks, bench.move(b"nothing", b"no/where", known)])
    assert {entry.path.raw for entry in bench.executor.walk()} == {b"old", b"back", b"name"}
