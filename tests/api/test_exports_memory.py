"""A list of a million rows is given whole with the memory of one page."""

import tracemalloc

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.http.exports import exported
from api.operations.shapes import OperationItem


@pytest.mark.slow
async def test_a_million_rows_take_the_memory_of_a_page() -> None:
    @exported("items", OperationItem, 1000)
    async def route(request: Request) -> Response:
        start = int(request.query_params.get("cursor", 0))
        following = str(start + 1000) if start < 999_000 else None
        page = [{"item": start + n, "path": "a" * 100, "sizeBytes": 5, "rollup": None} for n in range(1000)]
        return Response(orjson.dumps({"data": {"items": page, "pagination": {"nextCursor": following}}}))

    answer = await route(
        Request({"type": "http", "method": "GET", "path": "/", "query_string": b"format=csv", "headers": []})
    )
    assert isinstance(answer, StreamingResponse)
    size = lines = 0
    tracemalloc.start()
    async for piece in answer.body_iterator:
        size, lines = size + len(piece), lines + bytes(piece).count(b"\r\n")  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == 1_000_001 and size > 100_000_000 and peak < 8_000_000
