"""The headers of a request as one value for each name, and as text."""

from starlette.datastructures import Headers

from schema.errors import InvalidRequest


def joined(headers: Headers) -> dict[str, str]:
    """A header that is sent several times means a list (RFC 9110, 5.3). Each line is looked at once, however many there are."""
    lines: dict[str, list[str]] = {}
    for name, value in headers.items():
        lines.setdefault(name, []).append(value)
    return {name: ", ".join(values) for name, values in lines.items()}


def single(headers: Headers, name: str) -> str | None:
    """A header with one value, and no list. Raises InvalidRequest where it comes with two: one of them would be ignored
    in silence."""
    values = set(headers.getlist(name))
    if len(values) > 1:
        raise InvalidRequest(f"{name} came {len(values)} times, with different values. Send it once.")
    return values.pop() if values else None


def text(value: str, name: str) -> str:
    """A value that came as UTF-8: HTTP itself takes each byte for a letter of Latin-1. Raises InvalidRequest."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} is not UTF-8. Send it so, or in base64.") from error
