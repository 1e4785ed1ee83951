"""What FastAPI can not read off the routes, because they parse for themselves: parameters, bodies, answers.

Bodies and queries are described by the models that read them, answers by models that only describe: `shapes.py` in the
folder of each noun. A test compares real answers with them.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api.http.errors import PROBLEM, status_of
from api.http.shapes import ELSEWHERE, Error, Problem
from schema.errors import BY_CODE

JSON = "application/json"
REFS = "#/components/schemas/{model}"
CODES = "x-codes"
"""Under this name an answer of the document lists the codes that come with its status."""
DEFECT = "INTERNAL_SERVER_ERROR"

Parameter = dict[str, Any]
Success = str | tuple[str, type[BaseModel]]
"""What an answer means; and what stands in its `data`, where it is JSON"""

_SCHEMAS: dict[str, Any] = {}
"""What the document refers to by name"""
_ANYWHERE = (
    "UNAUTHENTICATED", "MISSING_SCOPE", "FORBIDDEN", "INVALID_REQUEST", "REQUEST_TOO_SLOW", "URI_TOO_LONG", "RATE_LIMITED",
    "HEADERS_TOO_LARGE", "UNAVAILABLE", "OVERLOADED", DEFECT,
)  # fmt: skip
"""What any route can be refused with: by the connection, by the token, by what all of them wait for"""


# Parameters

COMMAND_HEADERS = {
    "Idempotency-Key": "Names this request. Sent again with the same key, it is carried out once and gets the same answer.",
    "If-Match": "A version (7) or a SHA-256: the node must be this one, or 412.",
    "If-None-Match": "`*`: the name where something appears must be free. A version or a SHA-256: the node must not be it.",
    "Prefer": "`respond-async` or `wait=<seconds>`: answer 202 instead of waiting longer.",
    "X-Request-Id": "Comes back in the answer, and stands in the journal.",
    "X-Correlation-Id": "A name for the piece of work that this belongs to, sent with each of its commands. It stands in the "
    "journal, which can be filtered by it, and in events.",
    "traceparent": "W3C trace context; its trace id stands in the journal.",
}


def header(name: str, description: str, *, required: bool = False, **schema: Any) -> Parameter:
    return {
        "name": name, "in": "header", "required": required, "description": description,
        "schema": {"type": "string"} | schema,
    }  # fmt: skip


def headers(*names: str) -> list[Parameter]:
    """Header parameters of commands, by name."""
    return [header(name, text) for name, text in COMMAND_HEADERS.items() if name in names]


def keyed(body: dict[str, Any] | None, *parameters: Parameter) -> dict[str, Any]:
    """What is said of a route that makes something and is no command: sent again under its key it makes nothing more."""
    described = {} if body is None else {"requestBody": body}
    return {"parameters": [*parameters, *headers("Idempotency-Key")], **described}


def command_parameters(*without: str) -> list[Parameter]:
    """What every command takes beside its body."""
    wait = {"name": "wait", "in": "query", "required": False, "schema": {"type": "integer", "minimum": 0},
            "description": "Seconds to wait for the outcome, as in `Prefer: wait`."}  # fmt: skip
    return [*headers(*(name for name in COMMAND_HEADERS if name not in without)), wait]


def digests(file: str, message: str) -> list[Parameter]:
    """The header parameters of RFC 9530."""
    text = "`sha-256=:<base64>:` or `sha-512=:<base64>:` of {}; 422 if it is another one."
    return [header("Repr-Digest", text.format(file)), header("Content-Digest", text.format(message))]


def path_id(description: str, example: object = 1) -> Parameter:
    schema = {"type": "integer", "minimum": 1} if isinstance(example, int) else {"type": "string", "format": "uuid"}
    return {
        "name": "id", "in": "path", "required": True, "description": description, "schema": schema, "example": example,
    }  # fmt: skip


COMMAND_ID = "01993d5e-7c1a-7000-8000-0123456789ab"
"""An example"""


FORMAT: Parameter = {
    "name": "format", "in": "query", "required": False,
    "description": "The whole list, whatever `limit` says, as JSON lines or CSV. An `Accept` of `application/jsonl` or `text/csv` "
    "asks for it as well. A body that breaks off is not all of it; the last of its JSON lines has the `error`.",
    "schema": {"type": "string", "enum": ["json", "jsonl", "csv"]},
}  # fmt: skip
"""A parameter of lists"""


def listed(page: str, model: type[BaseModel], *codes: str) -> dict[int | str, Any]:
    """The answers of a list that is given whole as well."""
    responses = answers({200: (page, model)}, *codes)
    responses[200]["content"] |= {kind: {"schema": {"type": "string"}} for kind in ("application/jsonl", "text/csv")}
    return responses


def list_of(model: type[BaseModel]) -> list[Parameter]:
    """The same of a list that is given whole as well."""
    return [*query_of(model), FORMAT]


def query_of(model: type[BaseModel]) -> list[Parameter]:
    """The fields of a query model as parameters. In a query there is no null: what is not sent is not there."""
    schema = _described(model, "validation")
    return [
        _query_parameter(name, held, name in schema.get("required", [])) for name, held in schema["properties"].items()
    ]


def _query_parameter(name: str, held: Mapping[str, Any], required: bool) -> Parameter:
    schema = {key: value for key, value in held.items() if key not in ("title", "description")}
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema = {key: value for key, value in schema.items() if key not in ("anyOf", "default")} | kinds[0]
    if "$ref" in schema:
        schema = {"type": "string", "contentMediaType": JSON, "contentSchema": schema}
    described = {"description": held["description"]} if "description" in held else {}
    return {"name": name, "in": "query", "required": required, **described, "schema": schema}


# Bodies


def body_of(model: type[BaseModel], example: Mapping[str, Any], **fields: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON body. `fields` are described here and not by the model."""
    schema = _named(model, "validation")
    needed = any(field.is_required() for field in model.model_fields.values())
    if fields:
        _SCHEMAS[model.__name__]["properties"] |= fields
    return {"required": needed, "content": {JSON: {"schema": schema, "example": dict(example)}}}


