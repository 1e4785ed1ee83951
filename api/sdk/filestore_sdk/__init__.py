"""Filestore's client: `Client` for programs that wait, `AsyncClient` for those that do not; the same names in both.

with Client("http://127.0.0.1:8080", token="fst_...") as client:
    client.put("docs", "notes.txt", b"hello")
    for node in client.walk("docs"):
        print(node.path, node.size_bytes)
"""

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
]
