"""Looking: nodes by path and by id, listings, walks, searches, versions, what was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from filestore_sdk import errors, paths
from filestore_sdk._async.part import AnyMount, Part
from filestore_sdk.models import Document, Node, Version, decode

PAGE = 200


class Nodes(Part):
    async def stat(self, mount: AnyMount, path: paths.AnyPath = "", *, as_of: datetime | None = None) -> Node:
        """The node at a path; the root of the mount by the empty one. Raises NodeNotFound, also for what was deleted."""
        return await (self._living(mount, path) if as_of is None else self._by_path(mount, path, as_of))

    async def exists(self, mount: AnyMount, path: paths.AnyPath = "") -> bool:
        try:
            await self.stat(mount, path)
        except errors.NodeNotFound:
            return False
        return True

    async def node(self, id: int) -> Node:
        """The node of this id, wherever it lies by now; deleted ones too."""
        return decode(Node, await self._get(f"/v1/nodes/{id}"))

    async def children(
        self, mount: AnyMount, path: paths.AnyPath = "", *, kinds: list[str] | None = None, search: str | None = None
    ) -> AsyncIterator[Node]:
        """What is in a directory, by kind and name. Raises NodeNotFound and NotADirectory."""
        parent = await self.stat(mount, path)
        if not parent.is_directory:
            raise errors.NotADirectory(f"{paths.shown(path)} is a file.", status=409)
        async for document in self._pages(
            f"/v1/nodes/{parent.id}/children", "children", limit=PAGE, kinds=kinds, search=search
        ):
            yield decode(Node, document)

    async def walk(
        self, mount: AnyMount, path: paths.AnyPath = "", *, depth: int | None = None, kinds: list[str] | None = None
    ) -> AsyncIterator[Node]:
        """All below a path, without itself, a directory before what it holds; `depth` levels, or all."""
        pending = [(paths.text(path), 0)]
        while pending:
            place, level = pending.pop()
            below: list[tuple[str, int]] = []
            async for child in self.children(mount, place):
                if kinds is None or child.kind in kinds:
                    yield child
                if child.is_directory and (depth is None or level + 1 < depth):
                    below.append((child.path, level + 1))
            pending += reversed(below)

    async def search(
        self, mount: AnyMount, text: str | None = None, *, path: paths.AnyPath = "", kinds: list[str] | None = None,
        filters: Document | None = None,
    ) -> AsyncIterator[Node]:  # fmt: skip
        """Nodes at or below a path with this text in their path, in any case; `filters` as the server documents them."""
        place: dict[str, Any] = dict(paths.wire(path))
        conditions = json.dumps(filters) if filters else None
        asked = {"backendMountId": await self.mount_id(mount), "search": text, "kinds": kinds, "filters": conditions}
        async for document in self._pages("/v1/nodes", "nodes", limit=PAGE, **asked, **place):
            yield decode(Node, document)

    async def versions(self, mount: AnyMount, path: paths.AnyPath) -> AsyncIterator[Version]:
        """The versions of what lies at a path, or was deleted there last; newest first."""
        found = await self._by_path(mount, path)
        async for document in self._pages(f"/v1/nodes/{found.id}/snapshots", "snapshots", limit=PAGE):
            yield decode(Version, document)

    async def tree(
        self, mount: AnyMount, path: paths.AnyPath = "", *, as_of: datetime | None = None
    ) -> AsyncIterator[Node]:
        """All below a path at one moment, a directory before what it holds."""
        place: dict[str, Any] = dict(paths.wire(path))
        asked = {"backendMountId": await self.mount_id(mount), "asOf": as_of}
        async for document in self._pages("/v1/tree", "nodes", limit=PAGE, **asked, **place):
            yield decode(Node, document)

    async def diff(
        self, mount: AnyMount, path: paths.AnyPath = "", *, since: datetime, until: datetime | None = None
    ) -> AsyncIterator[Document]:
        """What was added, removed, moved or changed below a path between two times."""
        place: dict[str, Any] = {**paths.wire(path), "from": since, "to": until}
        async for document in self._pages(
            "/v1/diff", "differences", limit=PAGE, backendMountId=await self.mount_id(mount), **place
        ):
            yield document

    async def trash(self, mount: AnyMount, path: paths.AnyPath = "") -> AsyncIterator[Document]:
        """What overwrites and deletions have kept below a path."""
        place: dict[str, Any] = dict(paths.wire(path))
        async for document in self._pages(
            "/v1/trash", "entries", limit=PAGE, backendMountId=await self.mount_id(mount), **place
        ):
            yield document
