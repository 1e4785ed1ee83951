"""Count every command that is handed over, by how it was answered."""

from asyncio import CancelledError
from collections.abc import Sequence
from time import perf_counter

from api.observe.metrics.counts import DEFECT, Counts
from api.submission import Commands, OutcomePending, Queued, Submission
from schema.commands.payloads import Outcome
from schema.errors import FilestoreError
from schema.ids import CommandId


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
        self._count(submission, *_with_outcome(ended), perf_counter() - arrived)
        return ended

    async def submit_atomic(self, submissions: Sequence[Submission]) -> list[Outcome]:
        arrived = perf_counter()
        try:
            ended = await self._commands.submit_atomic(submissions)
        except BaseException as error:
            told = _without_outcome(error)
            for submission in submissions:
                self._count(submission, *told, perf_counter() - arrived)
            raise
        for submission, outcome in zip(submissions, ended, strict=True):
            self._count(submission, *_with_outcome(outcome), perf_counter() - arrived)
        return ended

    def queued(self, command: CommandId) -> Queued | None:
        return self._commands.queued(command)

    def _count(self, submission: Submission, outcome: str, code: str | None, seconds: float) -> None:
        self._counts.command(submission.request.kind.value, outcome, code, seconds)


def _with_outcome(ended: Outcome) -> tuple[str, str | None]:
    """What had ended before is no work of now, and is answered much sooner."""
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
