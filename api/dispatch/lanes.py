"""One mount's lanes: each takes the next list from the queue, seals its stages, starts its workflow, and waits until all of it are
answered.

A lone command is a list of one; no timer is needed, because while a list is under way the next one gathers by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from activities.executors.contract.identity import Identity
from activities.ports import Executors
from activities.threads import MountThreads
from api.dispatch.answers import Answers
from api.dispatch.queue import LIST_BYTES, Queue, WaitingCommand, weight
from api.dispatch.staging import seal
from api.submission import Submission
from schema import errors
from schema.commands.payloads import Batch
from schema.faults import areach
from schema.ids import CommandId, MountId, new_command_id
from schema.store import begin as begin_store
from schema.store.pool import Pool

_LOOK_SECONDS = 0.25
"""How often a lane looks whether its commands are answered, in case no message comes."""

log = structlog.get_logger("lanes")

Start = Callable[[Batch], Awaitable[Callable[[], Awaitable[object]]]]
"""Start the workflow of a list; what comes back waits for its end, and raises when the workflow failed."""

Meet = Callable[[MountId], Awaitable[None]]
"""Make sure that this process serves the mount, if it can: it may be younger than our last look."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the lanes of every mount of a process have in common."""

    executors: Executors
    threads: MountThreads
    """Those that seal stages, and drop the ones that are not needed"""
    pool: Pool
    answers: Answers
    start: Start
    meet: Meet
    listed: Callable[[int], None]
    """Called for each list that was started, with the number of its commands"""
    lanes: int
    """How many lists of a mount are under way at once"""
    queue_max: int
    path_wait_seconds: float


