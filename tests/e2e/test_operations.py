"""Operations on the real stack: planned, applied, steered, put back. Each test ends with the consistency check."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.test_commands import refused, result
from tests.fix_service import MountOfTest, Service, until

FILES = {"a/f": b"one", "a/b/g": b"two", "a/b/c/h.csv": b"three", "a/b/c/i.csv": b"four"}


@pytest.fixture
def tree(service: Service, mount: MountOfTest) -> MountOfTest:
    for path in ("a", "a/b", "a/b/c", "a/empty", "z"):
        result(service.mkdir(mount, path), 201)
    for path, content in FILES.items():
        result(service.upload(mount, path, content, metadata={"of": path}), 201)
    return mount


def asked(service: Service, mount: MountOfTest, kind: str, **body: Any) -> dict[str, Any]:
    answer = service.call("POST", "/v1/operations", json={"kind": kind, "backendMountId": mount.id, **body})
    return result(answer, 202)


def shown(service: Service, operation: dict[str, Any]) -> dict[str, Any]:
    return result(service.call("GET", f"/v1/operations/{operation['id']}"), 200)


def ended(service: Service, operation: dict[str, Any], state: str = "succeeded") -> dict[str, Any]:
    return reached(service, operation, state, lambda now: now["endedAt"] is not None)


def reached(
    service: Service, operation: dict[str, Any], state: str, there: Callable[[dict[str, Any]], bool] | None = None
) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def is_there() -> bool:
        seen[:] = [shown(service, operation)]
        return seen[0]["state"] == state if there is None else there(seen[0])

    assert until(is_there), (seen, items(service, operation))
    assert seen[0]["state"] == state, (seen[0]["progress"], seen[0]["errors"])
    return seen[0]


def has_done(service: Service, operation: dict[str, Any], least: int) -> None:
    reached(service, operation, "running", lambda now: now["progress"]["itemsDone"] > least)


def steered(service: Service, operation: dict[str, Any], control: str, **body: Any) -> dict[str, Any]:
    return result(service.call("POST", f"/v1/operations/{operation['id']}/{control}", json=body), 202)


def items(service: Service, operation: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        more: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        page = result(service.call("GET", f"/v1/operations/{operation['id']}/items", params={**params, **more}), 200)
        found += page["items"]
        cursor = page["pagination"]["nextCursor"]
        if cursor is None:
            return found


def copied(to: str) -> dict[str, bytes | None]:
    directories: dict[str, bytes | None] = {to: None, f"{to}/b": None, f"{to}/b/c": None, f"{to}/empty": None}
    return directories | {to + path[1:]: content for path, content in FILES.items()}


def test_a_tree_is_copied_file_by_file_and_the_copy_is_undone_and_done_again(
    service: Service, tree: MountOfTest
) -> None:
    before = tree.on_disk()
    operation = ended(service, asked(service, tree, "copy", path="a", targetPath="z/copy"))
    assert tree.on_disk() == before | copied("z/copy")
    assert operation["plan"]["items"] == operation["progress"]["itemsDone"] == 8
    assert operation["progress"]["bytesDone"] == sum(map(len, FILES.values()))
    undo = ended(service, steered(service, operation, "undo"))
    assert undo["kind"] == "undo" and undo["undoes"] == operation["id"]
    assert tree.on_disk() == before
    assert shown(service, operation)["undoneBy"] == undo["id"]
    again = ended(service, steered(service, undo, "undo"))
    assert again["progress"]["itemsDone"] == 8 and tree.on_disk() == before | copied("z/copy")


def test_a_plan_waits_is_shown_and_applied_as_it_was(service: Service, tree: MountOfTest) -> None:
    before = tree.on_disk()
    operation = reached(
        service, asked(service, tree, "delete", path="a", selection={"include": ["*.csv"]}, planOnly=True), "planned"
    )
    assert tree.on_disk() == before
    assert [(one["kind"], one["path"], one["state"]) for one in items(service, operation)] == [
        ("delete", "a/b/c/h.csv", "pending"), ("delete", "a/b/c/i.csv", "pending"),
    ]  # fmt: skip
    result(service.upload(tree, "a/b/c/h.csv", b"newer", overwrite=True), 200)
    result(service.upload(tree, "a/b/c/late.csv", b"late"), 201)
    whole = service.call("POST", f"/v1/operations/{operation['id']}/apply", json={"onlyIfUnchanged": True})
    refused(whole, 412, "VERSION_CONFLICT")
    assert whole.json()["error"]["details"]["paths"] == ["a/b/c/h.csv", "a/b/c/late.csv"]
    steered(service, operation, "apply")
    done = ended(service, operation, "partial")
    assert {one["path"]: (one["state"], one["code"]) for one in items(service, operation)} == {
        "a/b/c/h.csv": ("skipped", "VERSION_CONFLICT"), "a/b/c/i.csv": ("done", None),
    }  # fmt: skip
    assert done["errors"] == [{"code": "VERSION_CONFLICT", "count": 1, "example": 0}]
    assert tree.on_disk()["a/b/c/h.csv"] == b"newer" and "a/b/c/late.csv" in tree.on_disk()


def test_a_directory_that_moves_or_goes_is_one_item_and_comes_back(service: Service, tree: MountOfTest) -> None:
    before = tree.on_disk()
    moved = ended(service, asked(service, tree, "move", path="a", targetPath="z/moved"))
    assert moved["plan"]["items"] == 1 and moved["plan"]["nodes"] == 8 and "z/moved/b/c/h.csv" in tree.on_disk()
    ended(service, steered(service, moved, "undo"))
    assert tree.on_disk() == before
    gone = ended(service, asked(service, tree, "delete", path="a"))
    assert gone["progress"]["nodesDone"] == 8 and tree.on_disk() == {"z": None}
    ended(service, steered(service, gone, "undo"))
    assert tree.on_disk() == before


def test_a_tree_that_changed_after_its_plan_is_left(service: Service, tree: MountOfTest) -> None:
    plan = reached(service, asked(service, tree, "delete", path="a", planOnly=True), "planned")
    result(service.upload(tree, "a/b/g", b"TWO", overwrite=True), 200)  # as many bytes, in as many files
    steered(service, plan, "apply")
    assert ended(service, plan, "failed")["errors"] == [{"code": "VERSION_CONFLICT", "count": 1, "example": 0}]
    assert tree.on_disk()["a/b/g"] == b"TWO"


@pytest.mark.parametrize(
    ("choice", "state", "target"),
    [("fail", "failed", b"old"), ("skip", "succeeded", b"old"), ("overwrite", "succeeded", b"one"),
     ("rename", "succeeded", b"old")],
)  # fmt: skip
def test_what_lies_at_the_target_is_a_choice(
    service: Service, tree: MountOfTest, choice: str, state: str, target: bytes
) -> None:
    result(service.mkdir(tree, "z/a"), 201)
    result(service.upload(tree, "z/a/f", b"old"), 201)
    before = tree.on_disk()
    operation = asked(service, tree, "copy", path="a", targetPath="z/a", options={"onConflict": choice})
    done = ended(service, operation, state)
    expected = before if choice == "fail" else before | copied("z/a") | {"z/a/f": target}
    if choice == "rename":
        expected |= {"z/a/f (1)": b"one"}
    assert tree.on_disk() == expected
    assert done["plan"]["conflicts"] == (choice in ("fail", "skip"))
    if choice != "fail":
        ended(service, steered(service, operation, "undo"))
        assert tree.on_disk() == before, "what was replaced is back"


def test_metadata_is_set_on_what_a_selection_takes_and_put_back_key_by_key(service: Service, tree: MountOfTest) -> None:
    def metadata(path: str) -> dict[str, Any]:
        found: dict[str, Any] = result(service.at(tree, path), 200)["metadata"]
        return found

    changes = {"set": {"reviewed": True, "of": "all"}, "unset": ["none"]}
    operation = ended(
        service, asked(service, tree, "describe", path="a", selection={"kinds": ["file"]}, metadata=changes)
    )
    assert operation["progress"]["itemsDone"] == 4 and metadata("a/f") == {"of": "all", "reviewed": True}
    file = result(service.at(tree, "a/b/g"), 200)
    result(service.describe(tree, file["id"], set={"mine": 1}), 200)
    undo = ended(service, steered(service, operation, "undo"), "partial")
    assert metadata("a/f") == {"of": "a/f"} and metadata("a/b/g") == {"of": "all", "reviewed": True, "mine": 1}
    assert [one["path"] for one in items(service, undo, state="skipped")] == ["a/b/g"], (
        "changed since: listed, and left"
    )


def test_it_pauses_goes_on_and_is_rolled_back(service: Service, tree: MountOfTest) -> None:
    for number in range(30):
        result(service.upload(tree, f"a/empty/{number:02}", b"x"), 201)
    before = tree.on_disk()
    operation = asked(service, tree, "copy", path="a", targetPath="z/copy", options={"filesPerSecond": 5})
    reached(service, operation, "running", lambda now: now["progress"]["itemsDone"] > 3)
    assert steered(service, operation, "pause")["want"] == "pause"
    paused = reached(service, operation, "paused")
    assert 3 < paused["progress"]["itemsDone"] < 38 and paused["progress"]["itemsRunning"] == 0
    lies = tree.on_disk()
    steered(service, operation, "resume")
    reached(service, operation, "running", lambda now: now["progress"]["itemsDone"] > paused["progress"]["itemsDone"])
    assert tree.on_disk() != lies
    steered(service, operation, "cancel", rollback=True)
    done = ended(service, operation, "rolled_back")
    assert tree.on_disk() == before and done["progress"]["itemsReversed"] > 3 and done["progress"]["itemsDone"] == 0
    refused(service.call("POST", f"/v1/operations/{operation['id']}/resume", json={}), 409, "WRONG_STATE")


def test_a_rollback_leaves_what_somebody_else_has_changed(service: Service, tree: MountOfTest) -> None:
    operation = asked(service, tree, "copy", path="a", targetPath="z/copy", options={"filesPerSecond": 2})
    reached(service, operation, "running", lambda now: now["progress"]["itemsDone"] >= 6)
    steered(service, operation, "pause")
    reached(service, operation, "paused")
    [first] = items(service, operation, state="done", limit=1)[:1]
    assert first["kind"] == "mkdir" and first["path"] == "z/copy"
    result(service.upload(tree, "z/copy/mine", b"a stranger's"), 201)
    steered(service, operation, "cancel", rollback=True)
    done = ended(service, operation, "partial")
    assert {path: content for path, content in tree.on_disk().items() if path.startswith("z/")} == {
        "z/copy": None, "z/copy/mine": b"a stranger's",
    }  # fmt: skip
    assert [one["code"] for one in done["errors"]] == ["CHILDREN_EXIST"]
    result(service.delete(tree, "z/copy/mine"), 200)
    steered(service, operation, "retry", idempotencyKey="again", items=[0])
    other = service.call(
        "POST", f"/v1/operations/{operation['id']}/retry", json={"idempotencyKey": "again", "items": [1]}
    )
    refused(other, 409, "IDEMPOTENCY_CONFLICT")
    ended(service, operation, "rolled_back")
    assert "z/copy" not in tree.on_disk()


def test_two_operations_that_overlap_come_one_after_the_other(service: Service, tree: MountOfTest) -> None:
    slow = asked(service, tree, "copy", path="a", targetPath="z/one", options={"filesPerSecond": 4})
    reached(service, slow, "running", lambda now: now["progress"]["itemsDone"] > 0)
    other = asked(service, tree, "copy", path="a/b", targetPath="z/two")
    assert reached(service, other, "waiting")["waitsFor"] == slow["id"]
    ended(service, slow)
    ended(service, other)


def test_the_same_request_joins_and_another_one_under_its_key_is_refused(service: Service, tree: MountOfTest) -> None:
    body = {"kind": "copy", "backendMountId": tree.id, "path": "a", "targetPath": "z/copy", "idempotencyKey": "k"}
    first, second = (result(service.call("POST", "/v1/operations", json=body), 202) for _ in range(2))
    assert first["id"] == second["id"]
    ended(service, first)
    other = service.call("POST", "/v1/operations", json=body | {"targetPath": "z/other"})
    refused(other, 409, "IDEMPOTENCY_CONFLICT")
    undo = steered(service, first, "undo", idempotencyKey="u")
    assert steered(service, first, "undo", idempotencyKey="u")["id"] == undo["id"]
    ended(service, undo)


def test_what_makes_no_sense_is_refused_and_leaves_nothing(service: Service, tree: MountOfTest) -> None:
    wrong: list[dict[str, Any]] = [
        {"kind": "copy", "path": "a"}, {"kind": "delete"}, {"kind": "move", "path": "a", "targetPath": "a/b/x"},
        {"kind": "describe", "path": "a"}, {"kind": "delete", "path": "a", "targetPath": "z"}, {"kind": "fold", "path": "a"},
        {"kind": "delete", "path": "a/../b"}, {"kind": "delete", "path": "a", "options": {"onConflict": "ask"}},
        {"kind": "delete", "path": "a", "options": {"concurrency": 0}},
        {"kind": "delete", "path": "a", "selection": {"include": ["[z-a]"]}},
        {"kind": "delete", "path": "a", "selection": {"include": ["*a*a*a*a*a"]}},
        {"kind": "delete", "path": "a", "selection": {"paths": ["z/copy"]}},
        {"kind": "delete", "path": "a", "options": {"filesPerSecond": 1e-300}}, {"kind": "delete", "path": 7},
    ]  # fmt: skip
    for body in wrong:
        answer = service.call("POST", "/v1/operations", json={"backendMountId": tree.id, **body})
        assert answer.status_code == 400, (body, answer.text)
    nowhere = asked(service, tree, "delete", path="a/not there")
    assert ended(service, nowhere, "failed")["errors"][0]["code"] == "NODE_NOT_FOUND"
    result(service.mkdir(tree, "a/not there"), 201)
    again = service.call("POST", f"/v1/operations/{nowhere['id']}/retry", json={})
    refused(again, 409, "WRONG_STATE")  # nothing of it was ever begun
    assert "a/not there" in tree.on_disk()
    retried = service.call("POST", f"/v1/operations/{nowhere['id']}/retry", json={"items": [3_000_000_000]})
    refused(retried, 400, "INVALID_REQUEST")
    refused(service.call("GET", "/v1/operations/" + "0" * 8), 404, "NOT_FOUND")
    refused(service.call("POST", f"/v1/operations/{nowhere['id']}/pause", json={}), 409, "WRONG_STATE")


@pytest.mark.slow  # `make test` samples the crashes of tests/e2e/test_operation_crashes.py
def test_a_killed_worker_and_api_lose_no_item_and_do_none_twice(service: Service, tree: MountOfTest) -> None:
    for number in range(60):
        result(service.upload(tree, f"a/empty/{number:02}", b"x"), 201)
    before = tree.on_disk()
    operation = asked(service, tree, "copy", path="a", targetPath="z/copy", options={"filesPerSecond": 25})
    for least in (5, 30):
        has_done(service, operation, least)
        service.restart()
    done = ended(service, operation)
    assert done["progress"]["itemsDone"] == done["plan"]["items"] == 68
    copies = [
        entry
        for entry in service.journal(tree)
        if entry["path"].startswith("a/empty/") and entry["command"] == "copyNode"
    ]
    assert len(copies) == len({entry["path"] for entry in copies})
    assert tree.on_disk() == before | copied("z/copy") | {f"z/copy/empty/{n:02}": b"x" for n in range(60)}


def test_it_can_be_followed_until_its_end(service: Service, tree: MountOfTest) -> None:
    operation = asked(service, tree, "copy", path="a", targetPath="z/copy", options={"filesPerSecond": 8})
    with service.client() as client, client.stream("GET", f"/v1/operations/{operation['id']}/stream") as stream:
        lines = [line for line in stream.iter_lines() if line.startswith("data: ")]
    seen = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert seen[-1]["state"] == "succeeded" and seen[-1]["progress"]["itemsDone"] == 8
    done = [one["progress"]["itemsDone"] for one in seen]
    assert done == sorted(done) and len(set(done)) > 2


def test_files_move_over_others_and_both_come_back(service: Service, tree: MountOfTest) -> None:
    result(service.upload(tree, "z/f", b"old"), 201)
    before = tree.on_disk()
    body = {"path": "a", "targetPath": "z", "selection": {"include": ["f"]}, "options": {"onConflict": "overwrite"}}
    moved = ended(service, asked(service, tree, "move", **body))
    assert tree.on_disk()["z/f"] == b"one" and "a/f" not in tree.on_disk()
    ended(service, steered(service, moved, "undo"))
    assert tree.on_disk() == before


def test_another_node_of_the_same_version_is_not_taken_for_the_one_of_the_plan(
    service: Service, tree: MountOfTest
) -> None:
    copied_one = ended(service, asked(service, tree, "copy", path="a/f", targetPath="z/f"))
    result(service.delete(tree, "z/f"), 200)
    result(service.upload(tree, "z/f", b"a stranger's, and the first version too"), 201)
    undo = ended(service, steered(service, copied_one, "undo"), "failed")
    assert [one["code"] for one in undo["errors"]] == ["VERSION_CONFLICT"]
    assert tree.on_disk()["z/f"].startswith(b"a stranger's")  # type: ignore[union-attr]
