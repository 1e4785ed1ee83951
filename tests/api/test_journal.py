"""GET /v1/journal and GET /v1/commands/{id}."""

import base64
import json
import uuid
from typing import Any

import httpx2
import pytest

from schema.commands.command import CommandKind
from tests.api.conftest import FrontOfTest, Tree
from tests.store.helpers import Protocol, asked, delete, mkdir, settle_journal, upload

OPERATION = "01993d5e-7c1a-7000-8000-0123456789ab"


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
        correlation_id="import 7",
    )  # fmt: skip
    (entry,) = await entries(client, tree)
    assert entry | {"id": 0, "recordedAt": ""} == {
        "id": 0, "commandId": command, "command": "createDirectory", "backendMountId": tree.mount, "nodeId": tree.root,
        "path": "d/é", "targetPath": None, "targetBackendMountId": None,
        "principal": "ann", "outcome": "failed", "code": "NODE_EXISTS",
        "retryable": False,
        "context": {"message": "m"}, "before": {"big": 123456789012345678901234567890}, "after": None, "key": command,
        "requestId": "r", "traceId": "t", "correlationId": "import 7",
        "attempt": 2, "startedAt": "2026-01-01T00:00:00+00:00", "recordedAt": "",
        "durationMs": 250.0, "workflowId": "w", "executor": "local", "operationId": None, "atomicId": None, "reverses": None,
    }  # fmt: skip


async def test_what_a_node_was_is_told_with_its_name_as_text(client: httpx2.AsyncClient, tree: Tree) -> None:
    def facts(name: bytes) -> str:
        return json.dumps(
            {"id": 7, "parent": 1, "name": name.hex(), "kind": "file", "version": 2, "size": 3, "sha256": None}
        )

    await write(tree, "d/é", before=facts("é".encode()), after=facts(b"x\xff"))
    (entry,) = await entries(client, tree)
    assert (entry["before"]["name"], "nameB64" in entry["before"], entry["before"]["version"]) == ("é", False, 2)
    assert (entry["after"]["name"], entry["after"]["nameB64"]) == ("x\ufffd", base64.b64encode(b"x\xff").decode())


async def test_what_can_be_asked_for(client: httpx2.AsyncClient, tree: Tree) -> None:
    one = await write(tree, "a", principal="ann")
    two = await write(tree, "b", principal="bob", kind="uploadFile", node_id=tree.root)
    three = await write(tree, "a", principal="bob", kind="deleteNode", outcome="failed")

    async def found(**params: Any) -> list[str]:
        return [entry["commandId"] for entry in await entries(client, tree, **params)]

    assert await found() == [three, two, one]
    await settle(tree)
    assert await found(order="asc") == [one, two, three]
    assert await found(path="a") == [three, one]
    assert await found(path="/a/") == [three, one]
    assert await found(path="a_") == []
    assert await found(principal="bob", outcome="succeeded") == [two]
    assert await found(command="uploadFile,deleteNode") == [three, two]
    assert await found(outcome=["failed", "inconsistent"]) == [three]
    assert await found(nodeId=tree.root) == [two]
    assert await found(commandId=one.upper()) == [one]
    four = await write(tree, "c", outcome="failed", code="PATH_BUSY", retryable=True, operation_id=OPERATION)
    five = await write(tree, "c", kind="moveNode", recorded_at="2026-02-01Z", code="LOST", outcome="inconsistent")
    assert await found(code="PATH_BUSY") == [four] and await found(code="LOST,PATH_BUSY") == [five, four]
    assert await found(operationId=OPERATION.upper()) == [four]
    assert await found(atomicId=OPERATION) == []
    listed = await write(tree, "d", atomic_id=OPERATION)
    assert await found(atomicId=OPERATION.upper()) == [listed] and await found(operationId=OPERATION) == [four]
    assert await found(command="moveNode", outcome="inconsistent") == [five]
    assert await found(correlationId="import 7") == []
    of_work = await write(tree, "e", correlation_id="import 7")
    await write(tree, "e", correlation_id="import 70")
    assert await found(correlationId="import 7") == [of_work]
    assert await found(**{"from": "2026-01-15T00:00:00Z"}) == [five]
    assert await found(to="2026-02-01T00:00:00Z", path="c") == [four], "the end is not in it"
    assert await found(**{"from": "2026-02-01T00:00:00Z", "to": "2026-02-01T00:00:00.000001Z"}) == [five]