def bytes_of(media: str = "application/octet-stream", *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {media: {"schema": {"type": "string", "format": "binary"}}}}


def one_of(models: Mapping[str, type[BaseModel]], tag: str) -> dict[str, Any]:
    """A list of objects, each of one of these models: the field `tag` says which."""
    kinds = []
    for name, model in models.items():
        schema = _described(model, "validation")
        schema["properties"] = {tag: {"const": name, "type": "string"}} | schema["properties"]
        schema["required"] = [tag, *schema.get("required", [])]
        kinds.append(schema | {"title": f"{name[0].upper()}{name[1:]}InAList"})
    return {"type": "array", "items": {"oneOf": kinds}}


# Answers


def answers(success: Mapping[int, Success], *codes: str) -> dict[int | str, Any]:
    """`responses=` of a route: what it answers when it can, and the codes it refuses with."""
    described: dict[int | str, Any] = {status: _answer(meant) for status, meant in success.items()}
    every = {*codes, *_ANYWHERE}
    for status in sorted({status_of(code) for code in every}):
        described[status] = refusals(*sorted(code for code in every if status_of(code) == status))
    return described


def _answer(meant: Success) -> dict[str, Any]:
    if isinstance(meant, str):
        return {"description": meant}
    text, model = meant
    envelope = {"type": "object", "required": ["data"], "properties": {"data": _named(model, "serialization")}}
    return {"description": text, "content": {JSON: {"schema": envelope}}}


def bare(text: str, model: type[BaseModel]) -> dict[str, Any]:
    """An answer without the envelope."""
    return {"description": text, "content": {JSON: {"schema": _named(model, "serialization")}}}


def refusals(*codes: str) -> dict[str, Any]:
    """An answer with one of these codes."""
    return {
        "description": ", ".join(codes),
        "content": {
            JSON: {"schema": _named(Error, "serialization")}, PROBLEM: {"schema": _named(Problem, "serialization")},
        },
        CODES: list(codes),
    }  # fmt: skip


# Models


def _described(model: type[BaseModel], mode: Any) -> dict[str, Any]:
    """The schema of a model; what it refers to stands under its own name."""
    schema = model.model_json_schema(by_alias=True, ref_template=REFS, mode=mode)
    for name, held in schema.pop("$defs", {}).items():
        _keep(name, _linked(held))
    return dict(_linked(schema))


def _linked(schema: Any) -> Any:
    """With references where another noun is only named."""
    if isinstance(schema, list):
        return [_linked(held) for held in schema]
    if not isinstance(schema, dict):
        return schema
    if ELSEWHERE in schema:
        return {"$ref": REFS.format(model=schema[ELSEWHERE])}
    return {name: _linked(held) for name, held in schema.items()}


def _named(model: type[BaseModel], mode: Any) -> dict[str, Any]:
    """A reference to the schema of a model."""
    if model.__name__ not in _SCHEMAS:
        _keep(model.__name__, _described(model, mode))
    return {"$ref": REFS.format(model=model.__name__)}


def _keep(name: str, schema: dict[str, Any]) -> None:
    assert _SCHEMAS.setdefault(name, schema) == schema, f"two models are called {name}"


# The document


def install(app: FastAPI) -> None:
    """Put the named schemas, the token and the list of codes into the document, which is built once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    components["schemas"] = components.get("schemas", {}) | _SCHEMAS
    components["schemas"]["Refusal"]["properties"]["code"]["enum"] = [*sorted(BY_CODE), DEFECT]
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path.startswith("/v1/"):
                operation["security"] = [{"token": []}]
            for answer in operation["responses"].values():
                _forget_guesses(answer)
            operation["responses"] = {
                status: _once(status, answer) for status, answer in operation["responses"].items()
            }
    components["responses"] = dict(_COMMON)
    return document


_COMMON: dict[str, Any] = {}
"""Answers that any route can give, by the name under which the document has each of them once"""


def _once(status: str, answer: dict[str, Any]) -> dict[str, Any]:
    """A reference, where a route refuses with this status only for reasons that all routes share."""
    codes = sorted(code for code in _ANYWHERE if status_of(code) == int(status))
    if not codes or answer.get(CODES) != codes:
        return answer
    name = f"Refused{status}"
    _COMMON[name] = answer
    return {"$ref": f"#/components/responses/{name}"}


def _forget_guesses(answer: dict[str, Any]) -> None:
    """Remove the JSON without a schema that FastAPI adds to answers it knows nothing of."""
    content = answer.get("content", {})
    if content.get(JSON) == {"schema": {}}:
        del content[JSON]
    if "content" in answer and not content:
        del answer["content"]
