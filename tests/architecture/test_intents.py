"""SQL and Python say the same of an intent: each key that SQL names is a field, and each field is read somewhere."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from schema.commands.intents import BY_STEP, NESTED
from schema.uploads import Announcement

SCHEMA = Path(__file__).resolve().parents[2] / "schema"
QUERIES = [*sorted((SCHEMA / "sql").glob("*.sql")), SCHEMA / "schema.sql"]

OWN = {field.name for kind in BY_STEP.values() for field in fields(kind)} | {"step"}
"""What an intent says itself"""
FOR_PYTHON_ALONE = {
    "opened",  # tells the first execution of a long command
}
"""Fields that no query names"""

_COLUMNS = re.compile(
    r"(?:jsonb_to_record\(c\.intent\) AS \w+|CREATE TYPE filestore\.command_intent AS )\((.*?)\)", re.DOTALL
)
_PRESENT = re.compile(r"intent\s*\?\|?\s*(?:ARRAY\[([^\]]*)\]|('\w+'))")
_TAKEN = re.compile(r"\bintent\s*->>?\s*'(\w+)'")
_ADDED = re.compile(r"c\.intent \|\| (?:jsonb_strip_nulls\()?jsonb_build_object\((.*?)\)\n", re.DOTALL)
_LEAVING = r"(?:leaves|replaced|departs|'replaced'|'departs')"


def named(text: str) -> Iterator[str]:
    """Keys that a query names on an intent."""
    yield from _TAKEN.findall(text)
    for listed, one in _PRESENT.findall(text):
        yield from re.findall(r"'(\w+)'", listed or one)
    for columns in _COLUMNS.findall(text):
        yield from re.findall(r"(\w+) +(?:text|bigint|uuid|jsonb|boolean|filestore\.\w+)", columns)
    for pairs in _ADDED.findall(text):
        yield from re.findall(r"'(\w+)',", pairs)


def nested(text: str, holder: str) -> set[str]:
    names = _LEAVING if NESTED[holder] is NESTED["departs"] else rf"(?:{holder}|'{holder}')"
    return set(re.findall(rf"\b\w*\.?{names}\s*->>?\s*'(\w+)'", text))


@pytest.mark.parametrize("file", QUERIES, ids=lambda file: file.stem)
def test_every_key_that_sql_names_is_a_field(file: Path) -> None:
    assert set(named(file.read_text(encoding="utf-8"))) <= OWN


@pytest.mark.parametrize("holder", sorted(NESTED))
def test_every_key_that_sql_names_below_one_is_a_field_of_what_it_holds(holder: str) -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in QUERIES)
    assert nested(text, holder) <= {field.name for field in fields(NESTED[holder])}


def test_every_field_is_named_by_sql_or_is_for_python_alone() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in QUERIES)
    assert OWN - set(named(text)) == FOR_PYTHON_ALONE


UPLOADS = "uploads.sql", "check.sql"
"""The queries that read what an upload remembers; elsewhere `request` is that of a command"""
_OF_UPLOADS = re.compile(r"-- name: .*?(?=-- name: |\Z)", re.DOTALL)
_REMEMBERED = re.compile(r"(?<![.\w])request\s*->>?\s*'(\w+)'|(?<![.\w])request \|\| jsonb_build_object\('(\w+)'")


def remembered(text: str) -> set[str]:
    """Keys that the queries on `stages` name of what an upload remembers."""
    queries = [query for query in _OF_UPLOADS.findall(text) if "filestore.stages" in query]
    return {read or added for query in queries for read, added in _REMEMBERED.findall(query)}


def test_every_key_that_sql_names_of_an_upload_is_a_field_of_what_is_remembered() -> None:
    named = remembered("\n".join((SCHEMA / "sql" / file).read_text(encoding="utf-8") for file in UPLOADS))
    assert named == {"host", "kind", "ended"}
    assert named <= {field.name for field in fields(Announcement)}


def test_the_index_on_open_uploads_names_a_field_of_what_is_remembered() -> None:
    [index] = re.findall(r"CREATE INDEX stages_\w+ ON filestore.stages \(\(request->>'(\w+)'\)", _schema())
    assert index in {field.name for field in fields(Announcement)}


def _schema() -> str:
    return (SCHEMA / "schema.sql").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "query",
    [
        "-- name: a\nSELECT request->>'unheard' FROM filestore.stages",
        "-- name: a\nUPDATE filestore.stages SET request = request || jsonb_build_object('unheard', 1)",
    ],
)
def test_a_key_of_an_upload_that_is_no_field_is_found(query: str) -> None:
    assert remembered(query) == {"unheard"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT c.intent->>'unheard' FROM filestore.commands c",
        "SELECT intent -> 'unheard'",
        "SELECT c.intent ? 'unheard'",
        "SELECT c.intent ?| ARRAY['node', 'unheard']",
        "FROM jsonb_to_record(c.intent) AS i(step text, unheard bigint)",
        "CREATE TYPE filestore.command_intent AS (\n    step    text,\n    unheard bigint\n);",
        "SET intent = c.intent || jsonb_build_object('unheard', 1)\n",
    ],
)
def test_a_key_that_is_no_field_is_found(query: str) -> None:
    assert set(named(query)) - OWN == {"unheard"}