async def settle(tree: Tree) -> None:
    """As the publisher does it, over and over."""
    async with tree.pool.connection() as connection:
        await settle_journal(connection)


async def page(client: httpx2.AsyncClient, tree: Tree, **params: Any) -> tuple[list[str], dict[str, Any]]:
    answer = await client.get("/v1/journal", params={"backendMountId": tree.mount, **params})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    return [entry["commandId"] for entry in data["entries"]], data["pagination"]


async def test_people_go_back_in_time(client: httpx2.AsyncClient, tree: Tree) -> None:
    written = [await write(tree, f"p{n}") for n in range(7)]
    seen, pagination = await page(client, tree, limit=3)
    while pagination["nextBefore"] is not None:
        assert pagination["more"] and pagination["nextAfter"] is None
        await write(tree, "meanwhile")
        more, pagination = await page(client, tree, limit=3, before=pagination["nextBefore"])
        seen += more
    assert seen == written[::-1] and not pagination["more"]


async def test_a_follower_meets_each_entry_once_and_can_always_go_on(client: httpx2.AsyncClient, tree: Tree) -> None:
    seen, pagination = await page(client, tree, after=0)
    assert (seen, pagination["nextAfter"], pagination["more"]) == ([], 0, False)
    written = [await write(tree, f"p{n}") for n in range(7)]
    await settle(tree)
    for size, more in ((3, True), (3, True), (1, False), (0, False)):
        found, pagination = await page(client, tree, after=pagination["nextAfter"], limit=3)
        assert (len(found), pagination["more"], pagination["nextBefore"]) == (size, more, None)
        seen += found
    assert seen == written
    written.append(await write(tree))
    await settle(tree)
    assert (await page(client, tree, after=pagination["nextAfter"]))[0] == written[-1:]


async def test_a_follower_is_not_told_what_others_may_still_come_before(client: httpx2.AsyncClient, tree: Tree) -> None:
    await settle(tree)
    async with tree.pool.connection() as late, late.transaction():
        await late.execute("SELECT pg_current_xact_id(), nextval('filestore.journal_entries_id_seq')")
        entry = await write(tree)
        await settle(tree)
        assert (await page(client, tree, after=0))[0] == []
        assert (await page(client, tree))[0] == [entry], "people see what there is"
    await settle(tree)
    assert (await page(client, tree, after=0))[0] == [entry]


async def test_a_range_in_either_order(client: httpx2.AsyncClient, tree: Tree) -> None:
    await settle(tree)
    written = [await write(tree, f"p{n}") for n in range(6)]
    await settle(tree)
    ids = [entry["id"] for entry in await entries(client, tree, order="asc")]
    assert (await page(client, tree, after=ids[0], before=ids[4]))[0] == written[3:0:-1]
    assert (await page(client, tree, after=ids[0], before=ids[4], order="asc"))[0] == written[1:4]


