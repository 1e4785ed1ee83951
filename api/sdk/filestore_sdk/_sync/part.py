# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""What every part of the client stands on: a connection, and the mounts by their names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from filestore_sdk import errors, paths
from filestore_sdk._sync.http import Http
from filestore_sdk.models import Document, Mount, Node, decode
from filestore_sdk.requests import Request, new_key, parameters

AnyMount = int | str | Mount


class Part:
    def __init__(self, http: Http) -> None:
        self._http = http
        self._mount_ids: dict[str, int] = {}

    def mount_id(self, mount: AnyMount) -> int:
        """The id of a mount that is named by its id, its key or itself. Raises BackendNotFound."""
        if isinstance(mount, Mount):
            return mount.id
        if isinstance(mount, int):
            return mount
        if mount not in self._mount_ids:
            self._learn_mounts()
        if mount not in self._mount_ids:
            raise errors.BackendNotFound(f"There is no mount {mount!r}.", status=404)
        return self._mount_ids[mount]

    def _learn_mounts(self) -> None:
        for mount in self._every_mount():
            self._mount_ids[mount.mount_key] = mount.id

    def _every_mount(self) -> Iterator[Mount]:
        offset: Any = 0
        while offset is not None:
            page = self._get("/v1/backend-mounts", limit=100, offset=offset)
            for document in page["mounts"]:
                yield decode(Mount, document)
            offset = page["pagination"].get("nextOffset")

    def _by_path(self, mount: AnyMount, path: paths.AnyPath, as_of: datetime | None = None) -> Node:
        """What lies at a path, or was deleted there last. Raises NodeNotFound."""
        place: dict[str, Any] = dict(paths.wire(path))
        found = self._get("/v1/nodes/by-path", backendMountId=self.mount_id(mount), asOf=as_of, **place)
        return decode(Node, found)

    def _living(self, mount: AnyMount, path: paths.AnyPath) -> Node:
        """What lies at a path now. Raises NodeNotFound, also for what was deleted."""
        found = self._by_path(mount, path)
        if found.state == "deleted":
            raise errors.NodeNotFound(f"{paths.shown(path)} was deleted.", status=404, details={"nodeId": found.id})
        return found

    def _pages(self, address: str, field: str, /, **params: Any) -> Iterator[Document]:
        """Every element of a list, page by page; one that stays is met exactly once."""
        cursor: str | None = None
        first = True
        while first or cursor:
            page = self._get(address, cursor=cursor, **params)
            for document in page[field]:
                yield document
            cursor, first = page["pagination"].get("nextCursor"), False

    def _get(self, address: str, /, **params: Any) -> Any:
        return self._http.data(Request("GET", address, params=parameters(**params)))

    def _change(
        self, method: str, path: str, body: dict[str, Any], key: str | None, *, headers: dict[str, str] | None = None
    ) -> Any:
        """A change with an idempotency key that is made once and kept through all retries."""
        sent = {name: value for name, value in body.items() if value is not None}
        return self._http.data(Request(method, path, json=sent, headers=headers or {}, key=key or new_key()))
