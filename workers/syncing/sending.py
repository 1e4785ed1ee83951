"""Contents of this folder, into the stores: those that none has, small ones many at a time, and large ones of a strict project
straight into its bucket where there is a way to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workers.syncing.folder import NodeFolder, Unrest
from workers.syncing.link import PACK_BYTES, SMALL_MAX, ServiceLink, ServiceRefuses
from workers.syncing.placing import REST_SECONDS
from workers.syncing.state import LocalFile, StatKey

if TYPE_CHECKING:
    from workers.syncing.watch import FolderWatch


class Sending:
    def __init__(
        self, folder: NodeFolder, link: ServiceLink, local: dict[bytes, LocalFile], watch: FolderWatch, strict: bool
    ) -> None:
        """`strict`: a commit takes what is cold alone."""
        self._folder, self._link, self._local, self._watch = folder, link, local, watch
        self._straight = strict
        """Whether the bucket takes contents itself"""

    async def send(self, contents: Mapping[str, bytes]) -> set[str]:
        """By content, where it lies. Those that are not as they were any more, by now: they are looked at again."""
        lost: set[str] = set()
        needed = set(await self._link.needed(contents)) if len(contents) > 1 else set(contents)
        held: dict[str, bytes] = {}
        for sha in needed:
            path = contents[sha]
            known = self._local.get(path)
            if known is None or known.key is None or known.entry.sha != sha:
                lost.add(sha)
                continue
            try:
                if known.entry.size > SMALL_MAX:
                    await self._send_large(sha, known.entry.size, path, known.key)
                    continue
                held[sha] = await asyncio.to_thread(self._folder.read, path, known.key)
            except (Unrest, ServiceRefuses):
                lost.add(sha)
                self._watch.again(path, REST_SECONDS)
            if sum(map(len, held.values())) > PACK_BYTES:
                await self._link.put_many(held)
                held = {}
        if held:
            await self._link.put_many(held)
        return lost

    async def _send_large(self, sha: str, size: int, path: bytes, key: StatKey) -> None:
        if self._straight:
            self._straight = await self._link.put_cold(sha, size, self._folder.pieces(path, key))
            if self._straight:
                return
        await self._link.put(sha, size, self._folder.pieces(path, key))