async def test_paths_and_what_lies_below(client: httpx2.AsyncClient, tree: Tree) -> None:
    long = "/".join("n" * 250 for _ in range(6))
    made = {
        path: await write(tree, path)
        for path in ("a", "a/b", "a/b/c", "a.b", "a0", "ab", "a_b/c", "axb/c", long, long + "x")
    }

    async def below(prefix: str) -> set[str]:
        found = {entry["path"] for entry in await entries(client, tree, pathPrefix=prefix)}
        return found

    assert await below("a") == {"a", "a/b", "a/b/c"}
    assert await below("a/b/") == {"a/b", "a/b/c"}
    assert await below("a_b") == {"a_b/c"}
    assert await below("") == set(made)
    assert await below(long) == {long}, "the first 1000 bytes are the same"
    assert await below("n" * 250) == {long, long + "x"}
    assert [e["commandId"] for e in await entries(client, tree, path=long)] == [made[long]]
    raw = base64.b64encode(b"a/b").decode()
    assert {e["path"] for e in await entries(client, tree, pathPrefixB64=raw)} == {"a/b", "a/b/c"}


async def test_a_history_is_found_by_each_name_and_by_id_and_goes_on_page_by_page(
    client: httpx2.AsyncClient, tree: Tree
) -> None:
    protocol, m = Protocol(tree.pool), tree.mount
    steps = [
        mkdir(m, "a"), upload(m, "a/f"), asked(CommandKind.MOVE, m, "a/f", target="a/g"),
        asked(CommandKind.MOVE, m, "a", target="b"), delete(m, "b", recursive=True),
    ]  # fmt: skip
    for step in steps:
        await protocol.run(m, step)
    history = [str(step.id) for step in steps[1:]]
    await settle(tree)
    for name in ("a/f", "a/g", "b/g"):
        assert (await page(client, tree, path=name, order="asc"))[0] == history, name
    last = (await entries(client, tree, path="a/f"))[-1]
    assert (await page(client, tree, nodeId=last["nodeId"]))[0] == history[::-1]
    seen, pagination = await page(client, tree, path="b/g", limit=3)
    assert (seen, pagination["more"]) == (history[:0:-1], True)
    assert (await page(client, tree, path="b/g", limit=3, before=pagination["nextBefore"]))[0] == history[:1]
    below = (await page(client, tree, pathPrefix="a/new", order="asc"))[0]
    assert below == [str(steps[3].id)], "what happened to the directory above"
    assert (await page(client, tree, path="b/g", command="moveNode", order="asc"))[0] == history[1:3]


@pytest.mark.parametrize(
    "params",
    [{"limit": 0}, {"limit": 201}, {"order": "up"}, {"after": "x"}, {"after": 2**63}, {"nodeId": "x"},
    {"outcome": "running"},
     {"command": "drop"}, {"commandId": "x"}, {"commandId": "g" * 36}, {"commandId": "-" * 36}, {"path": ".."},
     {"path": "a\0"}, {"principal": "a\0"}, {"pathB64": "!"}, {"pathPrefix": ".."}, {"pathPrefixB64": "!"},
     {"before": 0}, {"before": "x"}, {"after": -1}, {"from": "yesterday"}, {"from": "0"},
     {"to": "1767225600"}, {"from": "2026-1-1T00:00:00Z"}, {"to": "2026-01-01"},
     {"operationId": "x"}, {"code": "a\0"}],
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


async def test_a_command_can_be_asked_about_at_any_time(front: FrontOfTest, tree: Tree) -> None:
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


async def test_a_command_is_told_to_its_own_principal_and_to_administrators(front: FrontOfTest, tree: Tree) -> None:
    id = await command(tree, "ann")
    ann, bob, root, other = (
        await front.token("read", principal="ann"), await front.token("write", principal="bob"), front.tokens["admin"],
        await front.token("admin", principal="ann", tenant="other"),
    )  # fmt: skip
    for token, status in ((ann, 200), (root, 200), (bob, 404), (other, 404)):
        async with front.client(token) as client:
            assert (await client.get(f"/v1/commands/{id}")).status_code == status


@pytest.mark.parametrize(
    "id", ["x", "0", "%00", "-" * 36, str(uuid.UUID(int=1)), "{" + str(uuid.UUID(int=2)) + "}", "é"]
)
async def test_there_is_no_such_command(client: httpx2.AsyncClient, id: str) -> None:
    answer = await client.get(f"/v1/commands/{id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
