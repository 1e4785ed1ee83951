"""Processes that compare pages of directories for one look. Python reads a disk with one thread at a time in each of them."""

from __future__ import annotations

import asyncio
import os
import struct
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from activities import budgets
from activities.executors.contract.folders import FolderPage, SieveApart, SievedPage, Sieves

if TYPE_CHECKING:
    from activities.threads import MountThreads
    from schema.ids import MountId

_HEAD, _TAIL = struct.Struct("=II"), struct.Struct("=q")
_TIME = 8


class Listers:
    """They start when a page is not the only one, and end with the look."""

    def __init__(self, executor: Sieves, threads: MountThreads, mount: MountId) -> None:
        self._executor, self._threads, self._mount = executor, threads, mount
        self.most = budgets.LISTERS.size
        self._turns = asyncio.Semaphore(self.most)
        self._all: list[asyncio.subprocess.Process] = []
        self._idle: list[asyncio.subprocess.Process] = []
        self._apart: SieveApart | None = None

    async def __aenter__(self) -> Listers:
        self._apart = await self._threads.run(self._mount, self._executor.sieve_apart)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._all:
            with suppress(ProcessLookupError):
                process.kill()
        if self._apart is not None:
            os.close(self._apart.root)
            if error is None:
                await self._threads.run(self._mount, self._apart.check)
        for process in self._all:
            await process.wait()

    async def compare(self, page: FolderPage, *, alone: bool) -> SievedPage:
        """`alone`: for the last page no process is started. Raises MountOffline."""
        if self._apart is None or (alone and not self._idle):
            return await self._threads.run(self._mount, partial(self._executor.sieve, page))
        async with self._turns:
            process = self._idle.pop() if self._idle else await self._started(self._apart)
            found = await _asked(process, page)
            self._idle.append(process)
            return found

    async def _started(self, apart: SieveApart) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *apart.command, str(apart.root), stdin=pipe, stdout=pipe, pass_fds=(apart.root,)
        )
        self._all.append(process)
        return process


async def _asked(process: asyncio.subprocess.Process, page: FolderPage) -> SievedPage:
    """Raises IncompleteReadError or ConnectionError where the process has ended: the look is taken up again after its last page."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(_HEAD.pack(page.directories, len(page.paths)) + page.paths + page.digests)
    await process.stdin.drain()
    verdicts = await process.stdout.readexactly(page.directories)
    times = await process.stdout.readexactly(page.directories * _TIME)
    return SievedPage(verdicts, times, *_TAIL.unpack(await process.stdout.readexactly(_TAIL.size)))
