"""Which chart shows the answer to which question."""

from collections.abc import Callable, Sequence
from typing import Any

from api.timestore.chart import ChartLine, bars, lines
from schema.errors import InvalidRequest

Rows = Sequence[dict[str, Any]]


def _over_time(title: str, *fields: str, unit: str = "") -> Callable[[Rows], str]:
    def draw(rows: Rows) -> str:
        drawn = [ChartLine(name, [float(row[name] or 0) for row in rows]) for name in fields]
        return lines(title, [str(row["at"])[:16].replace("T", " ") for row in rows], drawn, unit)

    return draw


def _as_bars(title: str, label: str, value: str, unit: str = "") -> Callable[[Rows], str]:
    def draw(rows: Rows) -> str:
        return bars(title, [str(row[label]) for row in rows], [float(row[value] or 0) for row in rows], unit)

    return draw


_CHARTS: dict[str, Callable[[Rows], str]] = {
    "growth": _over_time("Bytes held", "sizeBytes", unit="B"),
    "churn": _over_time("What appeared, changed, moved and went", "created", "overwritten", "moved", "deleted"),
    "failures": _over_time("Commands that failed", "failed", "commands"),
    "lag": _over_time("Seconds until drift was reconciled", "meanSeconds", "maxSeconds", unit="s"),
    "hot": _as_bars("Directories in which most happened", "path", "events"),
    "principals": _as_bars("Commands by principal", "principal", "commands"),
    "commands": _as_bars("Commands by kind", "command", "commands"),
    "largest": _as_bars("Largest files", "path", "sizeBytes", unit="B"),
    "duplicates": _as_bars("Bytes that lie there more than once", "contentHash", "wastedBytes", unit="B"),
    "forecast": _as_bars("Bytes a day by mount", "backendMountId", "bytesPerDay", unit="B"),
}


def draw(name: str, rows: Rows) -> str:
    """Raises InvalidRequest where there is no chart for it."""
    chart = _CHARTS.get(name)
    if chart is None:
        raise InvalidRequest(
            f"There is no chart of {name}; ask for JSON, CSV or Arrow.",
            fields=[{"field": "format", "message": "no chart"}],
        )
    return chart(rows)
