"""Answers made of JSON text that Postgres has rendered: spliced into an envelope, never parsed and built again."""

from starlette.responses import Response

JSON = "application/json"


def data(document: str) -> Response:
    return Response(f'{{"data":{document}}}'.encode(), 200, media_type=JSON)


def pagination(total: int, limit: int, offset: int) -> str:
    following = str(offset + limit) if offset + limit < total else "null"
    return f'{{"total":{total},"limit":{limit},"offset":{offset},"nextOffset":{following}}}'
