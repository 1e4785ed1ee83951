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
    asked = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
    if most is not None:
        asked["max-keys"] = str(most)
    while True:
        page = wire.ask("GET", None, query=asked).body
        if b"</ListBucketResult>" not in page:
            raise OSError(errno.EIO, "the store answered something else than a listing")
        yield from map(_read, _CONTENTS.findall(page))
        if most is not None or not _NEXT.search(page):
            return
        token = _TOKEN.search(page)
        if token is None:
            raise OSError(errno.EIO, "the store's listing says that it goes on, and not where")
        asked["continuation-token"] = unescape(token[1].decode("utf-8"), _QUOTES)


def _read(contents: bytes) -> ListedObject:
    fields = dict(_FIELD.findall(contents.decode("utf-8")))
    etag = fields.get("ETag", "")
    if "&" in etag:
        etag = unescape(etag, _QUOTES)
    key = unescape(fields["Key"], _QUOTES) if "&" in fields["Key"] else fields["Key"]
    return ListedObject(unquote_plus(key), etag.strip('"'), int(fields["Size"]), fields.get("LastModified", ""))
