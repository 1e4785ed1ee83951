"""What the server says it can do, and methods that come as another."""

import httpx2

from tests.api.conftest import FrontOfTest, Tree
from tests.api.tus.helpers import CHUNK, V, begin


async def test_what_can_be_done_is_told(client: httpx2.AsyncClient) -> None:
    answer = await client.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0" and answer.headers["tus-max-size"] == str(2**30)
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation", "creation-with-upload", "creation-defer-length", "checksum", "expiration", "termination", "concatenation",
    }  # fmt: skip
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256,md5"


async def test_another_method_can_be_meant(client: httpx2.AsyncClient, front: FrontOfTest, tree: Tree) -> None:
    where = await begin(client, tree, 5)
    sent_headers = CHUNK | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await client.post(where, content=b"hel", headers=sent_headers)).status_code == 204
    answer = await client.post(where, headers=V | {"X-HTTP-Method-Override": "HEAD"})
    assert (answer.status_code, answer.headers["upload-offset"]) == (200, "3")
    assert (await client.post(where, headers=V)).status_code == 400
    assert (await client.post(where, headers=V | {"X-HTTP-Method-Override": "DELETE"})).status_code == 204
    assert (await client.head(where, headers=V)).status_code == 410
