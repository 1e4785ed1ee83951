"""Operations from one mount to another: local disks and buckets, in every direction."""

import asyncio

import pytest

from tests.e2e.test_commands import refused, result
from tests.e2e.test_operations import asked, ended, items, steered
from tests.e2e.test_temporal_view import found
from tests.e2e.test_trees_between_mounts import Two, at, two
from tests.e2e.test_undo import Writer
from tests.fix_service import Service, until

__all__ = ["two"]


@pytest.mark.sampled(1)
def test_a_tree_is_copied_and_moved_to_another_mount_and_both_are_undone(service: Service, two: Two) -> None:
    here, there = two
    result(service.mkdir(there, "d/a"), 201)
    result(service.upload(there, "d/a/f", b"old"), 201)
    before = there.on_disk()
    body = {"path": "a", "targetBackendMountId": there.id, "targetPath": "d/a"}
    stopped = asked(service, here, "copy", **body)
    assert ended(service, stopped, "failed")["errors"][0]["code"] == "NODE_EXISTS" and there.on_disk() == before
    copied = ended(service, asked(service, here, "copy", **body, options={"onConflict": "overwrite"}))
    assert copied["targetBackendMountId"] == there.id and there.on_disk() == before | at("d/a")
    ended(service, steered(service, copied, "undo"))
    assert until(lambda: there.on_disk() == before) and here.on_disk() == at("a")
    moved = ended(service, asked(service, here, "move", **body | {"targetPath": "d/moved"}))
    assert until(lambda: here.on_disk() == {}) and there.on_disk() == before | at("d/moved")
    assert [one["targetBackendMountId"] for one in items(service, moved)] == [there.id]
    undo = ended(service, steered(service, moved, "undo"))
    assert until(lambda: there.on_disk() == before) and here.on_disk() == at("a")
    assert [(one["backendMountId"], one["targetBackendMountId"]) for one in items(service, undo)] == [(there.id, None)]
    wrong = {"kind": "delete", "backendMountId": here.id, "path": "a", "targetBackendMountId": there.id}
    refused(service.call("POST", "/v1/operations", json=wrong), 400, "INVALID_REQUEST")


@pytest.mark.sampled(1)
def test_the_files_of_a_list_go_together_and_are_no_workflow_each(service: Service, two: Two) -> None:
    here, there = two
    result(service.mkdir(here, "flat"), 201)
    for number in range(6):
        result(service.upload(here, f"flat/{number}", b"content"), 201)
    ended(service, asked(service, here, "copy", path="flat", targetBackendMountId=there.id, targetPath="flat"))
    assert {name: content for name, content in there.on_disk().items() if name.startswith("flat/")} == {
        f"flat/{number}": b"content" for number in range(6)
    }
    query = f"WorkflowType = 'ResumeCommands' AND FsMount = '{there.id}'"
    assert until(lambda: bool(asyncio.run(found(query)))) and len(asyncio.run(found(query))) < 4


@pytest.mark.sampled(1)
def test_a_session_on_two_mounts_goes_back_with_one_undo_and_comes_again(service: Service, two: Two) -> None:
    here, there = two
    before = here.on_disk(), there.on_disk()
    agent = Writer(service, here, service.make_token("agent", "write"), f"session {here.key}")
    away = Writer(service, there, agent.token, agent.session)
    away.put("d/new", b"new")
    agent.put("a/f", b"two")
    agent.move("a/b", "d/b", targetBackendMountId=there.id)
    assert until(lambda: here.on_disk().keys() == {"a", "a/empty", "a/f"})
    away.put("d/b/c/h", b"changed over there")
    after = here.on_disk(), there.on_disk()
    body = {"kind": "undo", "selection": {"correlationId": agent.session}}
    undo = ended(service, result(service.call("POST", "/v1/operations", json=body), 202))
    assert undo["selection"]["backendMountIds"] == sorted([here.id, there.id])
    assert until(lambda: (here.on_disk(), there.on_disk()) == before)
    ended(service, steered(service, undo, "undo"))
    assert until(lambda: (here.on_disk(), there.on_disk()) == after)
