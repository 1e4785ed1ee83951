"""Count every command that is handed over, by how it was answered, and write a line for it."""

from asyncio import CancelledError
from collections.abc import Sequence
from time import perf_counter

import structlog

from api.observe.metrics.counts import DEFECT, Counts
from api.submission import Commands, OutcomePending, Queued, Submission
from schema.commands.payloads import Outcome
from schema.errors import FilestoreError
from schema.ids import CommandId

log = structlog.get_logger("commands")


class CountedCommands:
    """`Commands` that counts, and hands on to others."""

    def __init__(self, commands: Commands, counts: Counts) -> None:
        self._commands, self._counts = commands, counts

    async def submit(self, submission: Submission) -> Outcome:
        arrived = perf_counter()
        try:
            ended = await self._commands.submit(submission)
        except BaseException as error:
            self._count(submission, *_without_outcome(error), perf_counter() - arrived)
            raise
        self._count(submission, *_with_outcome(ended), perf_counter() - arrived, ended.id)
        return ended

    async def submit_atomic(self, submissions: Sequence[Submission]) -> list[Outcome]:
        arrived = perf_counter()
        try:
            ended = await self._commands.submit_atomic(submissions)
        except BaseException as error:
            ending = _without_outcome(error)
            for submission in submissions:
                self._count(submission, *ending, perf_counter() - arrived)
            raise
        for submission, outcome in zip(submissions, ended, strict=True):
            self._count(submission, *_with_outcome(outcome), perf_counter() - arrived, outcome.id)
        return ended

    def queued(self, command: CommandId) -> Queued | None:
        return self._commands.queued(command)

    def _count(
        self, submission: Submission, outcome: str, code: str | None, seconds: float, row: CommandId | None = None
    ) -> None:
        """`row`: the id in the record, which is that of an earlier request where the key was used before."""
        request = submission.request
        self._counts.command(request.kind.value, outcome, code, seconds)
        log.info(
            "command", command_id=row or request.id, request_id=request.request_id, kind=request.kind.value,
            outcome=outcome, code=code, mount_id=request.mount_id, path=request.path, target=request.target,
            principal=request.principal, ms=round(seconds * 1000, 1),
        )  # fmt: skip


def _with_outcome(ended: Outcome) -> tuple[str, str | None]:
    """A replayed command is no work of now, and is answered much sooner."""
    return "replayed" if ended.replayed else ended.status.value, ended.code


def _without_outcome(error: BaseException) -> tuple[str, str | None]:
    match error:
        case OutcomePending():
            return "pending", None
        case FilestoreError(code=code):
            return "refused", code
        case CancelledError():
            return "abandoned", None
        case _:
            return "refused", DEFECT
