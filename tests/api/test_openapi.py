"""The document describes everything: no hole in it, every code named, and every answer of it is what it says."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.http.errors import status_of
from api.http.openapi import CODES, DEFECT
from api.http.routes import Plain
from schema.errors import BY_CODE
from tests.api.conftest import FrontOfTest


@pytest.fixture
def document(front: FrontOfTest) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(json.dumps(front.app.openapi()))
    return described


def parts(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, and where it stands; examples are no part of it."""
    if isinstance(value, dict):
        yield at, value
        for name, held in value.items():
            if name not in ("example", "examples"):
                yield from parts(held, f"{at}/{name}")
    elif isinstance(value, list):
        for index, held in enumerate(value):
            yield from parts(held, f"{at}/{index}")


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_no_array_is_without_items_and_no_object_is_bare(document: dict[str, Any]) -> None:
    arrays = [at for at, held in parts(document) if held.get("type") == "array" and "items" not in held]
    objects = [
        at
        for at, held in parts(document)
        if held.get("type") == "object" and not {"properties", "additionalProperties"} & set(held)
    ]
    nothing = [at for at, held in parts(document) if at.endswith("/schema") and not held]
    assert (arrays, objects, nothing) == ([], [], [])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = {held["$ref"] for _, held in parts(document) if isinstance(held.get("$ref"), str)}
    assert references
    for reference in references:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    assert not [at for at, held in parts(document) if "x-elsewhere" in held]


def test_every_operation_has_a_description_and_one_place_where_it_is_written(front: FrontOfTest) -> None:
    for at, operation in operations(front.app.openapi()):
        assert operation["description"].strip(), at
        assert operation["summary"] and operation["operationId"] and operation["tags"], at
    for route in front.app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema and route.endpoint.__doc__:
            assert route.description.split() == route.endpoint.__doc__.split(), route.path


def resolved(document: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of the document, where it is written."""
    if "$ref" not in answer:
        return answer
    found: dict[str, Any] = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return found


ANYWHERE = {"408": "REQUEST_TOO_SLOW", "414": "URI_TOO_LONG", "429": "RATE_LIMITED", "431": "HEADERS_TOO_LARGE",
            "503": "OVERLOADED"}  # fmt: skip


def test_what_any_route_can_answer_is_told_of_each_and_written_once(document: dict[str, Any]) -> None:
    written: dict[str, set[str]] = {status: set() for status in ANYWHERE}
    for at, operation in operations(document):
        if "/v1/" not in at:
            continue
        for status, code in ANYWHERE.items():
            answer = operation["responses"][status]
            assert code in resolved(document, answer)[CODES], (at, status)
            if status != "503":  # storage has its own reasons for that
                written[status].add(answer["$ref"])
    assert all(len(written[status]) == 1 for status in ANYWHERE if status != "503")


def test_every_refusal_names_its_codes(document: dict[str, Any]) -> None:
    for at, operation in operations(document):
        for status, referred in operation["responses"].items():
            answer = resolved(document, referred)
            if int(status) < 400 or (at, status) == ("GET /ready", "503"):
                continue
            assert answer[CODES], (at, status)
            assert all(code in answer["description"] for code in answer[CODES]), (at, status)
            assert set(answer[CODES]) <= {*BY_CODE, DEFECT}, (at, status)
            if "/v1/uploads" not in at and status != "416":  # there the protocol has statuses of its own
                assert {status_of(code) for code in answer[CODES]} == {int(status)}, (at, status)


def test_what_waits_is_not_described_as_an_outcome(document: dict[str, Any]) -> None:
    waiting = [
        operation["responses"]["202"] for _, operation in operations(document) if "202" in operation["responses"]
    ]
    assert len(waiting) > 10
    for answer in waiting:
        schema = answer["content"]["application/json"]["schema"]
        assert schema["properties"]["data"]["$ref"].rpartition("/")[2] in (
            "PendingCommand",
            "JobShape",
            "Operation",
            "RollupRecompute",
            "WaitingAct",
            "Enqueued",
            "HeldLooks",
        )


def test_decorators_are_short(front: FrontOfTest) -> None:
    """What is longer than this hides the function below it."""
    for route in front.app.routes:
        if isinstance(route, Plain) and route.include_in_schema:
            source = inspect.getsource(route.endpoint).splitlines()
            head = next(index for index, line in enumerate(source) if line.startswith(("async def", "    async def")))
            assert head <= 9, f"{route.path}: {head} lines"


def test_every_list_is_given_whole_too(document: dict[str, Any]) -> None:
    """A link answers with the bytes of a file as well: what a client accepts says nothing of a list there."""
    pages, whole = set[str](), set[str]()
    for at, operation in operations(document):
        content = operation["responses"].get("200", {}).get("content", {})
        if "pagination" in properties(document, content.get("application/json", {}).get("schema", {})):
            pages.add(at)
            whole |= {at} if {"text/csv", "application/jsonl"} <= set(content) else set()
    assert pages - whole == {"GET /s/{link}"} and len(whole) > 25


def properties(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Those of the data in an answer."""
    held = schema.get("properties", {}).get("data", {})
    if "$ref" in held:
        held = document["components"]["schemas"][held["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = held.get("properties", {})
    return found
