"""Keys, waiting, names: how commands are answered."""

import httpx2
import pytest

from api.commands.catalogue import KINDS
from schema.commands.command import CommandKind, Status
from schema.store.pool import Pool
from tests.api.conftest import FrontOfTest, Tree, failed, pends
from tests.api.mutations.helpers import EVERY, TAKES
from tests.api.test_journal import command as command_row


async def test_the_key_in_the_body_wins_everywhere(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("a")
    for method, path in EVERY:
        for headers, key, used in (({}, None, None), ({"idempotency-key": "h"}, None, "h"), ({"idempotency-key": "h"}, "b", "b"),
                                   ({"x-idempotency-key": "x"}, None, "x")):  # fmt: skip
            body = {"backendMountId": tree.mount, "path": "a", "targetPath": "b", "idempotencyKey": key}
            answer = await client.request(method, path.replace("{node}", str(node)), json=body, headers=headers)
            assert answer.is_success, (path, answer.text)
            assert front.commands.last.request.key == used


async def test_nobody_has_to_wait(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("a")
    front.commands.answers = pends
    body = {"backendMountId": tree.mount, "path": "a", "targetPath": "b"}
    for method, path in EVERY:
        address = path.replace("{node}", str(node))
        for query, prefer, seconds in (({}, "respond-async", 0.0), ({"wait": 3}, "", 3.0), ({}, "wait=4", 4.0)):
            answer = await client.request(method, address, json=body, params=query, headers={"prefer": prefer})
            submission = front.commands.last
            assert submission.wait_seconds == seconds
            assert answer.status_code == 202
            assert answer.headers["location"] == f"/v1/commands/{submission.request.id}"
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["data"]["commandId"] == submission.request.id


async def test_a_refusal_of_the_record_is_answered_verbatim(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file("a")
    front.commands.answers = lambda submission: failed(submission, "VERSION_CONFLICT")
    for method, path in EVERY:
        body = {"backendMountId": tree.mount, "path": "a", "targetPath": "b"}
        answer = await client.request(method, path.replace("{node}", str(node)), json=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (412, "as told")


@pytest.mark.parametrize("name", ["nonsense", "Move", "moveNode", "upload", "%00", "é"])
async def test_a_command_that_nobody_knows(front: FrontOfTest, client: httpx2.AsyncClient, name: str) -> None:
    answer = await client.post(f"/v1/commands/{name}", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert answer.json()["error"]["details"]["commands"] == [
        "create-directory", "delete", "move", "copy", "update-metadata", "restore",
    ]  # fmt: skip


def test_every_kind_of_command_but_the_upload_has_a_place_in_the_table() -> None:
    assert {kind.kind for kind in KINDS} == set(CommandKind) - {CommandKind.UPLOAD}
    assert {kind.name for kind in KINDS} == set(TAKES)


async def test_a_running_command_says_where_and_when_to_ask_again(front: FrontOfTest, tree: Tree) -> None:
    running = await command_row(tree, "ann", kind="moveNode", request='{"path": "a", "target": "b"}')
    ended = await command_row(tree, "ann", status="succeeded", ended_at="2026-01-01Z", outcome="{}")
    async with front.client(await front.token("read", principal="ann")) as ann:
        answer = await ann.get(f"/v1/commands/{running.upper()}")
        assert (answer.headers["location"], answer.headers["retry-after"]) == (f"/v1/commands/{running}", "1")
        command = answer.json()["data"]
        assert (command["status"], command["command"], command["path"], command["targetPath"]) == (
            Status.RUNNING,
            "moveNode",
            "a",
            "b",
        )
        assert command["href"] == f"/v1/commands/{running}"
        answer = await ann.get(f"/v1/commands/{ended}")
        assert answer.status_code == 200 and not {"location", "retry-after"} & set(answer.headers)
        assert answer.json()["data"]["href"] == f"/v1/commands/{ended}"


async def test_the_journal_can_be_asked_for_every_kind(client: httpx2.AsyncClient) -> None:
    for kind in CommandKind:
        assert (await client.get("/v1/journal", params={"command": kind})).status_code == 200


@pytest.mark.parametrize("ui", ["http://ui:8233/", ""])
async def test_an_operation_names_the_page_of_its_workflow(
    pool: Pool, tree: Tree, monkeypatch: pytest.MonkeyPatch, ui: str
) -> None:
    monkeypatch.setenv("FILESTORE_TEMPORAL_UI_URL", ui)
    front = FrontOfTest(pool)
    async with front.client(await front.token("admin")) as client:
        body = {"kind": "delete", "backendMountId": tree.mount, "path": "a", "planOnly": True}
        shown = (await client.post("/v1/operations", json=body)).json()["data"]
    assert shown["workflowId"] == f"operation/{shown['id']}/plan"
    page = f"http://ui:8233/namespaces/default/workflows/operation%2F{shown['id']}%2Fplan"
    assert shown["workflowUrl"] == (page if ui else None)
