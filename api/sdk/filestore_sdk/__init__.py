"""Filestore's client: `Client` for programs that wait, `AsyncClient` for those that do not; the same names in both.

with Client("http://127.0.0.1:8080", token="fst_...") as client:
    client.put("docs", "notes.txt", b"hello")
    for node in client.walk("docs"):
        print(node.path, node.size_bytes)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filestore_sdk import errors
    from filestore_sdk._async.client import AsyncClient
    from filestore_sdk._sync.client import Client
    from filestore_sdk.errors import FilestoreError, OutcomeUnknown, Refused, Unreachable
    from filestore_sdk.models import Entry, Event, Item, Mount, Node, Operation, Outcome, Version

__all__ = [
    "AsyncClient",
    "Client",
    "Entry",
    "Event",
    "FilestoreError",
    "Item",
    "Mount",
    "Node",
    "Operation",
    "Outcome",
    "OutcomeUnknown",
    "Refused",
    "Unreachable",
    "Version",
    "errors",
]

_PLACES = {"AsyncClient": "_async.client", "Client": "_sync.client"}
_PLACES |= dict.fromkeys(("FilestoreError", "OutcomeUnknown", "Refused", "Unreachable"), "errors")


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: `filestore --help` needs no HTTP."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "errors":
        return import_module("filestore_sdk.errors")
    return getattr(import_module(f"filestore_sdk.{_PLACES.get(name, 'models')}"), name)
