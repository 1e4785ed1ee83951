# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""The client: everything a program can ask of Filestore."""

from __future__ import annotations

from typing import Any

import httpx2

from filestore_sdk._sync.content import Content
from filestore_sdk._sync.groups import Drift, Links, Mounts, Operations, Tokens
from filestore_sdk._sync.history import History
from filestore_sdk._sync.http import Http
from filestore_sdk._sync.nodes import Nodes
from filestore_sdk.profiles import chosen


class Client(Content, Nodes, History):
    """A connection to one server, with one token. Without `url` and `token` they come from FILESTORE_URL and FILESTORE_TOKEN,
    or from a profile of the `filestore` command. Raises NoProfile where nothing says them.

    `timeout`: seconds until a single request is given up; `retries`: attempts after the first, for what is safe to send
    again; `patience`: seconds that a call waits for a long command; `correlation_id`: stands in the journal beside all that
    this client changes. Mounts are named by their id, their key, or themselves; paths are str, bytes or PurePosixPath.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, profile: str | None = None, timeout: float = 60.0,
        retries: int = 5, patience: float = 3600.0, correlation_id: str | None = None, http: httpx2.Client | None = None,
    ) -> None:  # fmt: skip
        where = chosen(url, token, profile)
        super().__init__(
            Http(
                where.url, where.token, timeout=timeout, retries=retries, patience=patience,
                correlation_id=correlation_id, http=http,
            )
        )  # fmt: skip
        self.mounts = Mounts(self)
        self.operations = Operations(self)
        self.drift = Drift(self)
        self.tokens = Tokens(self)
        self.links = Links(self)

    def request(self, method: str, path: str, *, key: str | None = None, **body: Any) -> Any:
        """Any other route: what stands in `data` of its answer. A change has a key of its own."""
        if method in ("GET", "HEAD"):
            return self._get(path, **body)
        return self._change(method, path, body, key)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
