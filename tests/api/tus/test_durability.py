"""What was acknowledged survives; what was not counts for nothing."""

import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.uploads.tus import area, chunks
from schema.store import uploads as upload_store
from tests.api.conftest import FrontOfTest, Tree
from tests.api.test_uploads import in_pieces
from tests.api.tus.helpers import begin, change, code, content_of, files, offset_of, patch


async def test_what_lies_behind_the_acknowledged_offset_is_nobodys(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    where = await begin(client, tree, 10)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    (spool / files(spool)[0]).write_bytes(b"hello" + b"torn by a power cut, and much longer")
    assert await offset_of(client, where) == 5
    assert (await patch(client, where, 5, b"world")).status_code == 204
    assert content_of(front, tree) == b"helloworld"


async def test_the_row_comes_after_the_flush(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    write, flush, advance = area.WaitingUpload.write, area.WaitingUpload.flush, upload_store.advance

    def seen(name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            order.append(name)
            return function(*arguments)

        return call

    monkeypatch.setattr(area.WaitingUpload, "write", seen("write", write))
    monkeypatch.setattr(area.WaitingUpload, "flush", seen("flush", flush))
    monkeypatch.setattr(upload_store, "advance", seen("row", advance))
    where = await begin(client, tree, 10)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    assert order == ["write", "flush", "row"]


async def test_a_long_chunk_is_acknowledged_along_the_way(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "ACKNOWLEDGE", 2 * chunks.PIECE)
    where = await begin(client, tree, 10 * chunks.PIECE)
    seen = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(10):
            yield b"x" * chunks.PIECE
            if number < 8:  # with the last byte it is about to become a file
                seen.append(await offset_of(client, where))

    assert (await patch(client, where, 0, pieces())).status_code == 204
    assert any(0 < offset < 10 * chunks.PIECE for offset in seen) and seen == sorted(seen)
    assert front.commands.last.request.sha256 == hashlib.sha256(b"x" * 10 * chunks.PIECE).hexdigest()


@pytest.mark.parametrize("when", ["write", "flush"])
async def test_a_full_disk_leaves_the_offset_as_it_was(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    where = await begin(client, tree, 5_000_005)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    calls = 0
    pwrite = os.pwrite

    def full(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "flush" or calls > 2:
            raise OSError(errno.ENOSPC, "full")
        return pwrite(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite" if when == "write" else "fdatasync", full)
        answer = await patch(client, where, 5, in_pieces(b"x" * 5_000_000))
        assert (answer.status_code, code(answer)) == (507, "STORAGE_FULL")
    assert await offset_of(client, where) == 5
    assert (spool / files(spool)[0]).stat().st_size == 5, "what was not acknowledged takes no space"
    assert (await patch(client, where, 5, b"y" * 5_000_000)).status_code == 204
    assert content_of(front, tree) == b"hello" + b"y" * 5_000_000


async def test_an_upload_whose_bytes_were_lost_is_gone(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    where = await begin(client, tree, 10)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    os.truncate(spool / files(spool)[0], 3)
    assert (await patch(client, where, 5, b"world")).status_code == 410
    (spool / files(spool)[0]).unlink()
    assert (await patch(client, where, 5, b"world")).status_code == 410
    assert front.commands.submissions == []


async def test_on_another_host_it_can_not_be_gone_on_with(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    where = await begin(client, tree, 10)
    change(front, host_id="another-host")
    answer = await patch(client, where, 0, b"hello")
    assert answer.status_code == 503 and "front-host" in answer.text
