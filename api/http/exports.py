"""Whole lists as JSON lines or CSV: `format=jsonl|csv`, or an `Accept` that asks for it.

The route itself gives the pages, one after the other, so a list is exported with the conditions, the rights and the order that
it has anyway, and of a list of any length one page is in memory. What goes wrong on the first page is refused as ever. Later it is
the last line of JSON lines, `{"error": {...}}`; and in both forms the body breaks off, which no client takes for its end.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import urlencode

import orjson
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.http.errors import refusal_of
from schema.errors import FilestoreError, InvalidRequest

MEDIA = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
_ACCEPTED = {
    "application/jsonl": "jsonl", "application/x-ndjson": "jsonl", "application/x-jsonlines": "jsonl", "text/csv": "csv",
    "application/json": "json", "application/*": "json", "*/*": "json",
}  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula, and runs it."""

Row = Mapping[str, Any]
Route = Callable[[Request], Coroutine[Any, Any, Response]]
Following = Callable[[Row], Mapping[str, str] | None]


def by_cursor(data: Row) -> Mapping[str, str] | None:
    """What the next page is asked for with. None: it was the last."""
    cursor = data["pagination"]["nextCursor"]
    return None if cursor is None else {"cursor": str(cursor)}


def by_offset(data: Row) -> Mapping[str, str] | None:
    offset = data["pagination"]["nextOffset"]
    return None if offset is None else {"offset": str(offset)}


def in_one(data: Row) -> None:
    """Of a list that has no pages."""


@dataclass(frozen=True, slots=True)
class Export:
    rows: str
    """The name of the list in the answer"""
    shape: type[BaseModel]
    """Of a row: its fields are the columns"""
    most: int
    """The longest page"""
    following: Following = by_cursor
    others: frozenset[str] = frozenset()
    """More formats, which the route knows itself"""

    @property
    def columns(self) -> list[str]:
        return [field.alias or name for name, field in self.shape.model_fields.items()]


def exported(
    rows: str, shape: type[BaseModel], most: int, following: Following = by_cursor, *others: str
) -> Callable[[Route], Route]:
    """The list of a route, whole where a client asks for it."""
    export = Export(rows, shape, most, following, frozenset(others))

    def around(route: Route) -> Route:
        @wraps(route)
        async def answer(request: Request) -> Response:
            form = _form(request, export)
            if form is None:
                return await route(request)
            pages = _Pages(route, request, export)
            first = await pages.next()
            if first is None:
                return pages.refusal
            name = f'attachment; filename="{export.rows}.{form}"'
            return StreamingResponse(
                _written(form, export, first, pages),
                media_type=MEDIA[form],
                headers={"cache-control": "no-store", "content-disposition": name},
            )

        return answer

    return around


def _form(request: Request, export: Export) -> str | None:
    """jsonl or csv; None: pages of JSON, as ever. Raises InvalidRequest."""
    asked = request.query_params.get("format")
    if asked is not None and asked not in {"json", *MEDIA, *export.others}:
        raise InvalidRequest(
            "format is json, jsonl or csv.", fields=[{"field": "format", "message": "not one of the forms"}]
        )
    form = asked or _accepted(request.headers)
    return form if form in MEDIA else None


def _accepted(headers: Headers) -> str | None:
    """The first that is known; a client that names an export means it."""
    kinds = [part.partition(";")[0].strip().lower() for part in headers.get("accept", "").split(",")]
    return next((_ACCEPTED[kind] for kind in kinds if kind in _ACCEPTED), None)


class _Pages:
    """One page after the other, from the route itself."""

    def __init__(self, route: Route, request: Request, export: Export) -> None:
        self._route, self._request, self._export = route, request, export
        self._params = [(n, v) for n, v in request.query_params.multi_items() if n not in ("format", "limit", "offset")]
        self._next: Mapping[str, str] | None = {}
        self.refusal = Response()
        """What the route has answered instead of a page"""

    async def next(self) -> Sequence[Row] | None:
        """None: there is no more, or the route refuses."""
        if self._next is None:
            return None
        kept = [(name, value) for name, value in self._params if name not in self._next]
        query = urlencode([*kept, ("limit", str(self._export.most)), *self._next.items()])
        scope = {**self._request.scope, "query_string": query.encode()}
        answer = await self._route(Request(scope, self._request.receive))
        if answer.status_code != 200:
            self.refusal = answer
            return None
        data = json.loads(bytes(answer.body))["data"]  # exact for numbers of any size
        self._next = self._export.following(data)
        rows: Sequence[Row] = data[self._export.rows]
        return rows


async def _written(form: str, export: Export, first: Sequence[Row], pages: _Pages) -> AsyncIterator[bytes]:
    columns = export.columns
    if form == "csv":
        yield _cells([columns])
    page: Sequence[Row] | None = first
    try:
        while page is not None:
            yield (
                _lines(page)
                if form == "jsonl"
                else _cells([[_cell(row.get(name)) for name in columns] for row in page])
            )
            page = await pages.next()
    except Exception as error:
        if form == "jsonl":
            refused = refusal_of(error) or FilestoreError("The list breaks off here. Ask for it anew.")
            yield _lines([{"error": {"code": refused.code, "message": refused.message, "details": refused.details}}])
        raise BreaksOff() from error


class BreaksOff(Exception):
    """The body ends without its end."""


def _lines(rows: Sequence[Row]) -> bytes:
    return b"".join(_json(row) + b"\n" for row in rows)


def _cells(rows: Sequence[Sequence[str]]) -> bytes:
    """RFC 4180: a cell with a quote, a comma or a line break stands in quotes."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return _json(value).decode()


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a number of more than 64 bits
        return json.dumps(value, ensure_ascii=False).encode()
