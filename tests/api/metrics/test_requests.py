"""Requests and commands are counted as they were answered."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api.submission import Submission
from schema import errors
from schema.commands.payloads import Outcome
from tests.api.conftest import FrontOfTest, Tree, failed, pends, succeeded
from tests.api.metrics.helpers import mkdir, scrape


async def test_a_request_is_counted_under_the_template_of_its_route(
    front: FrontOfTest, client: httpx2.AsyncClient
) -> None:
    assert (await client.get("/v1/nodes/123456789")).status_code == 404
    assert (await client.get("/v1/nodes/987654321")).status_code == 404
    assert (await client.get("/v1/backend-mounts")).status_code == 200
    page = await scrape(client)
    assert page("filestore_http_requests_total", method="GET", route="/v1/nodes/{id}", status="4xx") == 2
    assert page("filestore_http_requests_total", method="GET", route="/v1/backend-mounts", status="2xx") == 1
    assert page("filestore_http_request_duration_seconds_count", method="GET", route="/v1/nodes/{id}") == 2
    seconds = page("filestore_http_request_duration_seconds_sum", method="GET", route="/v1/nodes/{id}")
    assert seconds is not None and 0 < seconds < 60
    assert "123456789" not in page.text and "987654321" not in page.text
    assert page("filestore_http_requests_in_progress") == 1, "the scrape itself"


async def test_a_defect_is_counted_as_what_its_client_was_told(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    front.commands.answers = lambda submission: 1 / 0  # type: ignore[assignment, return-value]
    assert (await mkdir(client, tree, "a")).status_code == 500
    page = await scrape(client)
    assert page("filestore_http_requests_total", method="POST", route="/v1/directories", status="5xx") == 1
    refused = {"kind": "createDirectory", "outcome": "refused", "code": "INTERNAL_SERVER_ERROR"}
    assert page("filestore_commands_answered_total", **refused) == 1
    assert page("filestore_http_requests_in_progress") == 1


async def test_a_request_is_counted_when_its_answer_begins_or_when_there_is_none(front: FrontOfTest) -> None:
    route = "/v1/events/stream"
    scope = {
        "type": "http", "method": "GET", "path": route, "raw_path": route.encode(), "query_string": b"", "scheme": "http",
        "root_path": "", "server": ("front", 80), "client": ("me", 1), "http_version": "1.1",
        "headers": [(b"authorization", f"Bearer {front.tokens['read']}".encode())],
    }  # fmt: skip
    begun, gone = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        begun.set()

    async with front.client() as anonymous:
        stream = asyncio.create_task(front.app(scope, receive, send))
        await asyncio.wait_for(begun.wait(), 10)
        page = await scrape(anonymous)
        assert page("filestore_http_requests_total", method="GET", route=route, status="2xx") == 1, "it goes on"
        assert page("filestore_event_followers") == 1 and page("filestore_http_requests_in_progress") == 2
        gone.set()
        await asyncio.wait_for(stream, 10)
        page = await scrape(anonymous)
        assert page("filestore_event_followers") == 0 and page("filestore_http_requests_in_progress") == 1
        assert page("filestore_http_requests_total", method="GET", route=route, status="2xx") == 1, "once"
    front.app.state.feed.close()


async def test_who_leaves_without_an_answer_is_counted_too(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    started = asyncio.Event()

    async def never(submission: Submission) -> Outcome:
        started.set()
        await asyncio.sleep(60)
        return succeeded(submission)

    front.commands.submit = never  # type: ignore[method-assign]
    request = asyncio.create_task(mkdir(client, tree, "a"))
    await asyncio.wait_for(started.wait(), 10)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    page = await scrape(client)
    assert page("filestore_http_requests_total", method="POST", route="/v1/directories", status="none") == 1
    labels = {"kind": "createDirectory", "outcome": "abandoned", "code": "none"}
    assert page("filestore_commands_answered_total", **labels) == 1


def full(submission: Submission) -> Outcome:
    raise errors.RateLimited(waiting=7)


def raised_elsewhere(submission: Submission) -> Outcome:
    raise RuntimeError("no code expected this")


@pytest.mark.parametrize(
    ("answers", "outcome", "code"),
    [
        (succeeded, "succeeded", "none"),
        (lambda submission: failed(submission, "NODE_EXISTS"), "failed", "NODE_EXISTS"),
        (lambda submission: failed(submission, "A_CODE_OF_TOMORROW"), "failed", "INTERNAL_SERVER_ERROR"),
        (lambda submission: replace(succeeded(submission), replayed=True), "replayed", "none"),
        (lambda submission: replace(failed(submission, "NODE_EXISTS"), replayed=True), "replayed", "NODE_EXISTS"),
        (full, "refused", "RATE_LIMITED"),
        (raised_elsewhere, "refused", "INTERNAL_SERVER_ERROR"),
        (pends, "pending", "none"),
    ],
)
async def test_a_command_is_counted_by_how_it_was_answered(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    answers: Callable[[Submission], Outcome],
    outcome: str,
    code: str,
) -> None:
    front.commands.answers = answers
    await mkdir(client, tree, "a")
    page = await scrape(client)
    expected = {"kind": "createDirectory", "outcome": outcome, "code": code}
    assert page.labels("filestore_commands_answered_total") == [expected]
    assert page("filestore_commands_answered_total", **expected) == 1
    labels = {"kind": "createDirectory", "outcome": outcome}
    assert page("filestore_command_duration_seconds_count", **labels) == 1


async def test_each_command_of_a_list_is_counted(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    commands = [{"command": "createDirectory", "backendMountId": tree.mount, "path": path} for path in ("a", "b")]
    commands.append({"command": "deleteNode", "backendMountId": tree.mount, "path": "c"})
    done = {"outcome": "succeeded", "code": "none"}
    for count, mode in enumerate(("independent", "atomic"), 1):
        answer = await client.post("/v1/commands", json={"mode": mode, "commands": commands})
        assert answer.status_code == 200, answer.text
        page = await scrape(client)
        assert page("filestore_commands_answered_total", kind="createDirectory", **done) == 2 * count
        assert page("filestore_commands_answered_total", kind="deleteNode", **done) == count
    front.commands.answers = full
    await client.post("/v1/commands", json={"mode": "atomic", "commands": commands})
    page = await scrape(client)
    refused = {"outcome": "refused", "code": "RATE_LIMITED"}
    assert page("filestore_commands_answered_total", kind="createDirectory", **refused) == 2
    assert page("filestore_commands_answered_total", kind="deleteNode", **refused) == 1


async def test_lists_are_counted_by_their_size(front: FrontOfTest, client: httpx2.AsyncClient) -> None:
    for commands in (1, 1, 3, 64):
        front.app.state.counts.list_started(commands)
    page = await scrape(client)
    assert page("filestore_list_commands_count") == 4 and page("filestore_list_commands_sum") == 69
    assert page("filestore_list_commands_bucket", le="1.0") == 2
    assert page("filestore_list_commands_bucket", le="4.0") == 3
    assert page("filestore_list_commands_bucket", le="64.0") == 4
