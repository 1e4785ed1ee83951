"""Queries about what happened."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from api.http.fields import Count, Id, JsonBody, Moment, Query, Text, refuse_odd_json
from schema.errors import InvalidRequest

POINTS_MAX = 10_000
POINTS = 100
"""About so many where no step is asked for"""
Format = Literal["json", "csv", "arrow", "svg"]

_STEP = re.compile(r"(\d{1,9})(s|m|h|d|w)?|PT?(\d{1,9})(S|M|H|D|W)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_STEPS = (1, 10, 60, 300, 900, 3600, 3 * 3600, 86400, 7 * 86400, 28 * 86400)


def read_step(value: Any) -> Any:
    """Seconds."""
    found = _STEP.fullmatch(str(value).strip())
    if found is None:
        raise ValueError("a step is a number of seconds, or like 15m, 1h, 1d, 1w")
    number, unit = found[1] or found[3], (found[2] or found[4] or "s").lower()
    return int(number) * _UNITS[unit]


class ActivityQuery(Query):
    """The time from `from` (a week before `to`) up to `to` (now), in steps."""

    start: Annotated[Moment | None, Field(alias="from")] = None
    end: Annotated[Moment | None, Field(alias="to")] = None
    step: Annotated[int, Field(ge=1), BeforeValidator(read_step)] | None = Field(
        None, description="Seconds, or like 15m, 1h, 1d, 1w", json_schema_extra={"type": "string"}
    )
    backend_mount_id: Id | None = None
    path: Annotated[Text | None, Field(description="This path and all below it")] = None
    limit: Annotated[int, Field(ge=1, le=POINTS_MAX)] = 1000
    format: Format = "json"
    capacity_bytes: Annotated[
        Count | None, Field(description="Of the mount, for the forecast; else its disk is asked")
    ] = None

    def span(self) -> tuple[datetime, datetime, int]:
        """From, to and step. Raises InvalidRequest."""
        end = self.end or datetime.now(UTC)
        start = self.start or end - timedelta(days=7)
        seconds = (end - start).total_seconds()
        if seconds <= 0:
            raise InvalidRequest("`from` lies before `to`.", fields=[{"field": "from", "message": "not before `to`"}])
        step = self.step or next((one for one in _STEPS if seconds / one <= POINTS), _STEPS[-1])
        if seconds / step > POINTS_MAX:
            raise InvalidRequest(
                f"These are more than {POINTS_MAX} steps; ask for less time or a longer step.",
                fields=[{"field": "step", "message": "too short"}],
            )
        return start, end, step


class LakeQuery(JsonBody):
    """One SELECT over `filestore_activity`; `?` or `$name` stand for parameters."""

    sql: Annotated[Text, Field(min_length=1, max_length=100_000)]
    parameters: Annotated[list[Any] | dict[str, Any], BeforeValidator(refuse_odd_json)] = Field(default_factory=list)
