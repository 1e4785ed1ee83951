"""Contents of this folder, into the stores: those that none has, small ones many at a time, and large ones of a strict project
straight into its bucket where there is a way to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from schema.sync.plan import StepKind, SyncStep
from workers.syncing.folder import NodeFolder, Unrest
from workers.syncing.large import Travels
from workers.syncing.link import PACK_BYTES, SMALL_MAX, ServiceLink, ServiceRefuses
from workers.syncing.placing import REST_SECONDS
from workers.syncing.state import LocalFile, StatKey

if TYPE_CHECKING:
    from workers.syncing.watch import FolderWatch


class Sending:
    def __init__(
        self, folder: NodeFolder, link: ServiceLink, local: dict[bytes, LocalFile], watch: FolderWatch, strict: bool,
        arrived: Callable[[], None],
    ) -> None:  # fmt: skip
        """`strict`: a commit takes what is cold alone. `arrived`: called when a large content is there, or does not come."""
        self._folder, self._link, self._local, self._watch = folder, link, local, watch
        self._straight = strict
        """Whether the bucket takes contents itself"""
        self._large: Travels[str, bool] = Travels(arrived)

    def ready(self, steps: Sequence[SyncStep]) -> list[SyncStep]:
        """Those that need not wait: a large content has been sent before its step is."""
        wanted = {
            step.after.sha: step
            for step in steps
            if step.kind is StepKind.PUT and step.after and step.after.size > SMALL_MAX
        }
        self._large.only({sha: sha for sha in wanted})
        came = {sha: self._large.came(sha, sha, partial(self._send_one, step)) for sha, step in wanted.items()}
        self._large.only({sha: sha for sha, there in came.items() if there is not False})
        waiting = {sha for sha, there in came.items() if not there}
        return [
            step for step in steps if step.kind is not StepKind.PUT or not step.after or step.after.sha not in waiting
        ]

    async def _send_one(self, step: SyncStep) -> bool:
        """False: it is not as it was any more."""
        known = self._local.get(step.path)
        if known is None or known.key is None or known.entry != step.after:
            return False
        sha, size = known.entry.sha, known.entry.size
        return not await self._link.needed([sha]) or await self._send_large(sha, size, step.path, known.key)

    @property
    def problem(self) -> str | None:
        """Why large contents do not travel."""
        return self._large.problem

    async def close(self) -> None:
        await self._large.close()

    async def send_wanted(self, shas: Collection[str]) -> None:
        """Contents that no store has, or that both have lost, as far as this folder has them."""
        if wanted := set(shas):
            await self.send({one.entry.sha: path for path, one in list(self._local.items()) if one.entry.sha in wanted})

    async def send(self, contents: Mapping[str, bytes]) -> set[str]:
        """By content, where it lies. Those that are not as they were any more, by now: they are looked at again."""
        lost, small = set[str](), dict[str, tuple[bytes, StatKey]]()
        alone = len(contents) == 1 and all(self._is_small(path) for path in contents.values())
        needed = set(contents if alone else await self._link.needed(contents))
        for sha in needed:
            path = contents[sha]
            known = self._local.get(path)
            if known is None or known.key is None or known.entry.sha != sha:
                lost.add(sha)
            elif known.entry.size <= SMALL_MAX:
                small[sha] = path, known.key
            elif not await self._send_large(sha, known.entry.size, path, known.key):
                lost.add(sha)
        return lost | await self._send_small(small)

    def _is_small(self, path: bytes) -> bool:
        known = self._local.get(path)
        return known is not None and known.entry.size <= SMALL_MAX

    async def _send_small(self, wanted: Mapping[str, tuple[bytes, StatKey]]) -> set[str]:
        """Many at a time. Those that are not as they were any more."""
        left, lost = list(wanted), set[str]()
        while left:
            read, left = await asyncio.to_thread(self._read, wanted, left)
            held = {sha: content for sha, content in read.items() if content is not None}
            if held:
                await self._link.put_many(held)
            for sha in read.keys() - held.keys():
                lost.add(sha)
                self._watch.again(wanted[sha][0], REST_SECONDS)
        return lost

    def _read(
        self, wanted: Mapping[str, tuple[bytes, StatKey]], shas: Sequence[str]
    ) -> tuple[dict[str, bytes | None], list[str]]:
        """As many as one request takes, and which are left. None: another file is there. In a thread."""
        read, size = dict[str, bytes | None](), 0
        for sha in shas:
            if size > PACK_BYTES:
                break
            with suppress(Unrest):
                read[sha] = None
                read[sha] = content = self._folder.read(*wanted[sha])
                size += len(content)
        return read, list(shas[len(read) :])

    async def _send_large(self, sha: str, size: int, path: bytes, key: StatKey) -> bool:
        """False: it is not as it was any more."""
        try:
            if self._straight:
                self._straight = await self._link.put_cold(sha, size, self._folder.pieces(path, key))
            if not self._straight:
                await self._link.put(sha, size, self._folder.pieces(path, key))
        except (Unrest, ServiceRefuses):
            self._watch.again(path, REST_SECONDS)
            return False
        return True
