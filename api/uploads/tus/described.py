"""What the document says about tus: its headers, and the statuses it has of its own."""

from collections.abc import Mapping
from typing import Any

from api.commands.catalogue import UPLOAD_REFUSALS
from api.http import openapi
from api.http.errors import status_of
from api.uploads.described import UPLOAD_ID
from api.uploads.tus import protocol

TUS_VERSION = openapi.header("Tus-Resumable", "The version of the protocol", required=True, enum=[protocol.VERSION])
CHUNK = openapi.bytes_of(protocol.CONTENT_TYPE)
METHOD_OVERRIDE = openapi.header(
    "X-HTTP-Method-Override", "The method that is meant", required=True, enum=["PATCH", "HEAD", "DELETE"]
)
_DIGITS = "^[0-9]{1,18}$"
_CHECKSUM = openapi.header("Upload-Checksum", "`sha1|sha256|md5 <base64>` of the body")

BEGIN_PARAMETERS = [
    TUS_VERSION,
    openapi.header("Upload-Length", "Bytes", pattern=_DIGITS),
    openapi.header("Upload-Defer-Length", "The length comes later", enum=["1"]),
    openapi.header("Upload-Metadata", "`key base64,key base64`"),
    openapi.header("Upload-Concat", "`partial`, or `final;<address> <address>`"),
    _CHECKSUM,
    *openapi.digests("the whole file", "the body of this request"),
]
CHUNK_PARAMETERS = [
    UPLOAD_ID,
    TUS_VERSION,
    openapi.header("Upload-Offset", "Where the chunk begins", required=True, pattern=_DIGITS),
    openapi.header("Upload-Length", "Where it was not known before", pattern=_DIGITS),
    _CHECKSUM,
    openapi.header("Content-Digest", "`sha-256=:<base64>:` of the chunk"),
]


def tus_answers(success: Mapping[int, openapi.Success]) -> dict[int | str, Any]:
    """`responses=` of a route of the protocol: any can make the upload a file, and be refused as that is."""
    codes = {*UPLOAD_REFUSALS, "NOT_FOUND", "CONTENT_EXPIRED"}
    answers = openapi.answers(success, *codes)
    for status in set(protocol.STATUS.values()):
        usual = {code for code in (*codes, "MISSING_SCOPE") if status_of(code) == status}
        own = {kind.code for kind, its in protocol.STATUS.items() if its == status}
        answers[status] = openapi.refusals(*sorted(usual | own))
    return answers
