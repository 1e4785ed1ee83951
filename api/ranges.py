"""Which bytes of a file a client wants: Range, If-Range and the conditional headers of RFC 9110."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

RANGES_MAX = 32
"""More ranges than that are no use but to hurt: the whole file is sent instead."""

_SPEC = re.compile(r"[ \t]*(?:([0-9]{1,18})[ \t]*-[ \t]*([0-9]{0,18})|-[ \t]*([0-9]{1,18}))[ \t]*", re.ASCII)
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells versions of a file's content apart."""

    etag: str
    modified: datetime

    @property
    def last_modified(self) -> str:
        return format_datetime(self.modified.astimezone(UTC), usegmt=True)

    @property
    def seconds(self) -> datetime:
        """All that an HTTP date can say."""
        return self.modified.astimezone(UTC).replace(microsecond=0)


class Unsatisfiable(Exception):
    """Not one of the ranges begins within the file."""


def wanted(headers: Mapping[str, str], size: int, validators: Validators) -> list[tuple[int, int]]:
    """The ranges to send, as (start, end) with the end excluded; empty: the whole file.

    What is malformed, of an unknown unit, or meant for another version is ignored. Raises Unsatisfiable.
    """
    text = headers.get("range", "")
    unit, equals, specs = text.partition("=")
    if not equals or unit.strip().lower() != "bytes" or not _still_valid(headers.get("if-range"), validators):
        return []
    found = [_SPEC.fullmatch(spec) for spec in specs.split(",") if spec.strip()]
    if not found or len(found) > RANGES_MAX:
        return []
    ranges = []
    for spec in found:
        if spec is None or (spec[2] and int(spec[2]) < int(spec[1])):
            return []
        start, end = _resolve(spec, size)
        if start < end:
            ranges.append((start, end))
    if not ranges:
        raise Unsatisfiable
    return ranges if sum(end - start for start, end in ranges) <= size else _merged(ranges)


def _resolve(spec: re.Match[str], size: int) -> tuple[int, int]:
    first, last, suffix = spec.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    return int(first), min(size, int(last) + 1) if last else size


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges that overlap: each byte once."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def _still_valid(if_range: str | None, validators: Validators) -> bool:
    """A range is for this version only. Weak tags never match; a date must be the very one."""
    if if_range is None:
        return True
    if if_range.startswith(('"', "W/")):
        return if_range == validators.etag and not if_range.startswith("W/")
    return _date(if_range) == validators.seconds


def not_modified(headers: Mapping[str, str], validators: Validators) -> bool:
    """The client has this version already. If-None-Match says it better than a date."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return _matches(tags, validators.etag, weak=True)
    since = _date(headers.get("if-modified-since", ""))
    return since is not None and validators.seconds <= since


def fails_match(headers: Mapping[str, str], validators: Validators) -> bool:
    """The client wants one version, and this is another."""
    tags = headers.get("if-match")
    if tags is not None:
        return not _matches(tags, validators.etag, weak=False)
    since = _date(headers.get("if-unmodified-since", ""))
    return since is not None and validators.seconds > since


def _matches(tags: str, etag: str, *, weak: bool) -> bool:
    if tags.strip() == "*":
        return True
    given = _TAG.findall(tags)
    if weak:
        return etag.removeprefix("W/") in [tag.removeprefix("W/") for tag in given]
    return etag in given and not etag.startswith("W/")


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
