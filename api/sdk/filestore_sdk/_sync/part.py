# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""What every part of the client stands on: a connection, and the mounts by their names."""

from __future__ import annotations

from typing import Any

from filestore_sdk import errors
from filestore_sdk._sync.http import Http
from filestore_sdk.models import Mount, decode
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
        offset: Any = 0
        while offset is not None:
            page = self._get("/v1/backend-mounts", limit=100, offset=offset)
            for document in page["mounts"]:
                mount = decode(Mount, document)
                self._mount_ids[mount.mount_key] = mount.id
            offset = page["pagination"].get("nextOffset")

    def _get(self, address: str, /, **params: Any) -> Any:
        return self._http.data(Request("GET", address, params=parameters(**params)))

    def _change(
        self, method: str, path: str, body: dict[str, Any], key: str | None, *, headers: dict[str, str] | None = None
    ) -> Any:
        """A change with an idempotency key that is made once and kept through all retries."""
        sent = {name: value for name, value in body.items() if value is not None}
        return self._http.data(Request(method, path, json=sent, headers=headers or {}, key=key or new_key()))
