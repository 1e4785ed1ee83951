"""Errors as clients see them."""

import json

import httpx2
import pytest

from api.http import errors as http_errors
from schema import errors
from tests.api.conftest import FrontOfTest, Tree, failed, pends

PROBLEM = {"accept": "application/problem+json"}


def test_every_code_has_the_status_that_the_tree_draws() -> None:
    import re

    drawn: dict[str, int] = {}
    names: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.findall(r"[A-Z][A-Za-z]+", line) if "├" in line or "└" in line or "│" in line else []
        names += found
        if status := re.search(r"\b([45]\d\d)$", line):
            drawn |= dict.fromkeys(names, int(status[1]))
            names = []
    assert {kind.__name__: http_errors.status_of(code) for code, kind in errors.BY_CODE.items()} == drawn
    assert set(http_errors.STATUS) == set(errors.BY_CODE)


async def test_the_envelope_and_the_problem_say_the_same(client: httpx2.AsyncClient) -> None:
    plain = await client.get("/v1/nodes/999999999")
    assert plain.status_code == 404
    assert plain.headers["content-type"] == "application/json"
    error = plain.json()["error"]
    assert set(error) == {"code", "message", "details"}
    problem = await client.get("/v1/nodes/999999999", headers=PROBLEM)
    assert problem.status_code == 404
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json() == {
        "type": "urn:filestore:problem:node-not-found", "title": "Node not found", "status": 404,
        "detail": error["message"], "code": "NODE_NOT_FOUND", "retryable": False,
    }  # fmt: skip


@pytest.mark.parametrize("code", sorted(errors.BY_CODE))
async def test_a_failed_command_answers_its_status_verbatim(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, code: str
) -> None:
    front.commands.answers = lambda submission: failed(submission, code)
    body = {"backendMountId": tree.mount, "path": "a"}
    answer = await client.post("/v1/directories", json=body)
    id = front.commands.last.request.id
    assert answer.status_code == http_errors.status_of(code)
    assert answer.json() == {"error": {"code": code, "message": "as told", "details": {"commandId": id}}}
    assert answer.headers["x-filestore-command-id"] == id
    retry = errors.BY_CODE[code].retry_after_seconds
    assert answer.headers.get("retry-after") == (None if retry is None else str(retry))
    assert (retry is not None) == (answer.status_code in (408, 429, 503, 507) or code in ("PATH_BUSY", "FROZEN"))

    problem = (await client.post("/v1/directories", json=body, headers=PROBLEM)).json()
    assert problem["code"] == code and problem["detail"] == "as told"
    assert problem["command_id"] == front.commands.last.request.id
    assert problem["retryable"] == errors.BY_CODE[code].retryable
    assert problem.get("retry_after") == retry


async def test_a_refusal_that_is_raised_is_answered_alike(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    def refuse(_: object) -> None:
        raise errors.RateLimited()

    front.commands.answers = refuse  # type: ignore[assignment]
    answer = await client.post("/v1/directories", json={"backendMountId": tree.mount, "path": "a"})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"


async def test_a_command_that_goes_on_is_202_with_a_place_to_ask(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    front.commands.answers = pends
    body = {"backendMountId": tree.mount, "path": "a"}
    upload = {"data": {"backendMountId": str(tree.mount), "path": "a"}, "files": {"file": b"x"}}
    for answer in (
        await client.post("/v1/directories", json=body),
        await client.request("DELETE", "/v1/nodes", json=body),
        await client.post("/v1/files", **upload),  # type: ignore[arg-type]
    ):
        id = front.commands.submissions.pop(0).request.id
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/v1/commands/{id}"
        assert answer.json() == {"data": {"commandId": id, "status": "running", "href": f"/v1/commands/{id}"}}


async def test_unknown_addresses_and_methods(client: httpx2.AsyncClient) -> None:
    for path in ("/", "/v1", "/v1/nope", "/v1/nodes/", "/v1/directories/", "/v1/nodes/1/children/x", "//v1/nodes"):
        answer = await client.get(path)
        assert answer.status_code in (404, 405), path
        assert answer.json()["error"]["code"] in ("NOT_FOUND", "NOT_SUPPORTED")
    answer = await client.put("/v1/nodes")
    assert answer.status_code == 405
    assert answer.headers["allow"]


async def test_a_defect_is_500_with_an_id_and_without_a_traceback(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(_: object) -> None:
        raise ZeroDivisionError("a secret detail")

    front.commands.answers = break_down  # type: ignore[assignment]
    body = {"backendMountId": tree.mount, "path": "a"}
    answer = await client.post("/v1/directories", json=body, headers={"x-request-id": "mine-1"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "mine-1"
    error = answer.json()["error"]
    assert error["code"] == "INTERNAL_SERVER_ERROR"
    assert error["details"] == {"requestId": "mine-1"}
    assert "secret detail" not in answer.text and "Traceback" not in answer.text
    logged = capsys.readouterr().out
    assert "ZeroDivisionError" in logged and "mine-1" in logged
    problem = await client.post("/v1/directories", json=body, headers=PROBLEM)
    assert problem.status_code == 500 and problem.json()["code"] == "INTERNAL_SERVER_ERROR"


@pytest.mark.parametrize("given", ["ok-1", "x" * 128])
async def test_a_request_id_comes_back(client: httpx2.AsyncClient, given: str) -> None:
    assert (await client.get("/health", headers={"x-request-id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [b"", b"x" * 129, b"a b", b"a\tb", b"\xff", b"\xc3\xa9"])
async def test_an_odd_request_id_is_replaced(client: httpx2.AsyncClient, given: bytes) -> None:
    answer = await client.get("/health", headers=[(b"x-request-id", given)])
    assert len(answer.headers["x-request-id"]) == 16


async def test_details_hold_what_json_can_not_always(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    def refuse(_: object) -> None:
        raise errors.NodeExists(path="a\udcff", size=2**70, when=object)

    front.commands.answers = refuse  # type: ignore[assignment]
    answer = await client.post("/v1/directories", json={"backendMountId": tree.mount, "path": "a"})
    assert answer.status_code == 409
    assert json.loads(answer.content)["error"]["details"]["size"] == 2**70
