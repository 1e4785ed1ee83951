"""Which addresses events are sent to. Pure; names are looked up elsewhere."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from schema.access.locations import is_allowed, stands_for
from schema.errors import InvalidRequest

_NOT_OPEN = [
    ipaddress.ip_network(one)
    for one in ("fec0::/10", "64:ff9b:1::/48", "3fff::/20", "5f00::/16", "192.0.0.0/24", "192.88.99.0/24")
]
"""Sites, translators and documentation that the standard library takes for the open internet"""


def check_url(url: str, allowed: Sequence[str]) -> None:
    """Raises InvalidRequest. `allowed`: networks and hosts that the operator allows, also without TLS."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest("`url` is no address of a web server: send https://host/path.", field="url")
    if parts.username or parts.password or parts.fragment:
        raise InvalidRequest("`url` holds a user, a password or a fragment; send it without.", field="url")
    if parts.scheme == "http" and not _is_allowed_host(parts.hostname, allowed):
        raise InvalidRequest(
            "`url` is not https: events would travel in the clear. Send https, or have the operator allow this host with "
            "FILESTORE_WEBHOOKS_ALLOWED.",
            field="url",
        )
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return
    if (why := refused_address(str(address), allowed)) is not None:
        raise InvalidRequest(f"`url` {why}", field="url")


def refused_address(text: str, allowed: Sequence[str]) -> str | None:
    """Why nothing is sent to this address; None: it may be. Only addresses of the open internet, and what is allowed."""
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = stands_for(address)
    closed = inner.is_multicast or any(inner in network for network in _NOT_OPEN if network.version == inner.version)
    if is_allowed(address, allowed) or (inner.is_global and not closed):
        return None
    return f"leads to {text}, which is no address of the open internet. Have the operator allow it with FILESTORE_WEBHOOKS_ALLOWED."


def _is_allowed_host(host: str, allowed: Sequence[str]) -> bool:
    if host in allowed:
        return True
    try:
        return is_allowed(ipaddress.ip_address(host), allowed)
    except ValueError:
        return False
