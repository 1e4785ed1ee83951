"""Which principals may go on with an upload, and when."""

from typing import Any

import httpx2
import pytest

from schema import errors
from schema.store import mounts
from schema.store.pool import Pool
from tests.api.conftest import FrontOfTest, Tree
from tests.api.tus.helpers import V, begin, content_of, offset_of, patch


async def test_only_its_own_principal_goes_on_with_it(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    where = await begin(client, tree, 5)
    for token in (await front.token("admin"), await front.token("write", tenant="other")):
        async with front.client(token) as other:
            assert (await patch(other, where, 0, b"hello")).status_code == 404
            for method in ("HEAD", "DELETE", "GET"):
                assert (await other.request(method, where, headers=V)).status_code == 404
    async with front.client(front.tokens["read"]) as reader:
        assert (await patch(reader, where, 0, b"hello")).status_code == 403
    assert await offset_of(client, where) == 0


async def test_a_scope_that_was_taken_away_meanwhile(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = await begin(client, tree, 5)

    def refuse(*_: Any) -> None:
        raise errors.MissingScope()

    with monkeypatch.context() as patched:
        patched.setattr("api.uploads.receive.authorise", refuse)
        assert (await patch(client, where, 0, b"hello")).status_code == 403
        assert front.commands.submissions == []
    assert await offset_of(client, where) == 5, "given back, it goes on"
    assert content_of(front, tree) == b"hello"


async def test_a_mount_that_is_closed_for_a_while_costs_no_upload(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, pool: Pool
) -> None:

    for change_to, back, status in (
        ({"access_mode": "ro"}, {"access_mode": "rw"}, 403),
        ({"state": "inactive"}, {"state": "active"}, 503),
    ):
        where = await begin(client, tree, 5)
        async with pool.connection() as connection:
            await mounts.update(connection, tree.mount, change_to)
        front.app.state.front.mounts.forget()
        assert (await patch(client, where, 0, b"hello")).status_code == status
        async with pool.connection() as connection:
            await mounts.update(connection, tree.mount, back)
        assert await offset_of(client, where) == 5
        assert content_of(front, tree) == b"hello" and front.commands.last.request.failure is None
