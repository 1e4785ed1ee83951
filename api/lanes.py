"""One mount's queue: commands that wait together become the next list. A lone command is a list of one; no timer is needed,
because while a list is under way the next one gathers by itself.

Fair: principals take turns. Orderly: a command waits while an earlier one holds its path, and everything behind it on that
path waits with it. Bounded: beyond `queue_max` a caller is told to slow down.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from activities.executors.base import Draft, Executor, Identity, Locks, Stage
from activities.ports import Executors
from api.answers import Answers
from api.services import Submission
from schema import errors
from schema.commands import LIST_MAX, CommandKind, CommandList, Request
from schema.faults import areach
from schema.ids import CommandId, MountId
from schema.store import commands as store
from schema.store.pool import Pool
from schema.verdicts import Claim, conflicts

LIST_BYTES = 200 * 1024
"""Of payload in one list: well below what Temporal takes."""

_LINGER_SECONDS = 0.25
"""A workflow whose commands are all answered is not waited for longer than this."""

log = structlog.get_logger("lanes")

Start = Callable[[CommandList], Awaitable[Callable[[], Awaitable[object]]]]
"""Start the workflow of a list; what comes back waits for its end, and raises when the workflow failed."""


@dataclass(eq=False, slots=True)
class Waiting:
    submission: Submission
    claim: Claim
    deadline: float
    locks: Locks | None = None
    bounced: bool = False
    """Another process held the path when it was this one's turn"""
    sealed: Request | None = None
    """The request with its stage, once that is durable"""

    @property
    def request(self) -> Request:
        return self.sealed or self.submission.request

    @property
    def key(self) -> tuple[str, str]:
        return self.request.principal, self.request.effective_key


class _SharedLocks:
    """The locks of a whole list, through one open handle that closes with the last of them."""

    def __init__(self, locks: Locks, count: int) -> None:
        self._locks, self._count = locks, count

    def take(self, command: CommandId) -> bool:
        return self._locks.take(command)

    def release(self, command: CommandId) -> None:
        self._locks.release(command)

    def close(self) -> None:
        self._count -= 1
        if self._count == 0:
            self._locks.close()


