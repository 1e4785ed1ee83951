"""From a route to the outcome of its command: the one way in for every mutation of this process.

Routes wait on their own event loop; lanes, activities and the Temporal client live on the engine's.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from activities.ports import Executors
from activities.threads import MountThreads
from api.dispatch.answers import Answers, Waiter
from api.dispatch.lanes import Lanes, Meet, Start, Surroundings
from api.submission import OutcomePending, Queued, Submission
from schema import errors
from schema.commands.payloads import Outcome
from schema.commands.verdicts import Busy, Verdict
from schema.ids import CommandId, MountId
from schema.settings import Settings
from schema.store.pool import Pool


class Dispatch:
    """`Commands` for the routes, `Audience` for the activities."""

    def __init__(
        self,
        settings: Settings,
        executors: Executors,
        threads: MountThreads,
        listed: Callable[[int], None] = lambda commands: None,
    ) -> None:
        """`threads` make stages durable. `listed` is told of each list that was started, and how many commands it has."""
        self._settings, self._executors, self._threads, self._listed = settings, executors, threads, listed
        self._lanes: dict[MountId, Lanes] = {}
        self._home: dict[CommandId, Lanes] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False

    async def open(self, pool: Pool, start: Start, meet: Meet) -> None:
        """On the engine's loop, before the first `submit`."""
        self._loop, self._answers = asyncio.get_running_loop(), Answers(pool)
        self._around = Surroundings(
            self._executors, self._threads, pool, self._answers, start, meet, self._listed,
            self._settings.lanes, self._settings.queue_max, self._settings.path_wait_seconds,
        )  # fmt: skip
        self._polling = asyncio.create_task(self._answers.poll())

    async def drain(self) -> None:
        """No new work; returns when everything under way is answered."""
        self._closing = True
        # A process stops once: that is not worth an event in every lane.
        while not all(lanes.idle for lanes in self._lanes.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        self._polling.cancel()
        await asyncio.gather(*(lanes.close() for lanes in self._lanes.values()), return_exceptions=True)

    # Commands: on the routes' loop

    async def submit(self, submission: Submission) -> Outcome:
        """The outcome, however it was reached. Raises RateLimited, Unavailable, OutcomeUnknown, PathBusy, OutcomePending."""
        request = submission.request
        [waiter] = self._hand_over([submission])
        try:
            return await waiter.future
        except errors.FilestoreError as error:
            # A client that sent neither key nor id gets them back: with them it can ask for the outcome.
            known = {"commandId": waiter.row or request.id, "idempotencyKey": request.effective_key}
            error.details = {**known, **(error.details or {})}
            raise
        finally:
            self._forget([waiter])

    async def submit_atomic(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """The same for an atomic list, an outcome for each. A list of one is a command like any other."""
        if len(submissions) == 1:
            return [await self.submit(submissions[0])]
        waiters = self._hand_over(submissions)
        try:
            answers = await asyncio.gather(*(waiter.future for waiter in waiters), return_exceptions=True)
        finally:
            self._forget(waiters)
        ids = [waiter.row or waiter.request.id for waiter in waiters]
        outcomes: list[Outcome] = []
        for answer in answers:
            if isinstance(answer, OutcomePending):
                raise OutcomePending(ids[0], ids)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            outcomes.append(answer)
        return outcomes

    def queued(self, command: CommandId) -> Queued | None:
        return None if self._loop is None else self._answers.queued(command)

    def load(self) -> dict[MountId, tuple[int, int]]:
        """Commands that wait, and commands in lists under way, by mount. From any thread."""
        return {mount: lanes.load for mount, lanes in self._lanes.copy().items()}

    def _hand_over(self, submissions: Sequence[Submission]) -> list[Waiter]:
        """From the routes' loop to the engine's. Raises Unavailable."""
        loop = self._loop
        if loop is None or self._closing:
            _close(submissions)
            raise errors.Unavailable("The service is starting or stopping.", commandId=submissions[0].request.id)
        wanted, patience = submissions[0].wait_seconds, self._settings.answer_wait_seconds
        until = loop.time() + (patience if wanted is None else min(wanted, patience))
        here = asyncio.get_running_loop()
        waiters = [Waiter(one.request, here.create_future(), loop.time(), until) for one in submissions]
        loop.call_soon_threadsafe(self._put, submissions, waiters)
        return waiters

    def _forget(self, waiters: Sequence[Waiter]) -> None:
        assert self._loop is not None
        for waiter in waiters:
            if not waiter.answered:
                self._loop.call_soon_threadsafe(self._answers.forget, waiter.request.id)

    def _put(self, submissions: Sequence[Submission], waiters: Sequence[Waiter]) -> None:
        try:
            lanes = self._lanes_of(submissions[0].request.runs_on)
            lanes.put(*submissions)
        except errors.FilestoreError as error:
            for waiter in waiters:
                waiter.give(None, error)
            _close(submissions)
            return
        for waiter in waiters:
            self._answers.expect(waiter)
            self._home[waiter.request.id] = lanes

    def _lanes_of(self, mount: MountId) -> Lanes:
        if mount not in self._lanes:
            self._lanes[mount] = Lanes(mount, self._around, self._gone)
        return self._lanes[mount]

    def _gone(self, request: CommandId) -> None:
        self._home.pop(request, None)

    # Audience: on the engine's loop

    def holds(self, request: CommandId) -> bool:
        lanes = self._home.get(request)
        return lanes is not None and lanes.holds(request)

    def unlock(self, requests: Sequence[CommandId]) -> None:
        for request in requests:
            if lanes := self._home.get(request):
                lanes.unlock(request)

    def begun(self, verdicts: Mapping[CommandId, Verdict]) -> None:
        through = set(self._answers.begun(verdicts))
        for request, verdict in verdicts.items():
            lanes = self._home.get(request)
            if lanes is None:
                continue
            if isinstance(verdict, Busy):
                lanes.again(request)
            elif request in through:
                # The stage has no owner: its command has a row, and a stage, of its own.
                lanes.done(request, drop_stage=True)
            else:
                lanes.unlock(request)

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        for request in self._answers.ended(outcomes):
            if lanes := self._home.get(request):
                lanes.done(request)


def _close(submissions: Sequence[Submission]) -> None:
    for submission in submissions:
        if submission.locks is not None:
            submission.locks.close()
