"""The idempotency key of a request: from its body, which wins, or from its header."""

from starlette.datastructures import Headers

from api.http.fields import KEY_MAX
from api.http.headers import single
from schema.errors import InvalidRequest


def read_key(headers: Headers, told: str | None) -> str | None:
    """`told`: the one from the body. Raises InvalidRequest."""
    if told is not None:
        return told
    name = "Idempotency-Key" if "idempotency-key" in headers else "X-Idempotency-Key"
    key = single(headers, name)
    if key is not None and not (1 <= len(key) <= KEY_MAX and key.isascii() and key.isprintable()):
        raise InvalidRequest(f"An Idempotency-Key header has 1 to {KEY_MAX} printable ASCII characters.")
    return key
