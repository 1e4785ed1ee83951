"""POST /v1/commands: an answer for each command, whatever happens to the others."""

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import psycopg
import pytest

from api.commands.bodies import COMMANDS_MAX
from api.submission import Submission
from schema import errors
from schema.commands.command import CommandKind
from schema.commands.payloads import LIST_MAX, Outcome
from tests.api.conftest import FrontOfTest, Tree, failed, make_tree, pends, succeeded

MODES = ["independent", "ordered", "atomic"]


def mkdir(tree: Tree, path: str, **more: Any) -> dict[str, Any]:
    return {"command": "createDirectory", "backendMountId": tree.mount, "path": path, **more}


async def run(client: httpx2.AsyncClient, mode: str | None, commands: list[Any], status: int = 200, **more: Any) -> Any:
    options = {name: more.pop(name) for name in ("headers", "params") if name in more}
    body = {"commands": commands, **({"mode": mode} if mode else {}), **more}
    answer = await client.post("/v1/commands", json=body, **options)
    assert answer.status_code == status, answer.text
    return answer.json()["data"]["results"] if status == 200 else answer.json()["error"]


def by_path(**fates: Callable[[Submission], Outcome]) -> Callable[[Submission], Outcome]:
    """These paths end so; the others succeed."""
    return lambda submission: fates.get(submission.request.path, succeeded)(submission)


def fails(code: str) -> Callable[[Submission], Outcome]:
    return lambda submission: failed(submission, code)


def refuses(error: Exception) -> Callable[[Submission], Outcome]:
    def refuse(_: Submission) -> Outcome:
        raise error

    return refuse


def shown(results: list[dict[str, Any]]) -> list[Any]:
    """Each result as its status, or as its code where it was refused."""
    assert [result["index"] for result in results] == list(range(len(results)))
    for result in results:
        assert ("data" in result) != ("error" in result) and ("error" in result) == (result["status"] >= 400)
    return [result["error"]["code"] if "error" in result else result["status"] for result in results]


@pytest.mark.parametrize("mode", [None, *MODES])
async def test_every_kind_of_command_in_one_list(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, mode: str | None
) -> None:
    node = await tree.file("f")
    gone = await tree.file("gone", state="deleted", deleted_at="2026-01-01Z")
    mount = {"backendMountId": tree.mount}
    results = await run(client, mode, [
        {"command": "createDirectory", **mount, "path": "a", "metadata": {"n": 1}, "unknown": [1]},
        {"command": "deleteNode", **mount, "path": "b", "recursive": True, "ifMatch": "7"},
        {"command": "moveNode", **mount, "path": "c", "targetPath": "d", "overwrite": True, "ifNoneMatch": 3},
        {"command": "copyNode", **mount, "path": "e", "targetPath": "g", "ifNoneMatch": "*"},
        {"command": "updateNodeMetadata", **mount, "nodeId": node, "set": {"x": 1.0}, "unset": ["y"]},
        {"command": "restoreNode", **mount, "path": "gone"},
    ])  # fmt: skip
    assert shown(results) == [201, 200, 200, 201, 200, 200]
    submissions = sorted(front.commands.submissions, key=lambda one: list(CommandKind).index(one.request.kind))
    made, deleted, moved, copied, described, restored = (one.request for one in submissions)
    assert (made.kind, made.path, submissions[0].metadata) == (CommandKind.CREATE_DIRECTORY, "a", {"n": 1})
    assert (deleted.path, deleted.recursive, deleted.if_version) == ("b", True, 7)
    assert (moved.path, moved.target, moved.overwrite, moved.unless_version) == ("c", "d", True, 3)
    assert (copied.path, copied.target, copied.must_be_new, copied.unless_version) == ("e", "g", True, None)
    assert (described.path, described.node_id) == ("f", node)
    assert submissions[4].metadata == {"set": {"x": 1.0}, "unset": ["y"]}
    assert (restored.path, restored.node_id) == ("gone", gone)
    assert {one.request.key for one in submissions} == {None}
    assert [one["data"]["commandId"] for one in results] == [one.request.id for one in submissions]
    assert len(front.commands.atomic) == (mode == "atomic")


async def test_the_answer_says_the_mode(client: httpx2.AsyncClient, tree: Tree) -> None:
    for mode in MODES:
        answer = await client.post("/v1/commands", json={"mode": mode, "commands": []})
        assert answer.json() == {"data": {"mode": mode, "results": []}}
    assert (await client.post("/v1/commands", json={"commands": []})).json()["data"]["mode"] == "independent"


