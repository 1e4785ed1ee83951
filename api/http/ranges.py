"""Which bytes of a file a client wants: Range and If-Range of RFC 9110, section 14."""

import re
from collections.abc import Mapping

from api.http.conditions import Validators, range_holds

RANGES_MAX = 32
"""Parts in one answer. A player, a viewer of documents or a synchroniser needs a few; thousands are an attack."""
SPECS_MAX = 1000
"""Ranges that are looked at before it is known how many parts they make."""
GAP = 128
"""Bytes that the head of a part costs, about: where parts are too many, such a gap is sent along instead."""

_SPEC = re.compile(r"[ \t]*(?:([0-9]{1,1000})[ \t]*-[ \t]*([0-9]{0,1000})|-[ \t]*([0-9]{1,1000}))[ \t]*", re.ASCII)

Range = tuple[int, int]
"""Start, and the end excluded."""


class Unsatisfiable(Exception):
    """Not one of the ranges begins within the file, or they are far too many."""


def wanted(headers: Mapping[str, str], size: int, validators: Validators) -> list[Range]:
    """The ranges to send; empty: the whole file. No byte is in two of them, whatever was asked for.

    What is malformed, of an unknown unit, or meant for another version is ignored. Raises Unsatisfiable.
    """
    unit, equals, specs = headers.get("range", "").partition("=")
    if not equals or unit.strip().lower() != "bytes" or not range_holds(headers.get("if-range"), validators):
        return []
    texts = [spec for spec in specs.split(",") if spec.strip(" \t")]
    if len(texts) > SPECS_MAX:
        raise Unsatisfiable(f"{len(texts)} ranges are too many; {RANGES_MAX} are the most.")
    ranges = []
    for text in texts:
        spec = _SPEC.fullmatch(text)
        if spec is None or (spec[2] and int(spec[2]) < int(spec[1])):
            return []
        start, end = _resolve(spec, size)
        if start < end:
            ranges.append((start, end))
    if texts and not ranges:
        if size == 0 and any(_asks_for_an_end(text) for text in texts):
            return []  # RFC 9110, 14.1.3: all of it is the answer, and 206 has no way to say that that is nothing
        raise Unsatisfiable(f"No range begins within the {size} bytes.")
    return _few(ranges)


def _asks_for_an_end(text: str) -> bool:
    """A suffix that is not of length zero can be satisfied, whatever there is."""
    spec = _SPEC.fullmatch(text)
    return spec is not None and bool(spec[3]) and int(spec[3]) > 0


def _resolve(spec: re.Match[str], size: int) -> Range:
    first, last, suffix = spec.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    return int(first), min(size, int(last) + 1) if last else size


def _few(ranges: list[Range]) -> list[Range]:
    """In the order they were asked for, unless some overlap. Parts that are too many join with their neighbours."""
    merged = _merged(ranges, gap=-1)
    if len(merged) == len(ranges) <= RANGES_MAX:
        return ranges
    if len(merged) > RANGES_MAX:
        merged = _merged(ranges, gap=GAP)
    if len(merged) > RANGES_MAX:
        raise Unsatisfiable(f"The ranges make {len(merged)} parts; {RANGES_MAX} are the most. Ask for fewer at a time.")
    return merged


def _merged(ranges: list[Range], gap: int) -> list[Range]:
    """Sorted, and joined where no more than `gap` bytes lie between two; -1: only where they overlap."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged
