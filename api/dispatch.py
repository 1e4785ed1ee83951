"""From a route to the outcome of its command: the one way in for every mutation of this process.

Routes wait on their own event loop; lanes, activities and the Temporal client live on the engine's.
"""

import asyncio
from collections.abc import Mapping, Sequence

from activities.ports import Executors
from activities.threads import MountThreads
from api.answers import Answers, Waiter
from api.lanes import Lanes, Meet, Start
from api.services import OutcomePending, Submission
from schema import errors
from schema.commands import Outcome
from schema.ids import CommandId, MountId
from schema.settings import Settings
from schema.store.pool import Pool
from schema.verdicts import Busy, Verdict


class Dispatch:
    """`Commands` for the routes, `Audience` for the activities."""

    def __init__(self, settings: Settings, executors: Executors) -> None:
        self._settings, self._executors = settings, executors
        self._lanes: dict[MountId, Lanes] = {}
        self._home: dict[CommandId, Lanes] = {}
        self._threads = MountThreads()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False

    async def open(self, pool: Pool, start: Start, meet: Meet) -> None:
        """On the engine's loop, before the first `submit`."""
        self._loop, self._pool = asyncio.get_running_loop(), pool
        self._start, self._meet = start, meet
        self._answers = Answers(pool)
        self._polling = asyncio.create_task(self._answers.poll())

    async def drain(self) -> None:
        """No new work; returns when everything under way is answered."""
        self._closing = True
        # Once in a life: not worth an event in every lane.
        while not all(lanes.idle for lanes in self._lanes.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        self._polling.cancel()
        await asyncio.gather(*(lanes.close() for lanes in self._lanes.values()), return_exceptions=True)

    # Commands: on the routes' loop

    async def submit(self, submission: Submission) -> Outcome:
        """The outcome, however it was reached. Raises RateLimited, Unavailable, OutcomeUnknown, PathBusy, OutcomePending."""
        loop, request = self._loop, submission.request
        if loop is None or self._closing:
            if submission.locks is not None:
                submission.locks.close()
            raise errors.Unavailable("The service is starting or stopping.", commandId=request.id)
        wanted, patience = submission.wait_seconds, self._settings.answer_wait_seconds
        patience = patience if wanted is None else min(wanted, patience)
        waiter = Waiter(request, asyncio.get_running_loop().create_future(), loop.time(), loop.time() + patience)
        loop.call_soon_threadsafe(self._put, submission, waiter)
        try:
            if patience <= 0:
                raise OutcomePending(request.id)
            return await waiter.future
        except errors.FilestoreError as error:
            # Whoever sent neither key nor id gets them back: with them the outcome can be asked for.
            error.details = {"commandId": request.id, "idempotencyKey": request.effective_key, **(error.details or {})}
            raise
        finally:
            if not waiter.answered:
                loop.call_soon_threadsafe(self._answers.forget, request.id)

    def _put(self, submission: Submission, waiter: Waiter) -> None:
        request = submission.request
        try:
            lanes = self._lanes_of(request.runs_on)
            lanes.put(submission)
        except errors.FilestoreError as error:
            waiter.give(None, error)
            if submission.locks is not None:
                submission.locks.close()
            return
        self._answers.expect(waiter)
        self._home[request.id] = lanes

    def _lanes_of(self, mount: MountId) -> Lanes:
        if mount not in self._lanes:
            self._lanes[mount] = Lanes(
                mount, executors=self._executors, pool=self._pool, answers=self._answers, start=self._start, meet=self._meet,
                lanes=self._settings.lanes, queue_max=self._settings.queue_max, gone=self._gone,
                path_wait_seconds=self._settings.path_wait_seconds, threads=self._threads,
            )  # fmt: skip
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
                # The stage belongs to nobody: its command has a row, and a stage, of its own.
                lanes.land(request, drop_stage=True)
            else:
                lanes.unlock(request)

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        for request in self._answers.ended(outcomes):
            if lanes := self._home.get(request):
                lanes.land(request)
