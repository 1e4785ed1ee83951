"""What FastAPI can not read off the routes, because they parse for themselves: parameters, bodies, answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api.http.errors import PROBLEM, status_of
from schema.errors import BY_CODE

_ENVELOPE = {"$ref": "#/components/schemas/Error"}
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_SCHEMAS: dict[str, Any] = {}
"""What routes refer to by name."""
_ANYWHERE = ("UNAUTHENTICATED", "MISSING_SCOPE", "INVALID_REQUEST", "UNAVAILABLE")

COMMAND_HEADERS = [
    ("Idempotency-Key", "Names this request: sent again with the same key, it is carried out once and answered alike."),
    ("If-Match", "A version (7) or a SHA-256: the node must be this one, or 412."),
    (
        "If-None-Match",
        "`*`: the name where something appears must be free. A version or a SHA-256: the node must not be it.",
    ),
    ("Prefer", "`respond-async` or `wait=<seconds>`: answer 202 instead of waiting longer."),
    ("X-Request-Id", "Comes back in the answer, and stands in the journal."),
    ("traceparent", "W3C trace context; its trace id stands in the journal."),
]


def headers(*names: str) -> list[dict[str, Any]]:
    """Header parameters of commands, by name."""
    return [
        {"name": name, "in": "header", "required": False, "description": told, "schema": {"type": "string"}}
        for name, told in COMMAND_HEADERS
        if name in names
    ]


def command_parameters(*without: str) -> list[dict[str, Any]]:
    """What every command takes beside its body."""
    names = [name for name, _ in COMMAND_HEADERS if name not in without]
    wait = {"name": "wait", "in": "query", "required": False, "schema": {"type": "integer", "minimum": 0},
            "description": "Seconds to wait for the outcome, as in `Prefer: wait`."}  # fmt: skip
    return [*headers(*names), wait]


def digests(file: str, message: str) -> list[dict[str, Any]]:
    """The header parameters of RFC 9530."""
    return [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"},
         "description": f"`sha-256=:<base64>:` or `sha-512=:<base64>:` of {what}; 422 if it is another one."}
        for name, what in (("Repr-Digest", file), ("Content-Digest", message))
    ]  # fmt: skip


def path_id(name: str, told: str, example: object = 1) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    return {
        "name": name, "in": "path", "required": True, "description": told, "schema": {"type": kind}, "example": example,
    }  # fmt: skip


def query_of(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The fields of a query model as parameters."""
    schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    _SCHEMAS.update(schema.pop("$defs", {}))
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": {"type": "string", "contentMediaType": "application/json"} if name == "filters" else told,
        }
        for name, told in schema["properties"].items()
    ]


