"""/docs works without the internet: everything it loads comes from this service, and a policy keeps it so."""

import json
import re

import httpx2

from api.pages.docs import START
from tests.api.conftest import FrontOfTest

LOADED = re.compile(r'(?:src|href)="([^"]+)"')


async def test_all_that_the_page_loads_is_served_here(front: FrontOfTest) -> None:
    async with front.client() as client:
        page = await client.get("/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        loaded = LOADED.findall(page.text)
        assert len(loaded) == 4 and not any("//" in address for address in loaded)
        for address in loaded:
            part = await client.get(httpx2.URL("http://front/docs").join(address))
            assert part.status_code == 200 and len(part.content) > 50, address
        program = await client.get("/docs/swagger-ui-bundle.js")
        assert "SwaggerUIBundle" in program.text and program.headers["content-type"].startswith("text/javascript")


async def test_it_shows_the_document_of_this_service_and_asks_no_validator(front: FrontOfTest) -> None:
    async with front.client() as client:
        start = (await client.get(f"/docs/{START}")).text
        settings = json.loads(start.removeprefix("SwaggerUIBundle(").removesuffix(");"))
        document = await client.get(httpx2.URL("http://front/docs").join(settings["url"]))
        assert document.json()["info"]["title"] == "Filestore"
    assert settings["validatorUrl"] is None


async def test_a_policy_lets_nothing_in_from_elsewhere(front: FrontOfTest) -> None:
    async with front.client() as client:
        for address in ("/docs", f"/docs/{START}", "/docs/swagger-ui-bundle.js"):
            answer = await client.get(address)
            rules = dict(rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";"))
            assert rules["default-src"] == "'none'" and rules["script-src"] == rules["connect-src"] == "'self'"
            assert rules["frame-ancestors"] == "'none'" and "http" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<script>" not in (await client.get("/docs")).text, "the policy would not run it"


async def test_the_page_is_no_part_of_the_document(front: FrontOfTest) -> None:
    async with front.client() as client:
        assert [path for path in (await client.get("/openapi.json")).json()["paths"] if "docs" in path] == []
