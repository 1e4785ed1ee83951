"""What a shell is offered when a place is half written: keys of mounts, then names in the directory that is named so far."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

MOST = 200
SECONDS = 3.0
"""A shell waits for this: a server that is away is no reason to keep it."""


def places(incomplete: str) -> list[str]:
    """Never an error: where nothing can be asked, nothing is offered."""
    try:
        return list(itertools.islice(_found(incomplete), MOST))
    except Exception:
        return []


def places_and_files(incomplete: str) -> list[str]:
    """Names on this machine, too."""
    above, _, begun = incomplete.rpartition("/")
    try:
        with os.scandir(above or ("/" if incomplete.startswith("/") else ".")) as entries:
            here = sorted(
                f"{above}/{entry.name}" if "/" in incomplete else entry.name
                for entry in entries
                if entry.name.startswith(begun)
            )
    except OSError:
        here = []
    return [*places(incomplete), *here[:MOST]]


def _found(incomplete: str) -> Iterator[str]:
    from filestore_sdk._sync.client import Client

    with Client(timeout=SECONDS, retries=0) as client:
        mount, colon, path = incomplete.partition(":")
        if not colon:
            yield from (f"{one.mount_key}:" for one in client.mounts.list() if one.mount_key.startswith(mount))
            return
        above, slash, begun = path.rpartition("/")
        for node in client.children(int(mount) if mount.isdigit() else mount, above):
            if node.name.startswith(begun):
                yield f"{mount}:{above}{slash}{node.name}{'/' if node.is_directory else ''}"