def body_of(model: type[BaseModel], example: Mapping[str, Any], **fields: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON body. `fields` are described here and not by the model."""
    schema = _schema_of(model)
    schema["properties"] |= fields
    return {"required": True, "content": {"application/json": {"schema": schema, "example": dict(example)}}}


def one_of(models: Mapping[str, type[BaseModel]], tag: str) -> dict[str, Any]:
    """A list of objects, each of one of these models: the field `tag` says which."""
    kinds = []
    for name, model in models.items():
        schema = _schema_of(model)
        schema["properties"] = {tag: {"const": name}} | schema["properties"]
        schema["required"] = [tag, *schema.get("required", [])]
        kinds.append(schema | {"title": name})
    return {"type": "array", "items": {"oneOf": kinds}}


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    _SCHEMAS.update(schema.pop("$defs", {}))
    return schema


def answers(success: Mapping[int, str], *codes: str, schema: Mapping[str, Any] | None = None) -> dict[int | str, Any]:
    """`responses=` of a route: what it answers when it can, and the codes it refuses with."""
    told: dict[int | str, Any] = {
        status: {"description": text, "content": {"application/json": {"schema": dict(schema or {"type": "object"})}}}
        for status, text in success.items()
    }
    for status in sorted({status_of(code) for code in (*codes, *_ANYWHERE)}):
        named = sorted(code for code in (*codes, *_ANYWHERE) if status_of(code) == status)
        told[status] = {
            "description": ", ".join(named),
            "content": {"application/json": {"schema": _ENVELOPE}, PROBLEM: {"schema": _PROBLEM}},
        }
    return told


def enveloped(**fields: str) -> dict[str, Any]:
    """`{"data": {..}}` whose fields have these JSON types, or are named schemas."""
    return {"type": "object", "required": ["data"], "properties": {"data": {"type": "object", "properties": {
        name: {"$ref": f"#/components/schemas/{kind}"} if kind[0].isupper() else {"type": kind}
        for name, kind in fields.items()
    }}}}  # fmt: skip


def named(schema: str) -> dict[str, Any]:
    """`{"data": ..}` with a named schema."""
    return {"type": "object", "required": ["data"], "properties": {"data": {"$ref": f"#/components/schemas/{schema}"}}}


def _object(fields: Mapping[str, str], required: Sequence[str] = ()) -> dict[str, Any]:
    def typed(kind: str) -> dict[str, Any]:
        if kind[0].isupper():
            return {"$ref": f"#/components/schemas/{kind}"}
        if kind == "date":
            return {"type": ["string", "null"], "format": "date-time"}
        return {"type": [kind[:-1], "null"]} if kind.endswith("?") else {"type": kind}

    fields_told = {name: typed(kind) for name, kind in fields.items()}
    return {"type": "object", "properties": fields_told, "required": list(required or fields)}


_NODE = _object({
    "id": "integer", "backendMountId": "integer", "parentId": "integer?", "path": "string", "pathB64": "string?",
    "name": "string", "depth": "integer", "kind": "string", "sizeBytes": "integer", "checksum": "string?",
    "contentHash": "string?", "metadata": "object", "state": "string", "version": "integer", "isSymlink": "boolean",
    "lastSeenAt": "date", "lastModifiedAt": "date", "consistencyState": "string", "consistencyCheckedAt": "date",
    "lastReconciledAt": "date", "lastDriftDetectedAt": "date", "createdAt": "date", "updatedAt": "date",
    "deletedAt": "date", "rollup": "object?", "download": "object?",
})  # fmt: skip
_SCHEMAS |= {
    "Node": _NODE,
    "Mount": _object({
        "id": "integer", "mountKey": "string", "backendKind": "string", "accessMode": "string", "state": "string",
        "stateReason": "string?", "rootPath": "string?", "bucket": "string?", "prefix": "string?", "config": "object",
        "displayName": "string?", "description": "string?", "contact": "string?", "labels": "array",
        "mountUuid": "string", "hostId": "string", "epoch": "integer", "rootNodeId": "integer?",
        "createdAt": "date", "updatedAt": "date",
    }),
    "CommandOutcome": _object({
        "idempotent": "boolean", "commandId": "string", "journalEntryId": "integer", "node": "Node", "result": "object",
    }),
    "Pagination": _object({"total": "integer", "limit": "integer", "offset": "integer", "nextOffset": "integer?",
        "nextCursor": "string?"}),
    "JournalEntry": _object({
        "id": "integer", "commandId": "string", "command": "string", "backendMountId": "integer", "nodeId": "integer?",
        "path": "string", "principal": "string", "outcome": "string", "code": "string?", "context": "object?",
        "before": "object?", "after": "object?", "key": "string", "requestId": "string?", "traceId": "string?",
        "attempt": "integer", "startedAt": "date", "recordedAt": "date", "durationMs": "number",
        "workflowId": "string?",
    }),
    "Command": _object({
        "id": "string", "href": "string", "command": "string", "status": "string", "path": "string",
        "targetPath": "string?", "backendMountId": "integer",
        "outcome": "object?", "attempt": "integer", "createdAt": "date", "endedAt": "date",
    }),
    "Error": {"type": "object", "required": ["error"], "properties": {"error": _object(
        {"code": "string", "message": "string", "details": "object?"})}},
    "Problem": _object({
        "type": "string", "title": "string", "status": "integer", "detail": "string", "code": "string",
        "retryable": "boolean", "retry_after": "integer", "command_id": "string",
    }, required=["type", "title", "status", "detail", "code"]),
}  # fmt: skip


def install(app: FastAPI) -> None:
    """Put the named schemas, the token and the list of codes into the document, which is built once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            told = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            components = told.setdefault("components", {})
            components["schemas"] = components.get("schemas", {}) | _SCHEMAS
            components["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"] = [
                *sorted(BY_CODE), "INTERNAL_SERVER_ERROR",
            ]  # fmt: skip
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for operation in (one for methods in told["paths"].values() for one in methods.values()):
                if operation["tags"] != ["health"]:
                    operation["security"] = [{"token": []}]
            app.openapi_schema = told
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
