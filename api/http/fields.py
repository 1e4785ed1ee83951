"""What fields of bodies and queries hold, and how they are read.

Unknown fields are ignored, as earlier clients rely on; wrong types are not.
"""

import re
from collections.abc import Iterator
from math import isfinite
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.types import JsonValue
from starlette.datastructures import QueryParams

from schema.errors import InvalidRequest

ID_MAX = 2**63 - 1
EXACT_MAX = 2**53 - 1
"""Up to here every number is the same to all readers of JSON (RFC 7493, 2.2): beyond, some round it or change its type."""
DEPTH_MAX = 64
"""So deep JSON of any form may nest: each of its readers, and Postgres, goes into it level by level. (Of any body the parser takes
200 levels at most.)"""
KEY_MAX = 255
METADATA_MAX = 256 * 1024
"""Bytes of metadata, as JSON text."""
HEADER_METADATA_MAX = 32 * 1024
"""The same where it comes in a header: in base64, beside a path and a name of any length, it stays below the 64 KiB that all
headers together may have (FILESTORE_HTTP_HEAD_MAX_BYTES)."""

UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]", re.ASCII)

M = TypeVar("M", bound=BaseModel)


class JsonBody(BaseModel):
    """JSON says what type it means: "1" is not 1."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, strict=True, populate_by_name=True)


class Conditions(JsonBody):
    """What narrows a request down. A misspelt name would take more than was meant: those that are unknown are refused here."""

    model_config = ConfigDict(extra="forbid")


class Query(BaseModel):
    """A query string has only text: "1" is 1. Lists are separated by commas, or the name is repeated, or both."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, populate_by_name=True)


def refuse_odd_text(text: str) -> str:
    """Neither Postgres nor UTF-8 can hold these."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text if not text.isascii()):
        raise ValueError("the text holds a NUL or a lone surrogate")
    return text


def refuse_odd_json(value: Any) -> Any:
    """The same for every text in a JSON value; and numbers must be numbers that every reader of JSON reads alike."""
    for part, depth in _parts(value):
        if depth > DEPTH_MAX:
            raise ValueError(f"it nests more than {DEPTH_MAX} levels deep")
        if isinstance(part, str):
            refuse_odd_text(part)
        elif isinstance(part, float) and not isfinite(part):
            raise ValueError("a number is not finite")
        elif isinstance(part, int | float) and abs(part) > EXACT_MAX:
            raise ValueError(f"a number lies beyond {EXACT_MAX}, where readers of JSON differ; send it as a text")
    return value


def _parts(value: Any) -> Iterator[tuple[Any, int]]:
    """Each with how many values it lies in."""
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        yield part, depth
        if isinstance(part, dict):
            waiting.extend((inner, depth + 1) for inner in (*part.keys(), *part.values()))
        elif isinstance(part, list):
            waiting.extend((inner, depth + 1) for inner in part)


def _usable_key(key: str) -> str:
    if not 1 <= len(key) <= KEY_MAX or not key.isprintable():
        raise ValueError(f"an idempotency key has 1 to {KEY_MAX} printable characters")
    return refuse_odd_text(key)


def split_list(value: Any) -> Any:
    """What is asked for. A list of nothing is refused: taken for none it would select everything."""
    texts = value if isinstance(value, list) else [value]
    found = [part.strip() for text in texts for part in str(text).split(",") if part.strip()]
    if not found:
        raise ValueError("the list is empty; leave the name out to ask for everything")
    return found


def _a_date(value: Any) -> Any:
    """Dates in JSON are texts, and a number is not one, in a text neither."""
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("a date is a text like 2026-11-20T12:00:00Z")
    return value


Id = Annotated[int, Field(ge=1, le=ID_MAX)]
Count = Annotated[int, Field(ge=0, le=ID_MAX)]
Text = Annotated[str, AfterValidator(refuse_odd_text)]
Short = Annotated[str, Field(max_length=1000), AfterValidator(refuse_odd_text)]
Key = Annotated[str, AfterValidator(_usable_key)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(refuse_odd_json)]
Scalar = Annotated[str | int | float | bool | None, AfterValidator(refuse_odd_json)]
Condition = Short | Count
"""A version, a SHA-256, or *, as the headers If-Match and If-None-Match have it"""
Moment = Annotated[AwareDatetime, BeforeValidator(_a_date), Field(strict=False)]


def read_query(model: type[M], params: QueryParams) -> M:
    """The query as `model`; a name that is repeated becomes a list. Unknown names are ignored.

    Raises pydantic's ValidationError, and InvalidRequest for bytes that are no text.
    """
    given: dict[str, list[str]] = {}
    for name, value in params.multi_items():
        if "\ufffd" in value and name in ("path", "pathPrefix", "search"):
            raise InvalidRequest(f"{name} is not UTF-8; send such names as pathB64.")
        given.setdefault(name, []).append(value)
    return model.model_validate({name: values if len(values) > 1 else values[0] for name, values in given.items()})
