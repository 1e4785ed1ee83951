"""Answers made of JSON text that Postgres has rendered: spliced into an envelope, never parsed and built again."""

from starlette.responses import Response

JSON = "application/json"


def data(document: str, status: int = 200) -> Response:
    return Response(f'{{"data":{document}}}'.encode(), status, media_type=JSON)


def pagination(total: int, limit: int, offset: int) -> str:
    following = str(offset + limit) if offset + limit < total else "null"
    return f'{{"total":{total},"limit":{limit},"offset":{offset},"nextOffset":{following}}}'
