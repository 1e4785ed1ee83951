"""What a folder has for its project: batches of changes, each kept until its answer is."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from schema.sync.changes import ChangeKind, PathChange, change_of
from schema.sync.commits import REFUSED
from schema.sync.plan import StepKind, SyncStep
from workers.syncing.link import ServiceLink, ServiceRefuses, path_in
from workers.syncing.sending import Sending
from workers.syncing.state import AgentState, LocalFile, PendingCommit

if TYPE_CHECKING:
    from schema.sync.trees import TreeEntry

log = structlog.get_logger("node")

PENDING_SECONDS = 3 * 86400.0
"""So long the service is asked what became of a commit: it remembers for a week"""
_NOT_COMMITTED = {"NOT_FOUND", "OBJECTS_NEEDED", "WRONG_STATE", "FROZEN", "STALE_REVISION", "IDEMPOTENCY_CONFLICT"}


class Committing:
    def __init__(
        self, state: AgentState, link: ServiceLink, sending: Sending, local: dict[bytes, LocalFile],
        saw: Callable[[bytes, TreeEntry | None, int], None],
    ) -> None:  # fmt: skip
        """`saw`: called with each path that is committed, what is there now, and the revision."""
        self._state, self._link, self._sending, self._local, self._saw = state, link, sending, local, saw

    async def commit_all(self, batches: Sequence[list[SyncStep]]) -> None:
        """While one batch is committed, the contents of the next one travel."""
        ahead: list[asyncio.Task[set[str]]] = []
        try:
            for number, steps in enumerate(batches):
                lost = await (ahead.pop() if ahead else self._sent(steps))
                if number + 1 < len(batches):
                    ahead.append(asyncio.create_task(self._sent(batches[number + 1])))
                await self._commit(steps, lost)
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _sent(self, steps: Iterable[SyncStep]) -> set[str]:
        """Of the contents that these steps need, those that are not as they were any more."""
        return await self._sending.send(
            {step.after.sha: step.path for step in steps if step.kind is StepKind.PUT and step.after is not None}
        )

    async def _commit(self, steps: list[SyncStep], lost: set[str]) -> None:
        steps = [step for step in steps if step.after is None or step.after.sha not in lost]
        if not steps:
            return
        changes = [change_of(step) for step in steps]
        try:
            await self._send(changes)
        except ServiceRefuses as refused:
            if refused.code != "OBJECTS_NEEDED":
                raise
            await self._sending.send_wanted(refused.details["needed"])
            await self._send(changes)

    async def _send(self, changes: Sequence[PathChange]) -> None:
        commit = PendingCommit(uuid.uuid4().hex, time.time(), changes)
        self._state.send(commit)
        try:
            answer = await self._link.commit(commit.batch, changes)
        except ServiceRefuses:
            self._state.not_committed()
            raise
        self._overlay(changes, answer)

    async def settle(self) -> None:
        """What became of a commit whose answer was lost, with this process or on its way: what this node did is not news to it,
        and what it has changed since is changed from there."""
        commit = self._state.pending
        if commit is None:
            return
        if time.time() - commit.at > PENDING_SECONDS:
            self._state.not_committed()
            return
        try:
            answer = await self._link.commit(commit.batch, commit.changes, known=True)
        except ServiceRefuses as refused:
            if refused.code not in _NOT_COMMITTED:
                raise
            self._state.not_committed()
            return
        self._overlay(commit.changes, answer)

    def _overlay(self, changes: Sequence[PathChange], answer: Mapping[str, Any]) -> None:
        other = {path_in(row): row["reason"] for row in answer["other"]}
        for change in changes:
            after = None if change.kind is ChangeKind.DELETE else change.entry
            for path, entry in ((change.source, None), (change.path, after)):
                if path is None:
                    continue
                if path not in other:
                    self._saw(path, entry, answer["revision"])
                    if entry is None:
                        self._state.agreed.pop(path, None)
                    else:
                        self._state.agreed[path] = entry
                elif other[path] == REFUSED:
                    log.warning("a conflict waits for a decision", path=path.decode("utf-8", "replace"))
        self._state.answered([path for change in changes for path in change.paths], self._local)
