"""What happened, by time: one route for each question, and one for the SQL of operators."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit, admit_everywhere
from api.http import openapi, responses
from api.http.body import read_json
from api.http.fields import read_query
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import front_of
from api.timestore.charts import draw
from api.timestore.queries import ActivityQuery, Format, LakeQuery
from api.timestore.questions import QUESTIONS, Question
from api.timestore.readers import Reading, readers_of
from api.timestore.shapes import SqlAnswer, TimestoreState
from schema import paths
from schema.consumers.following import Following
from schema.errors import Forbidden, InvalidRequest, NotSupported
from schema.ids import MountId
from schema.mounts import Mount
from schema.paths import ROOT, NodePath
from schema.principals import Principal, authorise
from schema.store import activity
from schema.store.inventory import inventory

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["timestore"])

MEDIA: dict[Format, str] = {
    "json": JSON, "csv": "text/csv; charset=utf-8", "arrow": "application/vnd.apache.arrow.stream", "svg": "image/svg+xml",
}  # fmt: skip
_REFUSALS = ("BACKEND_NOT_FOUND", "NODE_NOT_FOUND", "INVALID_PATH", "FORBIDDEN", "NOT_SUPPORTED")
_SQL = openapi.body_of(
    LakeQuery, {"sql": "SELECT event_type, count(*) FROM filestore_activity GROUP BY ALL", "parameters": []}
)

_SQL_ANSWERS = openapi.answers(
    {200: ("Columns and rows", SqlAnswer)}, "FORBIDDEN", "NOT_SUPPORTED", "PAYLOAD_TOO_LARGE"
)


def _also(responses: dict[int | str, Any], *forms: Format) -> dict[int | str, Any]:
    """The rows come in these formats, too."""
    for form in forms:
        described: dict[str, Any] = {} if form == "arrow" else {"schema": {"type": "string"}}
        responses[200]["content"][MEDIA[form].partition(";")[0]] = described
    return responses


def _route(question: Question) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def ask(request: Request) -> Response:
        principal = await admit(request, "read")
        _refuse_if_off(request)
        query = read_query(ActivityQuery, request.query_params)
        mount, path = await _place(request, principal, query)
        form = _format(request, query)
        if question.inventory is not None:
            rows = await _inventory(request, principal, question, query, mount, path)
            return _shown(question, rows, form)
        asked = _asked(question.name, principal, query, mount, path)
        if form in ("csv", "arrow") and question.name != "forecast":
            return _bytes(await readers_of(request).ask(asked | {"format": form}), form)
        rows = orjson.loads((await readers_of(request).ask(asked | {"format": "json"})).body)
        if question.name == "forecast":
            rows = [await _forecast(request, principal, row, query.capacity_bytes) for row in rows]
        return _shown(question, rows, form)

    ask.__doc__ = question.meaning
    return ask


for _one in QUESTIONS:
    router.add_api_route(
        f"/v1/timestore/{_one.name}",
        _route(_one),
        methods=["GET"],
        operation_id=f"timestore{_one.name.capitalize()}",
        summary=_one.summary,
        responses=_also(openapi.answers({200: (_one.summary, _one.shape)}, *_REFUSALS), "csv", "arrow", "svg"),
        openapi_extra={"parameters": openapi.query_of(ActivityQuery)},
    )


@router.get(
    "/v1/timestore",
    operation_id="getTimestore",
    summary="How far the Timestore is",
    responses=openapi.answers({200: ("Its state", TimestoreState)}),
)
async def state(request: Request) -> Response:
    """Behind by how many events, and since when. `stalled`: there are events, and none is taken in."""
    principal = await admit(request, "read")
    front = front_of(request)
    on = front.services.settings.timestore
    question = {"name": "state", "parameters": {}, "tenant": principal.tenant, "limit": 1, "format": "json"}
    rows = orjson.loads((await readers_of(request).ask(question)).body) if on else []
    row: dict[str, Any] = rows[0] if rows else {"position": 0, "written": 0, "moved_at": None}
    async with front.services.pool.connection() as connection:
        ahead = await activity.ahead(connection, row["position"])
    moved = None if row["moved_at"] is None else datetime.fromisoformat(row["moved_at"])
    found = Following(
        row["position"], ahead.last, False, row["written"], moved, None,
        None if moved is None else (datetime.now(UTC) - moved).total_seconds(), ahead.lag_seconds, None,
    )  # fmt: skip
    shown = {
        "state": found.state(on=on), "position": found.position, "last": found.last, "behind": found.last - found.position,
        "lagSeconds": found.lag_seconds, "rows": found.records,
    }  # fmt: skip
    return responses.data(orjson.dumps(shown).decode())


@router.post(
    "/v1/timestore/sql",
    operation_id="timestoreSql",
    summary="Ask in SQL",
    responses=_also(_SQL_ANSWERS, "csv", "arrow"),
    openapi_extra={"requestBody": _SQL},
)
async def sql(request: Request) -> Response:
    """One SELECT in the SQL of DuckDB over `filestore_activity`, the rows of the tenant. There are no other tables, no files,
    and nothing can be changed; time, memory and rows are limited. For operators: it needs `audit`, and `read` on every mount."""
    principal = await admit(request, "audit")
    await _admit_all(request)
    _refuse_if_off(request)
    body = await read_json(request, LakeQuery)
    limit = front_of(request).services.settings.timestore_rows_max
    form = _format(request, None)
    question = {
        "sql": body.sql,
        "parameters": body.parameters,
        "tenant": principal.tenant,
        "limit": limit,
        "format": form,
    }
    reading = await readers_of(request).ask(question)
    return responses.data(reading.body.decode()) if form == "json" else _bytes(reading, form)


def _refuse_if_off(request: Request) -> None:
    if not front_of(request).services.settings.timestore:
        raise NotSupported("The Timestore is switched off here: FILESTORE_TIMESTORE is false.")


async def _admit_all(request: Request) -> Principal:
    """Rows are summed up: a principal from whom something is withheld could see it in the sum."""
    principal = await admit_everywhere(request, "read")
    if principal.access.narrowed:
        raise Forbidden("Grants of the token say where it holds: name a mount and a path of which all may be read.")
    return principal


async def _place(
    request: Request, principal: Principal, query: ActivityQuery
) -> tuple[MountId | None, NodePath | None]:
    path = None if query.path is None else paths.decode(query.path, None, allow_root=True)
    if query.backend_mount_id is None:
        await _admit_all(request)
        return None, path
    mount = await front_of(request).mounts.get(MountId(query.backend_mount_id), principal.tenant)
    authorise(principal, "read", mount.id, path or ROOT, tree=True)
    return mount.id, path


def _format(request: Request, query: ActivityQuery | None) -> Format:
    """As the query says, or the Accept header."""
    said = request.query_params.get("format")
    if query is not None and said is not None:
        return query.format
    accept = request.headers.get("accept", "")
    for form in ("csv", "arrow", "svg"):
        if said == form or MEDIA[form].partition(";")[0] in accept:
            if query is None and form == "svg":
                break
            return form
    if said not in (None, "json"):
        raise InvalidRequest("A format is json, csv or arrow.", fields=[{"field": "format", "message": "not a format"}])
    return "json"


def _asked(
    name: str, principal: Principal, query: ActivityQuery, mount: MountId | None, path: NodePath | None
) -> dict[str, Any]:
    start, end, step = query.span()
    parameters = {
        "from": start.isoformat(), "to": end.isoformat(), "step": step, "mount": mount,
        "path": path.text if path is not None and path.raw else None, "limit": query.limit,
    }  # fmt: skip
    return {"name": name, "parameters": parameters, "tenant": principal.tenant, "limit": query.limit}


async def _inventory(
    request: Request,
    principal: Principal,
    question: Question,
    query: ActivityQuery,
    mount: MountId | None,
    path: NodePath | None,
) -> list[dict[str, Any]]:
    asked = question.inventory
    assert asked is not None

    async def read(connection: Connection) -> list[dict[str, Any]]:
        return await inventory(connection, asked, principal.tenant, mount, path, query.limit)

    return await front_of(request).reads.run(read)


async def _forecast(
    request: Request, principal: Principal, row: dict[str, Any], capacity: int | None
) -> dict[str, Any]:
    """With the day on which the mount is full."""
    free = None if capacity is None else max(0, capacity - row["sizeBytes"])
    if free is None:
        free = await _free(request, principal, MountId(row["backendMountId"]))
    slope = row["bytesPerDay"] or 0.0
    days = None if free is None or slope <= 0 else free / slope
    full = None if days is None or days > 36_500 else datetime.now(UTC) + timedelta(days=days)
    return row | {"freeBytes": free, "fullAt": full}


async def _free(request: Request, principal: Principal, mount: MountId) -> int | None:
    """Of the disk, where the mount lies on this host."""
    front = front_of(request)
    found: Mount = await front.mounts.get(mount, principal.tenant)
    root = found.root_path
    if root is None or found.host_id != front.services.settings.host_id:
        return None
    try:
        disk = await front.threads.run(mount, os.statvfs, root)
    except OSError:
        return None
    return int(disk.f_bavail * disk.f_frsize)


def _shown(question: Question, rows: list[dict[str, Any]], form: Format) -> Response:
    if form == "svg":
        return Response(draw(question.name, rows).encode(), media_type=MEDIA["svg"])
    if form == "csv":
        return Response(_csv(rows).encode(), media_type=MEDIA["csv"])
    if form == "arrow":
        return Response(_arrow(rows), media_type=MEDIA["arrow"])
    return responses.data(orjson.dumps({question.field: rows}, option=orjson.OPT_UTC_Z).decode())


def _bytes(reading: Reading, form: Format) -> Response:
    return Response(reading.body, media_type=MEDIA[form])


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _arrow(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa  # type: ignore[import-untyped]  # it takes a while to load, and few ask for it

    table, sink = pa.Table.from_pylist(rows), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
