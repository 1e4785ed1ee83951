"""Records of a whole tree are changed by an operation on the real stack, and a worker that dies in the middle of it."""

from typing import Any

from tests.e2e.test_commands import refused, result
from tests.e2e.test_operation_crashes import dies, with_fault
from tests.e2e.test_operations import asked, ended, items, reached, steered
from tests.fix_service import MountOfTest, Service

FILES = 5
RED: dict[str, Any] = {"addTags": ["red"], "owner": "ann", "set": {"project": "apollo"}}


def found(service: Service, mount: MountOfTest, **conditions: Any) -> list[str]:
    body = {"backendMountId": mount.id, **conditions}
    answer = result(service.call("POST", "/v1/metastore/search", json=body), 200)
    return sorted(one["filestore"]["path"] for one in answer["records"])


def test_a_tree_is_tagged_by_a_plan_and_a_worker_that_dies_tags_nothing_twice(
    service: Service, mount: MountOfTest
) -> None:
    result(service.mkdir(mount, "a"), 201)
    paths = [f"a/{n}" for n in range(FILES)]
    for path in paths:
        result(service.upload(mount, path, path.encode()), 201)
    plan = reached(service, asked(service, mount, "tag", path="a", record=RED, planOnly=True), "planned")
    assert (plan["record"], plan["plan"]["items"], plan["plan"]["bytes"]) == (RED, FILES + 1, 0)
    assert [(one["kind"], one["path"], one["version"]) for one in items(service, plan)] == [
        ("tag", path, 1) for path in ["a", *paths]
    ]
    assert found(service, mount, tags=["red"]) == []
    with_fault(service, "tag.done=kill@1")
    steered(service, plan, "apply")
    dies(service)
    done = ended(service, plan)
    assert (done["progress"]["itemsDone"], done["progress"]["itemsRunning"]) == (FILES + 1, 0)
    assert found(service, mount, tags=["red"], owner="ann", metadata={"project": "apollo"}) == ["a", *paths]
    assert {one["version"] for one in items(service, plan)} == {2}, "each record was changed once"
    more = {"selection": {"records": {"tags": ["red"]}}, "record": {"addTags": ["blue"], "removeTags": ["red"]}}
    ended(service, asked(service, mount, "tag", **more))
    assert found(service, mount, tags=["blue"]) == paths, "directories only where the selection names the kind"
    undo = ended(service, steered(service, plan, "undo"), "partial")
    assert undo["progress"]["itemsDone"] == 1 and undo["errors"] == [
        {"code": "VERSION_CONFLICT", "count": FILES, "example": 0}
    ]
    assert found(service, mount, tags=["red"]) == []


def test_what_makes_no_sense_of_records_is_refused(service: Service, mount: MountOfTest) -> None:
    for body in (
        {"kind": "tag"}, {"kind": "tag", "record": {}}, {"kind": "tag", "record": {"addTag": ["red"]}},
        {"kind": "tag", "record": {"addTags": [""]}}, {"kind": "tag", "record": {"namespace": "a b"}},
        {"kind": "tag", "record": {"tags": ["x" * 257]}}, {"kind": "copy", "targetPath": "z", "path": "a", "record": RED},
        {"kind": "tag", "record": RED, "selection": {"records": {}}}, {"kind": "purge", "selection": {"records": {"tags": ["a"]}}},
        {"kind": "tag", "record": RED, "selection": {"records": {"tag": ["a"]}}}, {"kind": "tag", "record": RED, "targetPath": "z"},
    ):  # fmt: skip
        answer = service.call("POST", "/v1/operations", json={"backendMountId": mount.id, "planOnly": True, **body})
        refused(answer, 400, "INVALID_REQUEST")
