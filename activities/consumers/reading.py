"""Questions to the lake, answered by a process of their own that can read and do nothing else.

The process is told the place and its limits once, and then a question a line. A question that takes too long is ended by ending
the process. Answers are bytes as a client gets them: JSON, CSV or an Arrow stream.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO

import duckdb
import orjson

from activities.consumers.lake import LakePlace, connect, literal
from schema.errors import FilestoreError, InvalidRequest
from schema.sql import load
from schema.timestore.guard import check_query

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

SQL = load("timestore")

QUERIES = {
    "growth": SQL["growth"], "churn": SQL["churn"], "hot": SQL["hot"], "principals": SQL["principals"],
    "commands": SQL["commands"], "failures": SQL["failures"], "lag": SQL["lag"], "forecast": SQL["forecast"],
    "state": SQL["cursor"],
}  # fmt: skip
ANSWER_BYTES = 32 * 2**20
_PARAMETER = re.compile(r"\$(\w+)")
_TIMES = ("from", "to")


@dataclass(frozen=True, slots=True)
class LakeAnswer:
    """How the bytes that follow are to be read."""

    ok: bool
    size: int = 0
    truncated: bool = False
    code: str = ""
    message: str = ""
    details: Any = None


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Until the other side closes."""
    place = LakePlace(**json.loads(source.readline()))
    connection: duckdb.DuckDBPyConnection | None = None
    for line in source:
        try:
            connection = connection or open_reader(place)
            head, body = answer(connection, json.loads(line))
        except FilestoreError as error:
            head, body = LakeAnswer(False, code=error.code, message=error.message, details=error.details), b""
        except duckdb.Error as error:
            refused = connection is not None and not isinstance(error, duckdb.IOException | duckdb.ConnectionException)
            head, body = (
                LakeAnswer(False, code="INVALID_REQUEST" if refused else "UNAVAILABLE", message=_said(error)),
                b"",
            )
            if not refused:
                connection = None  # the lake may come to be, or Postgres may come back
        sink.write(orjson.dumps(asdict(head)) + b"\n" + body)
        sink.flush()


def open_reader(place: LakePlace) -> duckdb.DuckDBPyConnection:
    """A connection that reads the lake, and can neither reach other files nor change that."""
    connection = connect(place, read_only=True)
    connection.execute("SELECT 1 FROM lake.filestore_activity LIMIT 0")
    connection.execute("SET temp_directory = ''")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute(_allow(place.folder))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def answer(connection: duckdb.DuckDBPyConnection, question: Mapping[str, Any]) -> tuple[LakeAnswer, bytes]:
    """`name` of one of our queries, or the `sql` of an operator; `parameters`, `tenant`, `limit` of rows, `format`."""
    cursor = connection.cursor()
    try:
        cursor.execute(_remember(question["tenant"]))
        cursor.execute(SQL["tenant"])
        cursor.execute(SQL["below"])
        if "name" in question:
            query = QUERIES[question["name"]]
            cursor.execute(query, _used(query, question["parameters"]))
        else:
            check_query(_tree(cursor, question["sql"]))
            cursor.execute(question["sql"], question["parameters"])
        return _rendered(cursor, question["format"], question["limit"], objects="name" in question)
    finally:
        cursor.close()


def _tree(cursor: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = cursor.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchone()
    assert row is not None
    return json.loads(row[0])


def _used(query: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """DuckDB refuses values that a query does not name."""
    named = set(_PARAMETER.findall(query))
    return {name: _time(value) if name in _TIMES else value for name, value in parameters.items() if name in named}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _rendered(cursor: duckdb.DuckDBPyConnection, format: str, limit: int, *, objects: bool) -> tuple[LakeAnswer, bytes]:
    names = [column[0] for column in cursor.description or ()]
    if format == "arrow":
        return _arrow(cursor.to_arrow_reader(10_000), limit)
    rows = cursor.fetchmany(limit + 1)
    truncated, rows = len(rows) > limit, rows[:limit]
    if format == "csv":
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(names)
        writer.writerows([[_plain(value) for value in row] for row in rows])
        body = text.getvalue().encode()
    elif objects:
        body = _json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        body = _json({"columns": names, "rows": rows, "truncated": truncated})
    if len(body) > ANSWER_BYTES:
        raise InvalidRequest(f"The answer has more than {ANSWER_BYTES} bytes; ask for fewer rows or columns.")
    return LakeAnswer(True, len(body), truncated), body


def _arrow(reader: pa.RecordBatchReader, limit: int) -> tuple[LakeAnswer, bytes]:
    import pyarrow as pa

    sink, rows = pa.BufferOutputStream(), 0
    with pa.ipc.new_stream(sink, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch.slice(0, limit - rows))
            rows += batch.num_rows
            if rows >= limit or sink.tell() > ANSWER_BYTES:
                break
    body = sink.getvalue().to_pybytes()
    return LakeAnswer(True, len(body), rows > limit), body


def _json(value: Any) -> bytes:
    return orjson.dumps(
        value, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_SUBCLASS
    )


def _plain(value: Any) -> Any:
    """What JSON and CSV have no word for."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Sequence | Mapping) and not isinstance(value, str):
        return value
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _said(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:500]


def _allow(folder: str) -> str:
    return f"SET allowed_directories = [{literal(folder)}]"


def _remember(tenant: str) -> str:
    return f"SET VARIABLE tenant = {literal(tenant)}"
