"""Metadata held against the JSON Schema of its namespace."""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
from referencing import Registry

from schema.errors import InvalidRequest

ERRORS_MAX = 10


def check_schema(schema: Any) -> None:
    """Raises InvalidRequest for what is no schema, and for one that refers to another document: nothing is fetched."""
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
    validator = Draft202012Validator(schema, registry=Registry())
    found = []
    for error in validator.iter_errors(metadata):
        found.append({"field": "/".join(["metadata", *map(str, error.absolute_path)]), "message": error.message[:500]})
        if len(found) == ERRORS_MAX:
            break
    if found:
        raise InvalidRequest("The metadata does not fit the schema of its namespace.", fields=found)


def _references(part: Any) -> Iterator[str]:
    waiting = [part]
    while waiting:
        held = waiting.pop()
        if isinstance(held, dict):
            yield from (held[name] for name in ("$ref", "$dynamicRef") if isinstance(held.get(name), str))
            waiting.extend(held.values())
        elif isinstance(held, list):
            waiting.extend(held)
