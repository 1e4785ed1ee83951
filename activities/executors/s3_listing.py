"""Listings of a bucket, page by page, read several times as fast as boto3 reads them.

boto3 signs, sends and explains errors; only the answer is read here, because its own reader builds a dictionary and a
date for each of a thousand keys. The rest of the answer goes on to boto3 without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from xml.sax.saxutils import unescape

from activities.executors.s3_errors import explaining

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CONTENTS = re.compile(rb"<Contents>(.*?)</Contents>", re.DOTALL)
_FIELD = re.compile(r"<(Key|ETag|Size|LastModified)>([^<]*)</")
_QUOTES = {"&quot;": '"', "&#34;": '"', "&apos;": "'", "&#39;": "'"}


@dataclass(frozen=True, slots=True)
class Listed:
    key: str
    etag: str
    size: int
    changed: str = ""

    @property
    def age(self) -> float:
        """Seconds, by the store's clock and ours."""
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.changed)).total_seconds())


def read_lists_fast(client: S3Client) -> None:
    client.meta.events.register("before-parse.s3.ListObjectsV2", take_contents)


def listed(client: S3Client, bucket: str, prefix: str, most: int | None = None) -> Iterator[Listed]:
    """Every key below the prefix, in the store's own order (SeaweedFS has another one than AWS); or the first `most`."""
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "EncodingType": "url"}
    if most is not None:
        asked["MaxKeys"] = most
    while True:
        with explaining():
            page: Any = client.list_objects_v2(**asked)
        yield from page.get("FilestoreListed", ())
        if most is not None or not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def take_contents(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Called by the client with the raw answer, before it reads it itself."""
    if response_dict["status_code"] != 200:
        return
    body: bytes = response_dict["body"]
    customized_response_dict["FilestoreListed"] = [_read(match) for match in _CONTENTS.findall(body)]
    response_dict["body"] = _CONTENTS.sub(b"", body)


def _read(contents: bytes) -> Listed:
    fields = dict(_FIELD.findall(contents.decode("utf-8")))
    etag = fields.get("ETag", "")
    if "&" in etag:
        etag = unescape(etag, _QUOTES)
    key = unescape(fields["Key"], _QUOTES) if "&" in fields["Key"] else fields["Key"]
    return Listed(unquote_plus(key), etag.strip('"'), int(fields["Size"]), fields.get("LastModified", ""))
