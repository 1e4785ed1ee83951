"""Metadata held against the JSON Schema of its namespace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from schema.errors import InvalidRequest
from schema.metastore.records import Description
from schema.store import records

if TYPE_CHECKING:
    from schema.store.connection import Connection

ERRORS_MAX = 10


def check_schema(schema: Any) -> None:
    """Raises InvalidRequest for what is no schema, and for one that refers to another document: nothing is fetched."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # a worker starts without it
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise InvalidRequest(
            "This is no JSON Schema (2020-12).", fields=[{"field": "schema", "message": error.message[:500]}]
        ) from error
    if foreign := next((ref for ref in _references(schema) if not ref.startswith("#")), None):
        raise InvalidRequest(
            f"A schema refers to itself alone; {foreign[:200]!r} is elsewhere.",
            fields=[{"field": "schema", "message": "refers to another document"}],
        )


def check_metadata(metadata: Any, schema: Any) -> None:
    """Raises InvalidRequest with the fields that are wrong."""
    from jsonschema import Draft202012Validator  # a worker starts without it
    from referencing import Registry

    validator = Draft202012Validator(schema, registry=Registry())
    found = []
    for error in validator.iter_errors(metadata):
        found.append({"field": "/".join(["metadata", *map(str, error.absolute_path)]), "message": error.message[:500]})
        if len(found) == ERRORS_MAX:
            break
    if found:
        raise InvalidRequest("The metadata does not fit the schema of its namespace.", fields=found)


async def fitting(connection: Connection, tenant: str, described: Description) -> str | None:
    """Which schema the metadata fits. None: its namespace has none. Raises InvalidRequest."""
    schema = await records.schema_of(connection, tenant, described.namespace)
    if schema is None:
        return None
    check_metadata(dict(described.metadata), schema.document)
    return f"{described.namespace}@{schema.number}"


def _references(part: Any) -> Iterator[str]:
    waiting = [part]
    while waiting:
        held = waiting.pop()
        if isinstance(held, dict):
            yield from (held[name] for name in ("$ref", "$dynamicRef") if isinstance(held.get(name), str))
            waiting.extend(held.values())
        elif isinstance(held, list):
            waiting.extend(held)
