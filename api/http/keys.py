"""The names that a client gives: to a request (its idempotency key, from the body, which wins, or a header), and to its work."""

from starlette.datastructures import Headers

from api.http.fields import KEY_MAX
from api.http.headers import single
from schema.errors import InvalidRequest


def read_key(headers: Headers, told: str | None) -> str | None:
    """`told`: the one from the body. Raises InvalidRequest."""
    if told is not None:
        return told
    name = "Idempotency-Key" if "idempotency-key" in headers else "X-Idempotency-Key"
    return _printable(headers, name, "An Idempotency-Key header")


def read_correlation(headers: Headers) -> str | None:
    """The client's name for the piece of work that a command belongs to. Raises InvalidRequest."""
    return _printable(headers, "X-Correlation-Id", "An X-Correlation-Id header")


def _printable(headers: Headers, name: str, subject: str) -> str | None:
    value = single(headers, name)
    if value is not None and not (1 <= len(value) <= KEY_MAX and value.isascii() and value.isprintable()):
        raise InvalidRequest(f"{subject} has 1 to {KEY_MAX} printable ASCII characters.")
    return value
