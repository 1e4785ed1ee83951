"""A list is given whole, as JSON lines or CSV: its pages one after the other, exact, and never cut short unseen."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.http.exports import BreaksOff, exported
from schema.errors import InvalidRequest, Unavailable

HOSTILE = ["two\nlines", 'a "quote"', "a,comma", "=cmd|' /C calc'!A0", "\r", "ümläut", "-1", "plain"]


class ListedRow(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    item: int
    path: str
    size_bytes: int | None
    rollup: dict[str, int] | None


def request(query: str = "", accept: str = "*/*") -> Request:
    return Request({
        "type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": [(b"accept", accept.encode())],
    })  # fmt: skip


def lists(
    rows: list[dict[str, Any]], asked: list[dict[str, str]], *, fails_at: int = 10**9
) -> Callable[[Request], Any]:
    @exported("items", ListedRow, 3)
    async def route(request: Request) -> Response:
        params = dict(request.query_params)
        asked.append(params)
        start, limit = int(params.get("cursor", 0)), int(params.get("limit", 2))
        if start >= fails_at:
            raise Unavailable()
        following = str(start + limit) if start + limit < len(rows) else None
        data = {"items": rows[start : start + limit], "pagination": {"limit": limit, "nextCursor": following}}
        return Response(json.dumps({"data": data}), media_type="application/json")

    return route


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "item": n,
            "path": HOSTILE[n % len(HOSTILE)],
            "sizeBytes": None if n % 2 else n,
            "rollup": {"n": 10 ** (4 * n)},
        }
        for n in range(count)
    ]


async def body(answer: Response, pieces: list[bytes] | None = None) -> bytes:
    assert isinstance(answer, StreamingResponse)
    told = [] if pieces is None else pieces
    async for piece in answer.body_iterator:
        told.append(bytes(piece) if not isinstance(piece, str) else piece.encode())
    return b"".join(told)


async def test_json_lines_are_all_rows_of_all_pages_under_the_same_conditions() -> None:
    asked: list[dict[str, str]] = []
    answer = await lists(rows(8), asked)(request("format=jsonl&state=failed&limit=1"))
    assert (
        answer.headers["content-type"] == "application/jsonl" and "items.jsonl" in answer.headers["content-disposition"]
    )
    assert [json.loads(line) for line in (await body(answer)).splitlines()] == rows(8)
    assert asked == [{"state": "failed", "limit": "3"} | ({"cursor": str(n)} if n else {}) for n in (0, 3, 6)]


async def test_csv_has_a_head_and_hostile_names_neither_break_a_row_nor_run_as_a_formula() -> None:
    answer = await lists(rows(8), [])(request("format=csv"))
    text = (await body(answer)).decode()
    head, *cells = csv.reader(io.StringIO(text, newline=""))
    assert head == ["item", "path", "sizeBytes", "rollup"] and len(cells) == 8
    for row, cell in zip(rows(8), cells, strict=True):
        path = row["path"]
        assert cell[1] == (f"'{path}" if path[0] in "=-\r" else path)
        assert (
            cell[2] == ("" if row["sizeBytes"] is None else str(row["sizeBytes"]))
            and json.loads(cell[3]) == row["rollup"]
        )


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("text/csv", "text/csv"), ("application/x-ndjson, */*", "application/jsonl"), ("*/*", "application/json"),
     ("application/json, text/csv", "application/json"), ("text/html", "application/json")],
)  # fmt: skip
async def test_accept_asks_for_it_as_well(accept: str, kind: str) -> None:
    answer = await lists(rows(2), [])(request(accept=accept))
    assert answer.headers["content-type"].partition(";")[0] == kind


async def test_what_goes_wrong_first_is_refused_and_later_breaks_the_body_off() -> None:
    with pytest.raises(Unavailable):
        await lists(rows(8), [], fails_at=0)(request("format=jsonl"))
    with pytest.raises(InvalidRequest):
        await lists(rows(8), [])(request("format=xml"))
    for form in ("jsonl", "csv"):
        pieces: list[bytes] = []
        answer = await lists(rows(8), [], fails_at=6)(request(f"format={form}"))
        with pytest.raises(BreaksOff):
            await body(answer, pieces)
        last = b"".join(pieces).splitlines()[-1]
        assert (
            (b'"UNAVAILABLE"' in last and orjson.loads(last)["error"]["message"])
            if form == "jsonl"
            else len(pieces) == 3
        )
