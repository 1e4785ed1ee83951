"""What a person finds in Temporal: the story of a file, by its path; and what must not be found there."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionDescription

from schema.settings import Settings
from tests.fix_service import MountOfTest, Service, until
from workflows.client import connect


async def found(query: str) -> list[tuple[str, str]]:
    """Workflow ids and their whole histories as text."""
    settings = Settings()  # type: ignore[call-arg]
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    rows = [execution async for execution in client.list_workflows(query)]
    return [
        (row.id, (await client.get_workflow_handle(row.id, run_id=row.run_id).fetch_history()).to_json())
        for row in rows
    ]


def test_a_path_a_command_and_a_principal_lead_to_the_workflow(service: Service, mount: MountOfTest) -> None:
    made = service.mkdir(mount, "searched-for").json()["data"]
    principal = service.journal(mount)[0]["principal"]
    queries = [
        f"FsPath = 'searched-for' AND FsMount = '{mount.id}'",
        f"FsCommand = '{made['commandId']}'",
        f"FsPrincipal = '{principal}' AND FsMount = '{mount.id}'",
    ]
    for query in queries:
        assert until(lambda query=query: len(asyncio.run(found(query))) == 1), query  # type: ignore[misc]
    ((workflow, history),) = asyncio.run(found(queries[0]))
    assert workflow == f"cmd/{mount.id}/createDirectory/{made['commandId']}"
    assert workflow == service.journal(mount)[0]["workflowId"]
    assert "searched-for" in _decoded(history)


async def the_one(query: str) -> WorkflowExecutionDescription:
    """The one run that this query finds, once there is one."""
    settings = Settings()  # type: ignore[call-arg]
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    [row] = [execution async for execution in client.list_workflows(query)]
    return await client.get_workflow_handle(row.id, run_id=row.run_id).describe()


def shown(query: str) -> WorkflowExecutionDescription:
    assert until(lambda: len(asyncio.run(found(query))) == 1), query
    return asyncio.run(the_one(query))


def attribute(run: WorkflowExecutionDescription, name: str) -> Any:
    return next((pair.value for pair in run.typed_search_attributes if pair.key.name == name), None)


@pytest.mark.parametrize(
    ("path", "outcome"), [("missing/b", "failed PARENT_NOT_FOUND"), ("taken", "failed NODE_EXISTS")]
)
def test_what_failed_does_not_look_like_what_succeeded(
    service: Service, mount: MountOfTest, path: str, outcome: str
) -> None:
    assert service.mkdir(mount, "taken").status_code == 201
    failed = service.mkdir(mount, path).json()["error"]["details"]["commandId"]
    run = shown(f"FsOutcome = 'failed' AND FsMount = '{mount.id}'")
    assert run.id == f"cmd/{mount.id}/createDirectory/{failed}"
    assert attribute(run, "FsSummary") == f"createDirectory {path}: {outcome}"
    memo = asyncio.run(run.memo_value("outcome"))
    assert f"`{path}`" in memo and f"**{outcome}**" in memo
    good = shown(f"FsPath = 'taken' AND FsMount = '{mount.id}' AND FsOutcome IS NULL")
    assert attribute(good, "FsOutcome") is None


def test_a_key_that_belongs_to_another_request_shows_as_refused(service: Service, mount: MountOfTest) -> None:
    assert service.mkdir(mount, "one", key=f"same-{mount.id}").status_code == 201
    assert service.mkdir(mount, "two", key=f"same-{mount.id}").status_code == 409
    run = shown(f"FsOutcome = 'refused' AND FsMount = '{mount.id}'")
    assert attribute(run, "FsSummary") == "createDirectory two: refused IDEMPOTENCY_CONFLICT"


def test_a_list_of_runs_says_what_each_does(service: Service, mount: MountOfTest) -> None:
    assert service.mkdir(mount, "lone").status_code == 201
    commands = [{"command": "createDirectory", "backendMountId": mount.id, "path": f"d{n}"} for n in range(3)]
    body = {"mode": "atomic", "commands": commands}
    assert service.call("POST", "/v1/commands", json=body).status_code == 200
    lone = shown(f"FsSummary = 'createDirectory lone' AND FsMount = '{mount.id}'")
    assert lone.id.startswith(f"cmd/{mount.id}/createDirectory/")
    three = shown(f"FsSummary = '3 createDirectory: all or none' AND FsMount = '{mount.id}'")
    assert three.id.startswith(f"cmd/{mount.id}/3-createDirectory/")


def test_a_long_copy_is_found_and_says_how_far_it_is(service: Service, mount: MountOfTest, tmp_path: Path) -> None:
    assert service.mkdir(mount, "a").status_code == 201
    for name in ("one", "two"):
        assert service.upload(mount, f"a/{name}", name.encode() * 100).status_code == 201
    folder = tmp_path / "fault"
    folder.mkdir()
    service.kill("worker")
    service.start("worker", fault=f"stage.staged=wait:{folder}")
    answer = service.call(
        "POST", "/v1/nodes/copy", headers={"Prefer": "respond-async"},
        json={"backendMountId": mount.id, "path": "a", "targetPath": "b"},
    )  # fmt: skip
    assert answer.status_code == 202
    command = answer.json()["data"]["commandId"]
    query = f"WorkflowType = 'ResumeCommands' AND FsPath = 'b' AND FsPath = 'a' AND FsCommand = '{command}'"
    run = shown(f"{query} AND FsMount = '{mount.id}'")
    assert attribute(run, "FsSummary") == "copyNode a to b"
    assert attribute(run, "FsPrincipal") == [service.journal(mount)[0]["principal"]]

    def beats() -> list[dict[str, Any]]:
        pending = asyncio.run(the_one(query)).raw_description.pending_activities
        return [json.loads(payload.data) for one in pending for payload in one.heartbeat_details.payloads]

    assert until(lambda: [beat["items"] for beat in beats()] == [3])
    assert beats() == [{"items": 3, "itemsTotal": 3, "bytes": 600, "path": "a/two"}]
    (folder / "stage.staged.go").touch()
    assert until(lambda: "b/two" in mount.on_disk())
    done = shown(f"{query} AND ExecutionStatus = 'Completed'")
    assert attribute(done, "FsOutcome") == "succeeded"
    service.restart()


def test_the_publisher_is_one_run_that_goes_on(service: Service, mount: MountOfTest) -> None:
    running = "WorkflowType = 'PublishEvents' AND ExecutionStatus = 'Running' AND TaskQueue = 'fs.control'"
    assert until(lambda: len(asyncio.run(found(running))) == 1)
    [(first, history)] = asyncio.run(found(running))
    assert "keepPublishing" in history and first.startswith("publish")
    assert until(lambda: service.call("GET", "/ready").json()["checks"]["outbox"]["unpublished"] == 0)


def test_no_token_metadata_or_content_is_in_a_history(service: Service, mount: MountOfTest) -> None:
    canary = "canary-c0ffee"
    answer = service.upload(mount, "f", f"{canary}-bytes".encode(), metadata={"note": f"{canary}-metadata"})
    assert answer.json()["data"]["node"]["metadata"] == {"note": f"{canary}-metadata"}
    query = f"FsMount = '{mount.id}'"
    assert until(lambda: bool(asyncio.run(found(query))))
    for _, history in asyncio.run(found(query)):
        for payload in (history, _decoded(history)):
            assert canary not in payload and service.token not in payload


def _decoded(history: str) -> str:
    """Payload data is base64 in the JSON of a history."""
    import base64
    import re

    pieces = re.findall(r'"data": ?"([A-Za-z0-9+/=]+)"', history)
    return "\n".join(base64.b64decode(piece).decode("utf-8", "replace") for piece in pieces)
