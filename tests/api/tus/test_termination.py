"""An upload is given up."""

from pathlib import Path

import httpx2

from tests.api.conftest import FrontOfTest, Tree
from tests.api.tus.helpers import V, begin, files, patch


async def test_giving_up_frees_the_disk(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    where = await begin(client, tree, 10)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    answer = await client.delete(where, headers=V)
    assert (answer.status_code, answer.headers["tus-resumable"]) == (204, "1.0.0")
    assert files(spool) == []
    assert (await client.head(where, headers=V)).status_code == 410
    assert (await patch(client, where, 5, b"world")).status_code == 410
    assert (await client.delete(where, headers=V)).status_code == 410
    assert front.commands.submissions == []
