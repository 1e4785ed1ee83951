"""The headers of a request as one value for each name."""

from starlette.datastructures import Headers


def joined(headers: Headers) -> dict[str, str]:
    """A header that is sent several times means a list (RFC 9110, 5.3). Each line is looked at once, however many there are."""
    lines: dict[str, list[str]] = {}
    for name, value in headers.items():
        lines.setdefault(name, []).append(value)
    return {name: ", ".join(values) for name, values in lines.items()}
