"""Health, readiness, and the document that describes the routes."""

import asyncio
import json
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.observe import health
from schema.errors import BY_CODE
from tests.api.conftest import FrontOfTest

BY_ADDRESS = {"openLink", "uploadThroughLink"}
"""Operations that take no token: the address is all that is needed"""


@pytest.mark.parametrize(
    ("checks", "status", "word"),
    [
        ({}, 200, "ok"), ({"redis": "inline"}, 200, "ok"), ({"nats": "no"}, 200, "degraded"),
        ({"worker": "none runs"}, 200, "degraded"),
        ({"watcher": "off"}, 200, "ok"), ({"watcher": "none runs"}, 200, "degraded"),
        ({"redis": "connection refused"}, 200, "degraded"), ({"mounts": {"1": "offline"}}, 200,
        "degraded"),
        ({"mounts": {"1": "ok"}}, 200, "ok"), ({"postgres": "no"}, 503, "unavailable"), ({"temporal": "no"}, 503,
        "unavailable"),
        ({"temporal": "no", "redis": "no"}, 503, "unavailable"),
    ],
)  # fmt: skip
async def test_ready(front: FrontOfTest, checks: dict[str, Any], status: int, word: str) -> None:
    front.health.checks = checks
    async with front.client() as anonymous:
        for path in ("/ready", "/readyz"):
            answer = await anonymous.get(path)
            assert (answer.status_code, answer.json()["status"]) == (status, word)
            assert answer.json()["checks"]["outbox"] == {}
        assert (await anonymous.get("/healthz")).json() == {"status": "ok"}


async def test_a_check_that_hangs_is_an_answer_too(front: FrontOfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    monkeypatch.setattr(health, "REPORT_SECONDS", 0.05)
    front.health.report = hang  # type: ignore[method-assign]
    async with front.client() as anonymous:
        answer = await anonymous.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert "temporal" not in answer.json()["checks"], "a server that did not answer for itself is not blamed"


async def test_the_document_describes_every_route(front: FrontOfTest) -> None:
    async with front.client() as anonymous:
        document = (await anonymous.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    documented = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    real = {
        (method, route.path)
        for route in front.app.routes if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods or ()
    }  # fmt: skip
    assert documented == real
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    for operation in operations:
        assert operation["summary"] and operation["tags"]
        for status, answer in operation["responses"].items():
            # What many routes answer alike stands once, and is referred to.
            shared = answer.get("$ref", "").removeprefix("#/components/responses/")
            meant = document["components"]["responses"][shared] if shared else answer
            assert meant["description"], (operation["operationId"], status)
        if operation["tags"] != ["health"]:
            by_address = operation["operationId"] in BY_ADDRESS
            assert {"401", "403", "503"} <= set(operation["responses"]) or by_address
            assert operation["security"] == ([] if by_address else [{"token": []}]), operation["operationId"]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


async def test_every_reference_of_the_document_leads_somewhere(front: FrontOfTest) -> None:
    async with front.client() as anonymous:
        document = (await anonymous.get("/openapi.json")).json()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for held in value.values() for found in references(held)]
        return [found for held in value for found in references(held)] if isinstance(value, list) else []

    found = set(references(document))
    assert found
    for reference in found:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    codes = document["components"]["schemas"]["Refusal"]["properties"]["code"]["enum"]
    assert set(codes) == {*BY_CODE, "INTERNAL_SERVER_ERROR"}
    assert json.dumps(document)
