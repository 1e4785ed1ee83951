"""Which request waits for which command, and how its answer comes: from the activities of this process, or from the row.

Lives on the engine's event loop; the callers wait on theirs.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from api.submission import OutcomePending, Queued
from schema import errors
from schema.commands.command import Command, Status
from schema.commands.payloads import Outcome
from schema.commands.verdicts import Conflict, Go, Join, Refuse, Replay, Resume, Verdict
from schema.ids import CommandId
from schema.store import outcomes as outcome_store
from schema.store.pool import Pool

_POLL_SECONDS = 0.2
_SOMEBODY_ELSES_SECONDS = 1.0
"""After so long a command may have gone on in another process, which does not tell this one of its end."""
_QUEUED_SECONDS = 1.0
"""Even a client that does not want to wait waits for `begin` so long; then it is told that the command is queued."""
_QUEUED_MAX = 10_000
"""Commands that are remembered because their clients were given their ids; the latest ones"""


@dataclass(eq=False, slots=True)
class Waiter:
    request: Command
    future: "asyncio.Future[Outcome]"
    since: float
    until: float
    """When the caller stops waiting; looked at by `poll`, so that no command needs a timer of its own"""
    joined: bool = False
    """It waits for a command that an earlier request opened."""
    elsewhere: bool = False
    """It waits for a command that goes on in a workflow of its own, in whatever process."""
    row: CommandId | None = None
    """The id of its command in the record, which is durable now"""
    answered: bool = False

    def give(self, outcome: Outcome | None, error: Exception | None = None) -> None:
        self.answered = True
        self.future.get_loop().call_soon_threadsafe(_resolve, self.future, outcome, error)


def _resolve(future: "asyncio.Future[Outcome]", outcome: Outcome | None, error: Exception | None) -> None:
    if future.done():
        return
    if outcome is not None:
        future.set_result(outcome)
    else:
        future.set_exception(error or errors.OutcomeUnknown())


class Answers:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[CommandId, Waiter] = {}
        self._rows: dict[CommandId, set[CommandId]] = {}
        """Row id -> request ids, where a command runs under an earlier id."""
        self._queued: OrderedDict[CommandId, Queued] = OrderedDict()

    def queued(self, request: CommandId) -> Queued | None:
        """From any thread."""
        return self._queued.get(request)

    def expect(self, waiter: Waiter) -> None:
        self._waiting[waiter.request.id] = waiter

    def waits(self, request: CommandId) -> bool:
        return request in self._waiting

    def forget(self, request: CommandId) -> None:
        """The caller has gone, or got 202: the command goes on without an audience."""
        self._waiting.pop(request, None)

    def begun(self, verdicts: Mapping[CommandId, Verdict]) -> list[CommandId]:
        """Answer what is decided; returns the requests that are through with their lane."""
        through: list[CommandId] = []
        for request, verdict in verdicts.items():
            match verdict:
                case Replay(known):
                    self._durable(request, known.id)
                    outcome = Outcome(known.id, known.status, known.outcome or "", known.code, replayed=True)
                    self.give([request], outcome)
                    through.append(request)
                case Conflict(error):
                    self.refuse(request, error)
                    through.append(request)
                case Join(row):
                    if waiter := self._waiting.get(request):
                        waiter.joined = True
                    self._rows.setdefault(row, set()).add(request)
                    self._durable(request, row, goes_on=True)
                    through.append(request)
                case Go(id=row) | Resume(id=row) | Refuse(id=row):
                    goes_on = not isinstance(verdict, Refuse)
                    if (waiter := self._waiting.get(request)) and not isinstance(verdict, Refuse):
                        waiter.elsewhere = verdict.long
                    if row != request:
                        self._rows.setdefault(row, set()).add(request)
                    self._durable(request, row, goes_on=goes_on)
                case _:
                    pass
        return through

    def _durable(self, request: CommandId, row: CommandId, *, goes_on: bool = False) -> None:
        """From now on the record can be asked. A client that waited for no more than that is told so at once."""
        if queued := self._queued.get(request):
            queued.row = row
        if waiter := self._waiting.get(request):
            waiter.row = row
            if goes_on and waiter.until <= asyncio.get_running_loop().time():
                self.refuse(request, OutcomePending(row))

    def ended(self, outcomes: Sequence[Outcome]) -> list[CommandId]:
        """Returns the requests that are answered now."""
        answered: list[CommandId] = []
        for outcome in outcomes:
            requests = {outcome.id, *self._rows.pop(outcome.id, ())}
            self.give(requests, outcome)
            answered.extend(requests)
        return answered

    def give(self, requests: Iterable[CommandId], outcome: Outcome) -> None:
        for request in requests:
            if waiter := self._waiting.pop(request, None):
                waiter.give(replace(outcome, replayed=True) if waiter.joined else outcome)

    def refuse(self, request: CommandId, error: Exception) -> None:
        if waiter := self._waiting.pop(request, None):
            waiter.give(None, error)
            if isinstance(error, errors.Unavailable | errors.OutcomeUnknown) and waiter.row is None:
                self._remember(waiter.request).error = error
        elif (queued := self._queued.get(request)) and isinstance(error, errors.FilestoreError):
            queued.error = error

    async def _queued_for_long(self, waiters: Sequence[Waiter]) -> None:
        """Their clients are told 202 now. The command may have a row already, from an earlier request with the same key; if
        not, this process answers for it until it has one."""
        keyed = [waiter.request for waiter in waiters if waiter.request.key is not None]
        known: Mapping[CommandId, Outcome] = {}
        if keyed:
            with suppress(Exception):  # Postgres is away: then the outcomes are not known
                async with asyncio.timeout(_QUEUED_SECONDS), self._pool.connection() as connection:
                    known = await outcome_store.by_key(connection, keyed)
        for waiter in waiters:
            if opened := known.get(waiter.request.id):
                waiter.row = opened.id
                self.refuse(waiter.request.id, OutcomePending(opened.id))
            elif waiter.request.id in self._waiting:
                self._leave_queued(waiter.request)

    def _leave_queued(self, request: Command) -> None:
        self._remember(request)
        self.refuse(request.id, OutcomePending(request.id))

    def _remember(self, request: Command) -> Queued:
        """Its client was given the id, and may ask for it before there is a row, or where there will be none."""
        queued = self._queued[request.id] = Queued(request, datetime.now(UTC))
        if len(self._queued) > _QUEUED_MAX:
            self._queued.popitem(last=False)
        return queued

    async def poll(self) -> None:
        """For ever: read the rows of the requests that have waited so long that another process may have ended their commands."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            now = loop.time()
            due = [waiter for waiter in self._waiting.values() if waiter.until <= now]
            for waiter in due:
                if waiter.row is not None:
                    self.refuse(waiter.request.id, OutcomePending(waiter.row))
            tired = [waiter for waiter in due if waiter.row is None and now - waiter.since >= _QUEUED_SECONDS]
            if tired:
                await self._queued_for_long(tired)
            self._rows = {row: them for row, them in self._rows.items() if any(r in self._waiting for r in them)}
            old = [
                w
                for w in self._waiting.values()
                if loop.time() - w.since > _SOMEBODY_ELSES_SECONDS or w.joined or w.elsewhere
            ]
            if not old:
                continue
            try:
                await self._read(old)
            except Exception:  # noqa: S112  Postgres is away: they wait on, until their own time runs out
                continue

    async def _read(self, waiters: Sequence[Waiter]) -> None:
        rows = {row for row, requests in self._rows.items() if any(r in self._waiting for r in requests)}
        ids = {waiter.request.id for waiter in waiters} | rows
        now = asyncio.get_running_loop().time()
        keyed = [(w.request, now - w.since) for w in waiters if w.request.key is not None and not w.joined]
        async with self._pool.connection() as connection:
            found = await outcome_store.outcomes(connection, list(ids))
            elsewhere = await outcome_store.ended_by_key(connection, keyed) if keyed else {}
        self.ended([outcome for outcome in found if outcome.status is not Status.RUNNING])
        for request, outcome in elsewhere.items():
            # Another process opened it under the id of an earlier request; its audience is not here.
            self.give([request], replace(outcome, replayed=True))
