# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""Several ranges of one content in few requests (RFC 9110, section 14.6: multipart/byteranges)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from filestore_sdk import errors
from filestore_sdk._sync import machine
from filestore_sdk._sync.http import Http
from filestore_sdk.half_written import Span
from filestore_sdk.requests import Request

PARTS = 32
"""The most that a server sends in one answer"""
MOST = 16 * 1024 * 1024
"""Bytes of one answer, but for a range that is larger by itself: several come side by side."""
GAP = 16 * 1024
"""Bytes that rather come along than make another part"""
AT_ONCE = 4

_CONTENT_RANGE = re.compile(rb"content-range:\s*bytes (\d+)-(\d+)/", re.IGNORECASE)
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')


def read(http: Http, address: str, tag: str | None, wanted: Sequence[Span]) -> list[bytes]:
    """The bytes of each range, which all lie within the file. Raises Incomplete, and VersionConflict where the content is
    not the one of the tag."""
    joined = together(wanted)
    lists = machine.side_by_side(
        [lambda few=few: _few(http, address, tag, few) for few in requests(joined)],  # type: ignore[misc]
        AT_ONCE,
    )
    blocks = [block for few in lists for block in few]
    starts = [start for start, _ in joined]
    found: list[bytes] = []
    for start, end in wanted:
        if end <= start:
            found.append(b"")
            continue
        here = bisect_right(starts, start) - 1
        found.append(blocks[here][start - starts[here] : end - starts[here]])
    return found


def together(wanted: Sequence[Span]) -> list[Span]:
    """In order, and joined where little lies between two."""
    joined: list[Span] = []
    for start, end in sorted(one for one in wanted if one[1] > one[0]):
        if joined and start - joined[-1][1] <= GAP:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def requests(spans: Sequence[Span]) -> list[list[Span]]:
    """As many as go into one answer, each."""
    lists: list[list[Span]] = []
    size = 0
    for start, end in spans:
        size += end - start
        if not lists or size > MOST or len(lists[-1]) == PARTS:
            lists.append([])
            size = end - start
        lists[-1].append((start, end))
    return lists


def _few(http: Http, address: str, tag: str | None, spans: Sequence[Span]) -> list[bytes]:
    headers = {
        "Accept-Encoding": "identity",
        "Range": "bytes=" + ",".join(f"{start}-{end - 1}" for start, end in spans),
    }
    if tag:
        headers["If-Match"] = f'"{tag}"'
    # It is asked for again where it breaks off: ranges of one content are the same each time.
    answer = http.answer(Request("GET", address, headers=headers))
    if answer.status_code != 206:
        raise errors.Incomplete("The server sent the whole file instead of ranges.")
    if len(spans) == 1:
        found = [answer.content]
    else:
        parts = parsed(answer.content, answer.headers.get("content-type", ""))
        found = [parts.get(start, b"") for start, _ in spans]
    for part, (start, end) in zip(found, spans, strict=True):
        if len(part) != end - start:
            raise errors.Incomplete(f"{len(part)} bytes came of the range {start}-{end - 1}.")
    return found


def parsed(body: bytes, kind: str) -> dict[int, bytes]:
    """The parts by where they begin."""
    named = _BOUNDARY.search(kind)
    if named is None:
        return {}
    line, parts, place = b"--" + named[1].encode("latin-1") + b"\r\n", dict[int, bytes](), 0
    while (head := body.find(line, place)) >= 0:
        place = body.find(b"\r\n\r\n", head) + 4
        told = _CONTENT_RANGE.search(body, head, place)
        if place < 4 or told is None:
            break
        start, last = int(told[1]), int(told[2])
        parts[start] = body[place : place + last + 1 - start]
        place += last + 1 - start
    return parts
