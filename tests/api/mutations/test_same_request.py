"""The same request under the same key, though the world has changed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx2

from schema.commands.command import CommandKind
from tests.api.conftest import FrontOfTest, Tree, failed, succeeded
from tests.api.mutations.helpers import ADDRESSES, Call, ask, describe


async def fingerprints(
    front: FrontOfTest, client: httpx2.AsyncClient, call: Call, bodies: Sequence[dict[str, Any]]
) -> list[Any]:
    hashes = []
    for body in bodies:
        answer = await ask(client, call, body)
        assert answer.is_success, answer.text
        hashes.append(front.commands.last.request.hash)
    return hashes


async def test_a_node_named_by_its_id_is_the_same_request_wherever_it_lies(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file("before")
    call = ("PATCH", f"/v1/nodes/{node}/metadata")
    body = {"backendMountId": tree.mount, "set": {"a": 1}, "idempotencyKey": "k"}
    (first,) = await fingerprints(front, client, call, [body])
    async with tree.pool.connection() as connection:
        await connection.execute("UPDATE filestore.nodes SET name = 'after', name_text = 'after' WHERE id = %s", [node])
    assert await fingerprints(front, client, call, [body]) == [first]
    assert front.commands.last.request.path == "after"
    other = await tree.file("other")
    changed = [
        await fingerprints(front, client, ("PATCH", f"/v1/nodes/{other}/metadata"), [body]),
        await fingerprints(front, client, call, [{**body, "set": {"a": "1"}}, {**body, "unset": ["b"]}]),
        await fingerprints(front, client, ("POST", "/v1/commands/update-metadata"), [{**body, "path": "after"}]),
    ]
    assert len({first, *(hash for some in changed for hash in some)}) == 5


async def test_a_path_to_restore_is_the_same_request_whichever_node_was_found_there(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    call, body = ADDRESSES[CommandKind.RESTORE], {"backendMountId": tree.mount, "path": "a", "idempotencyKey": "k"}
    one = await tree.file("a", state="deleted", deleted_at="2026-01-01Z")
    (first,) = await fingerprints(front, client, call, [body])
    assert front.commands.last.request.node_id == one
    two = await tree.file("a", state="deleted", deleted_at="2026-01-02Z")
    assert await fingerprints(front, client, call, [body]) == [first]
    assert front.commands.last.request.node_id == two
    by_id = {"backendMountId": tree.mount, "nodeId": two}
    others = await fingerprints(front, client, call, [by_id, {**by_id, "nodeId": one}, {**by_id, "version": 1},
                                                      {**body, "version": 1}, {**body, "targetPath": "b"}])  # fmt: skip
    assert len({first, *others}) == 6


async def test_a_deleted_node_is_described_no_more_but_its_answer_can_still_be_heard(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file("a", state="deleted", deleted_at="2026-01-01Z")
    answer = await describe(client, tree, node, set={"a": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NODE_NOT_FOUND")
    assert front.commands.submissions == []
    front.commands.answers = lambda submission: replace(succeeded(submission), replayed=True)
    assert (await describe(client, tree, node, set={"a": 1}, idempotencyKey="k")).json()["data"]["idempotent"] is True
    front.commands.answers = lambda submission: failed(submission, "NODE_NOT_FOUND")
    assert (await describe(client, tree, node, set={"a": 1}, headers={"idempotency-key": "k"})).status_code == 404
