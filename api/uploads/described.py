"""What the document says about the parameters and bodies of uploads, which routes read by hand."""

from typing import Any

from api.http import openapi
from api.nodes.queries import ByPathQuery

_CHECKSUM = openapi.header("x-filestore-checksum", "`[sha256:|sha1:|md5:]<hex>` of the file.")
_COMMAND = openapi.headers("Idempotency-Key", "If-Match", "Prefer", "X-Request-Id", "X-Correlation-Id", "traceparent")

UPLOAD_ID = openapi.path_id("The upload", openapi.COMMAND_ID)

FORM_PARAMETERS = [
    *_COMMAND,
    openapi.header("If-None-Match", "The name must be free, whatever `overwrite` says.", enum=["*"]),
    _CHECKSUM,
    openapi.header("x-filestore-content-hash", "The same."),
    *openapi.digests("the file part", "the whole form, as it was sent"),
]
FORM: dict[str, Any] = {"required": True, "content": {"multipart/form-data": {"schema": {
    "type": "object", "title": "UploadForm", "required": ["backendMountId", "path", "file"], "properties": {
        "backendMountId": {"type": "integer", "minimum": 1},
        "path": {"type": "string", "example": "reports/2026/q3.csv"},
        "pathB64": {"type": "string", "description": "The exact bytes of a path that is not UTF-8"},
        "metadata": {"type": "string", "description": "A JSON object, as text"},
        "overwrite": {"type": "boolean", "default": False},
        "idempotencyKey": {"type": "string", "minLength": 1, "maxLength": 255},
        "file": {"type": "string", "format": "binary", "description": "The last part"},
    }}}}}  # fmt: skip

PUT_PARAMETERS = [
    *openapi.query_of(ByPathQuery),
    *_COMMAND,
    openapi.header("If-None-Match", "The name must be free.", enum=["*"]),
    openapi.header("x-filestore-metadata", "A JSON object, in UTF-8 or in base64."),
    _CHECKSUM,
    *openapi.digests("the file", "the body, which is the file"),
]

LINK_PARAMETERS = openapi.headers("Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id", "X-Correlation-Id")
LINK_EXAMPLE = {
    "backendMountId": 1, "path": "reports/2026/q3.csv", "sizeBytes": 7, "contentType": "text/csv",
    "contentHash": "sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73",
}  # fmt: skip

COMPLETION_PARAMETERS = [UPLOAD_ID, *openapi.headers("Prefer", "X-Request-Id", "X-Correlation-Id", "traceparent")]
