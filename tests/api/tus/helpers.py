"""The requests of the protocol, and what has come of them."""

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2

from tests.api.conftest import FrontOfTest, Tree

V = {"Tus-Resumable": "1.0.0"}
CHUNK = V | {"Content-Type": "application/offset+octet-stream"}


def change(front: FrontOfTest, **changes: Any) -> None:
    object.__setattr__(front.services, "settings", front.services.settings.model_copy(update=changes))


def keys(**values: Any) -> str:
    texts = {name: str(value) for name, value in values.items()}
    return ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in texts.items())


def about(tree: Tree, path: str = "a.bin", **more: Any) -> str:
    return keys(backendMountId=tree.mount, path=path, **more)


async def create(client: httpx2.AsyncClient, tree: Tree, length: int | None, **headers: str) -> httpx2.Response:
    sent_headers = (
        V | {"Upload-Metadata": about(tree)} | {name.replace("_", "-"): text for name, text in headers.items()}
    )
    sent_headers |= {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    return await client.post("/v1/uploads", headers=sent_headers)


async def begin(client: httpx2.AsyncClient, tree: Tree, length: int | None, **headers: str) -> str:
    answer = await create(client, tree, length, **headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def patch(
    client: httpx2.AsyncClient, where: str, offset: int, content: bytes | AsyncIterator[bytes], **headers: str
) -> httpx2.Response:
    sent_headers = (
        CHUNK | {"Upload-Offset": str(offset)} | {name.replace("_", "-"): text for name, text in headers.items()}
    )
    return await client.patch(where, content=content, headers=sent_headers)


async def offset_of(client: httpx2.AsyncClient, where: str) -> int:
    answer = await client.head(where, headers=V)
    assert answer.status_code == 200, answer.headers
    return int(answer.headers["upload-offset"])


def content_of(front: FrontOfTest, tree: Tree) -> bytes:
    """What was handed to the command."""
    submission = front.commands.last
    if submission.content is not None:
        return submission.content
    return (tree.folder / ".filestore" / "stage" / submission.request.id).read_bytes()


def code(answer: httpx2.Response) -> str:
    return str(answer.json()["error"]["code"])


def files(spool: Path) -> list[str]:
    return sorted(os.listdir(spool)) if spool.exists() else []
