"""The document describes everything: no hole in it, every code named, and every answer of it is what it says."""

import inspect
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from api.http.errors import status_of
from api.http.openapi import CODES, DEFECT
from api.http.routes import Plain
from schema.errors import BY_CODE
from tests.api.conftest import FrontOfTest, Tree, failed, pends, succeeded


@pytest.fixture
def document(front: FrontOfTest) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(front.app.openapi()))
    return told


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
        assert schema["properties"]["data"]["$ref"].endswith("/PendingCommand")


def test_decorators_are_short(front: FrontOfTest) -> None:
    """What is longer than this hides the function below it."""
    for route in front.app.routes:
        if isinstance(route, Plain) and route.include_in_schema:
            source = inspect.getsource(route.endpoint).splitlines()
            head = next(index for index, line in enumerate(source) if line.startswith(("async def", "    async def")))
            assert head <= 9, f"{route.path}: {head} lines"


# Answers


def closed(schema: Any) -> Any:
    """The same schema, but what it does not name may not be there: so that nothing is answered that it does not tell."""
    if isinstance(schema, list):
        return [closed(held) for held in schema]
    if not isinstance(schema, dict):
        return schema
    own = {name: closed(held) for name, held in schema.items()}
    if own.get("type") == "object" and "properties" in own and "additionalProperties" not in own:
        own["additionalProperties"] = False
    return own


class Checked:
    """Sends requests, and compares each answer with what the document says about its route and its status."""

    def __init__(self, document: dict[str, Any], client: httpx2.AsyncClient) -> None:
        self.document, self.client = closed(document), client
        self.seen: set[tuple[str, int]] = set()

    async def __call__(self, operation: str, status: int, path: str | None = None, **options: Any) -> Any:
        method, template = operation.split()
        answer = await self.client.request(method, path or template, **options)
        assert answer.status_code == status, (operation, answer.text)
        declared = resolved(self.document, self.document["paths"][template][method.lower()]["responses"][str(status)])
        self.seen.add((operation, status))
        content = declared.get("content")
        if content is None or method == "HEAD":
            assert not answer.content, operation
            return answer
        media = answer.headers["content-type"].partition(";")[0]
        assert media in content or "*/*" in content, (operation, media)
        if media not in ("application/json", "application/problem+json"):
            return answer
        found = answer.json()
        schema = content[media]["schema"] | {"components": self.document["components"]}
        complaints = [
            f"{list(one.absolute_path)}: {one.message}" for one in Draft202012Validator(schema).iter_errors(found)
        ]
        assert not complaints, (operation, status, complaints)
        if status >= 400 and CODES in declared:
            assert found.get("error", found)["code"] in declared[CODES], operation
        return answer


