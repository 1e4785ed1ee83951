"""Answers as clients read them, as far as they are about no noun. Nothing is made of these models: they describe JSON that
Postgres or a route has put together, and `openapi` makes the document of them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, WithJsonSchema
from pydantic.alias_generators import to_camel

ELSEWHERE = "x-elsewhere"
"""Stands for a reference until the document is made: pydantic knows no model that it was not given."""


class Shape(BaseModel):
    """A part of an answer. Every field is there, and null where there is nothing; one with a default may be left out."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def named(model: str) -> Any:
    """The shape of another noun, which describes it in its own folder."""
    return Annotated[object, WithJsonSchema({ELSEWHERE: model})]


def exact(alias: str) -> Any:
    """The very bytes of a name or a path, in base64. It is there only where they are not UTF-8, and the text is lossy."""
    return Field(default=None, alias=alias, description="In base64; only where the bytes are not UTF-8")


EXACT_PATH = exact("pathB64")


class JsonObject(RootModel[dict[str, Any]]):
    """Fields that depend on the case, or that are a client's own."""


class Refusal(Shape):
    code: str
    message: str
    details: JsonObject | None


class Error(Shape):
    """Every refusal, unless the client prefers problem documents."""

    error: Refusal


class Problem(Shape):
    """RFC 9457, for `Accept: application/problem+json`."""

    model_config = ConfigDict(alias_generator=None)

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    retry_after: int = Field(default=0, description="Seconds; there for those that can be sent again")
    command_id: str = ""
    details: JsonObject = Field(default=None)  # type: ignore[assignment]


class Pagination(Shape):
    total: int
    limit: int
    offset: int
    next_offset: int | None


class CursorPagination(Shape):
    limit: int
    next_cursor: str | None = Field(description="Send it as `cursor` to go on; null at the end")


class NodePagination(Pagination):
    next_cursor: str | None = Field(description="Send it as `cursor` to go on; null at the end")
