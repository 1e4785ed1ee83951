"""One GET for a health check."""

import http.client
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit


def http_get(url: str, headers: Mapping[str, str] = MappingProxyType({}), accepted: tuple[int, ...] = (200,)) -> bytes:
    """Raises ConnectionError unless the status is accepted. It knows no proxies: our servers are on loopback."""
    place = urlsplit(url)
    client = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = client(place.netloc, timeout=3)
    try:
        connection.request("GET", f"{place.path}?{place.query}" if place.query else place.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status not in accepted:
        raise ConnectionError(f"GET {place.path} answered {answer.status}: {body[:300].decode(errors='replace')}")
    return body