class Lanes:
    def __init__(
        self, mount: MountId, *, executors: Executors, pool: Pool, answers: Answers, start: Start, lanes: int,
        queue_max: int, path_wait_seconds: float, threads: ThreadPoolExecutor, gone: Callable[[CommandId], None],
    ) -> None:  # fmt: skip
        self._mount, self._executors, self._pool, self._answers = mount, executors, pool, answers
        self._start, self._queue_max, self._path_wait, self._threads = start, queue_max, path_wait_seconds, threads
        self._gone = gone
        self._queues: OrderedDict[str, deque[Waiting]] = OrderedDict()
        self._queued = 0
        self._flying: dict[CommandId, Waiting] = {}
        self._wake = asyncio.Event()
        self._landed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._lane()) for _ in range(lanes)]

    # Coming in

    def put(self, submission: Submission) -> None:
        """Raises RateLimited when the queue is full."""
        if self._queued >= self._queue_max:
            raise errors.RateLimited(waiting=self._queued)
        request = submission.request
        now = asyncio.get_running_loop().time()
        claim = Claim(request.node_path.raw, request.claims_subtree)
        self._enqueue(Waiting(submission, claim, now + self._path_wait, submission.locks))

    def _enqueue(self, waiting: Waiting, *, first: bool = False) -> None:
        queue = self._queues.setdefault(waiting.request.principal, deque())
        (queue.appendleft if first else queue.append)(waiting)
        self._queued += 1
        self._wake.set()

    @property
    def idle(self) -> bool:
        return not self._queued and not self._flying

    # Gathering

    def _share(self) -> int:
        """A lane's part of everything there is to do: lists of one size serve everybody sooner than a long and a short one."""
        return -(-(self._queued + len(self._flying)) // len(self._tasks))

    def _worth_a_list(self) -> bool:
        """A list costs much the same however short it is. While another one is under way a full share is worth one; those
        who wait for more wait at the longest until that other list lands."""
        return bool(self._queued) and (not self._flying or self._queued >= self._share())

    def _gather(self) -> list[Waiting]:
        """The next list: principals in turn, whoever's path is free and has no earlier command waiting for it."""
        batch: list[Waiting] = []
        held = [waiting.claim for waiting in self._flying.values()]
        keys, size = {waiting.key for waiting in self._flying.values()}, 0
        passed: dict[str, deque[Waiting]] = {}
        exact = {claim.path for claim in held}
        trees = [claim for claim in held if claim.subtree]
        now = asyncio.get_running_loop().time()
        most = min(LIST_MAX, self._share())
        while self._queues and len(batch) < most and size < LIST_BYTES:
            principal, queue = self._queues.popitem(last=False)
            waiting = queue.popleft()
            if queue:
                self._queues[principal] = queue
            taken = _taken(waiting.claim, exact, trees, held) or waiting.key in keys
            exact.add(waiting.claim.path)
            held.append(waiting.claim)
            if waiting.claim.subtree:
                trees.append(waiting.claim)
            if taken and now < waiting.deadline:
                passed.setdefault(principal, deque()).append(waiting)
                continue
            if taken or (waiting.bounced and now >= waiting.deadline):
                waiting.sealed = replace(
                    waiting.request, failure=errors.PathBusy.code, failure_message=errors.PathBusy().message
                )
            keys.add(waiting.key)
            batch.append(waiting)
            size += 700 + 2 * len(waiting.claim.path)
        for principal, queue in passed.items():
            # Those who were passed over keep their place at the front.
            queue.extend(self._queues.pop(principal, ()))
            self._queues[principal] = queue
        self._queued -= len(batch)
        return batch

    # Flying

    async def _lane(self) -> None:
        while True:
            batch = self._gather() if self._worth_a_list() else []
            if not batch:
                self._wake.clear()
                if self._queued:
                    # They wait for a path, or for more of them: look again when something lands, or a deadline passes.
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), 0.1)
                else:
                    await self._wake.wait()
                continue
            for waiting in batch:
                self._flying[waiting.request.id] = waiting
            try:
                await self._fly(batch)
            except errors.FilestoreError as error:
                self._give_up(batch, error)
            except Exception as error:
                log.exception("a list failed", mount=self._mount)
                self._give_up(batch, errors.OutcomeUnknown(cause=type(error).__name__))

    async def _fly(self, batch: list[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._seal, batch)
        described = [(w.request, w.submission.metadata) for w in batch if w.submission.metadata is not None]
        if described:
            async with self._pool.connection() as connection:
                await store.keep_metadata(connection, self._mount, described)
        await areach("api.sealed")
        result = await self._start(CommandList(self._mount, [waiting.request for waiting in batch]))
        await areach("api.started")
        await self._landing(asyncio.ensure_future(result()), [waiting.request.id for waiting in batch])

    async def _landing(self, ending: asyncio.Future[object], ids: Sequence[CommandId]) -> None:
        """Until everybody is answered and the workflow has ended: what it does after the answers is the time in which the
        next list gathers."""
        answered_at: float | None = None
        loop = asyncio.get_running_loop()
        while True:
            waiting = any(request in self._flying for request in ids)
            if not waiting:
                answered_at = answered_at or loop.time()
            if ending.done():
                if waiting:
                    ending.result()
                    # It ended without us: what is left went on elsewhere and is answered from its row.
                    self._leave(ids)
                return
            if answered_at is not None and loop.time() - answered_at > _LINGER_SECONDS:
                ending.cancel()
                return
            self._landed.clear()
            landed: asyncio.Future[object] = asyncio.ensure_future(self._landed.wait())
            await asyncio.wait((landed, ending), timeout=_LINGER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            landed.cancel()

    def _seal(self, batch: list[Waiting]) -> None:
        """Make every stage of the list durable, in a thread: small bodies and directories are written here, together."""
        staged = [w for w in batch if w.request.failure is None and w.request.kind is not CommandKind.DELETE]
        if not staged:
            return
        drafts = [w for w in staged if w.submission.written is None and w.request.staged is None]
        written = [w.request.id for w in staged if w.submission.written is not None]
        try:
            executor = self._executors.of(self._mount)
            executor.check()
            self._lock(executor, drafts)
            answers = executor.seal([Draft(w.request.id, w.submission.content) for w in drafts], written)
        except errors.FilestoreError as error:
            for waiting in staged:
                waiting.sealed = _failed(waiting.request, error)
            return
        for waiting, answer in zip(drafts, answers, strict=True):
            waiting.sealed = _with_stage(waiting.request, answer)
        for waiting in staged:
            if waiting.submission.written is not None:
                waiting.sealed = _with_stage(waiting.request, waiting.submission.written)

    def _lock(self, executor: Executor, drafts: Sequence[Waiting]) -> None:
        if not drafts:
            return
        locks = _SharedLocks(executor.locks(), len(drafts))
        for waiting in drafts:
            locks.take(waiting.request.id)
            waiting.locks = locks

    # Landing: called by the activities of this process

    def holds(self, request: CommandId) -> bool:
        waiting = self._flying.get(request)
        return waiting is not None and waiting.locks is not None

    def unlock(self, request: CommandId) -> None:
        """`begin` has committed: `apply` takes the lock now, wherever it runs."""
        waiting = self._flying.get(request)
        if waiting is not None and waiting.locks is not None:
            waiting.locks.release(request)
            waiting.locks.close()
            waiting.locks = None

    def land(self, request: CommandId, *, drop_stage: bool = False) -> None:
        waiting = self._flying.get(request)
        if waiting is None:
            return
        self.unlock(request)
        del self._flying[request]
        self._gone(request)
        if drop_stage:
            self._drop_stage(waiting)
        self._landed.set()
        self._wake.set()

    def again(self, request: CommandId) -> None:
        """Another process holds the path: back to the front of the queue, stage and lock kept."""
        waiting = self._flying.pop(request, None)
        if waiting is None:
            return
        waiting.bounced = True
        self._landed.set()
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, lambda: self._enqueue(waiting, first=True))

    def _leave(self, requests: Sequence[CommandId]) -> None:
        for request in requests:
            self.land(request)

    def _give_up(self, batch: Sequence[Waiting], error: errors.FilestoreError) -> None:
        """The stage stays: the command may begin yet. The sweep knows whether anybody still needs it."""
        for waiting in batch:
            if waiting.request.id in self._flying:
                self._answers.refuse(waiting.request.id, error)
                self.land(waiting.request.id)

    def _drop_stage(self, waiting: Waiting) -> None:
        staged = waiting.request.staged
        if staged is None:
            return

        def drop() -> None:
            self._executors.of(self._mount).discard_stage(waiting.request.id, Identity.of_facts(staged))

        self._threads.submit(drop)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _taken(claim: Claim, exact: set[bytes], trees: Sequence[Claim], held: Sequence[Claim]) -> bool:
    if claim.path in exact:
        return True
    # Only a subtree on either side can still be in the way.
    return any(conflicts(claim, other) for other in (held if claim.subtree else trees))


def _with_stage(request: Request, answer: Stage | Exception) -> Request:
    if isinstance(answer, Stage):
        digest = answer.sha256.hex() if answer.sha256 is not None else None
        size = 0 if answer.identity.directory else answer.identity.size
        return replace(request, staged=answer.identity.facts(), sha256=digest, size=size)
    if isinstance(answer, errors.FilestoreError):
        return _failed(request, answer)
    log.error("staging failed", command=request.id, error=repr(answer))
    return _failed(request, errors.Unavailable("The storage refused the content. Nothing was changed."))


def _failed(request: Request, error: errors.FilestoreError) -> Request:
    return replace(request, failure=error.code, failure_message=error.message)
