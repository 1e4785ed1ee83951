"""Events beside what the AsyncAPI document says of them."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import psycopg
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from api.events.asyncapi import document, message_name

SAMPLE = """
SELECT type, data FROM (
    SELECT type, data, row_number() OVER (PARTITION BY type, data::jsonb->>'kind', data::jsonb->>'command', data::jsonb->>'status',
               (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(data::jsonb) k)) AS n
      FROM filestore.outbox
) o WHERE n <= 5
"""
"""A few of each form there is in the feed"""


def strict(schema: Any) -> Any:
    """The same, and nothing may be there that is not described."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(one) for name, one in schema.items()}
    return made | {"additionalProperties": False} if "properties" in schema and schema.get("type") == "object" else made


@cache
def validator(type_: str) -> Draft202012Validator:
    described = strict(document("0"))
    assert message_name(type_) in described["components"]["messages"], f"{type_} is not described"
    payload = {"$ref": f"#/components/messages/{message_name(type_)}/payload"}
    return Draft202012Validator(payload | {"components": described["components"]})


def unlike(events: Iterable[tuple[str, Any]]) -> list[str]:
    """What is not as the document says."""
    return [
        f"{type_}: {error.json_path}: {error.message[:300]}"
        for type_, data in events
        for error in validator(type_).iter_errors({"type": type_, "data": data})
    ]


def unlike_in_feed(database: str) -> list[str]:
    with psycopg.connect(database) as connection:
        found = connection.execute(SAMPLE).fetchall()
    return unlike((type_, json.loads(data) if isinstance(data, str) else data) for type_, data in found)
