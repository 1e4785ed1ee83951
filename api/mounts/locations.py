"""Whether a mount that a client asks for may lie where it says. What the operator's own file names is not asked about."""

import asyncio
import os
import socket
from typing import Any
from urllib.parse import urlsplit

from schema.access.locations import check_endpoint, check_root
from schema.settings import Settings


async def check_location(settings: Settings, root_path: str | None, config: dict[str, Any]) -> None:
    """Raises InvalidRequest. A name is looked up now; where it leads later is for the network's own rules."""
    if root_path is not None:
        roots = [await asyncio.to_thread(os.path.realpath, root) for root in settings.roots_of_mounts]
        check_root(await asyncio.to_thread(os.path.realpath, root_path), roots)
    endpoint = config.get("endpoint")
    if isinstance(endpoint, str) and (host := _host(endpoint)) is not None:
        check_endpoint(host, await asyncio.to_thread(_addresses, host), settings.allowed_endpoints)


def _host(endpoint: str) -> str | None:
    """None: it is no address, and is refused for that by its kind of mount."""
    try:
        return urlsplit(endpoint).hostname
    except ValueError:
        return None


def _addresses(host: str) -> list[str]:
    """A name that stands for nothing can not be reached, and is refused when the mount is tried."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)})
    except (OSError, UnicodeError):
        return []
