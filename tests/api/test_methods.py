"""Which methods an address takes: the document says it, 405 and OPTIONS repeat it in `Allow`, HEAD is GET without a body."""

import uuid
from typing import Any

import pytest

from tests.api.conftest import FrontOfTest, Tree

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")


def document(front: FrontOfTest) -> dict[str, Any]:
    return front.app.openapi()


def filled(path: str) -> str:
    """An address that fits this template, and nothing is at."""
    return path.replace("{id}", str(uuid.uuid4()) if path.startswith(("/v1/commands", "/v1/uploads")) else "1")


async def test_every_address_refuses_the_methods_that_the_document_does_not_name(front: FrontOfTest) -> None:
    async with front.client(front.tokens["admin"]) as client:
        for path, operations in document(front)["paths"].items():
            named = {method.upper() for method in operations} | {"OPTIONS"}
            named |= {"HEAD"} if "GET" in named else set()
            for method in METHODS:
                if method in named:
                    continue
                answer = await client.request(method, filled(path))
                assert answer.status_code == 405, (method, path, answer.text)
                assert answer.headers["allow"] == ", ".join(sorted(named)), (method, path)
                assert answer.content == b"" if method == "HEAD" else answer.json()["error"]["code"] == "NOT_SUPPORTED"


async def test_every_address_takes_the_methods_that_the_document_names(front: FrontOfTest) -> None:
    async with front.client() as client:  # without a token, so that nothing happens
        for path, operations in document(front)["paths"].items():
            for method in operations:
                answer = await client.request(method.upper(), filled(path))
                unknown = 404 if path.startswith("/s/") else None  # the address of a link that is none
                assert answer.status_code == unknown or answer.status_code not in (404, 405), (method, path)


async def test_options_tells_the_methods_of_every_address(front: FrontOfTest) -> None:
    async with front.client(front.tokens["read"]) as client:
        for path, operations in document(front)["paths"].items():
            if "options" in operations:
                continue  # it has an answer of its own
            answer = await client.options(filled(path))
            named = {method.upper() for method in operations} | {"OPTIONS"}
            named |= {"HEAD"} if "GET" in named else set()
            assert (answer.status_code, answer.headers["allow"]) == (204, ", ".join(sorted(named))), path
        assert (await client.options("/v1/nope")).status_code == 404


async def test_head_is_get_without_its_body(front: FrontOfTest, tree: Tree) -> None:
    node = await tree.file("a.txt", b"abc")
    by_path = f"/v1/nodes/by-path?backendMountId={tree.mount}&path=a.txt"
    async with front.client(front.tokens["read"]) as client:
        for address in (f"/v1/nodes/{node}", by_path, "/v1/backend-mounts", "/v1/journal", "/v1/nodes/987654321"):
            asked, got = await client.head(address), await client.get(address)
            assert (asked.status_code, asked.content) == (got.status_code, b""), address
            for name in ("content-type", "content-length"):
                assert asked.headers[name] == got.headers[name], address
        stream = await client.head("/v1/events/stream")
        assert (stream.status_code, stream.content) == (200, b"")
        assert stream.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/nodes/move", "OPTIONS, POST"),
        ("PATCH", "/v1/nodes/by-path", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/commands/move", "OPTIONS, POST"),
        ("GET", "/v1/uploads/presign", "OPTIONS, POST"),
        ("POST", f"/v1/commands/{uuid.UUID(int=7)}", "GET, HEAD, OPTIONS"),
        ("PUT", f"/v1/commands/{uuid.UUID(int=7)}", "GET, HEAD, OPTIONS"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_command_at_an_address_is_no_id(front: FrontOfTest, method: str, path: str, allow: str) -> None:
    async with front.client(front.tokens["admin"]) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