# Independent


async def test_independent_commands_hear_nothing_of_each_other(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    front.commands.answers = by_path(
        exists=fails("NODE_EXISTS"), full=fails("STORAGE_FULL"), limited=refuses(errors.RateLimited(waiting=7)), slow=pends,
        again=lambda submission: replace(succeeded(submission), replayed=True),
    )  # fmt: skip
    paths = ["a", "exists", "..", "full", "limited", "slow", "again", "z"]
    commands = [mkdir(tree, path) for path in paths] + [mkdir(tree, "x") | {"backendMountId": 2**62}]
    results = await run(client, "independent", commands)
    assert shown(results) == [
        201, "NODE_EXISTS", "INVALID_PATH", "STORAGE_FULL", "RATE_LIMITED", 202, 200, 201, "BACKEND_NOT_FOUND",
    ]  # fmt: skip
    by_name = {one.request.path: one.request for one in front.commands.submissions}
    assert results[1]["error"] == {
        "code": "NODE_EXISTS", "message": "as told", "details": {"commandId": by_name["exists"].id},
    }  # fmt: skip
    assert results[4]["error"]["details"] == {"waiting": 7}
    assert [result.get("retryAfter") for result in results] == [None, None, None, 30, 1, 1, None, None, None]
    id = by_name["slow"].id
    assert results[5]["data"] == {"commandId": id, "status": "running", "href": f"/v1/commands/{id}"}
    assert results[6]["data"]["idempotent"] is True and results[7]["data"]["idempotent"] is False


async def test_independent_commands_run_at_once(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    together = asyncio.Barrier(50)
    submit = front.commands.submit

    async def wait_for_all(submission: Submission) -> Outcome:
        await together.wait()
        return await submit(submission)

    front.commands.submit = wait_for_all  # type: ignore[method-assign]
    async with asyncio.timeout(20):
        results = await run(client, "independent", [mkdir(tree, f"d{n}") for n in range(50)])
    assert shown(results) == [201] * 50
    assert [result["data"]["result"]["path"] for result in results] == [f"d{n}" for n in range(50)]


@pytest.mark.parametrize("mode", ["independent", "ordered"])
async def test_a_full_list_is_answered_in_its_order(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, mode: str
) -> None:
    node = await tree.file("f")
    commands = [
        {"command": "updateNodeMetadata", "backendMountId": tree.mount, "nodeId": node, "set": {"n": n}}
        for n in range(COMMANDS_MAX)
    ]
    results = await run(client, mode, commands)
    assert shown(results) == [200] * COMMANDS_MAX
    ids = {one.request.id: (one.metadata or {})["set"]["n"] for one in front.commands.submissions}
    assert [ids[result["data"]["commandId"]] for result in results] == list(range(COMMANDS_MAX))


async def test_a_defect_in_one_command_is_its_own(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    front.commands.answers = by_path(
        broken=refuses(ZeroDivisionError("a secret detail")), away=refuses(psycopg.OperationalError("gone"))
    )
    commands = [mkdir(tree, path) for path in ("a", "broken", "away", "b")]
    results = await run(client, "independent", commands, headers={"x-request-id": "mine"})
    assert shown(results) == [201, "INTERNAL_SERVER_ERROR", "UNAVAILABLE", 201]
    assert results[1]["status"] == 500 and results[1]["error"]["details"] == {"requestId": "mine"}
    assert results[2]["status"] == 503 and results[2]["retryAfter"] == 2
    assert "secret detail" not in json.dumps(results) and "ZeroDivisionError" in capsys.readouterr().out
    assert shown(await run(client, "ordered", commands)) == [201, "INTERNAL_SERVER_ERROR", *["NOT_ATTEMPTED"] * 2]
    assert shown(await run(client, "atomic", commands)) == ["INTERNAL_SERVER_ERROR"] * 4


# Ordered


async def test_ordered_commands_start_when_the_one_before_has_ended(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    running: list[str] = []
    submit = front.commands.submit

    async def alone(submission: Submission) -> Outcome:
        assert running == []
        running.append(submission.request.path)
        await asyncio.sleep(0.002)
        running.clear()
        return await submit(submission)

    front.commands.submit = alone  # type: ignore[method-assign]
    paths = [f"d{n}" for n in range(20)]
    assert shown(await run(client, "ordered", [mkdir(tree, path) for path in paths])) == [201] * 20
    assert [one.request.path for one in front.commands.submissions] == paths


@pytest.mark.parametrize(
    ("fate", "code"),
    [
        (fails("NODE_EXISTS"), "NODE_EXISTS"), (fails("STORAGE_FULL"), "STORAGE_FULL"),
        (refuses(errors.OutcomeUnknown()), "OUTCOME_UNKNOWN"), (refuses(errors.RateLimited()), "RATE_LIMITED"),
    ],
)  # fmt: skip
async def test_after_the_first_failure_nothing_is_attempted(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, fate: Callable[[Submission], Outcome], code: str
) -> None:
    front.commands.answers = by_path(c=fate)
    results = await run(client, "ordered", [mkdir(tree, path) for path in "abcde"])
    assert shown(results) == [201, 201, code, "NOT_ATTEMPTED", "NOT_ATTEMPTED"]
    assert [result["status"] for result in results[3:]] == [424, 424]
    assert [one.request.path for one in front.commands.submissions] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "bad", [{"path": "../x"}, {"path": ".filestore/x"}, {"backendMountId": 2**62}, {"ifMatch": "x"}]
)
async def test_what_is_refused_by_itself_ends_an_ordered_list_too(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, bad: dict[str, Any]
) -> None:
    results = await run(client, "ordered", [mkdir(tree, "a"), mkdir(tree, "b") | bad, mkdir(tree, "c")])
    assert shown(results)[0] == 201 and results[1]["status"] in (400, 403, 404) and shown(results)[2] == "NOT_ATTEMPTED"
    assert [one.request.path for one in front.commands.submissions] == ["a"]


async def test_an_ordered_list_sees_what_its_own_commands_did(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    """The node to restore is looked up when its turn comes, not before."""
    made: list[int] = []

    async def delete_for_real(submission: Submission) -> Outcome:
        front.commands.submissions.append(submission)
        if submission.request.kind is CommandKind.DELETE:
            made.append(await tree.file("a", state="deleted", deleted_at="2026-01-01Z"))
        return succeeded(submission)

    front.commands.submit = delete_for_real  # type: ignore[method-assign]
    mount = {"backendMountId": tree.mount, "path": "a"}
    commands = [{"command": "deleteNode", **mount}, {"command": "restoreNode", **mount}]
    assert shown(await run(client, "ordered", commands)) == [200, 200]
    assert front.commands.last.request.node_id == made[0]


async def test_a_list_whose_client_waits_no_longer_stops_where_it_is(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    front.commands.answers = by_path(b=pends)
    results = await run(client, "ordered", [mkdir(tree, path) for path in "abc"])
    assert shown(results) == [201, 202, "NOT_ATTEMPTED"]
    assert "still running" in results[2]["error"]["message"]
    assert [one.request.path for one in front.commands.submissions] == ["a", "b"]


async def test_an_ordered_list_has_one_time_to_wait(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    async def takes_a_while(submission: Submission) -> Outcome:
        front.commands.submissions.append(submission)
        await asyncio.sleep(0.05)
        return succeeded(submission)

    front.commands.submit = takes_a_while  # type: ignore[method-assign]
    await run(client, "ordered", [mkdir(tree, path) for path in "abc"], params={"wait": 30})
    waits = [one.wait_seconds or 0 for one in front.commands.submissions]
    assert waits[0] <= 30 and all(later <= earlier - 0.05 for earlier, later in itertools.pairwise(waits))
    await run(client, "ordered", [mkdir(tree, "a")])
    assert 299 < (front.commands.last.wait_seconds or 0) <= front.settings.answer_wait_seconds


async def test_nobody_has_to_wait(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    commands = [mkdir(tree, path) for path in "ab"]
    for mode in MODES:
        front.commands.submissions.clear()
        front.commands.answers = succeeded
        for headers, params, seconds in (({"prefer": "respond-async"}, {}, 0.0), ({}, {"wait": "0"}, 0.0)):
            await run(client, mode, commands, headers=headers, params=params)
            assert {one.wait_seconds for one in front.commands.submissions} == {seconds}
        front.commands.answers = pends
        front.commands.submissions.clear()
        results = await run(client, mode, commands, headers={"prefer": "respond-async"})
        assert shown(results) == ([202, "NOT_ATTEMPTED"] if mode == "ordered" else [202, 202])


# Atomic


async def test_an_atomic_list_is_handed_over_as_one(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    front.commands.answers = by_path(b=fails("NODE_EXISTS"), a=fails("NOT_ATTEMPTED"))
    results = await run(client, "atomic", [mkdir(tree, "a"), mkdir(tree, "b")], idempotencyKey="k")
    assert shown(results) == ["NOT_ATTEMPTED", "NODE_EXISTS"]
    assert [[one.request.path for one in those] for those in front.commands.atomic] == [["a", "b"]]
    assert [one.request.key for one in front.commands.atomic[0]] == ["k#0", "k#1"]


@pytest.mark.parametrize("bad", [{"path": "../x"}, {"backendMountId": 2**62}, {"ifMatch": 'W/"7"'}, {"ifMatch": "x"}])
async def test_of_an_atomic_list_nothing_is_attempted_when_one_is_refused(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, bad: dict[str, Any]
) -> None:
    mount = {"backendMountId": bad.get("backendMountId", tree.mount)}
    commands = [mkdir(tree, "a") | mount, mkdir(tree, "b") | bad, mkdir(tree, "c") | mount]
    results = await run(client, "atomic", commands)
    culprit = 0 if "backendMountId" in bad else 1
    assert [result["status"] for n, result in enumerate(results) if n != culprit] == [424, 424]
    assert results[culprit]["status"] in (400, 404, 412)
    assert f"Command {culprit} " in results[2]["error"]["message"]
    assert front.commands.submissions == [] and front.commands.atomic == []


async def test_a_refusal_of_an_atomic_list_is_the_answer_of_each(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    front.commands.answers = refuses(errors.RateLimited())
    results = await run(client, "atomic", [mkdir(tree, path) for path in "abc"])
    assert shown(results) == ["RATE_LIMITED"] * 3 and {result["retryAfter"] for result in results} == {1}


async def test_an_atomic_list_that_goes_on_tells_where_to_ask_for_each(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    front.commands.answers = pends
    results = await run(client, "atomic", [mkdir(tree, path) for path in "abc"])
    ids = [one.request.id for one in front.commands.atomic[0]]
    assert [result["data"]["href"] for result in results] == [f"/v1/commands/{id}" for id in ids]


async def test_an_atomic_list_has_its_limits(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = await make_tree(tree.pool, tmp_path_factory.mktemp("other"))
    await run(client, "atomic", [mkdir(tree, f"d{n}") for n in range(LIST_MAX)])
    assert len(front.commands.atomic[0]) == LIST_MAX
    front.commands.submissions.clear()
    away = {"command": "moveNode", "backendMountId": tree.mount, "path": "a", "targetPath": "b",
            "targetBackendMountId": other.mount}  # fmt: skip
    for commands, more in (
        ([mkdir(tree, f"d{n}") for n in range(LIST_MAX + 1)], {}),
        ([mkdir(tree, "a"), mkdir(other, "b")], {}),
        ([mkdir(tree, "a"), away], {}),
        ([mkdir(tree, "a", idempotencyKey="k"), mkdir(tree, "b", idempotencyKey="k")], {}),
        ([mkdir(tree, "a", idempotencyKey="k#1"), mkdir(tree, "b")], {"idempotencyKey": "k"}),
    ):
        error = await run(client, "atomic", commands, 400, **more)
        assert error["code"] == "INVALID_REQUEST"
    assert front.commands.submissions == []


# Keys


@pytest.mark.parametrize("mode", MODES)
async def test_each_command_gets_a_key_of_its_own(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, mode: str
) -> None:
    commands = [mkdir(tree, "a"), mkdir(tree, "b", idempotencyKey="own"), mkdir(tree, "c", idempotencyKey=None)]

    async def keys(**more: Any) -> list[str | None]:
        front.commands.submissions.clear()
        await run(client, mode, commands, **more)
        return [one.request.key for one in sorted(front.commands.submissions, key=lambda one: one.request.path)]

    assert await keys() == [None, "own", None]
    assert await keys(idempotencyKey="k") == ["k#0", "own", "k#2"]
    assert await keys(headers={"idempotency-key": "h"}) == ["h#0", "own", "h#2"]
    assert await keys(headers={"x-idempotency-key": "h"}, idempotencyKey="k") == ["k#0", "own", "k#2"]


async def test_the_key_of_a_list_leaves_room_for_a_number(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    await run(client, "independent", [mkdir(tree, "a")], idempotencyKey="k" * 251)
    assert front.commands.last.request.key == "k" * 251 + "#0"
    await run(client, "independent", [mkdir(tree, "a")], 400, idempotencyKey="k" * 252)
    await run(client, "independent", [mkdir(tree, "a")], 400, headers={"idempotency-key": "k" * 252})
    assert len(front.commands.submissions) == 1


async def test_a_command_asks_for_the_same_in_a_list_and_alone(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    body = mkdir(tree, "a", metadata={"n": 1}, ifNoneMatch="*")
    for mode in MODES:
        await run(client, mode, [body])
    await client.post("/v1/directories", json=body)
    hashes = {one.request.hash for one in front.commands.submissions}
    assert len(front.commands.submissions) == 4 and len(hashes) == 1


# Malformed as a whole


BAD: list[Any] = [
    b"", b"[]", b"{", b"null", b"{}", {"commands": None}, {"commands": {}}, {"commands": [1]}, {"commands": [None]},
    {"commands": [[]]}, {"mode": "atomically", "commands": []}, {"mode": None, "commands": []}, {"mode": 1, "commands": []},
    {"commands": [], "idempotencyKey": ""}, {"commands": [], "idempotencyKey": 1}, {"commands": [], "idempotencyKey": "\0"},
    {"commands": [{}] * (COMMANDS_MAX + 1)},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=[str(n) for n in range(len(BAD))])
async def test_a_malformed_list_is_400(front: FrontOfTest, client: httpx2.AsyncClient, body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.post("/v1/commands", content=content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert front.commands.submissions == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"command": None}, "command"), ({"command": "uploadFile"}, "command"), ({"command": "create-directory"}, "command"),
        ({"command": 1}, "command"), ({"command": ["createDirectory"]}, "command"), ({"backendMountId": "1"}, "backendMountId"),
        ({"path": 7}, "path"), ({"path": "a\0b"}, "path"), ({"metadata": []}, "metadata"), ({"metadata": {"a": "\0"}}, "metadata"),
        ({"idempotencyKey": ""}, "idempotencyKey"), ({"ifMatch": []}, "ifMatch"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", MODES)
async def test_one_malformed_command_makes_the_list_malformed_and_nothing_runs(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, mode: str, change: dict[str, Any], field: str
) -> None:
    error = await run(client, mode, [mkdir(tree, "a"), mkdir(tree, "b") | change, mkdir(tree, "c")], 400)
    assert error["code"] == "INVALID_REQUEST"
    assert error["details"]["fields"][0]["field"].startswith(f"commands.1.{field}")
    assert front.commands.submissions == []


async def test_conditions_belong_to_the_commands(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    for name in ("if-match", "if-none-match"):
        error = await run(client, "independent", [mkdir(tree, "a")], 400, headers={name: "*"})
        assert "ifMatch" in error["message"]
    assert front.commands.submissions == []


async def test_a_list_is_no_larger_than_any_body(client: httpx2.AsyncClient, tree: Tree) -> None:
    commands = [mkdir(tree, "a", metadata={"a": "x" * 200_000})] * 6
    assert (await run(client, "independent", commands, 413))["code"] == "PAYLOAD_TOO_LARGE"


async def test_too_much_metadata_is_the_refusal_of_one(client: httpx2.AsyncClient, tree: Tree) -> None:
    commands = [mkdir(tree, "a"), mkdir(tree, "b", metadata={"a": "x" * 300_000})]
    assert shown(await run(client, "independent", commands)) == [201, "PAYLOAD_TOO_LARGE"]


async def test_answers_are_stored_text_and_not_built_again(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    outcome = '{"idempotent" : false, "node" : {"metadata": {"idempotent": false, "pi": 3.14159265358979323846264338}}}'
    refusal = (
        '{"error" : {"code" : "NODE_EXISTS", "message" : "é }", "details" : {"pi": 3.14159265358979323846264338}}}'
    )
    front.commands.answers = by_path(
        a=lambda s: replace(succeeded(s), body=outcome), b=lambda s: replace(failed(s, "NODE_EXISTS"), body=refusal),
        c=lambda s: replace(failed(s, "NODE_EXISTS"), body=""),
    )  # fmt: skip
    body = {"commands": [mkdir(tree, path) for path in "abc"]}
    answer = await client.post("/v1/commands", json=body)
    assert '"data":' + outcome + "}" in answer.text and '"status":409,' + refusal[1:] in answer.text
    assert shown(answer.json()["data"]["results"]) == [201, "NODE_EXISTS", "NODE_EXISTS"]
