"""What becomes of an upload when all of it is there: refusals, failures that can pass, crashes."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from schema import errors
from schema.commands.command import Command, Status
from schema.commands.payloads import Outcome
from schema.store.pool import Pool
from tests.api.conftest import FrontOfTest, Tree, failed, pends, succeeded
from tests.api.tus.helpers import CHUNK, V, begin, code, content_of, files, offset_of, patch


@pytest.mark.parametrize("refusal", ["NODE_EXISTS", "PARENT_NOT_FOUND", "VERSION_CONFLICT", "IDEMPOTENCY_CONFLICT"])
async def test_a_refused_command_ends_the_upload(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path, refusal: str
) -> None:
    front.commands.answers = lambda s: failed(s, refusal)
    where = await begin(client, tree, 5)
    answer = await patch(client, where, 0, b"hello")
    assert code(answer) == refusal and answer.headers["tus-resumable"] == "1.0.0"
    front.commands.answers = succeeded
    head = await client.head(where, headers=V)
    assert head.status_code == answer.status_code and "upload-offset" not in head.headers
    assert code(await patch(client, where, 5, b"")) == refusal
    assert len(front.commands.submissions) == 1 and files(spool) == []
    upload = (await client.get(where)).json()["data"]
    assert (upload["state"], upload["error"]["code"]) == ("refused", refusal)


@pytest.mark.parametrize("refusal", ["MOUNT_OFFLINE", "STORAGE_FULL", "PATH_BUSY", "STAGE_LOST"])
@pytest.mark.parametrize("by", ["HEAD", "PATCH"])
@pytest.mark.parametrize("raised", [False, True])
async def test_a_failure_that_can_pass_is_healed_by_the_next_request(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, refusal: str, by: str, raised: bool
) -> None:
    def refuse(submission: Any) -> Outcome:
        if raised:
            raise errors.from_code(refusal)
        return failed(submission, refusal)

    front.commands.answers = refuse
    where = await begin(client, tree, 5)
    answer = await patch(client, where, 0, b"hello")
    assert code(answer) == refusal and int(answer.headers["retry-after"])
    head = await client.head(where, headers=V)
    assert head.status_code == answer.status_code and "upload-offset" not in head.headers
    front.commands.answers = succeeded
    sent_headers = CHUNK | {"Upload-Offset": "5"}
    answer = await client.request(by, where, headers=sent_headers)
    assert answer.status_code in (200, 204) and answer.headers["upload-offset"] == "5"
    assert answer.headers["x-filestore-command"] == front.commands.last.request.id
    assert len({s.request.key for s in front.commands.submissions}) == 1, "one key, one command"
    assert len({s.request.hash for s in front.commands.submissions}) == 1


async def test_a_full_mount_is_journaled_and_healed(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    front.commands.answers = lambda s: failed(s, s.request.failure) if s.request.failure else succeeded(s)
    where = await begin(client, tree, 5)
    front.disks.broken[tree.mount] = errors.StorageFull()
    assert (await patch(client, where, 0, b"hello")).status_code == 507
    front.disks.broken.clear()
    assert await offset_of(client, where) == 5
    assert content_of(front, tree) == b"hello"


async def record(
    pool: Pool, tree: Tree, request: Command, status: Status, code: str | None = None, outcome: Any = None
) -> None:
    """As `begin` and `commit` would have left it."""
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO filestore.commands (id, tenant, principal, key, kind, mount_id, path, request, intent, status, code,"
            " outcome, ended_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, '{}', '{}', %s, %s, %s, CASE WHEN %s THEN NULL ELSE now() END)",
            [request.id, request.tenant, request.principal, request.key, request.kind, tree.mount, request.node_path.raw, status,
             code, json.dumps(outcome), status is Status.RUNNING],
        )  # fmt: skip


async def test_a_command_that_still_runs_is_asked_for_later(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, pool: Pool, spool: Path
) -> None:
    front.commands.answers = pends
    where = await begin(client, tree, 5)
    answer = await patch(client, where, 0, b"hello", Prefer="respond-async")
    request = front.commands.last.request
    assert front.commands.last.wait_seconds == 0.0
    assert (answer.status_code, answer.headers["x-filestore-command"]) == (204, request.id)
    await record(pool, tree, request, Status.RUNNING)
    head = await client.head(where, headers=V)
    assert (head.headers["x-filestore-command"], head.headers["upload-offset"]) == (request.id, "5")
    assert "x-filestore-node" not in head.headers and len(files(spool)) == 1, (
        "the bytes stay until the outcome is known"
    )
    async with pool.connection() as connection:
        body = json.dumps({"idempotent": False, "node": {"id": 9}, "result": {"nodeId": 9}})
        await connection.execute(
            "UPDATE filestore.commands SET status = 'succeeded', ended_at = now(), outcome = %s WHERE id = %s",
            [body, request.id],
        )
    head = await client.head(where, headers=V)
    assert (head.headers["x-filestore-command"], head.headers["x-filestore-node"]) == (request.id, "9")
    assert len(front.commands.submissions) == 1 and files(spool) == []


async def test_a_crash_between_the_command_and_the_row_is_recognised(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: Any) -> None:
        raise RuntimeError("the process dies here")

    where = await begin(client, tree, 5)
    with monkeypatch.context() as patched:
        patched.setattr("api.uploads.ending.end", crash)
        assert (await patch(client, where, 0, b"hello")).status_code == 500
    request = front.commands.last.request
    await record(
        pool, tree, request, Status.SUCCEEDED, outcome={"idempotent": False, "node": None, "result": {"nodeId": 3}}
    )
    head = await client.head(where, headers=V)
    assert (head.headers["x-filestore-command"], head.headers["x-filestore-node"]) == (request.id, "3")
    assert len(front.commands.submissions) == 1, "it happened once"
