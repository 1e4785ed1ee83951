"""A node agent: one folder follows a project, and the project follows the folder.

Each round looks at what may have changed on either side, plans on it, changes the folder, commits, and remembers what is agreed.
A round may stop anywhere: the next one begins from what is there then. What can not be done now (the service is silent, a file is
in motion) is done later.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

from schema.sync.ignore import NAME as IGNORE_FILE
from schema.sync.merge import ConflictRule
from schema.sync.plan import StepKind, SyncPlan, SyncStep, plan, settled
from schema.sync.trees import EntryKind, Tree, TreeEntry, deep_first
from workers.syncing.committing import Committing
from workers.syncing.folder import FolderGone, NodeFolder, Unrest
from workers.syncing.link import (
    AGAIN_FIRST_SECONDS,
    AGAIN_MAX_SECONDS,
    ServiceLink,
    ServiceRefuses,
    ServiceSilent,
    path_in,
)
from workers.syncing.looking import Looking
from workers.syncing.placing import REST_SECONDS, Placing
from workers.syncing.sending import Sending
from workers.syncing.state import AgentState, LocalFile
from workers.syncing.watch import FolderWatch

log = structlog.get_logger("node")

BATCH = 1000
"""Changes of one commit"""
BATCHES = 10
"""After so many commits, or such a part of what waits, a round ends: what others did is taken, and what was done remembered"""
BEAT_SECONDS = 5.0
RESCAN_SECONDS = 600.0


class NodeAgent:
    def __init__(
        self,
        folder: NodeFolder,
        link: ServiceLink,
        *,
        quiet: float = 0.004,
        rescan: float = RESCAN_SECONDS,
        keeps: bool = False,
    ) -> None:
        """`keeps`: files stay in the folder when the project becomes cold."""
        self._folder, self._link, self._quiet, self._rescan_seconds = folder, link, quiet, rescan
        self._keeps, self._tier, self._head = keeps, "active", 0
        self._local: dict[bytes, LocalFile] = {}
        self._news, self._due = asyncio.Event(), asyncio.Event()
        self._pages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)
        self._open: set[bytes] = set()
        """Paths on which the sides may differ"""
        self._problem: str | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        project = await self._first()
        self._state = AgentState(self._folder.state_file, project["id"])
        self._open |= {path for path in self._state.seen.keys() | self._state.agreed.keys()
                       if self._state.seen.get(path) != self._state.agreed.get(path)}  # fmt: skip
        loop = asyncio.get_running_loop()
        self._watch = FolderWatch(
            self._folder.root, lambda path, directory: self._folder.ignore.leaves_out(path, directory=directory), self._quiet,
            lambda: wake(loop, self._news),
        ).start()  # fmt: skip
        parts, arrived = (self._folder, self._link, self._local, self._watch), self._news.set
        self._placing = Placing(*parts, arrived)
        self._looking = Looking(self._folder, self._watch, self._local, self._state)
        self._sending = Sending(*parts, project["promotion"] == "strict", arrived)
        self._committing = Committing(self._state, self._link, self._sending, self._local, self._see_path)
        work = (self._rounds(), self._follow(), self._beat(), self._rescan())
        tasks = [asyncio.create_task(one) for one in work]
        try:  # none of them ends but by an error, which ends all: an agent that only half works says nothing of it
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ended.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self._placing.close(), self._sending.close(), return_exceptions=True)
            await asyncio.to_thread(self._watch.stop)
            self._state.close()

    async def _first(self) -> dict[str, Any]:
        pause = AGAIN_FIRST_SECONDS
        while True:
            try:
                await self._link.attach(socket.gethostname(), self._folder.root.decode("utf-8", "replace"))
                project = await self._link.project()
                self._rule = ConflictRule(project["conflictRule"])
                self._tier, self._head = project["state"], project["revision"]
                return project
            except ServiceSilent as error:
                log.info("the service is silent", why=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_MAX_SECONDS)

    async def _rounds(self) -> None:
        pause = AGAIN_FIRST_SECONDS
        while True:
            try:
                seconds = await self._round()
                pause, self._problem = AGAIN_FIRST_SECONDS, None
            except (ServiceSilent, ServiceRefuses, FolderGone) as error:
                self._problem = str(error)[:500]
                log.info("what is waiting waits on", why=self._problem)
                seconds, pause = pause, min(2 * pause, AGAIN_MAX_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            self._news.clear()

    # -- what the service says -----------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Pages of changes, one at a time: the next is asked for once this one is taken."""
        since, pause = self._state.cursor, AGAIN_FIRST_SECONDS
        while True:
            try:
                page = await self._link.changes(since, wait=True)
                pause = AGAIN_FIRST_SECONDS
            except (ServiceSilent, ServiceRefuses) as error:
                self._problem = str(error)[:500]
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN_MAX_SECONDS)
                continue
            since = page["nextSince"]
            self._hear(page["state"], page["revision"])
            if page["changes"]:
                await self._pages.put(page)
                self._news.set()

    def _hear(self, state: str, revision: int) -> None:
        """The state of the project, and its head."""
        if state != self._tier:
            log.info("the project is in another state", state=state)
            self._news.set()
            self._due.set()
        self._tier, self._head = state, revision

    async def _beat(self) -> None:
        """Now and then, and at once where the project is in another state: a service that waits for this node hears of it."""
        while True:
            self._due.clear()
            with suppress(ServiceSilent, ServiceRefuses):
                revision = int(self._state.cursor.partition(".")[0])
                problem = self._problem or self._sending.problem or self._placing.problem
                answer = await self._link.beat(revision, len(self._open) + self._watch.waiting, problem)
                self._hear(answer["state"], answer["revision"])
                await self._sending.send_wanted(answer["wanted"])
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0 if self._tier == "flushing" else BEAT_SECONDS):
                    await self._due.wait()

    async def _rescan(self) -> None:
        while True:
            await asyncio.sleep(self._rescan_seconds)
            self._watch.doubt()
            self._news.set()

    # -- a round -------------------------------------------------------------------------------------------------------

    async def _round(self) -> float:
        """In how many seconds the next one is due at the latest."""
        await self._committing.settle()
        followed = self._state.cursor
        self._take_pages()
        rest, trees, seconds = self._watch.take()
        looked = await asyncio.to_thread(self._looking.look, rest, trees)
        if await self._is_away(looked):
            return seconds
        paths = self._looking.concerned(self._open | looked) - self._looking.unrest
        if paths:
            try:
                await self._bring_together(paths)
            finally:
                self._remember(paths)
        elif self._state.cursor != followed:
            self._state.keep(self._open, self._local)
        soon = self._open or (self._tier == "inactive" and not self._keeps)
        return min(seconds, REST_SECONDS) if soon else seconds

    async def _is_away(self, looked: set[bytes]) -> bool:
        """The project is cold, and this folder is left to whatever is in it, until the project is not."""
        if self._state.withdrawn and self._tier != "inactive":
            self._state.come_back()
            self._open |= self._state.seen.keys() | self._local.keys()
            return False
        if not self._state.withdrawn and self._leaves(looked):
            self._state.withdraw()
        if not self._state.withdrawn:
            return False
        await asyncio.to_thread(self._withdraw)
        return True

    def _leaves(self, looked: set[bytes]) -> bool:
        """Nothing in here waits for the project, and nothing in the project for this folder."""
        followed = int(self._state.cursor.partition(".")[0]) >= self._head and self._pages.empty()
        waits = self._open | looked | self._looking.unrest
        return self._tier == "inactive" and not self._keeps and followed and not waits and not self._watch.waiting

    def _withdraw(self) -> None:
        """Files that are as the project has them, and directories that are empty then. What says which names are left out stays: it
        keeps those from being taken for new ones."""
        for path in deep_first(self._local):
            known = self._local[path]
            if path == IGNORE_FILE or known.entry != self._state.seen.get(path):
                continue
            with suppress(Unrest):
                self._folder.take(SyncStep(StepKind.DELETE, path, known.entry), known, None)
                del self._local[path]

    def _take_pages(self) -> None:
        while not self._pages.empty():
            page = self._pages.get_nowait()
            self._placing.held |= page["contents"]
            for row in page["changes"]:
                self._see(row)
            self._state.cursor = page["nextSince"]

    def _see(self, row: Mapping[str, Any]) -> None:
        entry = None
        if row["kind"] != "delete":
            entry = TreeEntry(EntryKind(row["entryKind"]), row["mode"], row["sha"] or "", row["sizeBytes"])
        if row["kind"] == "move":
            self._see_path(path_in(row, "sourcePath"), None, row["revision"])
        self._see_path(path_in(row), entry, row["revision"])

    def _see_path(self, path: bytes, entry: TreeEntry | None, revision: int) -> None:
        """What this node committed itself it has seen, though it has not followed that far."""
        known = self._state.revisions.get(path, 0)
        if revision < known or (revision == known and self._state.seen.get(path) == entry):
            return
        self._state.revisions[path] = revision
        if entry is None:
            self._state.seen.pop(path, None)
        else:
            self._state.seen[path] = entry
        self._open.add(path)

    async def _bring_together(self, paths: set[bytes]) -> None:
        """Of a long fill as much as goes before what this folder has for the others: the rest is done by the next rounds."""
        made = self._planned(paths)
        remote = self._remote(made)
        self._placing.only(made.local)
        if made.local:
            waits = bool(remote)
            touched = await self._placing.take(made.local, lambda ours: waits or self._watch.presses(ours))
            self._open |= touched
            paths |= touched
            if self._placing.left:
                self._news.set()
            remote = self._remote(self._planned(paths))
        most = max(BATCHES * BATCH, len(remote) // BATCHES)
        if len(remote) > most:
            self._news.set()
            remote = remote[:most]
        paths |= {path for step in remote for path in (step.path, step.source) if path is not None}
        await self._committing.commit_all([remote[start : start + BATCH] for start in range(0, len(remote), BATCH)])

    def _remote(self, made: SyncPlan) -> list[SyncStep]:
        """What can be committed now."""
        return self._sending.ready([step for step in made.remote if step.path not in made.held])

    def _planned(self, paths: set[bytes]) -> SyncPlan:
        return plan(*self._sides(paths), self._rule, self._link.node)

    def _sides(self, paths: set[bytes]) -> tuple[Tree, Tree, Tree]:
        """What is in the folder, in the project, and was agreed on, at these paths."""
        local = {path: self._local[path].entry for path in paths if path in self._local}
        seen = {path: self._state.seen[path] for path in paths if path in self._state.seen}
        agreed = {path: self._state.agreed[path] for path in paths if path in self._state.agreed}
        return local, seen, agreed

    def _remember(self, paths: set[bytes]) -> None:
        local, seen, agreed = self._sides(paths)
        now = settled(local, seen, agreed)
        for path in paths:
            if path in now:
                self._state.agreed[path] = now[path]
                if seen.get(path) == now[path]:  # one object for all sides: there are very many
                    self._state.seen[path] = now[path]
            else:
                self._state.agreed.pop(path, None)
        self._open = {path for path in self._open | paths if self._differs(path)}
        self._state.keep(paths | (self._open & self._looking.unrest), self._local)

    def _differs(self, path: bytes) -> bool:
        local = self._local.get(path)
        return (None if local is None else local.entry) != self._state.seen.get(path)


def wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    """From another thread."""
    with suppress(RuntimeError):  # the loop is closed: the process ends
        loop.call_soon_threadsafe(news.set)
