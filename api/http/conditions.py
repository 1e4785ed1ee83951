"""The conditional headers of RFC 9110, section 13: does a client have this version already, or mean another one?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

_TAGS = re.compile(
    r'[ \t]*(?:,[ \t]*)*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*(?:,[ \t]*(?:(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*)?)*'
)
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""The usual way to write them, and the two obsolete ways that must be understood."""


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


def fails_match(headers: Mapping[str, str], validators: Validators) -> bool:
    """The client wants one version, and this is another. Weak tags never match here."""
    tags = headers.get("if-match")
    if tags is not None:
        return not _matches(tags, validators.etag, weak=False)
    since = read_date(headers.get("if-unmodified-since", ""))
    return since is not None and validators.seconds > since


def not_modified(headers: Mapping[str, str], validators: Validators) -> bool:
    """The client has this version already. If-None-Match says it better than a date, so the date is not looked at."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return _matches(tags, validators.etag, weak=True)
    since = read_date(headers.get("if-modified-since", ""))
    return since is not None and validators.seconds <= since


def range_holds(if_range: str | None, validators: Validators) -> bool:
    """A range is meant for this version. Weak tags never match; a date must be the very one."""
    if if_range is None:
        return True
    if if_range.startswith(('"', "W/")):
        return if_range == validators.etag and not if_range.startswith("W/")
    return read_date(if_range) == validators.seconds


def _matches(tags: str, etag: str, *, weak: bool) -> bool:
    """Whatever is not a list of tags matches nothing."""
    if tags.strip(" \t") == "*":
        return True
    given = _TAG.findall(tags) if _TAGS.fullmatch(tags) else []
    if weak:
        return etag.removeprefix("W/") in [tag.removeprefix("W/") for tag in given]
    return etag in given and not etag.startswith("W/")


def read_date(text: str) -> datetime | None:
    """None for what is no HTTP date: such a condition is ignored."""
    text = text.strip(" \t")
    for form in _DATES if text.isascii() and len(text) < 40 else ():
        try:
            found = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if form is _DATES[1] and found.year > datetime.now(UTC).year + 50:
            found = found.replace(year=found.year - 100)
        return found
    return None
