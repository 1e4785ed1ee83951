"""GET /v1/journal and GET /v1/commands/{id}."""

import json
import uuid
from typing import Any

import httpx2
import pytest

from tests.api.conftest import Front, Tree


async def write(tree: Tree, path: str = "a", **columns: Any) -> str:
    command = str(uuid.uuid4())
    values = {
        "tenant": "main", "command_id": command, "attempt": 1, "kind": "createDirectory", "mount_id": tree.mount,
        "path": path.encode(), "principal": "ann", "key": command, "executor": "local", "outcome": "succeeded",
        "payload": json.dumps({"path": path}), "started_at": "2026-01-01T00:00:00Z",
        "recorded_at": "2026-01-01T00:00:00.25Z",
    } | columns  # fmt: skip
    names = ", ".join(values)
    query = f"INSERT INTO filestore.journal_entries ({names}) VALUES ({', '.join(f'%({n})s' for n in values)})"
    async with tree.pool.connection() as connection:
        await connection.execute(query.encode(), values)
    return command


async def entries(client: httpx2.AsyncClient, tree: Tree, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/journal", params={"backendMountId": tree.mount, **params})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["entries"])


async def test_an_entry_tells_everything(client: httpx2.AsyncClient, tree: Tree) -> None:
    command = await write(
        tree, "d/é", outcome="failed", code="NODE_EXISTS", context='{"message": "m"}', node_id=tree.root, attempt=2,
        before='{"big": 123456789012345678901234567890}', request_id="r", trace_id="t", workflow_id="w",
    )  # fmt: skip
    (entry,) = await entries(client, tree)
    assert entry | {"id": 0, "recordedAt": ""} == {
        "id": 0, "commandId": command, "command": "createDirectory", "backendMountId": tree.mount, "nodeId": tree.root,
        "path": "d/é", "pathB64": None, "principal": "ann", "outcome": "failed", "code": "NODE_EXISTS",
        "retryable": False,
        "context": {"message": "m"}, "before": {"big": 123456789012345678901234567890}, "after": None, "key": command,
        "requestId": "r", "traceId": "t", "attempt": 2, "startedAt": "2026-01-01T00:00:00+00:00", "recordedAt": "",
        "durationMs": 250.0, "workflowId": "w", "executor": "local", "operationId": None, "reverses": None,
    }  # fmt: skip


async def test_what_can_be_asked_for(client: httpx2.AsyncClient, tree: Tree) -> None:
    one = await write(tree, "a", principal="ann")
    two = await write(tree, "b", principal="bob", kind="uploadFile", node_id=tree.root)
    three = await write(tree, "a", principal="bob", kind="deleteNode", outcome="failed")

    async def found(**params: Any) -> list[str]:
        return [entry["commandId"] for entry in await entries(client, tree, **params)]

    assert await found() == [three, two, one]
    assert await found(order="asc") == [one, two, three]
    assert await found(path="a") == [three, one]
    assert await found(path="/a/") == [three, one]
    assert await found(path="a_") == []
    assert await found(principal="bob", outcome="succeeded") == [two]
    assert await found(command="uploadFile,deleteNode") == [three, two]
    assert await found(outcome=["failed", "inconsistent"]) == [three]
    assert await found(nodeId=tree.root) == [two]
    assert await found(commandId=one.upper()) == [one]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_cursor_meets_each_entry_once(client: httpx2.AsyncClient, tree: Tree, order: str) -> None:
    written = [await write(tree, f"p{n}") for n in range(7)]
    seen, after = [], None
    while True:
        params: dict[str, Any] = {"backendMountId": tree.mount, "limit": 3, "order": order}
        params |= {"after": after} if after else {}
        data = (await client.get("/v1/journal", params=params)).json()["data"]
        seen += [entry["commandId"] for entry in data["entries"]]
        after = data["pagination"]["nextAfter"]
        if after is None:
            break
    assert seen == (written if order == "asc" else written[::-1])


@pytest.mark.parametrize(
    "params",
    [{"limit": 0}, {"limit": 201}, {"order": "up"}, {"after": "x"}, {"after": 2**63}, {"nodeId": "x"},
    {"outcome": "running"},
     {"command": "drop"}, {"commandId": "x"}, {"commandId": "g" * 36}, {"commandId": "-" * 36}, {"path": ".."},
     {"path": "a\0"}, {"principal": "a\0"}, {"pathB64": "!"}],
)  # fmt: skip
async def test_a_bad_question_is_400(client: httpx2.AsyncClient, params: dict[str, Any]) -> None:
    assert (await client.get("/v1/journal", params=params)).status_code == 400


async def command(tree: Tree, principal: str, **columns: Any) -> str:
    id = str(uuid.uuid4())
    values = {
        "id": id, "principal": principal, "key": id, "kind": "uploadFile", "mount_id": tree.mount, "path": b"a",
        "request": '{"path": "a"}', "intent": "{}", "status": "running",
    } | columns  # fmt: skip
    query = f"INSERT INTO filestore.commands ({', '.join(values)}) VALUES ({', '.join(f'%({n})s' for n in values)})"
    async with tree.pool.connection() as connection:
        await connection.execute(query.encode(), values)
    return id


async def test_a_command_can_be_asked_about_at_any_time(front: Front, tree: Tree) -> None:
    async with front.client(await front.token("read", principal="ann")) as ann:
        running = await command(tree, "ann")
        found = (await ann.get(f"/v1/commands/{running}")).json()["data"]
        assert (found["id"], found["status"], found["outcome"], found["endedAt"]) == (running, "running", None, None)
        assert (found["command"], found["path"], found["backendMountId"], found["attempt"]) == (
            "uploadFile",
            "a",
            tree.mount,
            1,
        )
        outcome = '{"node" : {"metadata": {"pi": 3.14159265358979323846264338}}}'
        ended = await command(tree, "ann", status="succeeded", ended_at="2026-01-01Z", outcome=outcome)
        answer = await ann.get(f"/v1/commands/{ended.upper()}")
        assert outcome in answer.text and answer.json()["data"]["status"] == "succeeded"


async def test_a_command_is_told_to_its_own_principal_and_to_administrators(front: Front, tree: Tree) -> None:
    id = await command(tree, "ann")
    ann, bob, root, other = (
        await front.token("read", principal="ann"), await front.token("write", principal="bob"), front.tokens["admin"],
        await front.token("admin", principal="ann", tenant="other"),
    )  # fmt: skip
    for token, status in ((ann, 200), (root, 200), (bob, 404), (other, 404)):
        async with front.client(token) as client:
            assert (await client.get(f"/v1/commands/{id}")).status_code == status


@pytest.mark.parametrize("id", ["x", "0", "%00", "-" * 36, str(uuid.UUID(int=1)), "{" + str(uuid.uuid4()) + "}", "é"])
async def test_there_is_no_such_command(client: httpx2.AsyncClient, id: str) -> None:
    answer = await client.get(f"/v1/commands/{id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