class Lanes:
    def __init__(self, mount: MountId, around: Surroundings, gone: Callable[[CommandId], None]) -> None:
        """`gone` is called for each request that these lanes have done with."""
        self._mount, self._around, self._gone = mount, around, gone
        self._queue = Queue(lanes=around.lanes, most=around.queue_max)
        self._in_flight: dict[CommandId, WaitingCommand] = {}
        self._dropping: set[asyncio.Future[None]] = set()
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._tasks = [asyncio.create_task(self._lane()) for _ in range(around.lanes)]

    # Coming in

    def put(self, *submissions: Submission) -> None:
        """One, or an atomic list. Raises RateLimited when the queue is full, and PayloadTooLarge."""
        deadline = asyncio.get_running_loop().time() + self._around.path_wait_seconds
        turn = [self._waiting(submission, deadline) for submission in submissions]
        if len(turn) > 1:
            if weight(turn) > LIST_BYTES:
                raise errors.PayloadTooLarge("The paths of this list are too long for one atomic list.")
            for waiting in turn:
                waiting.atomic = turn
        self._queue.put(*turn)
        self._wake.set()

    def _waiting(self, submission: Submission, deadline: float) -> WaitingCommand:
        claims = [claim for claim in submission.request.claims if claim.mount == self._mount]
        return WaitingCommand(submission, claims, deadline, submission.locks)

    @property
    def idle(self) -> bool:
        return not self._queue and not self._in_flight

    @property
    def load(self) -> tuple[int, int]:
        """How many wait, and how many are in lists under way. From any thread."""
        return len(self._queue), len(self._in_flight)

    # In flight

    async def _lane(self) -> None:
        while True:
            now = asyncio.get_running_loop().time()
            worth = self._queue.worth_a_list(len(self._in_flight))
            batch = self._queue.take(self._in_flight.values(), now) if worth else []
            if not batch:
                self._wake.clear()
                if self._queue:
                    # They wait for a path, or for more of them: look again when a command is done, or a deadline passes.
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), 0.1)
                else:
                    await self._wake.wait()
                continue
            for waiting in batch:
                self._in_flight[waiting.request.id] = waiting
            turns = {waiting.request.id: waiting.turns for waiting in batch}
            try:
                await self._carry_out(batch, turns)
            except errors.FilestoreError as error:
                self._give_up(turns, error)
            except Exception as error:
                log.exception("a list failed", mount=self._mount)
                self._give_up(turns, errors.OutcomeUnknown(cause=type(error).__name__))

    async def _carry_out(self, batch: list[WaitingCommand], turns: Mapping[CommandId, int]) -> None:
        await self._around.meet(self._mount)
        await self._around.threads.run(self._mount, seal, self._around.executors, self._mount, batch)
        described = [(w.request, w.submission.metadata) for w in batch if w.submission.metadata is not None]
        if described:
            async with self._around.pool.connection() as connection:
                await begin_store.keep_metadata(connection, self._mount, described)
        await areach("api.sealed")
        atomic_id = new_command_id() if batch[0].atomic else None
        requests = [waiting.request for waiting in batch]
        result = await self._around.start(Batch(self._mount, requests, atomic_id, batch[0].turns))
        self._around.listed(len(batch))
        await areach("api.started")
        await self._until_answered(asyncio.ensure_future(result()), turns)

    async def _until_answered(self, ending: asyncio.Future[object], turns: Mapping[CommandId, int]) -> None:
        """Wait until all are answered. What the workflow does after that does not concern the lane: the next list
        gathers by its share. A workflow that has ended without answering some of them left these to another one, and
        they are answered from their rows."""
        try:
            while waiting := self._still(turns):
                if ending.done():
                    ending.result()
                    return self._leave(waiting)
                self._progress.clear()
                progress: asyncio.Future[object] = asyncio.ensure_future(self._progress.wait())
                await asyncio.wait((progress, ending), timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                progress.cancel()
        finally:
            if not ending.cancel() and not ending.cancelled():
                ending.exception()  # read, so that asyncio does not warn of it

    def _still(self, turns: Mapping[CommandId, int]) -> list[CommandId]:
        """Which of a list are still under way with it. One that found its path busy may be in flight with another list by now."""
        return [id for id, turn in turns.items() if id in self._in_flight and self._in_flight[id].turns == turn]

    # Done: called by the activities of this process

    def holds(self, request: CommandId) -> bool:
        waiting = self._in_flight.get(request)
        return waiting is not None and waiting.locks is not None

    def unlock(self, request: CommandId) -> None:
        """`begin` has committed: `apply` takes the lock now, wherever it runs."""
        waiting = self._in_flight.get(request)
        if waiting is not None and waiting.locks is not None:
            waiting.locks.release(request)
            waiting.locks.close()
            waiting.locks = None

    def done(self, request: CommandId, *, drop_stage: bool = False) -> None:
        waiting = self._in_flight.get(request)
        if waiting is None:
            return
        self.unlock(request)
        del self._in_flight[request]
        self._gone(request)
        if drop_stage:
            self._drop_stage(waiting)
        self._progress.set()
        self._wake.set()

    def again(self, request: CommandId) -> None:
        """Another process holds the path: back to the front of the queue, stage and lock kept. With it goes its whole
        atomic list."""
        waiting = self._in_flight.get(request)
        if waiting is None:
            return
        turn = waiting.atomic or [waiting]
        for one in turn:
            self._in_flight.pop(one.request.id, None)
            one.turns += 1
        self._progress.set()

        def put_back() -> None:
            self._queue.put_back(*turn)
            self._wake.set()

        asyncio.get_running_loop().call_later(0.05, put_back)

    def _leave(self, requests: Sequence[CommandId]) -> None:
        for request in requests:
            self.done(request)

    def _give_up(self, turns: Mapping[CommandId, int], error: errors.FilestoreError) -> None:
        """The stage stays: the command may begin yet. The sweep knows whether it is still needed."""
        for request in self._still(turns):
            self._around.answers.refuse(request, error)
            self.done(request)

    def _drop_stage(self, waiting: WaitingCommand) -> None:
        staged = waiting.request.staged
        if staged is None:
            return

        def drop() -> None:
            self._around.executors.of(self._mount).discard_stage(waiting.request.id, Identity.of_facts(staged))

        dropping = asyncio.ensure_future(self._around.threads.run(self._mount, drop))
        self._dropping.add(dropping)
        dropping.add_done_callback(self._dropped)

    def _dropped(self, dropping: "asyncio.Future[None]") -> None:
        self._dropping.discard(dropping)
        if not dropping.cancelled() and (error := dropping.exception()):
            log.info("a stage that is not needed is left to the sweep", mount=self._mount, error=repr(error))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
