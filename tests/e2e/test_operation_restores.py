"""Restores as operations on the real stack: from the trash, with a plan, and undone again."""

from tests.e2e.test_commands import result
from tests.e2e.test_operations import asked, ended, items, reached, steered, tree
from tests.fix_service import MountOfTest, Service

__all__ = ["tree"]


def test_what_was_deleted_and_overwritten_comes_back_and_goes_again(service: Service, tree: MountOfTest) -> None:
    before = tree.on_disk()
    result(service.upload(tree, "a/f", b"newer", overwrite=True), 200)
    result(service.delete(tree, "a/b/g"), 200)
    result(service.delete(tree, "a/b", recursive=True), 200)
    result(service.delete(tree, "a/empty"), 200)
    changed = tree.on_disk()
    plan = reached(service, asked(service, tree, "restore", path="a", planOnly=True), "planned")
    shown = [(one["kind"], one["path"], one["code"]) for one in items(service, plan)]
    assert sorted(shown) == [
        ("restore", "a/b", None), ("restore", "a/b/g", None), ("restore", "a/empty", None), ("restore", "a/f", "NODE_EXISTS"),
    ]  # fmt: skip
    assert tree.on_disk() == changed
    restored = asked(service, tree, "restore", path="a", options={"onConflict": "overwrite"})
    assert ended(service, restored)["progress"]["itemsDone"] == 4
    assert tree.on_disk() == before
    undo = ended(service, steered(service, restored, "undo"))
    assert tree.on_disk() == changed
    ended(service, steered(service, undo, "undo"))
    assert tree.on_disk() == before


def test_parts_of_a_deleted_directory_come_back_into_new_ones(service: Service, tree: MountOfTest) -> None:
    before = tree.on_disk()
    result(service.delete(tree, "a", recursive=True), 200)
    gone = tree.on_disk()
    part = asked(service, tree, "restore", path="a", selection={"include": ["*.csv"]})
    ended(service, part)
    assert tree.on_disk() == gone | {
        "a": None, "a/b": None, "a/b/c": None, "a/b/c/h.csv": b"three", "a/b/c/i.csv": b"four",
    }  # fmt: skip
    ended(service, steered(service, part, "undo"))
    assert tree.on_disk() == gone
    ended(service, asked(service, tree, "restore", path="a"))
    assert tree.on_disk() == before, "what was deleted in parts and what was deleted at once are one tree again"
