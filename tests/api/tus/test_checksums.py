"""Checksums of a chunk, and of the whole."""

import base64
import hashlib
import os
from pathlib import Path

import httpx2
import pytest

from tests.api.conftest import FrontOfTest, Tree
from tests.api.test_writes import digest
from tests.api.tus.helpers import V, begin, code, content_of, files, offset_of, patch


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
@pytest.mark.parametrize("size", [5, 2_500_000])
async def test_a_chunk_with_a_wrong_checksum_is_not_taken(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path, algorithm: str, size: int
) -> None:
    content = os.urandom(size)
    where = await begin(client, tree, size + 3)
    assert (await patch(client, where, 0, b"abc")).status_code == 204

    def checksum_of(of: bytes) -> str:
        return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, of).digest()).decode()}"

    answer = await patch(client, where, 3, content, Upload_Checksum=checksum_of(b"else"))
    assert (answer.status_code, code(answer)) == (460, "CHECKSUM_MISMATCH")
    assert await offset_of(client, where) == 3 and (spool / files(spool)[0]).stat().st_size == 3
    assert (await patch(client, where, 3, content, Upload_Checksum=checksum_of(content))).status_code == 204
    assert content_of(front, tree) == b"abc" + content


async def test_a_chunk_with_a_wrong_content_digest_is_not_taken(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    where = await begin(client, tree, 5)
    assert (await patch(client, where, 0, b"hello", Content_Digest=digest("sha-256", b"x"))).status_code == 422
    assert await offset_of(client, where) == 0
    assert (await patch(client, where, 0, b"hello", Content_Digest=digest("sha-512", b"hello"))).status_code == 204
    assert content_of(front, tree) == b"hello"


async def test_the_digest_of_the_whole_is_compared_at_the_end(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    content = os.urandom(100_000)
    sha1 = "sha1:" + hashlib.sha1(content).hexdigest()
    where = await begin(client, tree, len(content), Repr_Digest=digest("sha-512", content), x_filestore_checksum=sha1)
    assert (await patch(client, where, 0, content)).status_code == 204
    assert front.commands.last.request.checksum == sha1
    front.commands.submissions.clear()
    where = await begin(client, tree, 1, Repr_Digest=digest("sha-256", b"y"))
    assert code(await patch(client, where, 0, b"x")) == "CHECKSUM_MISMATCH"
    head = await client.head(where, headers=V)
    assert head.status_code == 422 and "upload-offset" not in head.headers, "no client takes it for complete"
    assert (await client.get(where)).json()["data"]["error"]["code"] == "CHECKSUM_MISMATCH"
    [refused] = front.commands.submissions
    assert (refused.request.failure, refused.content, refused.written) == ("CHECKSUM_MISMATCH", None, None)
    assert files(spool) == []
