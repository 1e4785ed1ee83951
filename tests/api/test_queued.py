"""A command that was answered with 202 before it had a row is shown from memory, to principals that may see it."""

from datetime import UTC, datetime

import httpx2
import pytest

from api.submission import Queued
from schema import errors
from schema.commands.command import Command, CommandKind
from schema.ids import CommandId, MountId, new_command_id
from tests.api.conftest import FrontOfTest, Tree
from tests.api.test_journal import command


def waiting(front: FrontOfTest, principal: str = "ann", tenant: str = "main") -> Queued:
    id = new_command_id()
    request = Command(id, CommandKind.MOVE, MountId(7), "a", tenant, principal, 1, target="b", key="k")
    front.commands.waiting[id] = Queued(request, datetime.now(UTC))
    return front.commands.waiting[id]


async def ask(front: FrontOfTest, id: CommandId, *scopes: str, principal: str = "ann") -> httpx2.Response:
    async with front.client(await front.token(*(scopes or ("read",)), principal=principal)) as client:
        return await client.get(f"/v1/commands/{id}")


async def test_it_is_queued(front: FrontOfTest) -> None:
    queued = waiting(front)
    answer = await ask(front, queued.request.id)
    assert answer.status_code == 200, answer.text
    command = answer.json()["data"]
    assert (command["status"], command["command"], command["path"], command["targetPath"]) == (
        "queued",
        "moveNode",
        "a",
        "b",
    )
    assert (command["id"], command["outcome"], command["attempt"]) == (queued.request.id, None, 0)
    assert answer.headers["location"] == f"/v1/commands/{queued.request.id}" and answer.headers["retry-after"] == "1"


async def test_only_its_principal_and_administrators_are_told(front: FrontOfTest) -> None:
    mine, strange = waiting(front), waiting(front, tenant="other")
    assert (await ask(front, mine.request.id, principal="bob")).status_code == 404
    assert (await ask(front, mine.request.id, "admin", principal="root")).status_code == 200
    assert (await ask(front, strange.request.id, "admin", principal="root")).status_code == 404


@pytest.mark.parametrize("error", [errors.IdempotencyConflict(), errors.Unavailable()])
async def test_why_it_never_began(front: FrontOfTest, error: errors.FilestoreError) -> None:
    queued = waiting(front)
    queued.error = error
    answer = await ask(front, queued.request.id)
    command = answer.json()["data"]
    assert (command["status"], command["code"], command["retryable"]) == ("failed", error.code, error.retryable)
    assert command["outcome"]["error"]["message"] == error.message and "retry-after" not in answer.headers


async def test_that_it_is_not_known_whether_it_began(front: FrontOfTest) -> None:
    queued = waiting(front)
    queued.error = errors.OutcomeUnknown()
    answer = await ask(front, queued.request.id)
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "OUTCOME_UNKNOWN"


async def test_one_that_has_a_row_now_is_told_of_from_there(front: FrontOfTest, tree: Tree) -> None:
    """Under the id that an earlier request gave it."""
    queued = waiting(front)
    queued.row = CommandId(await command(tree, "ann"))
    answer = await ask(front, queued.request.id)
    assert (answer.json()["data"]["id"], answer.json()["data"]["status"]) == (queued.row, "running")