async def test_answers_are_what_the_document_says(
    front: FrontOfTest, document: dict[str, Any], tree: Tree, tmp_path: Any
) -> None:
    file, folder, gone = await tree.file("a.txt", b"abc"), await tree.directory("d"), 987654321
    await tree.file("A.txt", b"abc")
    mount, here = tree.mount, {"backendMountId": tree.mount}
    async with front.client(front.tokens["admin"]) as client:
        send = Checked(document, client)
        # Reading
        await send("GET /v1/backend-mounts", 200)
        await send("GET /v1/backend-mounts", 400, params={"limit": 0})
        await send("GET /v1/backend-mounts/{id}", 200, f"/v1/backend-mounts/{mount}")
        await send("GET /v1/backend-mounts/{id}", 404, f"/v1/backend-mounts/{gone}")
        await send("GET /v1/backend-mounts/{id}", 400, "/v1/backend-mounts/x")
        await send("GET /v1/nodes", 200, params=here)
        await send(
            "GET /v1/nodes", 200, params=here | {"limit": 1, "states": "active,missing", "filters": '{"query":"a"}'}
        )
        await send("GET /v1/nodes", 404, params={"backendMountId": gone})
        await send("GET /v1/nodes", 400)
        await send("GET /v1/nodes/by-path", 200, params=here | {"path": "a.txt", "collisions": "true"})
        await send("GET /v1/nodes/by-path", 404, params=here | {"path": "nope"})
        await send("GET /v1/nodes/{id}", 200, f"/v1/nodes/{file}")
        await send("GET /v1/nodes/{id}", 404, f"/v1/nodes/{gone}")
        await send("GET /v1/nodes/{id}", 404, f"/v1/nodes/{gone}", headers={"accept": "application/problem+json"})
        await send("GET /v1/nodes/{id}/children", 200, f"/v1/nodes/{tree.root}/children")
        await send("GET /v1/nodes/{id}/children", 409, f"/v1/nodes/{file}/children")
        await send("GET /v1/nodes/{id}/snapshots", 200, f"/v1/nodes/{folder}/snapshots")
        await send("GET /v1/files/{id}/content", 200, f"/v1/files/{file}/content")
        await send("GET /v1/files/{id}/content", 206, f"/v1/files/{file}/content", headers={"range": "bytes=0-0"})
        await send("GET /v1/files/{id}/content", 416, f"/v1/files/{file}/content", headers={"range": "bytes=9-"})
        await send("GET /v1/files/{id}/content", 304, f"/v1/files/{file}/content", headers={"if-none-match": "*"})
        await send("GET /v1/files/{id}/content", 412, f"/v1/files/{file}/content", headers={"if-match": '"x"'})
        await send("GET /v1/files/{id}/content", 409, f"/v1/files/{folder}/content")
        await send("GET /v1/files/{id}/content", 404, f"/v1/files/{gone}/content")
        await send("GET /v1/files/{id}/presign", 400, f"/v1/files/{file}/presign")
        await send("GET /v1/journal", 200)
        await send("GET /v1/journal", 200, params={"after": 0, "limit": 1})
        await send("GET /v1/journal", 400, params={"order": "up"})
        await send("GET /v1/events", 200)
        await send("GET /v1/events", 400, params={"after": 2**62})
        await send("GET /v1/commands/{id}", 404, f"/v1/commands/{uuid.uuid4()}")
        for path in ("/health", "/ready", "/metrics"):
            await send(f"GET {path}", 200)
        front.health.told = {"postgres": "no"}
        await send("GET /ready", 503)
        # Mounts
        (tmp_path / "other").mkdir()
        new = {"mountKey": uuid.uuid4().hex, "backendKind": "local", "rootPath": str(tmp_path / "other")}
        made = (await send("POST /v1/backend-mounts", 201, json=new)).json()["data"]["id"]
        await send("POST /v1/backend-mounts", 400, json=new)
        await send("PATCH /v1/backend-mounts/{id}", 200, f"/v1/backend-mounts/{made}", json={"state": "inactive"})
        await send("PATCH /v1/backend-mounts/{id}", 404, f"/v1/backend-mounts/{gone}", json={})
        # Commands
        whole = {"kind": "file", "state": "active", "sizeBytes": 3, "version": 1, "nodeId": file, "backendMountId": mount,
                 "durationMs": 1.5, "checksum": None, "contentHash": None}  # fmt: skip
        bodies: dict[str, dict[str, Any]] = {
            "POST /v1/directories": {"path": "new"},
            "DELETE /v1/nodes": {"path": "a.txt"},
            "POST /v1/nodes/move": {"path": "a.txt", "targetPath": "b"},
            "POST /v1/nodes/copy": {"path": "a.txt", "targetPath": "b"},
            "POST /v1/nodes/restore": {"nodeId": file, "version": 1},
            "PATCH /v1/nodes/{id}/metadata": {"set": {"a": 1}},
            "POST /v1/commands/create-directory": {"path": "new"},
            "POST /v1/commands/delete": {"path": "a.txt"},
            "POST /v1/commands/move": {"path": "a.txt", "targetPath": "b"},
            "POST /v1/commands/copy": {"path": "a.txt", "targetPath": "b"},
            "POST /v1/commands/restore": {"nodeId": file, "version": 1},
            "POST /v1/commands/update-metadata": {"nodeId": file, "set": {"a": 1}},
        }
        for operation, body in bodies.items():
            path = operation.split()[1].replace("{id}", str(file))
            declared = document["paths"][operation.split()[1]][operation.split()[0].lower()]["responses"]
            first = 201 if "201" in declared else 200
            front.commands.answers = lambda submission: succeeded(submission, **whole)
            await send(operation, first, path, json=here | body)
            front.commands.answers = pends
            await send(operation, 202, path, json=here | body)
            front.commands.answers = lambda submission: failed(submission, "PATH_BUSY")
            await send(operation, 409, path, json=here | body)
            await send(operation, 400, path, json={})
        front.commands.answers = lambda submission: succeeded(submission, **whole)
        listed = [
            {"command": "deleteNode", "path": "a.txt", **here},
            {"command": "createDirectory", "path": "x", **here},
        ]
        await send("POST /v1/commands", 200, json={"commands": listed})
        front.commands.answers = lambda submission: failed(submission, "PATH_BUSY")
        await send("POST /v1/commands", 200, json={"commands": listed, "mode": "ordered"})
        front.commands.answers = pends
        await send("POST /v1/commands", 200, json={"commands": listed})
        await send("POST /v1/commands", 400, json={"commands": [{}]})
        # Bytes
        front.commands.answers = lambda submission: succeeded(submission, **whole)
        form: dict[str, Any] = {"data": {"backendMountId": str(mount), "path": "n"}, "files": {"file": b"x"}}
        await send("POST /v1/files", 201, **form)
        await send("POST /v1/files", 422, **form, headers={"x-filestore-checksum": "md5:" + "0" * 32})
        await send("PUT /v1/files/by-path", 201, params=here | {"path": "n"}, content=b"x")
        await send("PUT /v1/files/by-path", 400, params=here | {"path": ".."}, content=b"x")
        await send("OPTIONS /v1/uploads", 204)
        tus = {"tus-resumable": "1.0.0"}
        partial = tus | {"upload-length": "3", "upload-concat": "partial"}
        place = (await send("POST /v1/uploads", 201, headers=partial)).headers["location"]
        await send("POST /v1/uploads", 412)
        chunk = tus | {"content-type": "application/offset+octet-stream", "upload-offset": "0"}
        await send("HEAD /v1/uploads/{id}", 200, place, headers=tus)
        await send("GET /v1/uploads/{id}", 200, place)
        await send("PATCH /v1/uploads/{id}", 204, place, headers=chunk, content=b"a")
        await send("PATCH /v1/uploads/{id}", 409, place, headers=chunk, content=b"a")
        await send("PATCH /v1/uploads/{id}", 415, place, headers=tus | {"upload-offset": "1"}, content=b"a")
        wrong = chunk | {"upload-offset": "1", "upload-checksum": "md5 AAAAAAAAAAAAAAAAAAAAAA=="}
        await send("PATCH /v1/uploads/{id}", 460, place, headers=wrong, content=b"b")
        await send("POST /v1/uploads/{id}", 200, place, headers=tus | {"x-http-method-override": "HEAD"})
        await send("DELETE /v1/uploads/{id}", 204, place, headers=tus)
        await send("GET /v1/uploads/{id}", 410, place)
        await send("POST /v1/uploads/{id}/complete", 404, f"/v1/uploads/{uuid.uuid4()}/complete")
        link = here | {"path": "n", "sizeBytes": 1, "contentHash": "sha256:" + "0" * 64}
        await send("POST /v1/uploads/presign", 400, json=link)
    async with front.client() as nobody:
        send.client = nobody
        for operation, _ in operations(document):
            method, template = operation.split()
            if template.startswith("/v1/") and method != "HEAD":
                path = template.replace("{id}", str(uuid.uuid4()))
                await send(operation, 401, path, headers={"x-http-method-override": "PATCH"})
    asked = {operation for operation, _ in send.seen}
    assert asked >= {operation for operation, _ in operations(document) if operation != "GET /v1/events/stream"}
