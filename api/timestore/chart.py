"""A chart as SVG: lines over time, or bars. People look before they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 960, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 20, 40, 50
_COLOURS = ("#2563eb", "#dc2626", "#16a34a", "#d97706")
BARS_MAX = 25


@dataclass(frozen=True, slots=True)
class ChartLine:
    name: str
    values: Sequence[float]


def lines(title: str, labels: Sequence[str], drawn: Sequence[ChartLine], unit: str = "") -> str:
    """`labels`: of the points, from left to right."""
    top = max([1.0, *(value for line in drawn for value in line.values)])
    low = min([0.0, *(value for line in drawn for value in line.values)])
    body = [*_scale(low, top, unit), *_ends(labels)]
    for at, line in enumerate(drawn):
        colour = _COLOURS[at % len(_COLOURS)]
        points = " ".join(
            f"{_x(i, len(line.values)):.1f},{_y(value, low, top):.1f}" for i, value in enumerate(line.values)
        )
        body.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        body.append(_text(_LEFT + 10 + at * 160, _TOP - 8, line.name, colour))
    return _page(title, body)


def bars(title: str, labels: Sequence[str], values: Sequence[float], unit: str = "") -> str:
    labels, values = labels[:BARS_MAX], values[:BARS_MAX]
    top = max([1.0, *values])
    step = (HEIGHT - _TOP - 10) / max(1, len(values))
    body = []
    for at, (label, value) in enumerate(zip(labels, values, strict=True)):
        y, width = _TOP + at * step, (WIDTH - 340) * value / top
        body.append(f'<rect x="240" y="{y:.1f}" width="{width:.1f}" height="{step * 0.7:.1f}" fill="{_COLOURS[0]}"/>')
        body.append(_text(232, y + step * 0.55, label[-34:], "#111827", "end"))
        body.append(_text(248 + width, y + step * 0.55, short(value, unit)))
    return _page(title, body)


def short(value: float, unit: str = "") -> str:
    """1234567 -> 1.2 M"""
    for size, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {name}{unit}"
    return f"{value:.3g} {unit}".strip()


def _scale(low: float, top: float, unit: str) -> list[str]:
    found = []
    for part in range(5):
        value = low + (top - low) * part / 4
        y = _y(value, low, top)
        found.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        found.append(_text(_LEFT - 8, y + 4, short(value, unit), "#6b7280", "end"))
    return found


def _ends(labels: Sequence[str]) -> list[str]:
    if not labels:
        return [_text(WIDTH / 2, HEIGHT / 2, "nothing happened", "#6b7280", "middle")]
    return [
        _text(_LEFT, HEIGHT - 18, labels[0], "#6b7280"),
        _text(WIDTH - _RIGHT, HEIGHT - 18, labels[-1], "#6b7280", "end"),
    ]


def _x(at: int, count: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * at / max(1, count - 1)


def _y(value: float, low: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / ((top - low) or 1.0)


def _text(x: float, y: float, text: str, colour: str = "#111827", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'


def _page(title: str, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    style = f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title><rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f"{head} {style}", _text(_LEFT, 18, title), *body, "</svg>"])
