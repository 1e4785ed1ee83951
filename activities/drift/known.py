"""The directories that the record knows, compared as wholes in the order of their paths: which of them have to be listed by name.

A page of them comes from Postgres as three pieces of bytes and goes to another process as it is; while the disk is read, the next
pages are fetched. A page that is done is a row: another execution of the same look goes on after it, and memory holds a few pages,
however large the tree.

What a page calls the same needs no second look at the end: its names, and of each which file it is, its size and its times are
those with which the record agreed. A name that came while it was listed came after the look began: the next one finds it.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import AsyncGenerator, Container, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from activities.drift.listers import Listers
from activities.executors.contract.folders import FolderPage, Folders, FolderVerdict, SievedPage, Sieves
from schema.drift.looks import Look
from schema.store import looks as store
from schema.store.looks import KnownDirectories, LookPage

if TYPE_CHECKING:
    from activities.threads import MountThreads
    from schema.store.pool import Pool

PAGE = 1000
"""Directories of a page"""
_BEYOND = b"\xff" * 4096
"""Comes after every path: no name is that long"""
_CHANGE_TIME = 5


@dataclass(frozen=True, slots=True)
class _Compared:
    known: KnownDirectories
    sieved: SievedPage

    def differing(self) -> list[bytes]:
        verdicts = self.sieved.verdicts
        if verdicts.count(FolderVerdict.DIFFERS) == 0:
            return []
        paths = self.known.paths.split(b"\0")
        return [path[:-1] for path, one in zip(paths, verdicts, strict=True) if one == FolderVerdict.DIFFERS]


class KnownTree:
    """Of one look, at one path and below it."""

    def __init__(self, pool: Pool, threads: MountThreads, executor: Sieves, look: Look, path: bytes) -> None:
        self._pool, self._threads, self._executor, self._look = pool, threads, executor, look
        self._first = path + b"/" if path else b""
        self._beyond = path + b"0" if path else _BEYOND  # "0" is what follows the slash
        self.pages = self.names = 0

    async def resume(self) -> bool:
        """Whether an execution before this one has done some of it."""
        async with self._pool.connection() as connection:
            self.pages, self.names = await store.pages(connection, self._look.id)
            if self.pages:
                last = await store.page(connection, self._look.id, self.pages - 1)
                self._first = last.paths.rpartition(b"\0")[2] + b"\0"
        return self.pages > 0

    async def differing(self) -> AsyncGenerator[list[bytes], None]:
        """Page by page the directories that may differ. A page is done when the next one is asked for. Raises MountOffline."""
        under_way: deque[asyncio.Task[_Compared]] = deque()
        async with Listers(self._executor, self._threads, self._look.mount) as listers:
            try:
                more = True
                while more or under_way:
                    while more and len(under_way) <= listers.most:
                        known, more = await self._next()
                        if known.count:
                            under_way.append(asyncio.create_task(self._compare(listers, known)))
                    if under_way:
                        compared = await under_way.popleft()
                        yield compared.differing()
                        await self._done(compared)
            finally:
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)

    async def changed(self, executor: Folders, but: Container[bytes]) -> list[bytes]:
        """The directories that are not as they were before they were listed, but for some that are known to be."""
        found: list[bytes] = []
        for number in range(self.pages):
            async with self._pool.connection() as connection:
                page = await store.page(connection, self._look.id, number)
            paths = [path[:-1] for path in page.paths.split(b"\0")]
            now = await self._threads.run(self._look.mount, partial(executor.folders_now, paths))
            found += [
                path
                for path, time, facts in zip(paths, array("q", page.times), now, strict=True)
                if time != _changed_at(facts) and path not in but
            ]
        return found

    async def _next(self) -> tuple[KnownDirectories, bool]:
        async with self._pool.connection() as connection:
            known = await store.known_directories(connection, self._look.mount, self._first, self._beyond, PAGE)
        if known.last is not None:
            self._first = known.last + b"\0"
        return known, known.last is not None

    async def _compare(self, listers: Listers, known: KnownDirectories) -> _Compared:
        page = FolderPage(known.count, known.paths, known.digests)
        return _Compared(known, await listers.compare(page, alone=known.last is None))

    async def _done(self, compared: _Compared) -> None:
        page = LookPage(compared.known.paths, compared.sieved.times, compared.sieved.names)
        async with self._pool.connection() as connection:
            await store.put_page(connection, self._look.id, self.pages, page)
        self.pages += 1
        self.names += page.names


def _changed_at(facts: Sequence[int | str] | None) -> int:
    return int(facts[_CHANGE_TIME]) if facts else 0
