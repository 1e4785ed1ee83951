"""What the project has, into the folder: steps in their order, a slice at a time, so that what this server's programs write does
not wait behind a long fill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from schema.sync.plan import StepKind, SyncStep
from schema.sync.trees import TreeEntry
from workers.syncing.folder import NodeFolder, TemporaryFile, Unrest
from workers.syncing.large import Travels
from workers.syncing.link import SMALL_MAX, ServiceLink
from workers.syncing.state import LocalFile

if TYPE_CHECKING:
    from workers.syncing.watch import FolderWatch

SLICE = 200
"""Steps between two looks at whether something else is more urgent"""
REST_SECONDS = 0.3
"""A file that was in motion is looked at again after so long"""
_AT_ONCE = 500


class Placing:
    """`local`: what stands in the folder, which is kept as steps are taken."""

    def __init__(
        self, folder: NodeFolder, link: ServiceLink, local: dict[bytes, LocalFile], watch: FolderWatch,
        arrived: Callable[[], None],
    ) -> None:  # fmt: skip
        """`arrived`: called when a large content is here, or does not come."""
        self._folder, self._link, self._local, self._watch = folder, link, local, watch
        self.held: dict[str, bytes] = {}
        """Small contents that came with the changes"""
        self.left = False
        """Whether something pressed before all steps were taken"""
        self.placed = 0
        self._large: Travels[bytes, TemporaryFile] = Travels(arrived, TemporaryFile.drop)

    @property
    def problem(self) -> str | None:
        """Why large contents do not travel."""
        return self._large.problem

    async def close(self) -> None:
        await self._large.close()

    def only(self, steps: Iterable[SyncStep]) -> None:
        """No large content travels but for these."""
        self._large.only({step.path: step.after.sha for step in steps if step.kind is StepKind.PUT and step.after})

    async def take(self, steps: Sequence[SyncStep], presses: Callable[[set[bytes]], bool]) -> set[bytes]:
        """Until something but what was changed here presses. The paths that may have changed; what was left out is as it was."""
        touched: set[bytes] = set()
        self.left = False
        for start in range(0, len(steps), SLICE):
            touched |= await self._take_slice(steps[start : start + SLICE])
            self.left = start + SLICE < len(steps) and presses(touched)
            if self.left:
                break
        self.held.clear()
        return touched

    async def _take_slice(self, steps: Sequence[SyncStep]) -> set[bytes]:
        """Contents of small files come many at a time, before any of them is placed."""
        puts = [step.after for step in steps if step.kind is StepKind.PUT and step.after is not None]
        contents = await self._small({entry.sha for entry in puts if entry.size <= SMALL_MAX})
        touched: set[bytes] = set()
        for step in steps:
            touched |= {path for path in (step.path, step.source) if path is not None}
            try:
                await self._take(step, contents)
            except Unrest:
                self._watch.again(step.path, REST_SECONDS)
        return touched

    async def _small(self, wanted: Iterable[str]) -> dict[str, bytes]:
        chosen = set(wanted)
        found = {sha: content for sha, content in self.held.items() if sha in chosen}
        left = sorted(chosen - found.keys())
        while left:
            page = left[:_AT_ONCE]
            came = await self._link.fetch(page)
            found |= came
            rest = [sha for sha in page if sha not in came]
            left = left[_AT_ONCE:] + (rest if came else [])
        return found

    async def _take(self, step: SyncStep, contents: Mapping[str, bytes]) -> None:
        before = self._local.get(step.path)
        if (before.entry if before else None) != step.before:
            return
        if step.kind is not StepKind.PUT:
            source = self._local.get(step.source) if step.source is not None else None
            self._settle(step, await asyncio.to_thread(self._folder.take, step, before, source))
            return
        assert step.after is not None
        if step.after.sha in contents:
            await asyncio.to_thread(self._write, step, step.after, before, contents[step.after.sha])
            return
        if step.after.size > SMALL_MAX:
            file = self._large.taken(step.path, step.after.sha, partial(self._fetched, step.after))
            if file is not None:
                await asyncio.to_thread(self._put_whole, step, step.after, before, file)
        elif before is not None and before.key and before.entry.sha == step.after.sha:
            content = await asyncio.to_thread(self._folder.read, step.path, before.key)
            await asyncio.to_thread(self._write, step, step.after, before, content)

    async def _fetched(self, entry: TreeEntry) -> TemporaryFile:
        """A large content, as it came: it is verified when it is placed."""
        file = await asyncio.to_thread(self._folder.temporary)
        try:
            async with self._link.stream(entry.sha) as stream:
                async for piece in stream:
                    await asyncio.to_thread(file.write, piece)
        except BaseException:
            file.drop()
            raise
        return file

    def _write(self, step: SyncStep, entry: TreeEntry, before: LocalFile | None, content: bytes) -> None:
        """A small file, as one piece of work. In a thread."""
        file = self._folder.temporary()
        try:
            file.write(content)
            self._put(step, entry, before, file)
        finally:
            file.drop()

    def _put_whole(self, step: SyncStep, entry: TreeEntry, before: LocalFile | None, file: TemporaryFile) -> None:
        """A large file that has come. In a thread."""
        try:
            self._put(step, entry, before, file)
        finally:
            file.drop()

    def _put(self, step: SyncStep, entry: TreeEntry, before: LocalFile | None, file: TemporaryFile) -> None:
        """What is there then is known by its identity: its events are no change."""
        made = file.finish(entry)
        self._local[step.path] = self._folder.place(file.name, step.path, before, made)
        self.placed += 1

    def _settle(self, step: SyncStep, now: LocalFile | None) -> None:
        if step.source is not None:
            self._local.pop(step.source, None)
        if now is None:
            self._local.pop(step.path, None)
        else:
            self._local[step.path] = now
