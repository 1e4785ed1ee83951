"""Listings of a bucket, page by page: of each answer the keys are taken, and nothing is made of the rest."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.sax.saxutils import unescape

from activities.executors.s3.wire.wire import Wire

_CONTENTS = re.compile(rb"<Contents>(.*?)</Contents>", re.DOTALL)
_NEXT = re.compile(rb"<IsTruncated>\s*true\s*</IsTruncated>", re.IGNORECASE)
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")
_FOLDER = re.compile(rb"<CommonPrefixes>\s*<Prefix>([^<]*)</Prefix>")
_FIELD = re.compile(r"<(Key|ETag|Size|LastModified)>([^<]*)</")
_QUOTES = {"&quot;": '"', "&#34;": '"', "&apos;": "'", "&#39;": "'"}


@dataclass(frozen=True, slots=True)
class ListedObject:
    key: str
    etag: str
    size: int
    changed: str = ""

    @property
    def age(self) -> float:
        """Seconds, by the store's clock and ours."""
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.changed)).total_seconds())


def listed(wire: Wire, prefix: str, most: int | None = None) -> Iterator[ListedObject]:
    """Every key below the prefix, in the store's own order (SeaweedFS has another one than AWS); or the first `most`."""
    for page, _ in pages(wire, prefix, None, most):
        yield from page
        if most is not None:
            return


PAGE = 1000
"""Keys in a page, at most, everywhere."""


def pages(
    wire: Wire, prefix: str, after: str | None, most: int | None
) -> Iterator[tuple[list[ListedObject], str | None]]:
    """Every key, page by page, each with the place from where the next one is asked for; or all that come after such a place.

    SeaweedFS says that nothing follows a page whose last key is the marker of a directory, when only what that holds is left.
    So a full page is never taken for the last one."""
    while True:
        asked = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "max-keys": str(min(most or PAGE, PAGE))}
        if after is not None:
            asked[_BY[after[0]]] = after[1:]
        page = wire.ask("GET", None, query=asked).body
        if b"</ListBucketResult>" not in page:
            raise OSError(errno.EIO, "the store answered something else than a listing")
        keys = list(map(_read, _CONTENTS.findall(page)))
        after = _next(page)
        if after is None and len(keys) >= min(most or PAGE, PAGE):
            after = "k" + keys[-1].key
        yield keys, after
        if after is None:
            return


def folders_in(wire: Wire, prefix: str) -> list[str] | None:
    """The directories directly below a prefix, in the store's own order. None: more than one page has."""
    asked = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "delimiter": "/", "max-keys": str(PAGE)}
    page = wire.ask("GET", None, query=asked).body
    if _NEXT.search(page):
        return None
    found = (prefix[1].decode("utf-8") for prefix in _FOLDER.finditer(page))
    return [unquote_plus(unescape(one, _QUOTES)) for one in found]


_BY = {"t": "continuation-token", "k": "start-after"}


def _next(page: bytes) -> str | None:
    if not _NEXT.search(page):
        return None
    token = _TOKEN.search(page)
    if token is None:
        raise OSError(errno.EIO, "the store's listing says that it goes on, and not where")
    return "t" + unescape(token[1].decode("utf-8"), _QUOTES)


def _read(contents: bytes) -> ListedObject:
    fields = dict(_FIELD.findall(contents.decode("utf-8")))
    etag = fields.get("ETag", "")
    if "&" in etag:
        etag = unescape(etag, _QUOTES)
    key = unescape(fields["Key"], _QUOTES) if "&" in fields["Key"] else fields["Key"]
    return ListedObject(unquote_plus(key), etag.strip('"'), int(fields["Size"]), fields.get("LastModified", ""))
