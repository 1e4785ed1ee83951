"""Pages of other origins read nothing, unless the operator names them; the pages of the document can be closed."""

from tests.api.conftest import FrontOfTest
from tests.api.metrics.helpers import other

PAGE = "https://app.example.org"
PREFLIGHT = {"origin": PAGE, "access-control-request-method": "PUT", "access-control-request-headers": "authorization"}


async def test_without_a_setting_no_answer_names_another_origin(front: FrontOfTest) -> None:
    async with front.client(front.tokens["read"]) as client:
        for answer in (await client.get("/v1/backend-mounts", headers={"origin": PAGE}),
                       await client.options("/v1/backend-mounts", headers=PREFLIGHT)):  # fmt: skip
            assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_an_origin_that_is_named_may_ask_and_another_may_not(front: FrontOfTest) -> None:
    async with other(front, cors_origins=f"https://else.example.org, {PAGE}") as client:
        allowed = await client.options("/v1/files/by-path", headers=PREFLIGHT)
        assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == PAGE
        refused = await client.options("/v1/files/by-path", headers=PREFLIGHT | {"origin": "https://evil.example.org"})
        assert "access-control-allow-origin" not in refused.headers
        answer = await client.get("/v1/backend-mounts", headers={"origin": PAGE})
        assert answer.status_code == 401 and answer.headers["access-control-allow-origin"] == PAGE
        assert "access-control-allow-credentials" not in answer.headers
        assert (
            "access-control-allow-origin"
            not in (await client.get("/health", headers={"origin": f"{PAGE}.evil"})).headers
        )


async def test_the_pages_of_the_document_can_be_closed(front: FrontOfTest) -> None:
    async with other(front, docs=False) as client:
        for path in ("/docs", "/docs/start.js", "/openapi.json"):
            assert (await client.get(path)).status_code == 404, path
        assert (await client.get("/health")).status_code in (200, 503)
    async with front.client() as client:
        assert (await client.get("/docs")).status_code == 200 and (await client.get("/openapi.json")).status_code == 200
